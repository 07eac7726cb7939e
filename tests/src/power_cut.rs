//! What a disk may hold after a power cut: everything that was synced, and of the rest what chance has kept.
//!
//! A file keeps what was written before the last sync that was done began. Of what came later each sector of 512 bytes is on
//! the disk as it was after one of the writes to it, or as it was synced; the length likewise. A directory keeps the names
//! that were synced and some of the later ones. `sync_file_range` syncs nothing, and syncing a file does not keep its name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::dice::Dice;
use crate::trace::{Change, Entry, Moment, Node, NodeId, ROOT, SyncCall, Timed, Trace, apply};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// What becomes of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsynced {
    /// Nothing of it is on the disk.
    Lost,
    /// All of it is.
    Kept,
    /// Some writes are there as a whole, others not at all; so many of a hundred.
    Reordered(u8),
    /// Some sectors of some writes are there; so many of a hundred.
    Torn(u8),
}

impl Unsynced {
    /// One of them, by the dice.
    pub fn any(dice: &mut Dice) -> Self {
        let share = [5, 20, 50, 80, 95][dice.index(5)];
        match dice.below(8) {
            0 => Self::Lost,
            1 => Self::Kept,
            2..=4 => Self::Reordered(share),
            _ => Self::Torn(share),
        }
    }

    /// Its name, for figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Kept => "kept",
            Self::Reordered(_) => "reordered",
            Self::Torn(_) => "torn",
        }
    }
}

/// A program with a defect: it leaves out some of its syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omitted {
    /// None: what was recorded.
    Nothing,
    /// It leaves the log's file to the system: no `fdatasync` of a file `db`.
    LogSyncs,
    /// It does not sync directories.
    DirectorySyncs,
    /// It does not sync small files: all but `db`.
    OtherFileSyncs,
}

impl Omitted {
    fn omits(self, node: &Node, call: SyncCall) -> bool {
        match self {
            Self::Nothing => false,
            Self::LogSyncs => node.name == "db" && call == SyncCall::Data,
            Self::DirectorySyncs => node.is_directory,
            Self::OtherFileSyncs => !node.is_directory && node.name != "db",
        }
    }
}

/// Moments at which a cut is worth trying: around every change of names, every sync and every write to a small file.
pub fn delicate_moments(trace: &Trace) -> Vec<Moment> {
    let mut moments = BTreeSet::new();
    let mut around = |begun: Moment, done: Option<Moment>| {
        moments.extend([begun, begun + 1]);
        moments.extend(done.map(|done| done + 1));
    };
    for node in &trace.nodes {
        node.moves.iter().for_each(|entry| around(entry.begun, entry.done));
        if node.is_directory || node.name != "db" {
            node.syncs.iter().for_each(|sync| around(sync.begun, sync.done));
            node.changes.iter().for_each(|change| around(change.begun, change.done));
        }
    }
    moments.into_iter().filter(|moment| *moment <= trace.end).collect()
}

/// Writes into an empty directory what the disk may hold when the power goes just before a moment.
pub fn build(
    trace: &Trace,
    moment: Moment,
    unsynced: Unsynced,
    omitted: Omitted,
    dice: &mut Dice,
    into: &Path,
) -> io::Result<()> {
    let cut = Cut {
        trace,
        moment,
        unsynced,
        omitted,
    };
    cut.directory(ROOT, dice, into)
}

struct Cut<'t> {
    trace: &'t Trace,
    moment: Moment,
    unsynced: Unsynced,
    omitted: Omitted,
}

impl Cut<'_> {
    /// What was done before this is on the disk.
    fn synced(&self, node: &Node) -> Moment {
        let syncs = node.syncs.iter().filter(|sync| !self.omitted.omits(node, sync.what));
        let done = syncs.filter(|sync| sync.is_done_before(self.moment));
        done.map(|sync| sync.begun).max().unwrap_or(0)
    }

    /// What was done to a file or directory: for sure, and perhaps.
    fn parted<'n, T>(&self, node: &Node, done: &'n [Timed<T>]) -> (Vec<&'n T>, Vec<&'n T>) {
        let synced = self.synced(node);
        let begun = done.iter().filter(|timed| timed.begun < self.moment);
        let (sure, open): (Vec<_>, Vec<_>) = begun.partition(|timed| timed.is_done_before(synced));
        let what = |timed: &'n Timed<T>| &timed.what;
        (
            sure.into_iter().map(what).collect(),
            open.into_iter().map(what).collect(),
        )
    }

    fn directory(&self, id: NodeId, dice: &mut Dice, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)?;
        for (name, id) in self.entries(&self.trace.nodes[id], dice) {
            let (node, path) = (&self.trace.nodes[id], path.join(name));
            if node.is_directory {
                self.directory(id, dice, &path)?;
            } else {
                std::fs::write(&path, self.content(node, dice))?;
                set_rights(&path, node.mode)?;
            }
        }
        Ok(())
    }

    fn entries(&self, node: &Node, dice: &mut Dice) -> BTreeMap<String, NodeId> {
        let (sure, open) = self.parted(node, &node.moves);
        let mut entries = node.entries.clone();
        for entry in sure {
            apply(&mut entries, entry);
        }
        // Most file systems keep the order of such changes; others need not.
        let in_order = dice.index(open.len() + 1);
        let keeps_order = dice.percent(60);
        for (place, entry) in open.into_iter().enumerate() {
            let is_kept = match self.unsynced {
                Unsynced::Lost => false,
                Unsynced::Kept => true,
                _ if keeps_order => place < in_order,
                Unsynced::Reordered(share) | Unsynced::Torn(share) => dice.percent(u64::from(share)),
            };
            // A file whose first name was lost can be reached by a later one only if that is kept as a name of its own.
            if is_kept {
                match entry {
                    Entry::Rename(from, to) if !entries.contains_key(from) => {
                        if let Some(node) = made_as(node, from) {
                            entries.insert(to.clone(), node);
                        }
                    }
                    entry => apply(&mut entries, entry),
                }
            }
        }
        entries
    }

    fn content(&self, node: &Node, dice: &mut Dice) -> Vec<u8> {
        let (sure, open) = self.parted(node, &node.changes);
        let mut seen = node.content.clone();
        for change in sure {
            make(&mut seen, change);
        }
        let (share, is_torn) = match self.unsynced {
            Unsynced::Lost => return seen,
            Unsynced::Kept => {
                for change in open {
                    make(&mut seen, change);
                }
                return seen;
            }
            Unsynced::Reordered(share) => (u64::from(share), false),
            Unsynced::Torn(share) => (u64::from(share), true),
        };
        // `seen` is what programs see, `disk` what was written back of it at one time or another.
        let mut disk = seen.clone();
        let mut len = disk.len();
        for change in open {
            let (from, to) = make(&mut seen, change);
            disk.resize(disk.len().max(seen.len()), 0);
            let whole = dice.percent(share);
            if dice.percent(share) {
                len = seen.len();
            }
            for sector in (from / SECTOR..to.div_ceil(SECTOR)).map(|sector| sector * SECTOR) {
                let end = (sector + SECTOR).min(seen.len());
                if sector < end && if is_torn { dice.percent(share) } else { whole } {
                    disk[sector..end].copy_from_slice(&seen[sector..end]);
                    len = len.max(end);
                }
            }
        }
        disk.resize(len, 0);
        disk
    }
}

#[cfg(unix)]
fn set_rights(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_rights(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// The file that was made under a name.
fn made_as(directory: &Node, name: &str) -> Option<NodeId> {
    directory.moves.iter().rev().find_map(|entry| match &entry.what {
        Entry::Put(put, node) if put == name => Some(*node),
        _ => None,
    })
}

/// Changes a content, and says from where to where.
fn make(content: &mut Vec<u8>, change: &Change) -> (usize, usize) {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    match change {
        Change::Write(at, bytes) => {
            let (from, to) = (place(*at), place(*at) + bytes.len());
            content.resize(content.len().max(to), 0);
            content[from..to].copy_from_slice(bytes);
            (from, to)
        }
        Change::Resize(len) => {
            let (before, after) = (content.len(), place(*len));
            content.resize(after, 0);
            (before.min(after), before.max(after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed<T>(begun: Moment, what: T) -> Timed<T> {
        Timed {
            begun,
            done: Some(begun),
            what,
        }
    }

    /// `f` is written, synced and written again; it is made as `f.new` and renamed, and the directory synced after that.
    fn recorded() -> Trace {
        let write = |at: u64, byte: u8| Change::Write(at, vec![byte; 2 * SECTOR]);
        let file = Node {
            name: "f.new".into(),
            mode: 0o600,
            changes: vec![timed(2, write(0, 1)), timed(4, write(0, 2)), timed(6, write(1024, 3))],
            syncs: vec![timed(3, SyncCall::Data)],
            ..Node::default()
        };
        let root = Node {
            is_directory: true,
            moves: vec![
                timed(1, Entry::Put("f.new".into(), 1)),
                timed(7, Entry::Rename("f.new".into(), "f".into())),
            ],
            syncs: vec![timed(8, SyncCall::All)],
            ..Node::default()
        };
        Trace {
            nodes: vec![root, file],
            end: 9,
            ..Trace::default()
        }
    }

    fn image(moment: Moment, unsynced: Unsynced, omitted: Omitted, seed: u64) -> Option<(String, Vec<u8>)> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let trace = recorded();
        build(
            &trace,
            moment,
            unsynced,
            omitted,
            &mut Dice::new(seed),
            directory.path(),
        )
        .expect("an image");
        let mut entries = std::fs::read_dir(directory.path()).expect("read");
        let entry = entries.next()?.expect("an entry");
        assert!(entries.next().is_none(), "a rename leaves one name");
        let name = entry.file_name().to_string_lossy().into_owned();
        Some((name, std::fs::read(entry.path()).expect("read")))
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_be() {
        let nothing = Omitted::Nothing;
        assert_eq!(image(9, Unsynced::Lost, nothing, 1), Some(("f".into(), vec![1; 1024])));
        let all = [vec![2; 1024], vec![3; 1024]].concat();
        assert_eq!(image(9, Unsynced::Kept, nothing, 1), Some(("f".into(), all)));
        // The name is not synced before the directory is.
        assert_eq!(image(8, Unsynced::Lost, nothing, 1), None);
        assert_eq!(image(9, Unsynced::Lost, Omitted::DirectorySyncs, 1), None);
        let unsynced = image(9, Unsynced::Lost, Omitted::OtherFileSyncs, 1);
        assert_eq!(unsynced, Some(("f".into(), Vec::new())));
        let mut seen = BTreeSet::new();
        for seed in 0..400 {
            let (name, content) = image(9, Unsynced::Torn(50), nothing, seed).expect("the name was synced");
            assert_eq!(name, "f");
            assert!(content.len() >= 1024 && content.len() % SECTOR == 0);
            let sectors: Vec<u8> = content.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(
                content
                    .chunks(SECTOR)
                    .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
            );
            assert!(sectors.iter().take(2).all(|byte| [1, 2].contains(byte)));
            seen.insert(sectors);
        }
        assert!(
            seen.contains(&vec![1, 2]) && seen.contains(&vec![2, 1, 0, 3]),
            "{seen:?}"
        );
        for seed in 0..100 {
            let (_, content) = image(9, Unsynced::Reordered(50), nothing, seed).expect("the name was synced");
            assert_eq!(content[0], content[1023], "a write is there as a whole or not at all");
        }
    }
}
