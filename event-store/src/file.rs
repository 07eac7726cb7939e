//! Small files that appear whole and on disk, or not at all.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Creates a file that only its owner can read.
///
/// # Errors
///
/// `AlreadyExists` if there is one, which stays as it is.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = write_aside(path, bytes, true)?;
    // Unlike a rename, a link does not replace what somebody else has put there meanwhile.
    let linked = std::fs::hard_link(&written, path);
    let removed = std::fs::remove_file(&written);
    linked?;
    removed?;
    sync_directory_of(path)
}

/// Puts a file in the place of the one that is there, if one is.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = write_aside(path, bytes, false)?;
    if let Err(error) = std::fs::rename(&written, path) {
        let _ = std::fs::remove_file(&written);
        return Err(error);
    }
    sync_directory_of(path)
}

/// The bytes of a file, at most one more than `max`, and its mode where there is such a thing.
pub(crate) fn read_with_mode(path: &Path, max: usize) -> io::Result<(Vec<u8>, Option<u32>)> {
    let file = File::open(path)?;
    let mode = mode(&file)?;
    let mut bytes = Vec::new();
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}

/// Writes and syncs a file of another name beside the one that is meant.
fn write_aside(path: &Path, bytes: &[u8], is_secret: bool) -> io::Result<PathBuf> {
    let mut number = [0; 8];
    getrandom::fill(&mut number).map_err(|error| io::Error::other(error.to_string()))?;
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{:016x}.new", u64::from_be_bytes(number)));
    let aside = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if is_secret {
        for_its_owner(&mut options);
    }
    let mut file = options.open(&aside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = std::fs::remove_file(&aside);
        return Err(error);
    }
    Ok(aside)
}

#[cfg(unix)]
fn for_its_owner(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn for_its_owner(_options: &mut OpenOptions) {}

#[cfg(unix)]
fn mode(file: &File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    Ok(Some(file.metadata()?.permissions().mode() & 0o777))
}

#[cfg(not(unix))]
fn mode(_file: &File) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Syncs the directory of a file, so that it is found again.
#[cfg(unix)]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory_of(_path: &Path) -> io::Result<()> {
    Ok(())
}
