//! A stream of events that accepts commands: the shape both deciders have. Knows no flow.

use crate::context::{Context, Question};
use crate::event::{Given, Record};
use crate::rejection::Rejection;
use crate::result_code::ResultCode;

/// A stream of events that accepts commands.
pub trait Decider: Default + Clone {
    /// What can be asked.
    type Command: Clone + PartialEq;
    /// What can happen.
    type Event: Clone + PartialEq;

    /// Chooses the events `given` causes. Pure: same arguments, same result.
    ///
    /// # Errors
    /// A command that is refused; it leaves no trace.
    fn decide(&self, given: &Given<Self::Command>, context: &Context<'_>) -> Result<Decision<Self>, Rejection>;

    /// Notes that a record begins: its version, time and command id.
    fn begin(&mut self, given: &Given<Self::Command>);

    /// Folds one event in. Total: facts cannot be refused.
    fn apply(&mut self, given: &Given<Self::Command>, event: &Self::Event);

    /// Version of the stream: the number of records folded in.
    fn version(&self) -> u64;

    /// Folds one record in.
    fn apply_record(&mut self, record: &Record<Self::Command, Self::Event>) {
        self.begin(&record.given);
        for event in &record.events {
            self.apply(&record.given, event);
        }
    }
}

/// What a command comes to.
#[must_use]
pub enum Decision<D: Decider> {
    /// Facts to append, in order, and the state behind them.
    Record {
        /// The facts; never empty.
        events: Vec<D::Event>,
        /// The state with the facts folded in.
        state: D,
    },
    /// Nothing to append; the answer is this code at the present state.
    Unchanged(ResultCode),
    /// Answer this and decide again; nothing has happened yet.
    Ask(Question),
}

/// Events of one decision, each applied the moment it is recorded: what a decision sees is what replay will see.
pub struct Recorder<'g, D: Decider> {
    state: D,
    given: &'g Given<D::Command>,
    events: Vec<D::Event>,
}

impl<'g, D: Decider> Recorder<'g, D> {
    /// Starts from a state; the record begins.
    pub fn new(state: &D, given: &'g Given<D::Command>) -> Self {
        let mut state = state.clone();
        state.begin(given);
        Self {
            state,
            given,
            events: Vec::new(),
        }
    }

    /// The state with all events so far.
    pub fn state(&self) -> &D {
        &self.state
    }

    /// The command the events belong to.
    pub fn given(&self) -> &'g Given<D::Command> {
        self.given
    }

    /// The events so far.
    pub fn events(&self) -> &[D::Event] {
        &self.events
    }

    /// Records one event.
    pub fn record(&mut self, event: D::Event) {
        self.state.apply(self.given, &event);
        self.events.push(event);
    }

    /// What was recorded.
    pub fn finish(self) -> Decision<D> {
        Decision::Record {
            events: self.events,
            state: self.state,
        }
    }
}
