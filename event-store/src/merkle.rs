//! The tree of RFC 6962 and RFC 9162: hashes, roots, inclusion and consistency proofs, and how they are checked; knows no storage.
//!
//! What has to be read for a root or a proof is told as a plan: complete subtrees, whose hashes the caller finds as it
//! likes. The functions that check are total: sizes up to `u64::MAX`, and paths of any length.

use sha2::{Digest, Sha256};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// The hash of a leaf, of a node, or of a whole tree.
pub type TreeHash = [u8; 32];

/// The root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: TreeHash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Hashes the longest proof has: one for each level of a tree of `u64::MAX` leaves, and one more to begin with.
pub const PATH_MAX: usize = 65;

/// The hash of a node: SHA-256 of a one byte and the hashes below it (RFC 6962, section 2.1).
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The hash over neighbouring complete subtrees, given from left to right, each smaller than the one before.
pub fn fold(hashes: &[TreeHash]) -> TreeHash {
    let mut hashes = hashes.iter().rev();
    let Some(last) = hashes.next() else { return EMPTY_ROOT };
    hashes.fold(*last, |right, left| node_hash(left, &right))
}

/// Names a complete subtree: the 2 to the power of `level` leaves from leaf `index` times that number on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// Levels above the leaves.
    pub level: u8,
    /// Its place among the subtrees of this level, from 0.
    pub index: u64,
}

/// What [`fold`] makes one hash of: complete subtrees from left to right.
pub type Part = Vec<Subtree>;

/// The right edge of a tree that grows: the hashes of the complete subtrees it is made of, one for each bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    peaks: Vec<TreeHash>,
}

impl Edge {
    /// The edge of the tree over these leaves.
    pub fn over(leaves: &[TreeHash]) -> Self {
        let mut edge = Self::default();
        for leaf in leaves {
            edge.append(leaf);
        }
        edge
    }

    /// The edge with the hashes that [`root_plan`] names for this size; `None` if there are more or fewer.
    pub fn from_peaks(size: u64, peaks: Vec<TreeHash>) -> Option<Self> {
        let is_complete = u32::try_from(peaks.len()).is_ok_and(|len| len == size.count_ones());
        is_complete.then_some(Self { size, peaks })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree as it is now.
    pub fn root(&self) -> TreeHash {
        fold(&self.peaks)
    }

    /// Adds a leaf by its hash. One node is hashed on average, and as many as there are levels at most.
    pub fn append(&mut self, leaf: &TreeHash) {
        self.append_with(leaf, |_, _| {});
    }

    /// Adds a leaf by its hash and tells of every subtree that it completes, the leaf itself first.
    pub fn append_with(&mut self, leaf: &TreeHash, mut completed: impl FnMut(Subtree, &TreeHash)) {
        debug_assert!(self.size < u64::MAX, "a tree has at most u64::MAX leaves");
        let mut hash = *leaf;
        let mut subtree = Subtree {
            level: 0,
            index: self.size,
        };
        completed(subtree, &hash);
        while subtree.index % 2 == 1
            && let Some(left) = self.peaks.pop()
        {
            hash = node_hash(&left, &hash);
            subtree = Subtree {
                level: subtree.level + 1,
                index: subtree.index / 2,
            };
            completed(subtree, &hash);
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }
}

/// The complete subtrees whose hashes [`fold`] to the root of the tree of this size.
pub fn root_plan(size: u64) -> Part {
    cover(0, size)
}

/// What the inclusion proof of a leaf in the tree of this size is made of, the leaf's sibling first; `None` if the tree
/// has no such leaf.
pub fn inclusion_plan(index: u64, size: u64) -> Option<Vec<Part>> {
    if index >= size {
        return None;
    }
    let (mut from, mut upto) = (0, size);
    let mut parts = Vec::new();
    while let Some(middle) = middle(from, upto) {
        if index < middle {
            parts.push(cover(middle, upto));
            upto = middle;
        } else {
            parts.push(cover(from, middle));
            from = middle;
        }
    }
    parts.reverse();
    Some(parts)
}

/// What the proof that a tree of size `from` has grown to size `to` is made of; `None` if it would have shrunk.
///
/// Nothing is needed for equal sizes, nor for the growth from nothing.
pub fn consistency_plan(from: u64, to: u64) -> Option<Vec<Part>> {
    if from > to {
        return None;
    }
    let mut parts = Vec::new();
    if from == 0 {
        return Some(parts);
    }
    let (mut first, mut upto) = (0, to);
    while upto != from
        && let Some(middle) = middle(first, upto)
    {
        if from <= middle {
            parts.push(cover(middle, upto));
            upto = middle;
        } else {
            parts.push(cover(first, middle));
            first = middle;
        }
    }
    if first > 0 {
        parts.push(cover(first, upto));
    }
    parts.reverse();
    Some(parts)
}

/// The hashes of a plan; `find` tells those of complete subtrees.
///
/// # Errors
///
/// What `find` says.
pub fn follow<E>(plan: &[Part], mut find: impl FnMut(Subtree) -> Result<TreeHash, E>) -> Result<Vec<TreeHash>, E> {
    let mut path = Vec::with_capacity(plan.len());
    for part in plan {
        let hashes: Vec<TreeHash> = part.iter().map(|&subtree| find(subtree)).collect::<Result<_, _>>()?;
        path.push(fold(&hashes));
    }
    Ok(path)
}

/// Where a range of leaves is cut in two: behind as many leaves as the largest power of two that is less than all.
fn middle(from: u64, upto: u64) -> Option<u64> {
    let last = upto.checked_sub(from)?.checked_sub(1)?;
    Some(from + (1 << last.checked_ilog2()?))
}

/// The fewest complete subtrees that hold these leaves and no others, from left to right.
fn cover(mut from: u64, upto: u64) -> Part {
    let mut part = Vec::new();
    while let Some(room) = upto.checked_sub(from).and_then(u64::checked_ilog2) {
        let level = room.min(from.trailing_zeros());
        part.push(Subtree {
            level: u8::try_from(level).unwrap_or(u8::MAX),
            index: from >> level,
        });
        from += 1 << level;
    }
    part
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// There is no such leaf.
    #[error("leaf {index} is not in a tree of {size} leaves (numbered from 0)")]
    NoLeaf {
        /// The leaf, from 0.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// The later tree is smaller than the earlier one.
    #[error("a tree of {from} leaves cannot become one of {to}")]
    Shrunk {
        /// Leaves of the earlier tree.
        from: u64,
        /// Leaves of the later tree.
        to: u64,
    },
    /// The proof has too many hashes or too few.
    #[error("the proof has {found} hashes, for these sizes it takes {expected}")]
    Length {
        /// How many it must have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// The hashes do not lead from the leaf, or from the earlier root, to the root.
    #[error(
        "the proof leads to another root: the record, the tree, or the proof itself is not the one it is taken for"
    )]
    OtherRoot,
}

/// Checks that a leaf hash stands at an index of the tree with this size and root (RFC 9162, section 2.1.3.2).
///
/// # Errors
///
/// Any [`ProofError`] but `Shrunk`.
pub fn verify_inclusion(
    leaf: &TreeHash,
    index: u64,
    size: u64,
    path: &[TreeHash],
    root: &TreeHash,
) -> Result<(), ProofError> {
    let last = size
        .checked_sub(1)
        .filter(|&last| index <= last)
        .ok_or(ProofError::NoLeaf { index, size })?;
    check_length(path_len(index, last), path)?;
    let (mut node, mut last) = (index, last);
    let mut hash = *leaf;
    for sibling in path {
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            skip_lone(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node /= 2;
        last /= 2;
    }
    if last == 0 && hash == *root {
        Ok(())
    } else {
        Err(ProofError::OtherRoot)
    }
}

/// Checks that the tree with the second size and root is the one with the first, and leaves after it (RFC 9162, section
/// 2.1.4.2). From nothing any tree grows, without a proof.
///
/// # Errors
///
/// Any [`ProofError`] but `NoLeaf`.
pub fn verify_consistency(
    from: u64,
    from_root: &TreeHash,
    to: u64,
    to_root: &TreeHash,
    path: &[TreeHash],
) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::Shrunk { from, to });
    }
    if from == 0 || from == to {
        check_length(0, path)?;
        let is_same = if from == to {
            from_root == to_root && (from > 0 || *from_root == EMPTY_ROOT)
        } else {
            *from_root == EMPTY_ROOT
        };
        return if is_same { Ok(()) } else { Err(ProofError::OtherRoot) };
    }
    // The last complete subtree of the earlier tree, and the last leaf's node at its level in the later one.
    let level = from.trailing_zeros();
    let (mut node, mut last) = ((from - 1) >> level, (to - 1) >> level);
    let is_one_subtree = from.is_power_of_two();
    check_length(path_len(node, last) + usize::from(!is_one_subtree), path)?;
    let (seed, path) = match path.split_first() {
        Some((seed, path)) if !is_one_subtree => (seed, path),
        _ => (from_root, path),
    };
    let (mut earlier, mut later) = (*seed, *seed);
    for sibling in path {
        if node % 2 == 1 || node == last {
            earlier = node_hash(sibling, &earlier);
            later = node_hash(sibling, &later);
            skip_lone(&mut node, &mut last);
        } else {
            later = node_hash(&later, sibling);
        }
        node /= 2;
        last /= 2;
    }
    if last == 0 && earlier == *from_root && later == *to_root {
        Ok(())
    } else {
        Err(ProofError::OtherRoot)
    }
}

/// Goes up past the levels at which the right edge has no sibling.
fn skip_lone(node: &mut u64, last: &mut u64) {
    if node.is_multiple_of(2) {
        let levels = node.trailing_zeros();
        *node = node.checked_shr(levels).unwrap_or(0);
        *last = last.checked_shr(levels).unwrap_or(0);
    }
}

/// How many siblings the way from a node to the root has, when `last` is the last node of its level.
fn path_len(node: u64, last: u64) -> usize {
    // Up to where both ways meet there is a sibling at every level; above, the edge has them on its left only.
    let inner = u64::BITS - (node ^ last).leading_zeros();
    let border = node.checked_shr(inner).unwrap_or(0).count_ones();
    usize::try_from(inner + border).unwrap_or(usize::MAX)
}

fn check_length(expected: usize, path: &[TreeHash]) -> Result<(), ProofError> {
    let found = path.len();
    if found == expected {
        Ok(())
    } else {
        Err(ProofError::Length { expected, found })
    }
}
