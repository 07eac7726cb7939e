//! Texts in a picture: how wide they are, roughly, where they break, and how they are kept from being anything but text.

/// Text that a viewer can be given: without control characters, which XML does not allow, and without those that change
/// the direction of what follows, which could make it look like something else.
pub(super) fn plain(text: &str) -> String {
    let is_unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    let fit = text.chars().map(|c| match c {
        '\t' | '\n' | '\r' => ' ',
        c if is_unfit(c) => '\u{fffd}',
        c => c,
    });
    fit.collect()
}

/// Text for the content or an attribute of XML.
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// How wide a character is in hundredths of the size of its font, in a wide font.
fn character(c: char) -> i64 {
    match c {
        ' ' | 'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '(' | ')' | '[' | ']' => 36,
        'f' | 't' | 'r' | '-' | '/' => 43,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '&' => 98,
        'A'..='Z' | '=' | '<' | '>' | '+' | '_' => 78,
        c if c.is_ascii() => 64,
        c if c < '\u{1100}' => 78,
        _ => 104,
    }
}

/// How wide a text is, in pixels.
pub(super) fn width(text: &str, size: i64) -> i64 {
    let hundredths: i64 = text.chars().map(character).sum();
    (hundredths * size + 99) / 100
}

/// The beginning of a text that is no wider than this, with an ellipsis where more follows.
pub(super) fn shortened(text: &str, size: i64, most: i64) -> String {
    let mut short = String::new();
    let mut wide = 0;
    let room = most * 100 - character('…') * size;
    let mut rest = text.chars();
    for c in rest.by_ref() {
        wide += character(c) * size;
        if wide > room {
            // What is left may fit just as well as an ellipsis.
            let tail: String = std::iter::once(c).chain(rest.by_ref().take(2)).collect();
            if rest.next().is_none() && width(&short, size) + width(&tail, size) <= most {
                short.push_str(&tail);
                return short;
            }
            return short.trim_end().to_owned() + "…";
        }
        short.push(c);
    }
    short
}

/// A text in lines that are no wider than this, at most so many; the last one has an ellipsis where more follows.
pub(super) fn wrapped(text: &str, size: i64, most: i64, lines: usize) -> Vec<String> {
    let text = plain(text);
    let mut rest = text.trim();
    let mut wrapped = Vec::new();
    while !rest.is_empty() && wrapped.len() < lines {
        if wrapped.len() + 1 == lines {
            wrapped.push(shortened(rest, size, most));
            break;
        }
        let mut wide = 0;
        let mut end = rest.len();
        let mut after_word = None;
        for (at, c) in rest.char_indices() {
            wide += character(c) * size;
            // A blank at the end takes no room.
            if wide > most * 100 && !c.is_whitespace() {
                end = at;
                break;
            }
            if c.is_whitespace() || matches!(c, '-' | '_' | '/' | '.' | ',') {
                after_word = Some(at + c.len_utf8());
            }
        }
        let at_word = after_word.filter(|at| end < rest.len() && *at * 3 > end);
        // At least one character, so that it comes to an end.
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let at = at_word.unwrap_or(end).max(first);
        let (line, more) = rest.split_at_checked(at).unwrap_or((rest, ""));
        wrapped.push(line.trim_end().to_owned());
        rest = more.trim_start();
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_wider_than_they_may_be_and_lose_nothing_before_the_last() {
        for text in [
            "Put it on file",
            "averyveryveryveryverylongwordwithoutanybreak",
            "同意还是不同意这个申请的问题",
            "a b c d e f g",
            "",
        ] {
            let lines = wrapped(text, 12, 60, 9);
            assert!(lines.iter().all(|line| width(line, 12) <= 60), "{lines:?}");
            let without_blanks = |text: &str| text.replace(' ', "");
            assert_eq!(without_blanks(&lines.concat()), without_blanks(text));
            let short = wrapped(text, 12, 60, 1);
            assert!(
                short.len() <= 1 && short.iter().all(|line| width(line, 12) <= 60),
                "{short:?}"
            );
        }
        assert_eq!(wrapped("Put it on file", 12, 60, 1), ["Put it…"]);
        assert_eq!(
            wrapped("W", 12, 1, 3),
            ["W"],
            "one character stands on a line that is too narrow for it"
        );
    }

    #[test]
    fn nothing_but_text_is_left() {
        assert_eq!(
            xml("<a href='\"&\u{0}\u{202e}\n>"),
            "&lt;a href=&#39;&quot;&amp;\u{fffd}\u{fffd} &gt;"
        );
    }
}
