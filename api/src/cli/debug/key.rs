//! Keys as the debugger takes them, from a terminal or written down. Knows not what they do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character.
    Char(char),
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    /// Control and C: the end, wherever one is.
    Interrupt,
    /// Control and U: what was typed is gone.
    Clear,
}

/// The names of keys that are no character.
const NAMES: [(&str, Key); 15] = [
    ("Enter", Key::Enter),
    ("Esc", Key::Escape),
    ("Tab", Key::Tab),
    ("BackTab", Key::BackTab),
    ("Backspace", Key::Backspace),
    ("Up", Key::Up),
    ("Down", Key::Down),
    ("Left", Key::Left),
    ("Right", Key::Right),
    ("Home", Key::Home),
    ("End", Key::End),
    ("PageUp", Key::PageUp),
    ("PageDown", Key::PageDown),
    ("Space", Key::Char(' ')),
    ("lt", Key::Char('<')),
];

impl Key {
    /// The key of a terminal's event; `None` where it means nothing.
    pub(super) fn of(event: KeyEvent) -> Option<Self> {
        let is_control = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('c') if is_control => Some(Self::Interrupt),
            KeyCode::Char('u') if is_control => Some(Self::Clear),
            KeyCode::Char(_) if is_control || event.modifiers.contains(KeyModifiers::ALT) => None,
            KeyCode::Char(character) => Some(Self::Char(character)),
            KeyCode::Enter => Some(Self::Enter),
            KeyCode::Esc => Some(Self::Escape),
            KeyCode::Tab => Some(Self::Tab),
            KeyCode::BackTab => Some(Self::BackTab),
            KeyCode::Backspace => Some(Self::Backspace),
            KeyCode::Up => Some(Self::Up),
            KeyCode::Down => Some(Self::Down),
            KeyCode::Left => Some(Self::Left),
            KeyCode::Right => Some(Self::Right),
            KeyCode::Home => Some(Self::Home),
            KeyCode::End => Some(Self::End),
            KeyCode::PageUp => Some(Self::PageUp),
            KeyCode::PageDown => Some(Self::PageDown),
            _ => None,
        }
    }
}

/// Keys as they are written down: characters, without blanks between them, and names in angle brackets.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or_default();
        let Some((name, behind)) = after.split_once('>').filter(|_| character == '<') else {
            if character == '<' {
                return Err(format!("{rest}: a key's name ends with >; < itself is written <lt>"));
            }
            if !character.is_whitespace() {
                keys.push(Key::Char(character));
            }
            rest = after;
            continue;
        };
        let named = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((_, key)) = named else {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "there is no key <{name}>; the named ones are {}",
                known.join(", ")
            ));
        };
        keys.push(*key);
        rest = behind;
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_characters_and_names_in_angle_brackets() {
        assert_eq!(
            keys("j d2<Enter> <space><lt>").unwrap(),
            [
                Key::Char('j'),
                Key::Char('d'),
                Key::Char('2'),
                Key::Enter,
                Key::Char(' '),
                Key::Char('<')
            ]
        );
        assert!(keys("<Nothing>").is_err() && keys("<").is_err());
    }
}
