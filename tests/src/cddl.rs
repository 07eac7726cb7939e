//! Whether CBOR has the form that a schema in CDDL (RFC 8610) gives it: as much of that language as `docs/record.cddl` uses.
//!
//! A reader of its own, which knows nothing of how records are written: the schema is checked against the records, and the
//! records against the schema.

use std::collections::BTreeMap;

use minicbor::Decoder;
use minicbor::data::Type as CborType;

/// A CBOR item.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An integer of either sign.
    Int(i128),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text string.
    Text(String),
    /// An array.
    Array(Vec<Item>),
    /// A map, in the order of its entries.
    Map(Vec<(Item, Item)>),
    /// A truth value.
    Bool(bool),
    /// Null.
    Null,
    /// What no record has: floats, tags, undefined.
    Other,
}

impl Item {
    /// The one item in these bytes.
    pub fn of(bytes: &[u8]) -> Result<Self, String> {
        let mut decoder = Decoder::new(bytes);
        let item = Self::read(&mut decoder).map_err(|error| error.to_string())?;
        if decoder.position() == bytes.len() {
            Ok(item)
        } else {
            Err("something follows the item".to_owned())
        }
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, minicbor::decode::Error> {
        Ok(match decoder.datatype()? {
            CborType::Bool => Self::Bool(decoder.bool()?),
            CborType::Null => {
                decoder.null()?;
                Self::Null
            }
            CborType::Bytes => Self::Bytes(decoder.bytes()?.to_vec()),
            CborType::String => Self::Text(decoder.str()?.to_owned()),
            CborType::Array => {
                let len = decoder.array()?.unwrap_or_default();
                Self::Array((0..len).map(|_| Self::read(decoder)).collect::<Result<_, _>>()?)
            }
            CborType::Map => {
                let len = decoder.map()?.unwrap_or_default();
                let entry = |_| Ok((Self::read(decoder)?, Self::read(decoder)?));
                Self::Map((0..len).map(entry).collect::<Result<_, minicbor::decode::Error>>()?)
            }
            kind if format!("{kind:?}").starts_with(['U', 'I']) && kind != CborType::Undefined => {
                Self::Int(decoder.int()?.into())
            }
            _ => {
                decoder.skip()?;
                Self::Other
            }
        })
    }

    /// The items in this one, with itself.
    pub fn len(&self) -> usize {
        1 + match self {
            Self::Array(items) => items.iter().map(Self::len).sum(),
            Self::Map(entries) => entries.iter().map(|(key, value)| key.len() + value.len()).sum(),
            _ => 0,
        }
    }

    /// Whether there is nothing: never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The `n`-th item in this one, itself the first.
    pub fn at(&mut self, n: usize) -> Option<&mut Self> {
        if n == 0 {
            return Some(self);
        }
        let mut left = n - 1;
        let parts: Vec<&mut Self> = match self {
            Self::Array(items) => items.iter_mut().collect(),
            Self::Map(entries) => entries.iter_mut().flat_map(|(key, value)| [key, value]).collect(),
            _ => Vec::new(),
        };
        for part in parts {
            let len = part.len();
            if left < len {
                return part.at(left);
            }
            left -= len;
        }
        None
    }
}

#[derive(Clone, Debug)]
enum Type {
    Name(String),
    Int(i128),
    /// Bytes of a length.
    Sized(usize),
    Array(Group),
    Map(Group),
    OneOf(Vec<Type>),
}

/// Sequences, one of which must fit.
type Group = Vec<Vec<Entry>>;

#[derive(Clone, Debug)]
struct Entry {
    least: usize,
    most: usize,
    key: Option<Type>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Type(Type),
    Group(Group),
}

/// A schema.
pub struct Schema {
    rules: BTreeMap<String, Type>,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Panics
    /// At what it does not understand.
    pub fn of(text: &str) -> Self {
        let mut words = Words::of(text);
        let mut rules = BTreeMap::new();
        while let Some(name) = words.next() {
            words.expect("=");
            let is_new = rules.insert(name.clone(), words.choice()).is_none();
            assert!(is_new, "{name} has two rules");
        }
        Self { rules }
    }

    /// Whether an item is what a rule says.
    pub fn allows(&self, rule: &str, item: &Item) -> bool {
        self.fits(&Type::Name(rule.to_owned()), item)
    }

    fn fits(&self, wanted: &Type, item: &Item) -> bool {
        match (wanted, item) {
            (Type::Name(name), item) => match (name.as_str(), item) {
                ("bool", Item::Bool(_))
                | ("int", Item::Int(_))
                | ("bytes", Item::Bytes(_))
                | ("tstr", Item::Text(_))
                | ("null", Item::Null) => true,
                ("uint", Item::Int(number)) => *number >= 0,
                ("nint", Item::Int(number)) => *number < 0,
                ("bool" | "int" | "uint" | "nint" | "bytes" | "tstr" | "null", _) => false,
                (name, item) => {
                    let rule = self
                        .rules
                        .get(name)
                        .unwrap_or_else(|| panic!("there is no rule {name}"));
                    self.fits(rule, item)
                }
            },
            (Type::Int(wanted), Item::Int(number)) => wanted == number,
            (Type::Sized(len), Item::Bytes(bytes)) => bytes.len() == *len,
            (Type::Array(group), Item::Array(items)) => self.sequence(group, items, &|rest| rest.is_empty()),
            (Type::Map(group), Item::Map(entries)) => group.iter().any(|sequence| match sequence.as_slice() {
                [
                    Entry {
                        key: Some(key),
                        what: What::Type(value),
                        ..
                    },
                ] => entries
                    .iter()
                    .all(|(name, item)| self.fits(key, name) && self.fits(value, item)),
                other => panic!("maps like {other:?} are not understood"),
            }),
            (Type::OneOf(choices), item) => choices.iter().any(|choice| self.fits(choice, item)),
            (Type::Int(_) | Type::Sized(_) | Type::Array(_) | Type::Map(_), _) => false,
        }
    }

    /// Whether one of the sequences fits the beginning of the items, and `then` what is left.
    fn sequence(&self, group: &Group, items: &[Item], then: &dyn Fn(&[Item]) -> bool) -> bool {
        group.iter().any(|entries| self.entries(entries, 0, items, then))
    }

    /// The same of entries, the first of which has been met so many times.
    fn entries(&self, entries: &[Entry], met: usize, items: &[Item], then: &dyn Fn(&[Item]) -> bool) -> bool {
        let Some((entry, further)) = entries.split_first() else {
            return then(items);
        };
        let again = |rest: &[Item]| rest.len() < items.len() && self.entries(entries, met + 1, rest, then);
        let is_met_again = met < entry.most
            && match &entry.what {
                What::Type(wanted) => items
                    .split_first()
                    .is_some_and(|(item, rest)| self.fits(wanted, item) && again(rest)),
                What::Group(group) => self.sequence(group, items, &again),
            };
        is_met_again || (met >= entry.least && self.entries(further, 0, items, then))
    }
}

/// The words of a schema.
struct Words {
    words: Vec<String>,
    place: usize,
}

impl Words {
    fn of(text: &str) -> Self {
        let lines = text.lines().map(|line| line.split(';').next().unwrap_or_default());
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut words: Vec<String> = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let len = if is_of_name(first) {
                rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())
            } else if ["//", "=>"].iter().any(|two| rest.starts_with(two)) {
                2
            } else {
                first.len_utf8()
            };
            let (word, left) = rest.split_at(len);
            words.push(word.to_owned());
            rest = left.trim_start();
        }
        Self { words, place: 0 }
    }

    fn peek(&self) -> &str {
        self.words.get(self.place).map_or("", String::as_str)
    }

    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.place).cloned();
        self.place += 1;
        word
    }

    fn is_next(&mut self, word: &str) -> bool {
        let is_next = self.peek() == word;
        self.place += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, word: &str) {
        assert!(self.is_next(word), "{word} is expected and {} found", self.peek());
    }

    fn choice(&mut self) -> Type {
        let mut choices = vec![self.single()];
        while self.is_next("/") {
            choices.push(self.single());
        }
        match choices.len() {
            1 => choices.remove(0),
            _ => Type::OneOf(choices),
        }
    }

    fn single(&mut self) -> Type {
        if self.is_next("[") {
            return Type::Array(self.group("]"));
        }
        if self.is_next("{") {
            return Type::Map(self.group("}"));
        }
        let word = self.next().expect("a type");
        if self.is_next(".size") {
            assert_eq!(word, "bytes");
            return Type::Sized(self.next().and_then(|size| size.parse().ok()).expect("a size"));
        }
        word.parse().map_or(Type::Name(word), Type::Int)
    }

    fn group(&mut self, end: &str) -> Group {
        let mut group = vec![Vec::new()];
        while !self.is_next(end) {
            if self.is_next("//") {
                group.push(Vec::new());
                continue;
            }
            let entry = self.entry();
            group.last_mut().expect("one at least").push(entry);
            self.is_next(",");
        }
        group
    }

    fn entry(&mut self) -> Entry {
        let (least, most) = match self.peek() {
            "?" => (0, 1),
            "*" => (0, usize::MAX),
            "+" => (1, usize::MAX),
            _ => (1, 1),
        };
        if (least, most) != (1, 1) {
            self.place += 1;
        }
        if self.is_next("(") {
            let what = What::Group(self.group(")"));
            return Entry {
                least,
                most,
                key: None,
                what,
            };
        }
        // A name before a colon is for people.
        if self.words.get(self.place + 1).is_some_and(|word| word == ":") {
            self.place += 2;
        }
        let first = self.choice();
        let (key, wanted) = if self.is_next("=>") {
            (Some(first), self.choice())
        } else {
            (None, first)
        };
        Entry {
            least,
            most,
            key,
            what: What::Type(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_tells_what_fits_from_what_does_not() {
        let schema = Schema::of(
            "a = [1, ? name: tstr / null, * int] ; a comment
             b = [(0, tstr // 1, + b), bytes .size 2]
             m = { * tstr => a }",
        );
        let text = |text: &str| Item::Text(text.to_owned());
        let array = |items: Vec<Item>| Item::Array(items);
        let (one, two, bytes) = (Item::Int(1), Item::Int(2), Item::Bytes(vec![0, 0]));
        for (rule, item, fits) in [
            ("a", array(vec![one.clone()]), true),
            ("a", array(vec![one.clone(), two.clone(), two.clone()]), true),
            ("a", array(vec![one.clone(), text("x"), two.clone()]), true),
            ("a", array(vec![one.clone(), Item::Null]), true),
            ("a", array(vec![two.clone()]), false),
            ("a", array(vec![one.clone(), text("x"), text("x")]), false),
            ("a", array(vec![one.clone(), Item::Other]), false),
            ("b", array(vec![Item::Int(0), text("x"), bytes.clone()]), true),
            ("b", array(vec![Item::Int(0), bytes.clone()]), false),
            (
                "b",
                array(vec![
                    one.clone(),
                    array(vec![Item::Int(0), text("x"), bytes.clone()]),
                    bytes.clone(),
                ]),
                true,
            ),
            ("b", array(vec![one.clone(), bytes.clone()]), false),
            ("b", array(vec![Item::Int(0), text("x"), Item::Bytes(vec![0])]), false),
            ("m", Item::Map(vec![(text("k"), array(vec![one.clone()]))]), true),
            ("m", Item::Map(vec![(one.clone(), array(vec![one]))]), false),
        ] {
            assert_eq!(schema.allows(rule, &item), fits, "{rule} {item:?}");
        }
    }
}
