//! Text in cells of a terminal: how wide it is, what fits, where it breaks. Knows no colours.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Cells that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits, with an ellipsis where something is left out.
pub(super) fn fit(text: &str, cells: usize) -> String {
    if text.width() <= cells {
        return text.to_owned();
    }
    let (head, _) = split(text, cells.saturating_sub(1));
    if cells == 0 {
        String::new()
    } else {
        format!("{head}…")
    }
}

/// A text and blanks behind it, to this width.
pub(super) fn padded(text: &str, cells: usize) -> String {
    let mut text = fit(text, cells);
    text.push_str(&" ".repeat(cells.saturating_sub(text.width())));
    text
}

/// A text in lines of at most this width, broken at blanks where it can be; lines behind the first stand `hanging` cells in.
pub(super) fn wrapped(text: &str, cells: usize, hanging: usize) -> Vec<String> {
    let hanging = if hanging * 2 > cells { 0 } else { hanging };
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let indent = if lines.is_empty() { 0 } else { hanging };
        let (head, tail) = split(rest, cells.saturating_sub(indent).max(1));
        let end = if tail.is_empty() || tail.starts_with(' ') {
            head.len()
        } else {
            // A break in the indentation, or in a column of names, would only make an empty line.
            let least = if lines.is_empty() { hanging } else { 0 };
            let broken = head.rfind(' ').filter(|at| {
                let before = head.get(..*at).unwrap_or_default();
                before.trim_end().width() >= least && !before.trim().is_empty()
            });
            broken.unwrap_or(head.len())
        };
        let (line, left) = rest.split_at_checked(end).unwrap_or((rest, ""));
        lines.push(format!("{}{line}", " ".repeat(indent)));
        // A wide character may not fit where there is one cell; it is left out.
        rest = if end == 0 {
            after_first(left)
        } else {
            left.trim_start_matches(' ')
        };
        if rest.is_empty() {
            return lines;
        }
    }
}

fn after_first(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

/// The beginning of a text that fits, and what is left.
fn split(text: &str, cells: usize) -> (&str, &str) {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        taken += character.width().unwrap_or(0);
        if taken > cells {
            return text.split_at_checked(at).unwrap_or((text, ""));
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_by_cells() {
        assert_eq!(fit("approve", 7), "approve");
        assert_eq!(fit("approve", 4), "app…");
        assert_eq!(fit("请假审批", 5), "请假…");
        assert_eq!(fit("请假审批", 4), "请…");
        assert_eq!(fit("approve", 0), "");
        assert_eq!(padded("请", 4), "请  ");
    }

    #[test]
    fn long_lines_break_at_blanks_and_hang() {
        assert_eq!(wrapped("one two three", 7, 2), ["one two", "  three"]);
        assert_eq!(wrapped("abcdefgh", 3, 0), ["abc", "def", "gh"]);
        assert_eq!(wrapped("", 3, 0), [""]);
        assert_eq!(wrapped("    abcdef", 6, 4), ["    ab", "cdef"]);
        assert_eq!(wrapped("key  abcdefgh", 10, 5), ["key  abcde", "     fgh"]);
        assert_eq!(wrapped("请假", 1, 0), ["", ""]);
        for cells in 0..12 {
            assert!(wrapped("one two three 请假审批", cells, 4).len() < 40);
        }
    }
}
