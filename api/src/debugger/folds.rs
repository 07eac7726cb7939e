//! Folds of an instance at some of its versions, a bounded number of them, so that going back need not begin at the first record.

use std::collections::BTreeMap;

use flowledger_projections::Authors;

/// Folds that are kept at most. Folds of one instance share the node instances that are alike in them.
const MAX_FOLDS: usize = 64;
/// How many records lie between two of them at first; it doubles whenever there would be too many.
const FIRST_DISTANCE: u64 = 16;

/// Folds of an instance at the end of some of its records.
#[derive(Clone, Debug)]
pub(super) struct Folds {
    distance: u64,
    kept: BTreeMap<u64, Authors>,
}

impl Default for Folds {
    fn default() -> Self {
        Self {
            distance: FIRST_DISTANCE,
            kept: BTreeMap::new(),
        }
    }
}

impl Folds {
    /// Takes notice of the fold at the end of a record; versions come in order.
    pub(super) fn keep(&mut self, version: u64, fold: &Authors) {
        if !version.is_multiple_of(self.distance) {
            return;
        }
        self.kept.insert(version, fold.clone());
        if self.kept.len() > MAX_FOLDS {
            self.distance *= 2;
            let distance = self.distance;
            self.kept.retain(|version, _| version.is_multiple_of(distance));
        }
    }

    /// The newest fold that is kept of a version or before, and its version.
    pub(super) fn nearest(&self, version: u64) -> Option<(u64, &Authors)> {
        let nearest = self.kept.range(..=version).next_back();
        nearest.map(|(version, fold)| (*version, fold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_stay_few_and_near_whatever_the_number_of_records() {
        let mut folds = Folds::default();
        for version in 1..=10_000 {
            folds.keep(version, &Authors::default());
            assert!(folds.kept.len() <= MAX_FOLDS, "{}", folds.kept.len());
        }
        for version in 1..=10_000 {
            let from = folds.nearest(version).map_or(0, |(from, _)| from);
            assert!(from <= version && version - from < 512, "{from} for {version}");
        }
    }
}
