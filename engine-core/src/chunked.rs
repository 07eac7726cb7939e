//! A list that is cheap to clone and to grow, whatever its length: it is shared in chunks. Knows nothing of what it holds.

use std::sync::Arc;

/// Elements of a chunk. A clone takes a pointer to each chunk and copies what is behind the last; a change copies one chunk.
const CHUNK: usize = 64;
/// Elements for which a clone has room: it is mostly made to add some.
const ROOM: usize = 4;

/// A list in chunks.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunked<T> {
    /// Chunks that are full.
    full: Vec<Arc<Vec<T>>>,
    /// What is behind them: less than a chunk.
    rest: Vec<T>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self {
            full: Vec::new(),
            rest: Vec::new(),
        }
    }
}

impl<T: Clone> Clone for Chunked<T> {
    fn clone(&self) -> Self {
        let mut rest = Vec::with_capacity(self.rest.len() + ROOM);
        rest.extend_from_slice(&self.rest);
        let full = self.full.clone();
        Self { full, rest }
    }
}

impl<T> Chunked<T> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.full.len() * CHUNK + self.rest.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at a place.
    pub fn get(&self, index: usize) -> Option<&T> {
        match self.full.get(index / CHUNK) {
            Some(chunk) => chunk.get(index % CHUNK),
            None => self.rest.get(index.checked_sub(self.full.len() * CHUNK)?),
        }
    }

    /// The elements in order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            list: self,
            from: 0,
            to: self.len(),
        }
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: T) {
        self.rest.push(element);
        if self.rest.len() == CHUNK {
            self.full.push(Arc::new(std::mem::take(&mut self.rest)));
        }
    }
}

impl<T: Clone> Chunked<T> {
    /// The element at a place, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let behind = index.checked_sub(self.full.len() * CHUNK);
        match self.full.get_mut(index / CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).get_mut(index % CHUNK),
            None => self.rest.get_mut(behind?),
        }
    }
}

impl<'l, T> IntoIterator for &'l Chunked<T> {
    type Item = &'l T;
    type IntoIter = Iter<'l, T>;

    fn into_iter(self) -> Iter<'l, T> {
        self.iter()
    }
}

/// The elements of a [`Chunked`] list, from either end.
#[derive(Clone)]
pub struct Iter<'l, T> {
    list: &'l Chunked<T>,
    from: usize,
    to: usize,
}

impl<'l, T> Iterator for Iter<'l, T> {
    type Item = &'l T;

    fn next(&mut self) -> Option<&'l T> {
        if self.from >= self.to {
            return None;
        }
        let element = self.list.get(self.from);
        self.from += 1;
        element
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.to.saturating_sub(self.from);
        (left, Some(left))
    }
}

impl<'l, T> DoubleEndedIterator for Iter<'l, T> {
    fn next_back(&mut self) -> Option<&'l T> {
        if self.from >= self.to {
            return None;
        }
        self.to -= 1;
        self.list.get(self.to)
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_list_in_chunks_is_a_list(
            steps in proptest::collection::vec((any::<bool>(), any::<u16>()), 0..400),
            taken in 0usize..400,
        ) {
            let (mut list, mut plain) = (Chunked::default(), Vec::new());
            let mut kept: Vec<(Chunked<u16>, Vec<u16>)> = Vec::new();
            for (is_push, number) in steps {
                if is_push || plain.is_empty() {
                    list.push(number);
                    plain.push(number);
                } else {
                    let place = usize::from(number) % plain.len();
                    *list.get_mut(place).unwrap() = number;
                    plain[place] = number;
                }
                if number % 16 == 0 {
                    kept.push((list.clone(), plain.clone()));
                }
            }
            kept.push((list, plain));
            for (list, plain) in kept {
                prop_assert_eq!((list.len(), list.is_empty()), (plain.len(), plain.is_empty()));
                prop_assert!(list.iter().eq(&plain));
                prop_assert!(list.iter().rev().eq(plain.iter().rev()));
                prop_assert_eq!(list.get(taken), plain.get(taken));
                prop_assert_eq!(list.iter().len(), plain.len());
            }
        }
    }
}
