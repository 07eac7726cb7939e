//! A bar on standard error for work on the log that may take long, if that is a terminal and a person reads it; otherwise nothing.

use flowledger::LogProgress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::session::Session;

/// How progress looks on a terminal.
const PROGRESS: &str = "{bar:40} {human_pos} of {human_len} records, {eta} left";

/// A bar; gone when it is dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar that shows itself with the first progress.
    pub(crate) fn new(session: &Session) -> Self {
        if session.out.is_json() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0);
        // The template is a constant; a bar of another look is still a bar.
        if let Ok(style) = ProgressStyle::with_template(PROGRESS) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows how far the work is.
    pub(crate) fn show(&self, progress: LogProgress) {
        self.0.set_length(progress.of);
        self.0.set_position(progress.position);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
