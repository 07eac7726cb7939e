//! The seam at which tests fail, delay or observe what the store asks of sled and of the disk.

use std::io;

/// One call on the way of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Frames or index entries go to sled.
    Apply,
    /// sled's buffers go to the file.
    Flush,
    /// The file goes to the disk.
    Sync,
}

/// Looks at every [`Step`]; an error makes the call fail.
pub trait Faults: Send + Sync + 'static {
    /// Called before the step; an error replaces it.
    fn before(&self, step: Step) -> io::Result<()> {
        let _ = step;
        Ok(())
    }

    /// Called before the mark beside the log is set to this offset; an error replaces the write.
    fn before_mark(&self, offset: u64) -> io::Result<()> {
        let _ = offset;
        Ok(())
    }

    /// What stands in the place of a record's leaf hash, which is not computed then: only to measure what hashes cost. Such a
    /// store cannot be verified, nor opened again.
    fn leaf(&self, record: &[u8]) -> Option<[u8; 32]> {
        let _ = record;
        None
    }

    /// Called after the step has worked; an error hides that it has.
    fn after(&self, step: Step) -> io::Result<()> {
        let _ = step;
        Ok(())
    }
}
