//! Exports: a log as JSON lines, each record in a readable form beside its exact bytes.
//!
//! ```text
//! {"flowledgerExport":1,"origin":HEX,"hash":"sha256-rfc6962","recordMax":N,"size":N,"checkpoints":[NOTE]}
//! {"position":1,"leaf":HEX,"bytes":BASE64,"record":{…}}       one line for each record
//! {"records":N,"root":HEX}
//! ```

use std::io::{BufRead, Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowledger_engine_core::codec;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_event_store::{Layout, leaf_hash};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    CHECKPOINTS_MAX, CopyReader, CopyReport, Head, Next, RECORD_MAX, checkpoints, damaged, io_error, unusable,
};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::{LogProgress, hex};

/// The number of the form that this release writes.
const FORM: u32 = 1;

/// Bytes of the largest first and last line.
const HEAD_MAX: u64 = 8 << 20;

/// Bytes of a line for each byte of its record: an id that stands as one byte is read as a text of 36.
const LINE_FACTOR: u64 = 64;

/// Bytes of the longest line that is read.
const LINE_MAX: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HeadLine {
    flowledger_export: u32,
    origin: String,
    hash: String,
    record_max: u64,
    size: u64,
    checkpoints: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine<'a> {
    position: u64,
    leaf: String,
    bytes: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    records: u64,
    root: String,
}

impl Engine {
    /// Writes the log, as it is now, as JSON lines, while commands go on. `progress` is told how far it is.
    ///
    /// Every record is compared with its leaf hash, and the whole with the kept checkpoints, so a log that is damaged or was
    /// rewritten is not exported as a good one: what was written until then has no last line, and is refused by [`import`].
    ///
    /// [`import`]: crate::import
    ///
    /// # Errors
    /// 7008 a store that cannot be read, or a writer that fails; 7800, 7803 a log that is not what was written.
    pub async fn export(
        &self,
        to: impl Write,
        mut progress: impl FnMut(LogProgress),
    ) -> Result<CopyReport, EngineError> {
        let exported = async {
            let mut to = std::io::BufWriter::new(to);
            let failed = |error| io_error("writing the export", error);
            let copy = self.begin_copy();
            let head = &copy.head;
            let of = head.size;
            let line = HeadLine {
                flowledger_export: FORM,
                origin: hex(&head.origin),
                hash: Layout::HASH.to_owned(),
                record_max: head.record_max as u64,
                size: head.size,
                checkpoints: head.checkpoints.iter().map(ToString::to_string).collect(),
            };
            write_line(&mut to, &line)?;
            let (report, _) = self
                .copy_records(copy, |position, leaf, bytes, record| {
                    let unreadable = |error: serde_json::Error| {
                        EngineError::new(ResultCode::SystemError, format!("record {position}: {error}"))
                    };
                    let record = codec::to_json(record)
                        .and_then(RawValue::from_string)
                        .map_err(unreadable)?;
                    write_line(
                        &mut to,
                        &RecordLine {
                            position,
                            leaf: hex(leaf),
                            bytes: STANDARD.encode(bytes),
                            record: &record,
                        },
                    )?;
                    progress(LogProgress { position, of });
                    Ok(())
                })
                .await?;
            let (records, root) = (report.records, report.root.clone());
            write_line(&mut to, &EndLine { records, root })?;
            to.flush().map_err(failed)?;
            Ok(report)
        };
        exported
            .await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))
    }
}

fn write_line(to: &mut impl Write, line: &impl Serialize) -> Result<(), EngineError> {
    let text = serde_json::to_vec(line)
        .map_err(|error| EngineError::new(ResultCode::SystemError, format!("a line of the export: {error}")))?;
    let written = to.write_all(&text).and_then(|()| to.write_all(b"\n"));
    written.map_err(|error| io_error("writing the export", error))
}

/// An export that is being read. Takes from it a line at a time.
pub(super) struct ExportReader<R> {
    from: R,
    head: Head,
    line: Vec<u8>,
    /// Lines read.
    lines: u64,
    position: u64,
}

impl<R: BufRead> ExportReader<R> {
    /// Reads the first line.
    pub(super) fn begin(mut from: R) -> Result<Self, EngineError> {
        let start = from.fill_buf().map_err(|error| io_error("reading the export", error))?;
        if start.starts_with(super::backup::MAGIC) {
            return Err(unusable("this is a backup: `log restore` makes a store of it"));
        }
        let mut line = Vec::new();
        if !read_line(&mut from, &mut line, HEAD_MAX, 1)? {
            return Err(unusable("this is no export: it has no line"));
        }
        let head: HeadLine = serde_json::from_slice(&line).map_err(|error| {
            unusable(format!(
                "this is no export of a log: its first line does not say what it is: {error}"
            ))
        })?;
        if head.flowledger_export != FORM {
            let found = head.flowledger_export;
            return Err(EngineError::new(
                ResultCode::EventVersionUnsupported,
                format!("the export has form {found}, this release reads form {FORM}"),
            ));
        }
        if head.hash != Layout::HASH {
            return Err(damaged("line 1: `hash` is not one that this release knows"));
        }
        if head.checkpoints.len() > CHECKPOINTS_MAX || head.record_max > RECORD_MAX {
            return Err(damaged(
                "line 1: `checkpoints` or `recordMax` is larger than any log has it",
            ));
        }
        let head = Head {
            origin: from_hex(&head.origin).ok_or_else(|| damaged("line 1: `origin` is not 32 hexadecimal digits"))?,
            record_max: usize::try_from(head.record_max).unwrap_or(usize::MAX),
            size: head.size,
            reached: head.size,
            checkpoints: checkpoints(&head.checkpoints)?,
        };
        Ok(Self {
            from,
            head,
            line,
            lines: 1,
            position: 0,
        })
    }

    fn record(&self) -> Result<Arc<[u8]>, EngineError> {
        let lines = self.lines;
        let wrong = |why: String| {
            damaged(format!(
                "line {lines}, the record at position {}: {why}",
                self.position + 1
            ))
        };
        let line: RecordLine<'_> = serde_json::from_slice(&self.line).map_err(|error| wrong(error.to_string()))?;
        if line.position != self.position + 1 {
            return Err(wrong(format!("it says position {}", line.position)));
        }
        let bytes = STANDARD
            .decode(&line.bytes)
            .map_err(|error| wrong(format!("`bytes`: {error}")))?;
        if from_hex(&line.leaf) != Some(leaf_hash(&bytes)) {
            return Err(wrong("`leaf` is not the hash of its bytes".to_owned()));
        }
        let record = codec::decode(&bytes)?;
        let readable = codec::to_json(&record).map_err(|error| wrong(error.to_string()))?;
        if line.record.get() != readable {
            return Err(wrong(format!(
                "its readable form is not that of its bytes: {}",
                difference(line.record.get(), &readable)
            )));
        }
        Ok(bytes.into())
    }
}

impl<R: BufRead> CopyReader for ExportReader<R> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn next(&mut self) -> Result<Next, EngineError> {
        let is_end = self.position == self.head.size;
        let max = if is_end {
            HEAD_MAX
        } else {
            let record_max = (self.head.record_max as u64).max(1 << 10);
            record_max.saturating_mul(LINE_FACTOR).min(LINE_MAX)
        };
        self.lines += 1;
        if !read_line(&mut self.from, &mut self.line, max, self.lines)? {
            let what = if is_end { "its last line" } else { "the others" };
            return Err(damaged(format!(
                "the export ends after {} of {} records, without {what}",
                self.position, self.head.size
            )));
        }
        if !is_end {
            let record = self.record()?;
            self.position += 1;
            return Ok(Next::Record(record));
        }
        let lines = self.lines;
        let wrong = |why: String| damaged(format!("line {lines}, the last one: {why}"));
        let end: EndLine = serde_json::from_slice(&self.line).map_err(|error| wrong(error.to_string()))?;
        let root = from_hex(&end.root).ok_or_else(|| wrong("`root` is not 64 hexadecimal digits".to_owned()))?;
        if read_line(&mut self.from, &mut self.line, HEAD_MAX, lines + 1)? {
            return Err(damaged(format!(
                "line {}: the export goes on behind its last line",
                lines + 1
            )));
        }
        Ok(Next::End {
            size: end.records,
            root,
        })
    }
}

/// Reads a line, without its end; false at the end of the file.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>, max: u64, number: u64) -> Result<bool, EngineError> {
    line.clear();
    let read = from.take(max + 1).read_until(b'\n', line);
    let read = read.map_err(|error| io_error(&format!("reading line {number} of the export"), error))?;
    if read as u64 > max {
        return Err(damaged(format!("line {number} is longer than {max} bytes")));
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(read > 0)
}

/// The bytes of hexadecimal digits in lower case.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        let pair = digits.get(2 * place..2 * place + 2)?;
        if pair.iter().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (digits.len() == 2 * N).then_some(bytes)
}

/// Where two texts begin to differ, with a little of each.
fn difference(line: &str, bytes: &str) -> String {
    let same = line
        .bytes()
        .zip(bytes.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    let from = |text: &str| -> String {
        let start = (0..=same.min(text.len()))
            .rev()
            .find(|&place| text.is_char_boundary(place));
        let rest = text.get(start.unwrap_or_default()..).unwrap_or_default();
        rest.chars().take(40).collect()
    };
    format!(
        "from its character {same} on the line says `{}`, the bytes say `{}`",
        from(line),
        from(bytes)
    )
}
