//! Gathering: before a commit the writer waits a little for the callers it has just answered, so that they share its sync.
//!
//! Whoever calls again as soon as it is answered comes a moment too late for the commit that is about to begin, and waits for all
//! of it and then for its own. Two groups of callers then take turns at the disk, each with half of what one sync could carry.
//! Waiting is worth it where callers come back in a fraction of the time that a commit takes, and where the processor has time for
//! it. So it is tried now and then, and done as long as more is answered with it than without.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// The part of a commit's time that is waited for callers at most: one in so many.
const PATIENCE: u32 = 4;

/// The part of the callers that need not be there: one in so many.
const STRAGGLERS: usize = 8;

/// Most commits without waiting after the callers did not come.
const PAUSE_MAX: u32 = 255;

/// Commits of a stretch, in which is gathered or not.
const STRETCH: u32 = 32;

/// One in so many stretches tries what seemed worse.
const TRIAL: u32 = 8;

/// By how much more must be answered with gathering than without.
const WORTH: f64 = 1.05;

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
}

/// What the writer knows of its callers.
#[derive(Default)]
pub(super) struct Gatherer {
    /// Callers that waited or were answered at the end of the last commit.
    callers: usize,
    /// How long the disk took for it.
    took: Duration,
    /// How many commits passed, or are to pass, without waiting since the callers last did not come; 0 when they came.
    pause: u32,
    /// How many of them are still to pass.
    skipped: u32,
    trials: Trials,
}

/// Whether to gather: stretches of commits with and without, and how much was answered in them.
struct Trials {
    gathers: bool,
    commits: u32,
    answered: usize,
    since: Instant,
    stretches: u32,
    /// Answered per second without gathering, as far as known.
    at_once: Option<f64>,
    /// And with it.
    gathering: Option<f64>,
}

impl Default for Trials {
    fn default() -> Self {
        Self {
            gathers: true,
            commits: 0,
            answered: 0,
            since: Instant::now(),
            stretches: 0,
            at_once: None,
            gathering: None,
        }
    }
}

impl Trials {
    fn note(&mut self, answered: usize, now: Instant) {
        self.answered += answered;
        self.commits += 1;
        if self.commits < STRETCH {
            return;
        }
        let seconds = now.duration_since(self.since).as_secs_f64().max(1e-9);
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let rate = self.answered as f64 / seconds;
        let known = if self.gathers {
            &mut self.gathering
        } else {
            &mut self.at_once
        };
        *known = Some(known.map_or(rate, |known| f64::midpoint(known, rate)));
        let is_worth_it = match (self.at_once, self.gathering) {
            (Some(at_once), Some(gathering)) => gathering > at_once * WORTH,
            // What is not known yet comes next.
            (_, gathering) => gathering.is_none(),
        };
        self.stretches = (self.stretches + 1) % TRIAL;
        *self = Self {
            gathers: is_worth_it != (self.stretches == 0),
            commits: 0,
            answered: 0,
            since: now,
            ..*self
        };
    }
}

impl Gatherer {
    /// Notes a commit: the callers it answers, those that wait already, and how long the disk took.
    pub(super) fn note(&mut self, answered: usize, waiting: usize, took: Duration) {
        self.callers = answered + waiting;
        self.took = took;
        self.trials.note(answered, Instant::now());
    }

    /// Waits until most callers are there, the `most` a commit takes, or for a part of the time a commit takes, at most
    /// `limit`. `here` tells how many are.
    pub(super) fn wait(&mut self, door: &Door, most: usize, limit: Duration, here: impl Fn() -> usize) {
        let wanted = (self.callers - self.callers / STRAGGLERS).min(most);
        if !self.trials.gathers || here() >= wanted {
            return;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        let _ = door.writer.get_or_init(thread::current);
        let patience = (self.took / PATIENCE).min(limit);
        let begun = Instant::now();
        let are_here = loop {
            // Set before it is looked: whoever comes after the look sees it.
            door.wanted.store(wanted.saturating_sub(1), Ordering::SeqCst);
            if here() >= wanted {
                break true;
            }
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break false;
            }
            thread::park_timeout(left);
        };
        door.wanted.store(0, Ordering::SeqCst);
        self.pause = if are_here {
            0
        } else {
            (self.pause * 2 + 1).min(PAUSE_MAX)
        };
        self.skipped = self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many stretches, how many gathered, where so many are answered a second without and with.
    fn gathered(stretches: u32, trials: &mut Trials, rates: [u64; 2]) -> u32 {
        let mut now = trials.since;
        let mut gathered = 0;
        for _ in 0..stretches {
            gathered += u32::from(trials.gathers);
            let rate = rates[usize::from(trials.gathers)];
            for _ in 0..STRETCH {
                now += Duration::from_micros(1_000_000 * 10 / rate);
                trials.note(10, now);
            }
        }
        gathered
    }

    #[test]
    fn it_is_gathered_as_long_as_more_is_answered_with_it() {
        let mut trials = Trials::default();
        assert!(gathered(800, &mut trials, [1_000, 2_000]) >= 690);
        // The load changes, and with it what is better.
        assert!(gathered(800, &mut trials, [3_000, 2_900]) <= 110);
        assert!(gathered(800, &mut trials, [20_000, 40_000]) >= 650);
        // Where it makes no difference, nobody is held up.
        assert!(gathered(800, &mut trials, [500, 500]) <= 110);
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
                // 14 of 16 are enough, and the writer holds one that is no longer in the queue.
                for here in 1..=13 {
                    thread::sleep(Duration::from_millis(1));
                    queued.store(here, Ordering::SeqCst);
                    door.entered(here);
                }
            });
            gatherer.wait(&door, 1000, NEVER, || queued.load(Ordering::SeqCst) + 1);
        });
        assert_eq!(queued.load(Ordering::SeqCst), 13);
        assert_eq!(gatherer.pause, 0);
    }

    #[test]
    fn nobody_is_waited_for_where_all_are_there() {
        for (callers, most, here) in [(0, 1000, 1), (1, 1000, 1), (2, 1000, 2), (16, 1000, 14), (16, 4, 4)] {
            let mut gatherer = after(callers, NEVER);
            gatherer.wait(&Door::default(), most, NEVER, || here);
            assert_eq!(gatherer.pause, 0, "{callers} callers, {here} of {most} here");
        }
    }

    #[test]
    fn those_who_wait_already_are_expected_too() {
        let mut gatherer = Gatherer::default();
        gatherer.note(1, 1, Duration::from_micros(4));
        gatherer.wait(&Door::default(), 1000, NEVER, || 1);
        assert_eq!(gatherer.pause, 1, "the other one did not come");
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
            let before = (gatherer.pause, gatherer.skipped);
            gatherer.wait(&door, 1000, NEVER, || 1);
            if before.1 == 0 {
                tries.push(commit);
            }
        }
        assert_eq!(tries, [0, 2, 6, 14, 30, 62, 126, 254, 510, 766]);
        // Once it is of use, it is soon done every time.
        gatherer.took = NEVER;
        let mut commits = 0;
        while gatherer.pause > 0 {
            let looks = AtomicUsize::new(0);
            // One that is there, and at the second look all others.
            gatherer.wait(&door, 1000, NEVER, || 1 + 13 * looks.fetch_add(1, Ordering::SeqCst));
            commits += 1;
        }
        assert!(commits < 2 * 256, "{commits}");
    }
}
