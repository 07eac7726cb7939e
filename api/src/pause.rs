//! Giving way: work that goes on for long lets others have their turn on its executor.

use std::future::poll_fn;
use std::task::Poll;

/// Comes back when the executor has polled others.
pub(crate) async fn pause() {
    let mut has_paused = false;
    poll_fn(|context| {
        if has_paused {
            return Poll::Ready(());
        }
        has_paused = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
