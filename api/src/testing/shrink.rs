//! The shortest script that still breaks an invariant: steps and variables are left out as long as it stays broken.

use super::run::Bench;
use super::script::{Script, ScriptStep};
use crate::error::EngineError;

/// Scripts that are tried at most.
const MAX_TRIES: usize = 20_000;

/// Leaves out what can be left out. Of the result no step can be.
pub(super) fn shortest(bench: &mut Bench<'_>, script: Script, invariant: &str) -> Result<Script, EngineError> {
    let mut shrinking = Shrinking {
        bench,
        invariant,
        tries: 0,
    };
    let mut script = script;
    // What comes behind the broken place.
    if let Some(broken_at) = shrinking.breaks(&script)? {
        script.steps.truncate(broken_at + 1);
    }
    loop {
        let before = script.clone();
        script = shrinking.without_steps(script)?;
        script = shrinking.with_simpler_steps(script)?;
        script = shrinking.without_variables(script)?;
        if script == before {
            return Ok(script);
        }
    }
}

struct Shrinking<'b, 'a, 't> {
    bench: &'b mut Bench<'a>,
    invariant: &'t str,
    tries: usize,
}

impl Shrinking<'_, '_, '_> {
    /// The step that breaks the invariant, where it is broken.
    fn breaks(&mut self, script: &Script) -> Result<Option<usize>, EngineError> {
        self.tries += 1;
        if self.tries > MAX_TRIES {
            return Ok(None);
        }
        let played = self.bench.play(script)?;
        let is_the_same = played.broken.is_some_and(|(name, _)| *name == *self.invariant);
        Ok(is_the_same.then_some(played.at))
    }

    fn without_steps(&mut self, mut script: Script) -> Result<Script, EngineError> {
        // Large pieces first, then single steps until none of them can be left out.
        let mut size = (script.steps.len() / 2).max(1);
        loop {
            let mut place = 0;
            let mut has_changed = false;
            while place < script.steps.len() {
                let mut shorter = script.clone();
                let end = (place + size).min(shorter.steps.len());
                shorter.steps.drain(place..end);
                if self.breaks(&shorter)?.is_some() {
                    script = shorter;
                    has_changed = true;
                } else {
                    place += size;
                }
            }
            if size > 1 {
                size /= 2;
            } else if !has_changed {
                return Ok(script);
            }
        }
    }

    fn with_simpler_steps(&mut self, mut script: Script) -> Result<Script, EngineError> {
        for place in 0..script.steps.len() {
            for simpler in script.steps.get(place).map(ScriptStep::simpler).unwrap_or_default() {
                let mut other = script.clone();
                if let Some(step) = other.steps.get_mut(place) {
                    *step = simpler;
                }
                if self.breaks(&other)?.is_some() {
                    script = other;
                    break;
                }
            }
        }
        Ok(script)
    }

    fn without_variables(&mut self, mut script: Script) -> Result<Script, EngineError> {
        for step in 0..script.steps.len() {
            let lists = script.steps.get_mut(step).map_or(0, |step| step.variables_mut().len());
            for list in 0..lists {
                let mut place = 0;
                loop {
                    let mut shorter = script.clone();
                    let mut lists = shorter
                        .steps
                        .get_mut(step)
                        .map(|step| step.variables_mut())
                        .unwrap_or_default();
                    let Some(variables) = lists.get_mut(list).filter(|variables| place < variables.len()) else {
                        break;
                    };
                    variables.remove(place);
                    drop(lists);
                    if self.breaks(&shorter)?.is_some() {
                        script = shorter;
                    } else {
                        place += 1;
                    }
                }
            }
        }
        Ok(script)
    }
}
