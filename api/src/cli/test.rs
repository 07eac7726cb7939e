//! Tests of models for people who write no Rust: runs the kit on files, tells what it found and saves it. Knows files and
//! words; what is tried and what is a fault, the kit knows.

mod files;
mod regressions;
mod report;
mod typed;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use flowledger::testing::{Broken, Coverage, FlowTest, Minimum, MutationScore, Ran, Script, TestError, asks_hooks};
use flowledger::{DrawOptions, DrawingFormat, EngineError, InstanceData, ResultCode};

use crate::cli::arguments;
use crate::cli::failure::Failure;
use crate::cli::progress::Count;
use crate::cli::session::Session;
use crate::cli::words;

use files::Given;
use regressions::Regressions;

/// What a test of a model is for.
pub(crate) const TEST_HELP: &str =
    "The kit starts an instance in memory again and again and gives it commands: commits with values just beside those
that the conditions name, rollbacks, repeated and outdated commands, two commits at once, a restart. Behind
every command it looks whether all still holds: the model's own invariants, what FILE says, that a running
instance has a task that waits, and what the engine itself promises. What breaks is cut down until no command
can be left out, and saved beside the model; saved scripts are given first, the next time.

  flowledger test leave.json
  flowledger test leave.json --properties leave.toml --coverage leave.svg
  flowledger test leave.json --cases 10000 --seed 7 --draw broken.svg

A properties file, as TOML or JSON; every member may be left out:
  cases = 1000
  noCommitFails = true
  values.amount = [0, 1000000]
  minimum = { elements = 100, conditions = 90, mutants = 60 }
  [[invariants]]
  name = \"much is paid only with approval\"
  never = \"'pay' in waits && amount > 1000 && visits.approve == 0\"
  [[examples]]
  name = \"a short leave needs no approval\"
  given = { who = \"Lin\" }
  when = [{ commit = { task = \"ask\", variables = { days = 2 } } }]
  then = { waitsAt = [], status = \"completed\" }

The same seed gives the same output. Exit status 1 where something does not hold, or less is reached than the
minimum; 2 where a file cannot be read.";

/// What is tested, and how far.
#[derive(Args)]
pub(crate) struct TestArgs {
    /// The model's file
    #[arg(value_name = "MODEL.json")]
    model: PathBuf,
    /// Runs to try [default: 256]
    #[arg(long, value_name = "N")]
    cases: Option<u32>,
    /// Most commands of a run, the start not counted [default: 12]
    #[arg(long, value_name = "N")]
    commands: Option<usize>,
    /// What decides the runs: the same seed gives the same runs [default: 1]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// What must hold, values, examples, thresholds: a file in TOML or JSON
    #[arg(long, value_name = "FILE")]
    properties: Option<PathBuf>,
    /// The model of a flow that call activities run: its name in the model, and a file; may be repeated
    #[arg(long, value_name = "NAME=FILE", value_parser = files::called)]
    called: Vec<(Arc<str>, PathBuf)>,
    /// Answer the hooks of gateways with this variable; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = arguments::variable)]
    hook_answer: Vec<InstanceData>,
    /// Draw the instance in which something does not hold: SVG, or Mermaid text if the file ends with .mmd
    #[arg(long, value_name = "FILE")]
    draw: Option<PathBuf>,
    /// The folder of the saved scripts [default: beside the model, MODEL.regressions]
    #[arg(long, value_name = "DIR")]
    regressions: Option<PathBuf>,
    /// Save no script
    #[arg(long)]
    no_save: bool,
    /// Draw the model with what the runs came to: SVG, or Mermaid text if the file ends with .mmd
    #[arg(long, value_name = "FILE")]
    coverage: Option<PathBuf>,
    /// Keep what runs came to in this file, and add to what is there
    #[arg(long, value_name = "FILE")]
    coverage_data: Option<PathBuf>,
    /// The least that is enough, in percent: elements, sequenceFlows, conditions, rollbacks, mutants
    #[arg(long, value_name = "WHAT=PERCENT,…", value_parser = files::minimum)]
    min_coverage: Option<Minimum>,
    /// Put faults into the model, one at a time, and tell how many the test notices
    #[arg(long)]
    mutants: bool,
}

/// All that came of a test.
struct Tested {
    regressions: Regressions,
    /// The examples in their order, with what is seen where one does not come out.
    examples: Vec<(Arc<str>, Option<Broken>)>,
    /// What was run; `None` where a saved script or an example was enough.
    ran: Option<Ran>,
    broken: Option<Broken>,
    /// The file in which the script of `broken` is saved.
    saved: Option<PathBuf>,
    coverage: Coverage,
    mutants: Option<MutationScore>,
    /// What is less than the minimum: what, the minimum, and what was reached, in percent.
    below: Vec<(&'static str, f64, f64)>,
    /// What else is to be said.
    notes: Vec<String>,
}

impl Tested {
    fn is_passed(&self) -> bool {
        self.findings().is_empty() && self.below.is_empty()
    }

    /// What does not hold, and where it comes from.
    fn findings(&self) -> Vec<Finding<'_>> {
        let saved = self.regressions.broken();
        let saved = saved.map(|(file, broken)| Finding {
            from: "regression",
            file: Some(file),
            broken,
        });
        let examples = self.examples.iter().filter_map(|(_, broken)| broken.as_ref());
        let examples = examples.map(|broken| Finding {
            from: "example",
            file: None,
            broken,
        });
        let runs = self.broken.iter().map(|broken| Finding {
            from: "run",
            file: self.saved.as_deref(),
            broken,
        });
        saved.chain(examples).chain(runs).collect()
    }
}

/// Something that does not hold.
struct Finding<'t> {
    /// Where it comes from: `regression`, `example` or `run`.
    from: &'static str,
    /// Where its script is saved.
    file: Option<&'t Path>,
    broken: &'t Broken,
}

/// Tests a model.
pub(crate) fn run(session: &Session, args: &TestArgs) -> Result<(), Failure> {
    let given = Given::read(session, args)?;
    let earlier = earlier_coverage(session, args, &given)?;
    let folder = args
        .regressions
        .clone()
        .unwrap_or_else(|| regressions::beside(&args.model));
    let mut tested = Tested {
        regressions: Regressions::read(session, folder)?,
        examples: Vec::new(),
        ran: None,
        broken: None,
        saved: None,
        coverage: Coverage::of(&given.model),
        mutants: None,
        below: Vec::new(),
        notes: notes(&given),
    };
    let test = given.test.clone();
    for regression in tested.regressions.scripts_mut() {
        regression.broken = played(session, &test, &regression.script, &mut tested.coverage)?;
    }
    for example in &given.properties.examples {
        let broken = test.judge(example).map_err(|error| failure(session, error))?;
        // For what it comes to.
        played(session, &test, &example.script(), &mut tested.coverage)?;
        tested.examples.push((example.name.clone(), broken));
    }
    if tested.findings().is_empty() {
        explore(session, &given, &mut tested)?;
    }
    if tested.findings().is_empty() && (args.mutants || given.minimum.mutants.is_some()) {
        let bar = Count::new(session, "mutants");
        let scored = test.mutation_score_of_passed(&|done, of| bar.show(done as u64, of as u64));
        tested.mutants = Some(scored.map_err(|error| match error {
            TestError::Broken(broken) => session.error(ResultCode::Failed, broken.to_string()).into(),
            TestError::Engine(error) => failure(session, error),
        })?);
    }
    match earlier {
        Earlier::None => {}
        Earlier::Of(earlier) => tested.coverage.merge(&earlier),
        Earlier::OfAnotherModel(path) => tested.notes.push(format!(
            "{} was of another version of the model; it begins anew",
            path.display()
        )),
    }
    if tested.findings().is_empty() {
        tested.below = below(&given.minimum, &tested);
    }
    if let (Some(broken), false) = (&tested.broken, args.no_save) {
        tested.saved = Some(tested.regressions.save(session, &broken.invariant, &broken.script)?);
    }
    write_files(session, args, &given, &mut tested)?;
    report::tell(session, args, &given, &tested)?;
    if tested.is_passed() {
        Ok(())
    } else {
        Err(Failure::Found)
    }
}

/// What was taken for granted.
fn notes(given: &Given) -> Vec<String> {
    let stand_ins = given.stand_ins.iter();
    let stand_ins = stand_ins
        .map(|name| format!("a flow of one task stands in for {name}; name its model with --called {name}=FILE"));
    let has_silent_hooks = given.properties.hook_answer.is_empty() && asks_hooks(&given.model);
    let hooks =
        has_silent_hooks.then(|| "hooks answer nothing; say what they answer with --hook-answer KEY=VALUE".to_owned());
    stand_ins.chain(hooks).collect()
}

/// Gives the commands of a script; what does not hold.
fn played(
    session: &Session,
    test: &FlowTest,
    script: &Script,
    coverage: &mut Coverage,
) -> Result<Option<Broken>, Failure> {
    match test.play_covering(script, coverage) {
        Ok(_) => Ok(None),
        Err(TestError::Broken(broken)) => Ok(Some(*broken)),
        Err(TestError::Engine(error)) => Err(failure(session, error)),
    }
}

fn explore(session: &Session, given: &Given, tested: &mut Tested) -> Result<(), Failure> {
    let bar = Count::new(session, "runs");
    let (shown, cases) = (bar.clone(), u64::from(given.cases));
    let test = given.test.clone().progress(move |done| shown.show(done, cases));
    let explored = test.explore().map_err(|error| failure(session, error))?;
    tested.ran = Some(explored.ran);
    tested.coverage.merge(&explored.coverage);
    tested.broken = explored.broken;
    Ok(())
}

/// A model that cannot be read is a wrong argument.
fn failure(session: &Session, error: EngineError) -> Failure {
    if error.err_code() == session.number(ResultCode::ModelEmpty) {
        Failure::Usage(error)
    } else {
        Failure::Refused(error)
    }
}

/// What a file has of earlier runs.
enum Earlier<'a> {
    None,
    Of(Coverage),
    OfAnotherModel(&'a Path),
}

fn earlier_coverage<'a>(session: &Session, args: &'a TestArgs, given: &Given) -> Result<Earlier<'a>, Failure> {
    let Some(path) = args.coverage_data.as_deref().filter(|path| path.exists()) else {
        return Ok(Earlier::None);
    };
    let text = session.read(path)?;
    match Coverage::read(&given.model, &text) {
        Ok(Some(earlier)) => Ok(Earlier::Of(earlier)),
        Ok(None) => Ok(Earlier::OfAnotherModel(path)),
        Err(error) => Err(session.unusable(format!(
            "{} is no coverage data ({error}); it is left as it is",
            path.display()
        ))),
    }
}

fn below(minimum: &Minimum, tested: &Tested) -> Vec<(&'static str, f64, f64)> {
    let coverage = &tested.coverage;
    let mutants = tested.mutants.as_ref().map(MutationScore::share);
    let wanted = [
        ("elements", minimum.elements, Some(coverage.elements())),
        ("sequenceFlows", minimum.sequence_flows, Some(coverage.sequence_flows())),
        ("conditions", minimum.conditions, Some(coverage.conditions())),
        ("rollbacks", minimum.rollbacks, Some(coverage.rollbacks())),
        ("mutants", minimum.mutants, mutants),
    ];
    let reached = wanted.into_iter().filter_map(|(what, minimum, share)| {
        let reached = share?.part() * 100.0;
        Some((what, minimum?, reached)).filter(|(_, minimum, reached)| reached < minimum)
    });
    reached.collect()
}

fn write_files(session: &Session, args: &TestArgs, given: &Given, tested: &mut Tested) -> Result<(), Failure> {
    let mut files: Vec<(&Path, String)> = Vec::new();
    if let Some(path) = &args.coverage {
        let title = format!("{}: what the runs came to", given.name);
        files.push((path, tested.coverage.draw(&title, options(path))?));
    }
    if let Some(path) = &args.coverage_data {
        let text = serde_json::to_string_pretty(&tested.coverage).map_err(std::io::Error::from)?;
        files.push((path, text + "\n"));
    }
    let drawn = match (&args.draw, tested.findings().first()) {
        (Some(path), Some(Finding { broken, .. })) => {
            let title = format!("{}: \"{}\" does not hold", given.name, broken.invariant);
            let drawing = given.test.draw(&title, &broken.script, options(path));
            Some((path.as_path(), drawing.map_err(|error| failure(session, error))?))
        }
        _ => None,
    };
    files.extend(drawn);
    let mut notes = Vec::new();
    for (path, text) in files {
        write(session, path, &text)?;
        notes.push(format!("{} is written", path.display()));
    }
    tested.notes.extend(notes);
    Ok(())
}

fn options(path: &Path) -> DrawOptions {
    let is_mermaid = path
        .extension()
        .is_some_and(|extension| extension == "mmd" || extension == "mermaid");
    DrawOptions {
        format: if is_mermaid {
            DrawingFormat::Mermaid
        } else {
            DrawingFormat::Svg
        },
        ..DrawOptions::default()
    }
}

fn write(session: &Session, path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| session.unusable(format!("{} cannot be written: {error}", path.display())))
}

/// The command that tests the model, as it is typed.
fn command(session: &Session, args: &TestArgs) -> String {
    session.next(&format!("test {}", words::argument(&args.model.display().to_string())))
}
