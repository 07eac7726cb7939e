//! Gathering: before a commit the writer waits a little for the callers it has just answered, so that they share its sync.
//!
//! Whoever calls again as soon as it is answered comes a moment too late for the commit that is about to begin, and waits for all
//! of it and then for its own. Two groups of callers then take turns at the disk, each with half of what one sync could carry.
//! Waiting is worth it where callers come back before a commit could have ended, and where the processor has time for it. So
//! it is tried now and then, for a short and for a long time, and done as long as more is answered with it than without.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// One in so many callers may be late: it is waited for only that part of a commit's time.
const STRAGGLERS: u32 = 8;

/// Most commits without waiting after the callers did not come.
const PAUSE_MAX: u32 = 255;

/// Commits of a stretch, in which one patience is kept.
const STRETCH: u32 = 32;

/// Commits after which a trial of another patience ends sooner, where they took so long that their rate says something.
const TRIAL: (u32, Duration) = (16, Duration::from_millis(10));

/// After so many stretches one of the other patiences is tried, and after four times as many each time that it is no better: what
/// is done more often than once in a hundred times is what the 99th percentile shows.
const INTERVALS: std::ops::RangeInclusive<u32> = 8..=256;

/// By how much more must be answered with a longer patience than with a shorter one, beyond what chance may do.
const WORTH: f64 = 1.05;

/// What chance may do to a rate of so many answers: this, divided by their root.
const CHANCE: f64 = 2.5;

/// How many times as much or as little must be answered from one stretch to the next for the load to count as another one.
const CHANGE: f64 = 2.0;

/// Where callers tell the writer that they are there.
#[derive(Default)]
pub(super) struct Door {
    /// Requests in the queue at which the writer is to be woken; 0: it does not wait.
    wanted: AtomicUsize,
    writer: OnceLock<Thread>,
}

impl Door {
    /// Tells that so many requests are in the queue now.
    pub(super) fn entered(&self, queued: usize) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        if wanted > 0
            && queued >= wanted
            && self.wanted.swap(0, Ordering::SeqCst) > 0
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Waits until so many are here, or for so long. Whether they are here.
    fn wait(&self, wanted: usize, patience: Duration, here: impl Fn() -> usize) -> bool {
        let begun = Instant::now();
        let are_here = loop {
            // Set before it is looked: whoever comes after the look sees it. The writer holds one that is not in the queue.
            self.wanted.store(wanted.saturating_sub(1), Ordering::SeqCst);
            if here() >= wanted {
                break true;
            }
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break false;
            }
            thread::park_timeout(left);
        };
        self.wanted.store(0, Ordering::SeqCst);
        are_here
    }
}

/// How long callers are waited for. Who waited longer than a commit takes could only lose.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Patience {
    /// Not at all.
    None,
    /// A quarter of a commit's time.
    #[default]
    Quarter,
    /// The time of a commit.
    Whole,
}

impl Patience {
    /// From the shortest to the longest.
    const ALL: [Self; 3] = [Self::None, Self::Quarter, Self::Whole];

    /// The time to wait, where a commit took so long.
    fn of(self, took: Duration) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Quarter => took / 4,
            Self::Whole => took,
        }
    }

    /// The next longer one; after the longest, the shortest.
    fn next(self) -> Self {
        match self {
            Self::None => Self::Quarter,
            Self::Quarter => Self::Whole,
            Self::Whole => Self::None,
        }
    }
}

/// Something for each patience.
#[derive(Clone, Copy, Default)]
struct ForEach<T> {
    none: T,
    quarter: T,
    whole: T,
}

impl<T> ForEach<T> {
    fn of(&self, patience: Patience) -> &T {
        match patience {
            Patience::None => &self.none,
            Patience::Quarter => &self.quarter,
            Patience::Whole => &self.whole,
        }
    }

    fn of_mut(&mut self, patience: Patience) -> &mut T {
        match patience {
            Patience::None => &mut self.none,
            Patience::Quarter => &mut self.quarter,
            Patience::Whole => &mut self.whole,
        }
    }
}

/// What the writer knows of its callers.
#[derive(Default)]
pub(super) struct Gatherer {
    /// Callers that waited or were answered at the end of the last commit.
    callers: usize,
    /// How long the disk took for it.
    took: Duration,
    pauses: ForEach<Pause>,
    trials: Trials,
}

/// Commits that pass without waiting after the callers did not come.
#[derive(Clone, Copy, Default)]
struct Pause {
    /// How many pass, or are to pass; 0 when the callers came.
    length: u32,
    /// How many of them are still to pass.
    left: u32,
}

/// How much was answered in a stretch.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    answers: f64,
}

impl Rate {
    /// Whether this is more than that of a shorter patience by so much that the waiting is worth it.
    fn is_worth_more_than(self, shorter: Self) -> bool {
        let chance = CHANCE / self.answers.min(shorter.answers).sqrt();
        self.per_second > shorter.per_second * (WORTH + chance)
    }
}

/// Which patience to have: stretches of commits with each, and how much was answered in them.
struct Trials {
    /// The one in use.
    patience: Patience,
    commits: u32,
    answered: usize,
    since: Instant,
    /// What was answered with each, as far as known.
    rates: ForEach<Option<Rate>>,
    /// The best one, as far as known.
    best: Patience,
    /// Stretches with the best one between two trials, and how many of them are still to come.
    interval: u32,
    left: u32,
    /// The one that was tried last.
    tried: Patience,
}

impl Default for Trials {
    fn default() -> Self {
        Self {
            patience: Patience::default(),
            commits: 0,
            answered: 0,
            since: Instant::now(),
            rates: ForEach::default(),
            best: Patience::default(),
            interval: *INTERVALS.start(),
            left: *INTERVALS.start(),
            tried: Patience::default(),
        }
    }
}

impl Trials {
    fn note(&mut self, answered: usize, now: Instant) {
        self.answered += answered;
        self.commits += 1;
        let took = now.duration_since(self.since);
        let known = self.rates.of(self.patience).filter(|_| self.patience == self.best);
        let is_enough = known.is_none() && self.commits >= TRIAL.0 && took >= TRIAL.1;
        if self.commits < STRETCH && !is_enough {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let answers = self.answered as f64;
        let rate = answers / took.as_secs_f64().max(1e-9);
        (self.commits, self.answered, self.since) = (0, 0, now);
        let known = known.map(|known| known.per_second);
        let is_other_load = known.is_some_and(|known| rate > known * CHANGE || known > rate * CHANGE);
        if is_other_load {
            self.rates = ForEach::default();
            self.try_soon();
        }
        // What was known before a trial, or of another load, is old.
        let known = known.filter(|_| !is_other_load);
        let per_second = known.map_or(rate, |known| f64::midpoint(known, rate));
        *self.rates.of_mut(self.patience) = Some(Rate { per_second, answers });
        self.choose();
    }

    fn try_soon(&mut self) {
        (self.interval, self.left) = (*INTERVALS.start(), *INTERVALS.start());
    }

    /// Chooses the patience of the next stretch.
    fn choose(&mut self) {
        // What is not known yet comes first.
        let unknown = Patience::ALL
            .into_iter()
            .find(|&patience| self.rates.of(patience).is_none());
        if let Some(unknown) = unknown {
            self.patience = unknown;
            return;
        }
        let better = |best, longer| {
            let rates = self.rates.of(best).zip(*self.rates.of(longer));
            if rates.is_some_and(|(shorter, rate)| rate.is_worth_more_than(shorter)) {
                longer
            } else {
                best
            }
        };
        let best = Patience::ALL.into_iter().fold(Patience::None, better);
        if best != self.best {
            self.best = best;
            self.try_soon();
        } else if self.patience != best {
            self.interval = (self.interval * 4).min(*INTERVALS.end());
            self.left = self.interval;
        }
        self.patience = best;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.tried = self.tried.next();
            if self.tried == best {
                self.tried = self.tried.next();
            }
            self.patience = self.tried;
        }
    }
}

impl Gatherer {
    /// Notes a commit: the callers it answers, those that wait already, and how long the disk took.
    pub(super) fn note(&mut self, answered: usize, waiting: usize, took: Duration) {
        self.callers = answered + waiting;
        self.took = took;
        self.trials.note(answered, Instant::now());
    }

    /// Waits until the callers are there, the `most` a commit takes, or for a part of the time a commit takes, at most `limit`.
    /// `here` tells how many are.
    pub(super) fn wait(&mut self, door: &Door, most: usize, limit: Duration, here: impl Fn() -> usize) {
        let patience = self.trials.patience.of(self.took).min(limit);
        let all = self.callers.min(most);
        if patience.is_zero() || here() >= all {
            return;
        }
        let pause = self.pauses.of_mut(self.trials.patience);
        if pause.left > 0 {
            pause.left -= 1;
            return;
        }
        let _ = door.writer.get_or_init(thread::current);
        let most = all - all / STRAGGLERS as usize;
        let are_here = door.wait(most, patience, &here);
        let length = if are_here {
            door.wait(all, patience.min(self.took / STRAGGLERS), &here);
            0
        } else {
            (pause.length * 2 + 1).min(PAUSE_MAX)
        };
        *pause = Pause { length, left: length };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::RngExt;
    use proptest::test_runner::{RngAlgorithm, TestRng};

    use super::*;

    /// How many of a thousand commits had each patience, of so many thousand, where so many callers are answered a second with each.
    fn kept(thousands: u32, trials: &mut Trials, rates: [u64; 3]) -> [u32; 3] {
        let mut now = trials.since;
        let mut kept = [0; 3];
        for _ in 0..thousands * 1_000 {
            let place = Patience::ALL
                .iter()
                .position(|&patience| patience == trials.patience)
                .unwrap();
            kept[place] += 1;
            now += Duration::from_micros(1_000_000 * 10 / rates[place]);
            trials.note(10, now);
        }
        kept.map(|commits| commits / thousands)
    }

    #[test]
    fn the_patience_with_which_most_is_answered_is_kept() {
        let mut trials = Trials::default();
        assert!(kept(20, &mut trials, [1_000, 2_000, 1_500])[1] >= 990);
        // The load changes, and with it what is better.
        assert!(kept(20, &mut trials, [8_000, 7_800, 7_900])[0] >= 980);
        assert!(kept(20, &mut trials, [30_000, 40_000, 50_000])[2] >= 980);
        // By so little that it is not noticed: that takes the next trial of the right one.
        assert!(kept(40, &mut trials, [35_000, 45_000, 40_000])[1] >= 600);
        // Where it makes no difference, nobody is held up.
        assert!(kept(20, &mut trials, [500, 500, 500])[0] >= 970);
    }

    #[test]
    fn trials_are_so_seldom_that_the_99th_percentile_does_not_show_them() {
        for speed in [1, 10, 100] {
            let mut trials = Trials::default();
            let rates = [1_000, 2_000, 1_500].map(|rate| rate * speed);
            // At first it must learn.
            let first = kept(1, &mut trials, rates);
            assert!(first[1] >= 850, "{first:?}");
            kept(5, &mut trials, rates);
            let later = kept(20, &mut trials, rates);
            assert!(later[1] >= 994, "{later:?}");
        }
    }

    #[test]
    fn who_comes_without_waiting_for_answers_is_seldom_held_up() {
        let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        for callers in [3, 10, 30] {
            let mut trials = Trials::default();
            let (mut now, mut held_up) = (trials.since, 0);
            for _ in 0..20_000 {
                // The longer a commit waits, the more have come: as many in a time, whatever it does.
                let quarters = match trials.patience {
                    Patience::None => 4,
                    Patience::Quarter => 5,
                    Patience::Whole => 8,
                };
                held_up += u32::from(trials.patience != Patience::None);
                // Of ten times as many who might come, each comes in one of ten cases.
                let came = (0..10 * callers * quarters / 4).filter(|_| random.random_ratio(1, 10));
                now += Duration::from_micros(250) * quarters;
                trials.note(came.count().max(1), now);
            }
            assert!(held_up < 1_000, "{callers} callers: {held_up}");
        }
    }

    const NEVER: Duration = Duration::from_secs(3600);

    /// A gatherer after a commit that answered so many and took so long.
    fn after(callers: usize, took: Duration) -> Gatherer {
        let mut gatherer = Gatherer::default();
        gatherer.note(callers, 0, took);
        gatherer
    }

    #[test]
    fn whoever_comes_back_last_ends_the_waiting() {
        let door = Door::default();
        let queued = AtomicUsize::new(0);
        let mut gatherer = after(16, NEVER);
        thread::scope(|scope| {
            scope.spawn(|| {
                // The writer holds one that is no longer in the queue.
                for here in 1..=15 {
                    thread::sleep(Duration::from_millis(1));
                    queued.store(here, Ordering::SeqCst);
                    door.entered(here);
                }
            });
            gatherer.wait(&door, 1000, NEVER, || queued.load(Ordering::SeqCst) + 1);
        });
        assert_eq!(queued.load(Ordering::SeqCst), 15);
        assert_eq!(gatherer.pauses.quarter.length, 0);
    }

    #[test]
    fn the_last_are_waited_for_only_a_little() {
        let begun = Instant::now();
        let mut gatherer = after(16, Duration::from_millis(80));
        gatherer.wait(&Door::default(), 1000, NEVER, || 14);
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(10), "{waited:?}");
        assert!(waited < Duration::from_secs(5), "{waited:?}");
        assert_eq!(gatherer.pauses.quarter.length, 0, "most were there");
    }

    #[test]
    fn nobody_is_waited_for_where_all_are_there() {
        for (callers, most, here) in [(0, 1000, 1), (1, 1000, 1), (2, 1000, 2), (16, 1000, 16), (16, 4, 4)] {
            let mut gatherer = after(callers, NEVER);
            gatherer.wait(&Door::default(), most, NEVER, || here);
            assert_eq!(
                gatherer.pauses.quarter.length, 0,
                "{callers} callers, {here} of {most} here"
            );
        }
    }

    #[test]
    fn those_who_wait_already_are_expected_too() {
        let mut gatherer = Gatherer::default();
        gatherer.note(1, 1, Duration::from_micros(4));
        gatherer.wait(&Door::default(), 1000, NEVER, || 1);
        assert_eq!(gatherer.pauses.quarter.length, 1, "the other one did not come");
    }

    #[test]
    fn waiting_is_bounded_by_the_commit_and_by_the_limit() {
        for (took, limit) in [(Duration::from_millis(40), NEVER), (NEVER, Duration::from_millis(10))] {
            let begun = Instant::now();
            after(16, took).wait(&Door::default(), 1000, limit, || 1);
            let waited = begun.elapsed();
            assert!(waited >= Duration::from_millis(10), "{waited:?}");
            assert!(waited < Duration::from_secs(5), "{waited:?}");
        }
        // Nothing at all, or this would not end.
        after(16, NEVER).wait(&Door::default(), 1000, Duration::ZERO, || 1);
    }

    #[test]
    fn what_is_of_no_use_is_tried_ever_more_seldom() {
        let door = Door::default();
        let mut gatherer = after(16, Duration::from_micros(4));
        let mut tries = Vec::new();
        for commit in 0..1000 {
            let left = gatherer.pauses.quarter.left;
            gatherer.wait(&door, 1000, NEVER, || 1);
            if left == 0 {
                tries.push(commit);
            }
        }
        assert_eq!(tries, [0, 2, 6, 14, 30, 62, 126, 254, 510, 766]);
        // Once it is of use, it is soon done every time.
        gatherer.took = NEVER;
        let mut commits = 0;
        while gatherer.pauses.quarter.length > 0 {
            let looks = AtomicUsize::new(0);
            // One that is there, and at the second look all others.
            gatherer.wait(&door, 1000, NEVER, || 1 + 13 * looks.fetch_add(1, Ordering::SeqCst));
            commits += 1;
        }
        assert!(commits < 2 * 256, "{commits}");
    }
}
