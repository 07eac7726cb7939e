//! Which bytes of its file sled 0.34 would overwrite with zeros if it were opened now; knows its segments, changes nothing.
//!
//! sled's file is a log of segments, each with a place in the order of writing (its LSN). When sled opens it, it reads the newest
//! segments message by message. At the first message that is not whole it takes the rest for a write that was cut short by a
//! crash: the rest of that segment and all later segments are zeroed. After a crash that is right. After damage it destroys
//! whatever was written behind the damaged place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes of a segment; sled's default, which is never changed here.
pub(super) const SEGMENT: u64 = 512 << 10;

/// Bytes of a segment's header: a checksum, its LSN, and up to where the log was stable when it was begun.
const HEADER: u64 = 20;

/// A message begins at most so many bytes before the end of its segment.
const MESSAGE_HEADER: u64 = 32;

/// What sled turns these numbers with, so that zeros are no header.
const TURNED: u64 = 0x7FFF_FFFF_FFFF_FFFF;

/// The byte that says that a message is not whole.
const CORRUPTED: u8 = 0;
const CAP: u8 = 2;
const BATCH: u8 = 3;
const KIND_MAX: u8 = 11;

/// The parts of the file that would be zeroed. `snapshot` is the LSN of sled's newest snapshot, up to which it reads nothing.
///
/// # Errors
///
/// A file that cannot be read.
pub(super) fn doomed(file: &mut File, snapshot: u64) -> io::Result<Vec<Range<u64>>> {
    let begin = snapshot / SEGMENT * SEGMENT;
    let (segments, stable) = segments(file, begin)?;
    let cut = end_of_tail(file, &segments, stable)?;
    let within = cut / SEGMENT * SEGMENT;
    let mut doomed = Vec::new();
    for (&lsn, &offset) in segments.range(within..) {
        let from = if lsn == within { offset + cut % SEGMENT } else { offset };
        doomed.push(from..offset + SEGMENT);
    }
    Ok(doomed)
}

/// The segments from an LSN on, by LSN, and the LSN up to which their headers say that the log is stable.
pub(super) fn segments(file: &mut File, begin: u64) -> io::Result<(BTreeMap<u64, u64>, u64)> {
    let len = file.metadata()?.len();
    let mut segments = BTreeMap::new();
    let mut header = [0; 20];
    let mut stable = begin;
    let mut offset = 0;
    while offset + HEADER <= len {
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut header)?;
        if let Some((lsn, max_stable)) = decode_header(&header).filter(|(lsn, _)| *lsn >= begin) {
            segments.insert(lsn, offset);
            stable = stable.max(max_stable);
        }
        offset += SEGMENT;
    }
    Ok((segments, stable))
}

fn decode_header(header: &[u8]) -> Option<(u64, u64)> {
    let (crc, rest) = header.split_first_chunk()?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*crc) ^ u32::MAX {
        return None;
    }
    let (lsn, rest) = rest.split_first_chunk()?;
    let (stable, _) = rest.split_first_chunk()?;
    let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes) ^ TURNED;
    // Where nothing was stable yet stands −1.
    let stable = Some(number(stable)).filter(|stable| *stable <= TURNED);
    Some((number(lsn), stable.unwrap_or(0)))
}

/// The LSN at which sled stops to believe what it reads.
fn end_of_tail(file: &mut File, segments: &BTreeMap<u64, u64>, stable: u64) -> io::Result<u64> {
    let mut expected = stable / SEGMENT * SEGMENT;
    // Where the newest segments should begin there is none: all of them are taken for cut short.
    let mut cut = 0;
    let mut batches: Vec<(u64, u64)> = Vec::new();
    for (&lsn, &offset) in segments.range(expected..) {
        if lsn != expected {
            break;
        }
        expected += SEGMENT;
        let mut segment = Vec::new();
        file.seek(SeekFrom::Start(offset))?;
        file.take(SEGMENT).read_to_end(&mut segment)?;
        let mut at = HEADER;
        let is_whole = loop {
            cut = lsn + at;
            if at > SEGMENT - MESSAGE_HEADER {
                break true;
            }
            let rest = usize::try_from(at).ok().and_then(|at| segment.get(at..));
            match rest.and_then(|rest| message(rest, lsn / SEGMENT)) {
                Some(Message::Cap) => break true,
                Some(Message::Other { len }) => at += len,
                Some(Message::Batch { len, last }) => {
                    batches.push((cut, last));
                    at += len;
                }
                None => break false,
            }
        };
        if !is_whole {
            break;
        }
    }
    // A batch that is not there to its end is not there at all.
    let torn = batches.iter().find(|(_, last)| *last >= cut).map(|(lsn, _)| *lsn);
    Ok(torn.unwrap_or(cut))
}

enum Message {
    /// The rest of the segment is padding.
    Cap,
    /// The messages up to an LSN belong together.
    Batch { len: u64, last: u64 },
    /// Something of this length.
    Other { len: u64 },
}

/// The whole message that begins here.
fn message(bytes: &[u8], segment: u64) -> Option<Message> {
    let (crc, rest) = bytes.split_first_chunk()?;
    let (&kind, mut body) = rest.split_first()?;
    let len = take_number(&mut body)?;
    let number = take_number(&mut body)?;
    let _page = take_number(&mut body)?;
    let header = rest.get(..rest.len() - body.len())?;
    let body = body.get(..usize::try_from(len).ok()?)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(header);
    let is_whole = kind != CORRUPTED
        && kind <= KIND_MAX
        && number == segment
        && hasher.finalize() ^ u32::MAX == u32::from_le_bytes(*crc);
    if !is_whole {
        return None;
    }
    let whole = 4 + header.len() as u64 + len;
    match kind {
        CAP => Some(Message::Cap),
        BATCH => body.first_chunk().map(|last| Message::Batch {
            len: whole,
            last: u64::from_le_bytes(*last),
        }),
        _ => Some(Message::Other { len: whole }),
    }
}

/// A number in sled's form: small ones are one byte, others say how many bytes follow.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    let (number, len) = match first {
        0..=240 => (u64::from(first), 0),
        241..=248 => (240 + 256 * (u64::from(first) - 241) + u64::from(*rest.first()?), 1),
        249 => (2288 + 256 * u64::from(*rest.first()?) + u64::from(*rest.get(1)?), 2),
        _ => {
            let len = usize::from(first) - 247;
            let mut number = [0; 8];
            number.get_mut(..len)?.copy_from_slice(rest.get(..len)?);
            (u64::from_le_bytes(number), len)
        }
    };
    *bytes = rest.get(len..)?;
    Some(number)
}
