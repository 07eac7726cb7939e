//! The Merkle tree over records that are read in order, with its roots at the sizes that somebody speaks of.

use std::collections::BTreeMap;

use flowledger_event_store::merkle::{Edge, TreeHash};

/// The tree so far, and the roots it had.
pub(crate) struct Roots {
    edge: Edge,
    wanted: Vec<u64>,
    found: BTreeMap<u64, TreeHash>,
}

impl Roots {
    /// No records; the roots at these sizes are to be remembered.
    pub(crate) fn at_sizes(wanted: Vec<u64>) -> Self {
        let mut roots = Self {
            edge: Edge::default(),
            wanted,
            found: BTreeMap::new(),
        };
        roots.look();
        roots
    }

    /// Goes on past the next record.
    pub(crate) fn pass(&mut self, leaf: &TreeHash) {
        self.edge.append(leaf);
        self.look();
    }

    /// How many records were passed.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The root over them.
    pub(crate) fn now(&self) -> TreeHash {
        self.edge.root()
    }

    /// The root at a size that is to be remembered, once it was passed.
    pub(crate) fn at(&self, size: u64) -> Option<&TreeHash> {
        self.found.get(&size)
    }

    fn look(&mut self) {
        let size = self.edge.size();
        if self.wanted.contains(&size) {
            self.found.insert(size, self.edge.root());
        }
    }
}
