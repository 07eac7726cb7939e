//! A look at a store's files before sled sees them: what surely cannot be right is refused while nothing is changed.
//!
//! sled takes damage behind its last snapshot for a write that was cut short, and overwrites it with zeros when it opens. So
//! the record that the high-water mark names must stand somewhere in the file; if it does not, its end was cut off, or the
//! file is another one, and whoever has the right one can still bring it back.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::database::{FILE, SETTINGS};
use super::mark::{self, Found};
use crate::error::{DamageReport, StoreError};
use crate::record::Offset;

/// Bytes of the file looked at in one piece.
const PIECE: usize = 1 << 20;

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
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_ours = [FILE, SETTINGS, mark::FILE].contains(&name) || name.starts_with("snap.");
        // By its path, not by its entry: it may be a link.
        if is_ours && std::fs::metadata(entry.path()).is_ok_and(|found| !found.is_file()) {
            return refused(name, "it is no file".to_owned());
        }
    }
    let Ok(found) = Found::read(directory) else {
        return Ok(());
    };
    let Some(marked) = found.reached() else { return Ok(()) };
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
    if stands(&mut file, &marked.leaf).unwrap_or(true) {
        return Ok(());
    }
    let origin = found.origin().unwrap_or_default();
    if !stands(&mut file, &origin).unwrap_or(true) {
        return refused(mark::FILE, mark::FOREIGN.to_owned());
    }
    refused(
        FILE,
        format!(
            "the record at offset {}, which had been stored, is nowhere in it: its end was cut off or overwritten, or it is \
             an older copy",
            marked.offset
        ),
    )
}

/// What is known of a store that was not opened.
pub(super) fn report(directory: &Path, intact: Option<Offset>, may_have_changed: bool) -> DamageReport {
    let marked = Found::read(directory).ok().and_then(|found| found.reached());
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

/// Whether these bytes stand anywhere in the file. Looks from its end, where the newest records are.
fn stands(file: &mut File, bytes: &[u8]) -> io::Result<bool> {
    let finder = memchr::memmem::FinderRev::new(bytes);
    let overlap = bytes.len().saturating_sub(1) as u64;
    let mut piece = Vec::new();
    let mut end = file.metadata()?.len();
    while end > 0 {
        let begin = end.saturating_sub(PIECE as u64);
        file.seek(SeekFrom::Start(begin))?;
        piece.clear();
        // What stands across two pieces is found in the earlier one.
        file.take(end - begin + overlap).read_to_end(&mut piece)?;
        if finder.rfind(&piece).is_some() {
            return Ok(true);
        }
        end = begin;
    }
    Ok(false)
}
