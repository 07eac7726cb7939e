//! How texts, values and times stand in a record: the functions that the attributes of `event.rs` name.

#![expect(
    clippy::option_option,
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    reason = "the functions have the shape that the derived code asks for"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::data::Type;
use minicbor::decode::{self, Decode, Decoder};
use minicbor::encode::{self, Encode, Encoder, Write};

use crate::time::Timestamp;
use crate::value::{MAX_DEPTH, Value};

/// Whether a flag is down, and so left out.
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

/// A shared text.
pub(crate) mod text {
    use super::{Arc, Decoder, Encoder, Write, decode, encode};

    pub(crate) fn encode<C, W: Write>(
        text: &Arc<str>,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        encoder.str(text)?.ok()
    }

    pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<Arc<str>, decode::Error> {
        decoder.str().map(Arc::from)
    }
}

/// A shared text that may be absent.
pub(crate) mod optional_text {
    use super::{Arc, Decoder, Encoder, Type, Write, decode, encode};

    pub(crate) fn encode<C, W: Write>(
        text: &Option<Arc<str>>,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match text {
            Some(text) => encoder.str(text)?.ok(),
            None => encoder.null()?.ok(),
        }
    }

    pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<Option<Arc<str>>, decode::Error> {
        if decoder.datatype()? == Type::Null {
            return decoder.null().map(|()| None);
        }
        decoder.str().map(|text| Some(text.into()))
    }

    pub(crate) fn nil() -> Option<Option<Arc<str>>> {
        Some(None)
    }

    pub(crate) fn is_nil(text: &Option<Arc<str>>) -> bool {
        text.is_none()
    }
}

/// A list of shared texts.
pub(crate) mod texts {
    use super::{Arc, Decoder, Encoder, Write, decode, encode};

    pub(crate) fn encode<C, W: Write>(
        texts: &Vec<Arc<str>>,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        encoder.array(texts.len() as u64)?;
        for text in texts {
            encoder.str(text)?;
        }
        Ok(())
    }

    pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<Vec<Arc<str>>, decode::Error> {
        let texts = decoder.array_iter::<&str>()?;
        texts.map(|text| text.map(Arc::from)).collect()
    }
}

/// A value that may be absent, which is not the same as null: a list of none or one.
pub(crate) mod optional_value {
    use super::{Decode, Decoder, Encode, Encoder, Type, Value, Write, decode, encode};

    pub(crate) fn encode<C, W: Write>(
        value: &Option<Value>,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match value {
            Some(value) => {
                encoder.array(1)?;
                value.encode(encoder, context)
            }
            None => encoder.null()?.ok(),
        }
    }

    pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, context: &mut C) -> Result<Option<Value>, decode::Error> {
        if decoder.datatype()? == Type::Null {
            return decoder.null().map(|()| None);
        }
        let place = decoder.position();
        if decoder.array()? != Some(1) {
            return Err(decode::Error::message("expected a list of one").at(place));
        }
        Value::decode(decoder, context).map(Some)
    }

    pub(crate) fn nil() -> Option<Option<Value>> {
        Some(None)
    }

    pub(crate) fn is_nil(value: &Option<Value>) -> bool {
        value.is_none()
    }
}

/// Milliseconds since 1970-01-01 UTC.
impl<C> Encode<C> for Timestamp {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        encoder.i64(self.millis())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Timestamp {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        decoder.i64().map(Self::from_millis)
    }
}

/// Null, booleans, integers of 64 bits, texts, lists and maps are what they are; other numbers are their digits as bytes.
impl<C> Encode<C> for Value {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, context: &mut C) -> Result<(), encode::Error<W::Error>> {
        match self {
            Self::Null => encoder.null()?.ok(),
            Self::Bool(bool) => encoder.bool(*bool)?.ok(),
            Self::Int(int) => encoder.i64(*int)?.ok(),
            Self::Decimal(_) | Self::Number(_) => {
                encoder.bytes(self.number_text().unwrap_or_default().as_bytes())?.ok()
            }
            Self::Text(text) => encoder.str(text)?.ok(),
            Self::List(items) => {
                encoder.array(items.len() as u64)?;
                items.iter().try_for_each(|item| item.encode(encoder, context))
            }
            Self::Map(entries) => {
                encoder.map(entries.len() as u64)?;
                for (key, value) in entries.iter() {
                    encoder.str(key)?;
                    value.encode(encoder, context)?;
                }
                Ok(())
            }
        }
    }
}

impl<'b, C> Decode<'b, C> for Value {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        value_at(decoder, 0)
    }
}

fn value_at(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, decode::Error> {
    let place = decoder.position();
    if depth > MAX_DEPTH {
        return Err(decode::Error::message("a value nests too deep").at(place));
    }
    Ok(match decoder.datatype()? {
        Type::Null => {
            decoder.null()?;
            Value::Null
        }
        Type::Bool => Value::Bool(decoder.bool()?),
        Type::Bytes => {
            let digits = std::str::from_utf8(decoder.bytes()?).ok().and_then(Value::number);
            digits.ok_or_else(|| decode::Error::message("a number has other characters than digits").at(place))?
        }
        Type::String => Value::Text(decoder.str()?.into()),
        Type::Array => {
            let mut items = Vec::new();
            for _ in 0..length(decoder.array()?, place)? {
                items.push(value_at(decoder, depth + 1)?);
            }
            Value::List(Arc::new(items))
        }
        Type::Map => {
            let mut entries = BTreeMap::new();
            for _ in 0..length(decoder.map()?, place)? {
                let key = decoder.str()?.into();
                entries.insert(key, value_at(decoder, depth + 1)?);
            }
            Value::Map(Arc::new(entries))
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            Value::Int(decoder.i64()?)
        }
        found => {
            return Err(decode::Error::type_mismatch(found)
                .with_message("expected a value")
                .at(place));
        }
    })
}

fn length(stated: Option<u64>, place: usize) -> Result<u64, decode::Error> {
    stated.ok_or_else(|| decode::Error::message("lists and maps state their length").at(place))
}
