//! A bar on standard error for work that may take long, if that is a terminal and a person reads it; otherwise nothing.

use std::sync::Arc;

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

/// A bar for work that is counted, to be shown from any thread; gone when the last of its copies is dropped.
#[derive(Clone)]
pub(crate) struct Count(Arc<Bar>);

impl Count {
    /// A bar that shows itself with the first progress.
    pub(crate) fn new(session: &Session, what: &'static str) -> Self {
        let bar = Bar::new(session);
        if let Ok(style) = ProgressStyle::with_template(&PROGRESS.replace("records", what)) {
            bar.0.set_style(style);
        }
        Self(Arc::new(bar))
    }

    /// Shows how far the work is.
    pub(crate) fn show(&self, done: u64, of: u64) {
        self.0.show(LogProgress { position: done, of });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
