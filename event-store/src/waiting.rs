//! Waiting without a runtime: for a partition to grow, or for the first of two futures.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_timer::Delay;
use tokio::sync::watch;

use crate::record::Offset;

/// Resolves when `head` is beyond `after`, when its sender is gone, or when `wait` is over.
pub(crate) async fn until_beyond(mut head: watch::Receiver<Offset>, after: Offset, wait: Duration) {
    if *head.borrow() > after {
        return;
    }
    let grown = async {
        let _ = head.wait_for(|head| *head > after).await;
    };
    either(grown, Delay::new(wait)).await;
}

/// Resolves when `count` is beyond `after`, when its sender is gone, or when `wait` is over.
pub(crate) async fn until_counted(mut count: watch::Receiver<u64>, after: u64, wait: Duration) {
    let counted = async {
        let _ = count.wait_for(|count| *count > after).await;
    };
    either(counted, Delay::new(wait)).await;
}

/// What the first future returns, unless the second resolves before it does.
pub(crate) async fn either<T>(first: impl Future<Output = T>, second: impl Future) -> Option<T> {
    let mut first = pin!(first);
    let mut second = pin!(second);
    poll_fn(|context| {
        if let Poll::Ready(done) = first.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        second.as_mut().poll(context).map(|_| None)
    })
    .await
}
