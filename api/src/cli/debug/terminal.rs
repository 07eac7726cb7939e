//! The debugger in a terminal: reads keys, draws, and leaves the terminal as it was, whatever happens. Knows not what is drawn.

use std::io;

use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::app::{App, Next};
use super::key::Key;
use super::resize;
use super::view::{self, Theme};

/// Puts the terminal back when it is dropped.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        // A panic has done it already, before its message; once more would set the cursor back into that.
        if !std::thread::panicking() {
            // Whoever has no terminal any more cannot be helped.
            let _ = ratatui::try_restore();
        }
    }
}

/// Shows the debugger until it is quit.
pub(super) fn show(mut app: App, theme: Theme) -> io::Result<()> {
    let _restored = Restored;
    let mut terminal = ratatui::try_init()?;
    let size = terminal.size()?;
    resize(&mut app, size.width, size.height);
    loop {
        terminal.draw(|frame| view::draw(frame, &app, theme))?;
        match event::read()? {
            Event::Key(event) if event.kind != KeyEventKind::Release => {
                let next = Key::of(event).map_or(Next::Go, |key| app.update(key));
                if next == Next::Quit {
                    return Ok(());
                }
            }
            Event::Resize(columns, rows) => resize(&mut app, columns, rows),
            _ => {}
        }
    }
}
