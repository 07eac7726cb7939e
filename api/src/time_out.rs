//! Waiting for the host, but not for ever, and not to be broken by its panics. Works on any executor.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use flowledger_event_store::BoxFuture;
use futures_timer::Delay;

use crate::executor::panic_text;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// It took too long.
    Late,
    /// It panicked.
    Panicked(String),
}

/// Runs a call of the host for at most so long.
pub(crate) async fn within<'a, T>(limit: Duration, call: impl FnOnce() -> BoxFuture<'a, T>) -> Result<T, Missed> {
    let mut call = catch_unwind(AssertUnwindSafe(call)).map_err(|panic| Missed::Panicked(panic_text(&*panic)))?;
    let mut delay = pin!(Delay::new(limit));
    poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
            Ok(Poll::Ready(answer)) => return Poll::Ready(Ok(answer)),
            Ok(Poll::Pending) => {}
            Err(panic) => return Poll::Ready(Err(Missed::Panicked(panic_text(&*panic)))),
        }
        delay.as_mut().poll(context).map(|()| Err(Missed::Late))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_and_panicking_calls_are_told_apart() {
        let wait = |millis| Duration::from_millis(millis);
        let answer = pollster::block_on(within(wait(1_000), || Box::pin(async { 7 })));
        assert_eq!(answer, Ok(7));
        let answer: Result<(), _> = pollster::block_on(within(wait(1), || Box::pin(std::future::pending())));
        assert_eq!(answer, Err(Missed::Late));
        let answer: Result<(), _> = pollster::block_on(within(wait(1_000), || Box::pin(async { panic!("x") })));
        assert_eq!(answer, Err(Missed::Panicked("x".to_owned())));
    }
}
