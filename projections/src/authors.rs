//! Who wrote an instance's data last: a fold that watches the data at the present position change from record to record.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::event::InstanceRecord;
use flowledger_engine_core::id::{CommandId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance};
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::value::Value;
use serde::Serialize;

use crate::date::Date;
use crate::instance_data::instance_data;

/// A variable at the present position, and the record that made it what it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// Its value.
    pub value: Value,
    /// The version of the instance that gave it this value here: by a command's variables, a hook, a join, a sub flow, or a
    /// rollback that brought it back.
    pub version: u64,
    /// The command of that version.
    pub command_id: CommandId,
    /// The task that it committed, if it was a commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<NodeInstanceId>,
    /// Who gave the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<Arc<str>>,
    /// When.
    pub time: Date,
}

/// An instance and who wrote its data.
#[derive(Clone, Debug, Default)]
pub struct Authors {
    state: FlowInstance,
    written: BTreeMap<Arc<str>, Written>,
}

impl Authors {
    /// Folds a record in.
    pub fn apply(&mut self, record: &InstanceRecord, profile: Profile) {
        self.state.apply_record(record);
        let envelope = &record.given.envelope;
        let data = instance_data(&self.state, FlowIndex::ROOT, true);
        let mut before = std::mem::take(&mut self.written);
        for variable in &data {
            let kept = before
                .remove(&variable.key)
                .filter(|written| written.value == variable.value);
            let written = kept.unwrap_or_else(|| Written {
                value: variable.value.clone(),
                version: envelope.version,
                command_id: envelope.command_id.clone(),
                task: record.given.command.committed_task().cloned(),
                operator: envelope.actor.operator.clone(),
                time: Date::new(envelope.recorded_at, profile),
            });
            self.written.insert(variable.key.clone(), written);
        }
    }

    /// The instance.
    pub fn state(&self) -> &FlowInstance {
        &self.state
    }

    /// The variables at the present position, by key.
    pub fn written(&self) -> &BTreeMap<Arc<str>, Written> {
        &self.written
    }
}
