//! Lanes: one command at a time per stream. A lane is a queue; no lock is held while a command waits for the store.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use tokio::sync::oneshot;

const SHARDS: usize = 16;

/// Drawn at random or a digest, so that a quick hash is enough.
type Key = [u8; 16];
type Waiting = HashMap<Key, VecDeque<oneshot::Sender<Lane>>>;

/// All lanes of an engine. A lane exists only while somebody is in it.
pub(crate) struct Lanes {
    shards: [Mutex<Waiting>; SHARDS],
}

/// The right to work on one stream; given on when dropped.
pub(crate) struct Lane {
    /// `None` once the right has been given on by other means.
    lanes: Option<Arc<Lanes>>,
    key: Key,
}

impl Lanes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        })
    }

    /// Waits for its turn on a stream.
    pub(crate) async fn enter(self: &Arc<Self>, key: Key) -> Lane {
        let turn = match self.shard(&key).entry(key) {
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                None
            }
            Entry::Occupied(mut taken) => {
                let (sender, receiver) = oneshot::channel();
                taken.get_mut().push_back(sender);
                Some(receiver)
            }
        };
        // A sender is only ever dropped after it was used, so a failed wait can but mean that the lane is free.
        match turn {
            Some(turn) => turn.await.unwrap_or_else(|_| Lane {
                lanes: Some(self.clone()),
                key,
            }),
            None => Lane {
                lanes: Some(self.clone()),
                key,
            },
        }
    }

    /// Enters a stream's lane if nobody is in it.
    pub(crate) fn try_enter(self: &Arc<Self>, key: Key) -> Option<Lane> {
        match self.shard(&key).entry(key) {
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
            }
            Entry::Occupied(_) => return None,
        }
        Some(Lane {
            lanes: Some(self.clone()),
            key,
        })
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Waiting> {
        let [first, ..] = key;
        let [shard, ..] = &self.shards;
        self.shards
            .get(usize::from(*first) % SHARDS)
            .unwrap_or(shard)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let Some(lanes) = self.lanes.take() else { return };
        loop {
            let next = {
                let mut waiting = lanes.shard(&self.key);
                let next = waiting.get_mut(&self.key).and_then(VecDeque::pop_front);
                if next.is_none() {
                    waiting.remove(&self.key);
                }
                next
            };
            let Some(next) = next else { return };
            // The lane travels in the message: a receiver that goes away drops it, and with that gives it on.
            match next.send(Self {
                lanes: Some(lanes.clone()),
                key: self.key,
            }) {
                Ok(()) => return,
                Err(mut unwanted) => unwanted.lanes = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn second_waits_until_the_first_leaves() {
        let lanes = Lanes::new();
        let first = pollster::block_on(lanes.enter([1; 16]));
        let mut second = pin!(lanes.enter([1; 16]));
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(pin!(lanes.enter([2; 16]))).is_ready());
        drop(first);
        assert!(poll(second.as_mut()).is_ready());
    }

    #[test]
    fn lane_given_to_one_who_left_goes_to_the_next() {
        let lanes = Lanes::new();
        let first = pollster::block_on(lanes.enter([1; 16]));
        let mut third = pin!(lanes.enter([1; 16]));
        {
            let mut second = Box::pin(lanes.enter([1; 16]));
            assert!(poll(second.as_mut()).is_pending());
            assert!(poll(third.as_mut()).is_pending());
            drop(first);
            // The second was given the lane but never takes it.
        }
        assert!(poll(third.as_mut()).is_ready());
        assert!(lanes.shard(&[1; 16]).is_empty());
    }
}
