//! Damages to the files of a closed or killed store: flips, cuts, blocks that are zeroed, moved or foreign, files that are
//! exchanged, emptied or gone.

use std::io;
use std::path::{Path, PathBuf};

use crate::dice::Dice;

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One bit of sled's file.
    LogBit,
    /// Up to 64 bytes of sled's file.
    LogBytes,
    /// A block of 512 or 4,096 bytes of sled's file is zero.
    LogZeros,
    /// A block of sled's file has the content of another one.
    LogBlockCopied,
    /// Two blocks of sled's file have changed places.
    LogBlocksSwapped,
    /// A block of sled's file comes from another store.
    LogBlockForeign,
    /// A block of sled's file is that of an earlier copy of the store.
    LogBlockEarlier,
    /// sled's file ends at a random place.
    LogCut,
    /// The last bytes of sled's file are missing.
    LogTailCut,
    /// There is something behind the end of sled's file.
    LogLonger,
    /// A bit of another file.
    OtherBit,
    /// Another file ends early.
    OtherCut,
    /// A block of another file is zero, or all of it.
    OtherZeros,
    /// A file is empty.
    FileEmpty,
    /// A file is missing.
    FileGone,
    /// A file is that of another store.
    FileForeign,
    /// A file is that of an earlier copy of the store.
    FileEarlier,
    /// Two or three files are those of an earlier copy.
    FilesEarlier,
    /// A file has the content of another file of the store.
    FilesSwapped,
}

/// All of them.
pub const KINDS: [Kind; 19] = [
    Kind::LogBit,
    Kind::LogBytes,
    Kind::LogZeros,
    Kind::LogBlockCopied,
    Kind::LogBlocksSwapped,
    Kind::LogBlockForeign,
    Kind::LogBlockEarlier,
    Kind::LogCut,
    Kind::LogTailCut,
    Kind::LogLonger,
    Kind::OtherBit,
    Kind::OtherCut,
    Kind::OtherZeros,
    Kind::FileEmpty,
    Kind::FileGone,
    Kind::FileForeign,
    Kind::FileEarlier,
    Kind::FilesEarlier,
    Kind::FilesSwapped,
];

/// Where the content of exchanged files and blocks comes from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Another store.
    pub foreign: &'a Path,
    /// The same store at an earlier time.
    pub earlier: &'a Path,
}

/// The file in which sled keeps everything.
const LOG: &str = "db";

/// Damages the store in a directory, and says how.
pub fn damage(store: &Path, kind: Kind, sources: Sources<'_>, dice: &mut Dice) -> io::Result<String> {
    match kind {
        Kind::LogBit
        | Kind::LogBytes
        | Kind::LogZeros
        | Kind::LogBlockCopied
        | Kind::LogBlocksSwapped
        | Kind::LogBlockForeign
        | Kind::LogBlockEarlier
        | Kind::LogCut
        | Kind::LogTailCut
        | Kind::LogLonger => damage_log(store, kind, sources, dice),
        Kind::OtherBit | Kind::OtherCut | Kind::OtherZeros => damage_other(store, kind, dice),
        _ => exchange(store, kind, sources, dice),
    }
}

fn damage_log(store: &Path, kind: Kind, sources: Sources<'_>, dice: &mut Dice) -> io::Result<String> {
    let path = store.join(LOG);
    let mut bytes = std::fs::read(&path)?;
    // sled's file ends with padding; most damage shall hit what is used.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let len = if dice.percent(90) { used } else { bytes.len() };
    let block = if dice.percent(50) { 512 } else { 4096 };
    let aligned = |dice: &mut Dice| dice.index(len.div_ceil(block)) * block;
    let told = match kind {
        Kind::LogBit => {
            let (at, bit) = (dice.index(len), dice.index(8));
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        Kind::LogBytes => {
            let at = dice.index(len);
            let end = (at + 1 + dice.index(64)).min(bytes.len());
            bytes[at..end].fill_with(|| u8::try_from(dice.below(256)).unwrap_or(0));
            format!("bytes {at} to {end}")
        }
        Kind::LogZeros => {
            let at = aligned(dice);
            let end = (at + block).min(bytes.len());
            bytes[at..end].fill(0);
            format!("bytes {at} to {end} zero")
        }
        Kind::LogBlockCopied | Kind::LogBlocksSwapped => {
            let (one, two) = (aligned(dice), aligned(dice));
            let size = block.min(bytes.len() - one.max(two));
            let (first, second) = (bytes[one..one + size].to_vec(), bytes[two..two + size].to_vec());
            bytes[one..one + size].copy_from_slice(&second);
            if kind == Kind::LogBlocksSwapped {
                bytes[two..two + size].copy_from_slice(&first);
            }
            format!("{size} bytes at {one} and {two}")
        }
        Kind::LogBlockForeign | Kind::LogBlockEarlier => {
            let source = if kind == Kind::LogBlockForeign {
                sources.foreign
            } else {
                sources.earlier
            };
            let other = std::fs::read(source.join(LOG))?;
            let at = aligned(dice).min(other.len().saturating_sub(1));
            let end = (at + block).min(bytes.len()).min(other.len());
            bytes[at..end].copy_from_slice(&other[at..end]);
            format!("bytes {at} to {end} of another file")
        }
        Kind::LogCut => {
            bytes.truncate(dice.index(len));
            format!("cut at {}", bytes.len())
        }
        Kind::LogTailCut => {
            let most = if dice.percent(50) { 4096 } else { 70_000 };
            bytes.truncate(used.saturating_sub(1 + dice.index(most)));
            format!("cut at {} of {used}", bytes.len())
        }
        _ => {
            let more = 1 + dice.index(70_000);
            let is_zero = dice.percent(50);
            bytes.extend((0..more).map(|_| {
                let byte = u8::try_from(dice.below(256)).unwrap_or(0);
                if is_zero { 0 } else { byte }
            }));
            format!("{more} bytes more")
        }
    };
    std::fs::write(&path, bytes)?;
    Ok(told)
}

/// The files of a store, sled's own log apart.
fn others(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<_> = files(store)?;
    files.retain(|path| path.file_name().is_some_and(|name| name != LOG));
    Ok(files)
}

fn files(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(store)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn damage_other(store: &Path, kind: Kind, dice: &mut Dice) -> io::Result<String> {
    let others = others(store)?;
    let path = &others[dice.index(others.len())];
    let mut bytes = std::fs::read(path)?;
    let told = match kind {
        Kind::OtherBit => {
            // Files with gaps are hit where they say something.
            let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            let at = if used.is_empty() {
                0
            } else {
                used[dice.index(used.len())]
            };
            let bit = dice.index(8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
            format!("bit {bit} of byte {at}")
        }
        Kind::OtherCut => {
            bytes.truncate(dice.index(bytes.len()));
            format!("cut at {}", bytes.len())
        }
        _ => {
            let at = if dice.percent(50) { 0 } else { dice.index(bytes.len()) };
            let end = if dice.percent(50) {
                bytes.len()
            } else {
                (at + 512).min(bytes.len())
            };
            bytes[at..end].fill(0);
            format!("bytes {at} to {end} zero")
        }
    };
    std::fs::write(path, bytes)?;
    Ok(format!("{}: {told}", name(path)))
}

fn exchange(store: &Path, kind: Kind, sources: Sources<'_>, dice: &mut Dice) -> io::Result<String> {
    let mut files = files(store)?;
    let mut count = 1;
    if kind == Kind::FilesEarlier {
        count = 2 + dice.index(2);
        // sled's file and the mark together are an earlier store. Only a checkpoint can tell, and it stays then.
        let spared = if files.iter().any(|path| name(path) == "checkpoint") {
            "checkpoint"
        } else {
            "mark"
        };
        files.retain(|path| name(path) != spared);
    }
    let mut told = Vec::new();
    for _ in 0..count.min(files.len()) {
        let path = files.swap_remove(dice.index(files.len()));
        told.push(name(&path));
        let of = |source: &Path| -> io::Result<Option<PathBuf>> {
            let same = source.join(name(&path));
            if same.exists() {
                return Ok(Some(same));
            }
            // A snapshot's name has a number; the other's has another one.
            let prefix = name(&path).split('.').next().unwrap_or_default().to_owned();
            Ok(self::files(source)?
                .into_iter()
                .find(|other| name(other).starts_with(&prefix)))
        };
        let content = match kind {
            Kind::FileEmpty => Some(Vec::new()),
            Kind::FileGone => None,
            Kind::FileForeign => of(sources.foreign)?.map(std::fs::read).transpose()?,
            Kind::FilesSwapped => {
                let other = &files[dice.index(files.len())];
                let (here, there) = (std::fs::read(&path)?, std::fs::read(other)?);
                std::fs::write(other, here)?;
                told.push(name(other));
                Some(there)
            }
            _ => of(sources.earlier)?.map(std::fs::read).transpose()?,
        };
        match content {
            // Written into the file that is there, so that its rights stay.
            Some(content) => std::fs::write(&path, content)?,
            None => std::fs::remove_file(&path)?,
        }
    }
    Ok(told.join(", "))
}

/// Copies a store's files, with their rights.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(name(&path));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// How far the file `mark` of a store says that the log surely goes: read as `docs/storage-format.md` describes it.
pub fn marked(store: &Path) -> io::Result<u64> {
    let bytes = std::fs::read(store.join("mark"))?;
    let number = |at: usize| {
        let field = bytes.get(at..at + 8).and_then(|field| field.try_into().ok());
        field.map_or(0, u64::from_be_bytes)
    };
    let slots = [0, 4_096]
        .into_iter()
        .filter(|at| bytes.get(*at..at + 8) == Some(b"flowmark"));
    Ok(slots.max_by_key(|at| number(at + 9)).map_or(0, |at| number(at + 41)))
}
