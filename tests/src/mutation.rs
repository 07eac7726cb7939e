//! Changes to proofs, checkpoints and keys, of the kinds that a careless or a clever person makes; and which parts of a
//! text mean something, read without the parsers that are under test.

use std::collections::BTreeSet;

use crate::dice::Dice;

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One bit.
    Bit,
    /// One byte, to any other.
    Byte,
    /// The end is missing.
    Cut,
    /// The beginning is missing.
    Headless,
    /// A character more.
    Inserted,
    /// A character less.
    Removed,
    /// A line less.
    LineRemoved,
    /// Two lines have changed places.
    LinesSwapped,
    /// A line twice.
    LineDoubled,
    /// A line of another text.
    LineForeign,
    /// A line that is not asked for.
    LineMore,
    /// The beginning of one text and the end of another.
    Spliced,
    /// Two signatures under each other's names.
    SignaturesSwapped,
    /// The signature of the same key under another text.
    SignatureForeign,
    /// Another time, or other bytes, in a signature.
    SignatureEdited,
    /// A signature with the name or the id of another key.
    SignatureRenamed,
    /// Another origin, in the text or everywhere.
    Origin,
    /// Another number: index, size, old size.
    Number,
    /// A number in another form: leading zero, sign, blank.
    NumberForm,
    /// A hash more or less, or in another place.
    Path,
    /// Another form of the same base64: no padding, more padding, unused bits, the other alphabet, blanks.
    Base64,
    /// Other line ends, a mark of byte order, other dashes.
    Form,
}

/// All of them.
pub const KINDS: [Kind; 22] = [
    Kind::Bit,
    Kind::Byte,
    Kind::Cut,
    Kind::Headless,
    Kind::Inserted,
    Kind::Removed,
    Kind::LineRemoved,
    Kind::LinesSwapped,
    Kind::LineDoubled,
    Kind::LineForeign,
    Kind::LineMore,
    Kind::Spliced,
    Kind::SignaturesSwapped,
    Kind::SignatureForeign,
    Kind::SignatureEdited,
    Kind::SignatureRenamed,
    Kind::Origin,
    Kind::Number,
    Kind::NumberForm,
    Kind::Path,
    Kind::Base64,
    Kind::Form,
];

/// Changes a text; `other` is one of the same kind to take parts from.
pub fn mutated(text: &[u8], other: &[u8], kind: Kind, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.to_vec();
    let place = dice.index(bytes.len());
    match kind {
        Kind::Bit => bytes[place] ^= 1 << dice.index(8),
        Kind::Byte => bytes[place] = byte(dice),
        Kind::Cut => bytes.truncate(place),
        Kind::Headless => drop(bytes.drain(..=place)),
        Kind::Inserted => bytes.insert(place, one(b"\n =+/A0-\r\t\0x", dice)),
        Kind::Removed => drop(bytes.remove(place)),
        _ => {
            let text = String::from_utf8_lossy(text).into_owned();
            let other = String::from_utf8_lossy(other).into_owned();
            return in_lines(&text, &other, kind, dice).into_bytes();
        }
    }
    bytes
}

fn byte(dice: &mut Dice) -> u8 {
    u8::try_from(dice.below(256)).unwrap_or(0)
}

fn one<T: Copy>(of: &[T], dice: &mut Dice) -> T {
    of[dice.index(of.len())]
}

/// Where signature lines are, and the words of each: dash, name, bytes in base64.
fn signatures(lines: &[String]) -> Vec<usize> {
    (0..lines.len())
        .filter(|at| lines[*at].starts_with('\u{2014}'))
        .collect()
}

fn in_lines(text: &str, other: &str, kind: Kind, dice: &mut Dice) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let foreign: Vec<String> = other.split_inclusive('\n').map(str::to_owned).collect();
    let (line, second) = (dice.index(lines.len()), dice.index(lines.len()));
    match kind {
        Kind::LineRemoved => drop(lines.remove(line)),
        Kind::LinesSwapped => lines.swap(line, second),
        Kind::LineDoubled => lines.insert(line, lines[line].clone()),
        Kind::LineForeign => lines[line].clone_from(&foreign[dice.index(foreign.len())]),
        Kind::LineMore => {
            let more = [
                "\n",
                "x\n",
                "extra AQ==\n",
                "index 0\n",
                "old 1\n",
                "# a remark\n",
                "0\n",
                "\u{2014} x AAAAAAA=\n",
            ];
            lines.insert(line, one(&more, dice).to_owned());
        }
        Kind::Spliced => {
            let cut = dice.index(foreign.len());
            lines.truncate(line);
            lines.extend_from_slice(&foreign[cut..]);
        }
        Kind::SignaturesSwapped | Kind::SignatureForeign | Kind::SignatureEdited | Kind::SignatureRenamed => {
            in_signatures(&mut lines, &foreign, kind, dice);
        }
        Kind::Origin => {
            let origin = text
                .split("\n\n")
                .nth(usize::from(text.starts_with("c2sp") || text.starts_with("old")));
            let origin = origin
                .and_then(|body| body.lines().next())
                .unwrap_or_default()
                .to_owned();
            let new = one(&["example.com/other", "x", "flowledger/0", ""], dice);
            let replaced = if dice.percent(50) {
                text.replace(&origin, new)
            } else {
                text.replacen(&origin, new, 1)
            };
            return replaced;
        }
        Kind::Number | Kind::NumberForm => {
            let numbered =
                |line: &&mut String| line.len() < 32 && line.trim_end().ends_with(|c: char| c.is_ascii_digit());
            let mut numbered: Vec<&mut String> = lines.iter_mut().filter(|line| numbered(line)).collect();
            let at = dice.index(numbered.len());
            if let Some(line) = numbered.get_mut(at) {
                let head = line
                    .trim_end()
                    .trim_end_matches(|c: char| c.is_ascii_digit())
                    .to_owned();
                let number: u64 = line.trim_end()[head.len()..].parse().unwrap_or(0);
                let new = if kind == Kind::Number {
                    match dice.below(5) {
                        0 => number.wrapping_add(1),
                        1 => number.wrapping_sub(1),
                        2 => dice.below(400),
                        3 => dice.roll(),
                        _ => 1 << dice.below(64),
                    }
                    .to_string()
                } else {
                    let forms = ["0N", "+N", "-N", " N", "N ", "N.0", "0xN", "N\t", "N,", "٣"];
                    one(&forms, dice).replace('N', &number.to_string())
                };
                **line = format!("{head}{new}\n");
            }
        }
        Kind::Path => in_path(&mut lines, dice),
        Kind::Base64 => in_base64(&mut lines, dice),
        _ => {
            let forms: [fn(&str) -> String; 8] = [
                |text| text.replace('\n', "\r\n"),
                |text| text.replacen('\n', "\r\n", 1),
                |text| format!("\u{feff}{text}"),
                |text| text.replace('\u{2014}', "-"),
                |text| text.replacen('\u{2014}', "\u{2013}", 1),
                |text| text.trim_end().to_owned(),
                |text| format!("{text}\n"),
                |text| text.replace('\n', "\u{2028}"),
            ];
            return one(&forms, dice)(text);
        }
    }
    lines.concat()
}

fn in_path(lines: &mut Vec<String>, dice: &mut Dice) {
    let hashes: Vec<usize> = (0..lines.len())
        .take_while(|at| lines[*at] != "\n")
        .filter(|at| lines[*at].len() == 45)
        .collect();
    let at = if hashes.is_empty() {
        1.min(lines.len() - 1)
    } else {
        one(&hashes, dice)
    };
    match dice.below(4) {
        0 => lines.insert(at, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".to_owned()),
        1 => drop(lines.remove(at)),
        2 if !hashes.is_empty() => lines.swap(at, one(&hashes, dice)),
        _ => lines.insert(at, lines[at].clone()),
    }
}

fn in_signatures(lines: &mut [String], foreign: &[String], kind: Kind, dice: &mut Dice) {
    let places = signatures(lines);
    if places.is_empty() {
        return;
    }
    let (first, second) = (one(&places, dice), one(&places, dice));
    let head_of = |line: &str| {
        line.rsplit_once(' ')
            .map_or((String::new(), String::new()), |(head, bytes)| {
                (head.to_owned(), bytes.to_owned())
            })
    };
    let ((head, bytes), (other_head, other_bytes)) = (head_of(&lines[first]), head_of(&lines[second]));
    match kind {
        Kind::SignaturesSwapped => {
            lines[first] = format!("{head} {other_bytes}");
            lines[second] = format!("{other_head} {bytes}");
        }
        Kind::SignatureForeign => {
            let same = foreign.iter().find(|line| head_of(line).0 == head);
            lines[first] = same.cloned().unwrap_or_default();
        }
        Kind::SignatureRenamed => lines[first] = format!("{other_head} {bytes}"),
        _ => {
            // The first six characters are the key's id and a little of the rest.
            let mut letters: Vec<char> = bytes.chars().collect();
            let at = 6 + dice.index(letters.len().saturating_sub(9));
            if let Some(letter) = letters.get_mut(at) {
                *letter = if *letter == 'A' { 'B' } else { 'A' };
            }
            lines[first] = format!("{head} {}", letters.into_iter().collect::<String>());
        }
    }
}

/// Writes one piece of base64 in a way that some decoders take for the same bytes.
fn in_base64(lines: &mut [String], dice: &mut Dice) {
    let coded: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].trim_end().len() > 20 && !lines[*at].starts_with("c2sp"))
        .collect();
    if coded.is_empty() {
        return;
    }
    let at = one(&coded, dice);
    let line = lines[at].trim_end().to_owned();
    let (head, coded) = line
        .rsplit_once(' ')
        .map_or(("", line.as_str()), |(head, coded)| (head, coded));
    let middle = coded.len() / 2;
    let new = match dice.below(8) {
        0 => coded.trim_end_matches('=').to_owned(),
        1 => format!("{coded}="),
        2 => format!("{coded}===="),
        3 => coded.replace('+', "-").replace('/', "_"),
        4 => unused_bits(coded),
        5 => coded
            .char_indices()
            .map(|(at, c)| if at == middle { format!(" {c}") } else { c.to_string() })
            .collect(),
        6 => coded
            .char_indices()
            .map(|(at, c)| if at == middle { format!("{c}=") } else { c.to_string() })
            .collect(),
        _ => format!("{coded}AA"),
    };
    lines[at] = format!("{head}{}{new}\n", if head.is_empty() { "" } else { " " });
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The same bytes with bits set that stand for nothing.
fn unused_bits(coded: &str) -> String {
    let body = coded.trim_end_matches('=');
    let padding = &coded[body.len()..];
    let last = body.chars().next_back().and_then(|last| ALPHABET.find(last));
    match (last, padding) {
        (Some(last), "=" | "==") => format!("{}{}{padding}", &body[..body.len() - 1], &ALPHABET[last + 1..=last + 1]),
        _ => format!("{coded}A"),
    }
}

/// A key that is known: the name and the id by which its lines are told from others.
#[derive(Clone, Debug)]
pub struct Known {
    /// The name.
    pub name: String,
    /// The first four bytes behind it.
    pub id: [u8; 4],
}

impl Known {
    fn has_signed(&self, line: &str) -> bool {
        let line = line
            .strip_prefix("\u{2014} ")
            .and_then(|line| line.strip_prefix(self.name.as_str()));
        let Some(coded) = line.and_then(|line| line.strip_prefix(' ')) else {
            return false;
        };
        let digits: Option<Vec<usize>> = coded.chars().take(6).map(|c| ALPHABET.find(c)).collect();
        let Some(digits) = digits.filter(|digits| digits.len() == 6) else {
            return false;
        };
        // Six times six bits; the id is the first 32 of them.
        let bits = digits.iter().fold(0_u64, |bits, digit| bits << 6 | *digit as u64);
        bits >> 4 == u64::from(u32::from_be_bytes(self.id))
    }
}

/// The parts of a proof or checkpoint that mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The lines above the checkpoint but for `extra`, which proves nothing.
    pub head: Vec<String>,
    /// The signed lines.
    pub body: String,
    /// The signature lines of keys that are known, each once, in no order.
    pub signatures: BTreeSet<String>,
}

impl Meaning {
    /// Takes a text apart. `None` if it has not got these parts.
    pub fn of(text: &[u8], has_head: bool, known: &[Known]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (head, rest) = if has_head { text.split_once("\n\n")? } else { ("", text) };
        let (body, signatures) = rest.rsplit_once("\n\n")?;
        let mut head: Vec<String> = head.lines().map(str::to_owned).collect();
        if head.get(1).is_some_and(|line| line.starts_with("extra ")) {
            head.remove(1);
        }
        let lines = signatures
            .lines()
            .filter(|line| known.iter().any(|known| known.has_signed(line)));
        Some(Self {
            head,
            body: body.to_owned(),
            signatures: lines.map(str::to_owned).collect(),
        })
    }
}
