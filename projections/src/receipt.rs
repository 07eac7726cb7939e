//! The receipt of a record as answers carry it; knows neither how it is made nor how it is checked.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// A record's exact bytes and the proof that it stands in the log: all that a stranger needs to check it.
///
/// JSON: the record is standard base64. Each is also the content of a file that `flowledger verify-receipt` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The record's place in the log, 1 for the first.
    pub position: u64,
    /// Its place as the proof counts it, from 0.
    pub index: u64,
    /// The exact bytes.
    #[serde(serialize_with = "as_base64")]
    pub record: Arc<[u8]>,
    /// The proof (C2SP `tlog-proof`), with the checkpoint and its cosignatures.
    pub proof: String,
}

fn as_base64<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}
