//! A look at a store's files before sled sees them: what surely cannot be right is refused while nothing is changed.
//!
//! sled takes damage near the end of its file for a write that was cut short, and overwrites all that follows with zeros when
//! it opens. So the record that the high-water mark names must stand somewhere in the file, and not only in what would be
//! overwritten. If it does not, whoever has the right file can still bring it back, and what is there can still be saved.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::database::{FILE, SETTINGS};
use super::mark;
use super::tail::doomed;
use crate::error::{DamageReport, StoreError};
use crate::record::Offset;

/// Bytes of the file looked at in one piece.
const PIECE: u64 = 1 << 20;

/// Refuses a store that has lost a file, or the end that its mark knows of.
///
/// # Errors
///
/// `Damaged`. What cannot be looked at is left to the opening, which tells why.
pub(super) fn first_look(directory: &Path) -> Result<(), StoreError> {
    let refused = |file: &str, what: String| {
        let place = directory.join(file).display().to_string();
        Err(StoreError::damaged(place, what))
    };
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(());
    };
    let mut snapshot = 0;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_ours = [FILE, SETTINGS, mark::FILE].contains(&name) || name.starts_with("snap.");
        // By its path, not by its entry: it may be a link.
        if is_ours && std::fs::metadata(entry.path()).is_ok_and(|found| !found.is_file()) {
            return refused(name, "it is no file".to_owned());
        }
        // sled reads the newest, and goes on from where it ends.
        let lsn = name
            .strip_prefix("snap.")
            .and_then(|lsn| u64::from_str_radix(lsn, 16).ok());
        snapshot = snapshot.max(lsn.unwrap_or(0));
    }
    let Ok(mark) = mark::Found::read(directory) else {
        return Ok(());
    };
    let Some(marked) = mark.reached() else { return Ok(()) };
    let mut file = match File::open(directory.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "it is missing, and the mark beside it says that there was a store";
            return refused(FILE, what.to_owned());
        }
        Err(_) => return Ok(()),
    };
    // Somebody who has it open is at work on both files.
    if marked.offset == Offset::NONE || is_held(&file) {
        return Ok(());
    }
    if file.metadata().is_ok_and(|found| found.len() == 0) {
        return refused(
            FILE,
            "it is empty, and the mark beside it says that there was a log".to_owned(),
        );
    }
    let doomed = doomed(&mut file, snapshot).unwrap_or_default();
    let what = match find(&mut file, &marked.leaf, &doomed) {
        Ok(Found::Standing) | Err(_) => return Ok(()),
        Ok(Found::Doomed) => {
            let from = doomed.iter().map(|part| part.start).min().unwrap_or(0);
            format!(
                "it is damaged at byte {from} or before, and the record at offset {}, which had been stored, stands behind that: \
                 sled would overwrite it",
                marked.offset
            )
        }
        Ok(Found::Nowhere) => {
            let origin = mark.origin().unwrap_or_default();
            if matches!(find(&mut file, &origin, &[]), Ok(Found::Nowhere)) {
                return refused(mark::FILE, mark::FOREIGN.to_owned());
            }
            format!(
                "the record at offset {}, which had been stored, is nowhere in it: its end was cut off or overwritten, or it is \
                 an older copy",
                marked.offset
            )
        }
    };
    refused(FILE, what)
}

/// What is known of a store that was not opened.
pub(super) fn report(directory: &Path, intact: Option<Offset>, may_have_changed: bool) -> DamageReport {
    let marked = mark::Found::read(directory).ok().and_then(|found| found.reached());
    DamageReport {
        directory: directory.to_owned(),
        stored: marked.map(|marked| marked.offset),
        intact,
        may_have_changed,
    }
}

fn is_held(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            false
        }
        Err(_) => true,
    }
}

/// Where something stands in a file.
enum Found {
    /// Where it stays.
    Standing,
    /// Only in what would be overwritten.
    Doomed,
    Nowhere,
}

/// Looks for bytes in the file, from its end, where the newest records are.
fn find(file: &mut File, bytes: &[u8], doomed: &[Range<u64>]) -> io::Result<Found> {
    let finder = memchr::memmem::Finder::new(bytes);
    let overlap = bytes.len().saturating_sub(1) as u64;
    let mut found = Found::Nowhere;
    let mut piece = Vec::new();
    let mut end = file.metadata()?.len();
    while end > 0 {
        let begin = end.saturating_sub(PIECE);
        file.seek(SeekFrom::Start(begin))?;
        piece.clear();
        // What stands across two pieces is found in the earlier one.
        file.take(end - begin + overlap).read_to_end(&mut piece)?;
        for place in finder.find_iter(&piece) {
            let place = begin + place as u64;
            if !doomed.iter().any(|part| part.contains(&place)) {
                return Ok(Found::Standing);
            }
            found = Found::Doomed;
        }
        end = begin;
    }
    Ok(found)
}
