//! The stored form: manifest, frames of records, and blocks of the stream index; knows bytes, not sled.
//!
//! ```text
//! tree "log"      key   offset of the frame's first record, 8 bytes, big-endian
//!                 value kind 1 | rewrites 1 | entry, entry, ...                        packed frame
//!                       entry = stream 16 | command 16 | leaf 32 | revision v | length v | record
//!                 value kind 2 | rewrites 1 | entry with the beginning of its record   frame of one large record
//!                 key   offset 8 | number of the piece 4, from 1: kind 3 | rewrites 1 | more of the record
//! tree "streams"  key   stream 16 | block 4
//!                 value offsets of revisions 64 * block + 1 .. 64 * (block + 1): first v, then differences v
//!                 key   "position": log offset up to which the blocks are complete, 8 bytes
//! tree "index"    key   "k" | the caller's key, and "p" | name of an index: its position, 8 bytes
//! default tree    key   "manifest", and "proven": log offset that a sync has covered, 8 bytes
//! ```
//! The file `mark` beside the trees is no part of sled, see the module `mark`:
//! ```text
//! slot at byte 0 for even sequence numbers, at byte 4096 for odd ones
//!                 "flowmark" | format 1 | sequence 8 | origin 16 | log's end at the last opening 8 | durable offset 8
//!                 | leaf of that record 32 | SHA-256 of all before 32
//! ```
//! `v` is a little-endian base-128 number. `rewrites` only makes a frame differ from itself, so that sled writes it again.

use std::path::Path;
use std::sync::Arc;

use crate::error::StoreError;
use crate::record::{Append, Offset, Revision, Stored, StreamId};
use crate::store::Layout;

/// Bytes of the largest value; sled keeps leaves over 128 KiB in files that it never syncs, and a leaf has 16 items.
pub(super) const FRAME_MAX: usize = 4096;

/// Revisions in one block of the stream index.
pub(super) const BLOCK_LEN: u64 = 64;

/// The format this release writes and reads. 1 was a draft that no release wrote.
pub(super) const FORMAT: u32 = 2;

const PACKED: u8 = 1;
const LARGE: u8 = 2;
const PIECE: u8 = 3;
const HEADER_LEN: usize = 2;
const MAGIC: &[u8; 8] = b"flowldgr";

/// The key of the frame whose first record has this offset.
pub(super) fn frame_key(first: Offset) -> [u8; 8] {
    first.get().to_be_bytes()
}

/// The offset in a frame's key; `None` for a key of another kind.
pub(super) fn frame_offset(key: &[u8]) -> Option<Offset> {
    key.try_into().ok().map(u64::from_be_bytes).map(Offset::new)
}

fn piece_key(offset: Offset, piece: u32) -> [u8; 12] {
    let mut key = [0; 12];
    let (head, tail) = key.split_at_mut(8);
    head.copy_from_slice(&frame_key(offset));
    tail.copy_from_slice(&piece.to_be_bytes());
    key
}

/// Packs records into frames, in offset order.
pub(super) struct Packer<F: FnMut(&[u8], &[u8])> {
    put: F,
    first: Offset,
    frame: Vec<u8>,
}

impl<F: FnMut(&[u8], &[u8])> Packer<F> {
    /// A packer that hands every finished key and value to `put`.
    pub(super) fn new(put: F) -> Self {
        Self {
            put,
            first: Offset::NONE,
            frame: Vec::with_capacity(FRAME_MAX),
        }
    }

    /// Adds the record at `offset`, which follows the one added before.
    pub(super) fn add(&mut self, offset: Offset, revision: Revision, leaf: &[u8; 32], item: &Append) {
        let len = entry_len(revision, item.record.len());
        if self.frame.len() + len > FRAME_MAX {
            self.finish();
        }
        if HEADER_LEN + len > FRAME_MAX {
            self.add_large(offset, revision, leaf, item);
            return;
        }
        if self.frame.is_empty() {
            self.first = offset;
            self.frame.extend([PACKED, 0]);
        }
        self.add_entry(revision, leaf, item);
        self.frame.extend(&*item.record);
    }

    /// Hands out what is packed so far; call it after the last record.
    pub(super) fn finish(&mut self) {
        if !self.frame.is_empty() {
            (self.put)(&frame_key(self.first), &self.frame);
            self.frame.clear();
        }
    }

    fn add_large(&mut self, offset: Offset, revision: Revision, leaf: &[u8; 32], item: &Append) {
        self.frame.extend([LARGE, 0]);
        self.add_entry(revision, leaf, item);
        let room = FRAME_MAX.saturating_sub(self.frame.len());
        let (beginning, rest) = item.record.split_at_checked(room).unwrap_or((&item.record, &[]));
        self.frame.extend(beginning);
        (self.put)(&frame_key(offset), &self.frame);
        for (piece, bytes) in (1..).zip(rest.chunks(FRAME_MAX - HEADER_LEN)) {
            self.frame.clear();
            self.frame.extend([PIECE, 0]);
            self.frame.extend(bytes);
            (self.put)(&piece_key(offset, piece), &self.frame);
        }
        self.frame.clear();
    }

    fn add_entry(&mut self, revision: Revision, leaf: &[u8; 32], item: &Append) {
        self.frame.extend(item.stream.as_bytes());
        self.frame.extend(leaf);
        put_number(&mut self.frame, revision.get());
        put_number(&mut self.frame, item.record.len() as u64);
    }
}

fn entry_len(revision: Revision, record: usize) -> usize {
    48 + number_len(revision.get()) + number_len(record as u64) + record
}

/// What stands in a frame before a record's bytes.
pub(super) struct Entry<'a> {
    /// The record's stream.
    pub(super) stream: StreamId,
    /// The stream's revision with the record.
    pub(super) revision: Revision,
    /// The record's place.
    pub(super) offset: Offset,
    leaf: [u8; 32],
    /// Bytes of the whole record.
    len: usize,
    /// The bytes in this frame: all of them, or the beginning of a large record.
    bytes: &'a [u8],
}

impl Entry<'_> {
    /// The record whole; `more` hands out the pieces of a large one, by key.
    pub(super) fn read(
        &self,
        mut more: impl FnMut(&[u8]) -> Result<Vec<u8>, StoreError>,
    ) -> Result<Stored, StoreError> {
        let record = if self.is_whole() {
            Arc::from(self.bytes)
        } else {
            let mut whole = Vec::with_capacity(self.len.min(Layout::RECORD_MAX));
            whole.extend(self.bytes);
            for piece in 1.. {
                if whole.len() >= self.len {
                    break;
                }
                let value = more(&piece_key(self.offset, piece))?;
                match value.split_at_checked(HEADER_LEN) {
                    Some(([PIECE, _], bytes)) if !bytes.is_empty() => whole.extend(bytes),
                    _ => return Err(broken(self.offset, "a piece of a large record has another form")),
                }
            }
            if whole.len() != self.len {
                return Err(broken(self.offset, "a large record has another length"));
            }
            Arc::from(whole)
        };
        let Self {
            stream,
            revision,
            offset,
            leaf,
            ..
        } = *self;
        Ok(Stored {
            stream,
            revision,
            partition: 0,
            offset,
            leaf,
            record,
        })
    }

    /// Whether the frame has all of the record.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes.len() == self.len
    }

    /// Bytes of the whole record.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// The entries of a frame, in offset order.
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    next: Offset,
    is_large: bool,
}

/// The entries of the frame whose first record is at `first`.
pub(super) fn entries(first: Offset, frame: &[u8]) -> Result<Entries<'_>, StoreError> {
    match frame.split_at_checked(HEADER_LEN) {
        Some(([kind @ (PACKED | LARGE), _], rest)) => Ok(Entries {
            rest,
            next: first,
            is_large: *kind == LARGE,
        }),
        _ => Err(broken(first, "a frame has an unknown form")),
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let offset = self.next;
        self.next = Offset::new(offset.get() + 1);
        let entry = self.take(offset);
        if entry.is_none() {
            self.rest = &[];
        }
        Some(entry.ok_or_else(|| broken(offset, "a frame ends within a record")))
    }
}

impl<'a> Entries<'a> {
    fn take(&mut self, offset: Offset) -> Option<Entry<'a>> {
        let (stream, rest) = self.rest.split_first_chunk()?;
        let (leaf, mut rest) = rest.split_first_chunk()?;
        let revision = take_number(&mut rest)?;
        let len = usize::try_from(take_number(&mut rest)?).ok()?;
        let (bytes, rest) = if self.is_large {
            (rest, Default::default())
        } else {
            rest.split_at_checked(len)?
        };
        self.rest = rest;
        Some(Entry {
            stream: StreamId::from_bytes(*stream),
            revision: Revision::new(revision),
            offset,
            leaf: *leaf,
            len,
            bytes,
        })
    }
}

/// The same frame or piece with another `rewrites` byte.
pub(super) fn rewritten(value: &[u8]) -> Option<Vec<u8>> {
    let mut value = value.to_vec();
    let rewrites = value.get_mut(1)?;
    *rewrites = rewrites.wrapping_add(1);
    Some(value)
}

/// The block of the stream index that has this revision, from 0.
pub(super) fn block_of(revision: u64) -> u32 {
    u32::try_from(revision.saturating_sub(1) / BLOCK_LEN).unwrap_or(u32::MAX)
}

/// The revision before the first one of a block.
pub(super) fn block_start(block: u32) -> u64 {
    u64::from(block) * BLOCK_LEN
}

/// The key of a block of the stream index.
pub(super) fn block_key(stream: &StreamId, block: u32) -> [u8; 20] {
    let mut key = [0; 20];
    let (head, tail) = key.split_at_mut(16);
    head.copy_from_slice(stream.as_bytes());
    tail.copy_from_slice(&block.to_be_bytes());
    key
}

/// The stream and the number of the block with this key; `None` for a key of another kind.
pub(super) fn block_place(key: &[u8]) -> Option<(StreamId, u32)> {
    let (stream, number) = key.split_first_chunk()?;
    let number = number.try_into().ok().map(u32::from_be_bytes)?;
    Some((StreamId::from_bytes(*stream), number))
}

/// A block with these offsets, which grow.
pub(super) fn encode_block(offsets: &[u64]) -> Vec<u8> {
    let mut value = Vec::with_capacity(4 + 3 * offsets.len());
    let mut previous = 0;
    for &offset in offsets {
        put_number(&mut value, offset.saturating_sub(previous));
        previous = offset;
    }
    value
}

/// The offsets in a block; `None` if it has another form.
pub(super) fn decode_block(mut value: &[u8]) -> Option<Vec<u64>> {
    let mut offsets = Vec::with_capacity(value.len().min(64));
    let mut previous = 0_u64;
    while !value.is_empty() {
        previous = previous.checked_add(take_number(&mut value)?)?;
        offsets.push(previous);
    }
    Some(offsets)
}

/// The manifest of a layout.
pub(super) fn encode_manifest(layout: &Layout) -> Vec<u8> {
    let mut value = MAGIC.to_vec();
    value.extend(layout.format.to_be_bytes());
    value.extend(layout.partitions.to_be_bytes());
    value.extend((layout.record_max as u64).to_be_bytes());
    value.extend(layout.origin);
    value.extend(layout.hash.as_bytes());
    value
}

/// The layout in a manifest; refuses what this release does not know.
pub(super) fn decode_manifest(path: &Path, value: &[u8]) -> Result<Layout, StoreError> {
    let damaged = || {
        StoreError::damaged(
            path.display().to_string(),
            "it is no Flowledger store, or its manifest has changed",
        )
    };
    let (format, rest) = value
        .strip_prefix(MAGIC)
        .and_then(<[u8]>::split_first_chunk)
        .ok_or_else(damaged)?;
    let format = u32::from_be_bytes(*format);
    if format != FORMAT {
        return Err(StoreError::Format {
            path: path.to_owned(),
            found: format,
            known: FORMAT,
        });
    }
    let layout = || {
        let (partitions, rest) = rest.split_first_chunk()?;
        let (record_max, rest) = rest.split_first_chunk()?;
        let (origin, hash) = rest.split_first_chunk()?;
        let record_max = usize::try_from(u64::from_be_bytes(*record_max)).ok()?;
        let partitions = u16::from_be_bytes(*partitions);
        let is_known = partitions == 1 && hash == Layout::HASH.as_bytes();
        is_known.then_some(Layout {
            format,
            partitions,
            record_max,
            hash: Layout::HASH,
            origin: *origin,
        })
    };
    layout().ok_or_else(damaged)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn number_len(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn broken(offset: Offset, what: &str) -> StoreError {
    StoreError::damaged(format!("log, offset {offset}"), what)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::record::leaf_hash;

    proptest! {
        #[test]
        fn frames_hold_what_was_packed_and_stay_within_their_bound(lens in prop::collection::vec(0_usize..9000, 1..40)) {
            let items: Vec<Append> = (0_u8..).zip(&lens).map(|(seed, &len)| Append {
                stream: StreamId::from_bytes([seed; 16]),
                expected: Revision::NONE,
                record: vec![seed; len].into(),
            }).collect();
            let mut tree = BTreeMap::new();
            let mut packer = Packer::new(|key: &[u8], value: &[u8]| drop(tree.insert(key.to_vec(), value.to_vec())));
            for (number, item) in (1..).zip(&items) {
                packer.add(Offset::new(number), Revision::new(number * 100), &leaf_hash(&item.record), item);
            }
            packer.finish();
            drop(packer);
            prop_assert!(tree.values().all(|value| value.len() <= FRAME_MAX));
            let mut found = Vec::new();
            for (key, value) in &tree {
                if let Some(first) = frame_offset(key) {
                    let again = rewritten(value).unwrap();
                    prop_assert_ne!(&again, value);
                    for entry in entries(first, &again).unwrap() {
                        found.push(entry.unwrap().read(|key| Ok(tree.get(key).cloned().unwrap_or_default())).unwrap());
                    }
                }
            }
            prop_assert_eq!(found.len(), items.len());
            for ((number, item), stored) in (1..).zip(&items).zip(&found) {
                prop_assert_eq!(stored.offset.get(), number);
                prop_assert_eq!(stored.revision.get(), number * 100);
                prop_assert_eq!(stored.stream, item.stream);
                prop_assert_eq!(&stored.record, &item.record);
                prop_assert_eq!(stored.leaf, leaf_hash(&item.record));
            }
        }

        #[test]
        fn blocks_hold_their_offsets(steps in prop::collection::vec(1_u64..1 << 40, 0..64)) {
            let offsets: Vec<u64> = steps.iter().scan(0, |sum, step| { *sum += step; Some(*sum) }).collect();
            prop_assert_eq!(decode_block(&encode_block(&offsets)), Some(offsets));
        }

        #[test]
        fn numbers_come_back(number in any::<u64>(), bits in 0_u32..64) {
            let number = number >> bits;
            let mut out = Vec::new();
            put_number(&mut out, number);
            prop_assert_eq!(out.len(), number_len(number));
            prop_assert_eq!(take_number(&mut out.as_slice()), Some(number));
        }

        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(entries) = entries(Offset::new(1), &bytes) {
                for entry in entries.flatten() {
                    // However long it says that it is, the store has only so many pieces.
                    let mut pieces = 1_000;
                    let _ = entry.read(|_| {
                        pieces -= 1;
                        Ok(if pieces > 0 { vec![PIECE, 0, 1] } else { Vec::new() })
                    });
                }
            }
            let _ = decode_block(&bytes);
            let _ = decode_manifest(Path::new("."), &bytes);
        }
    }
}
