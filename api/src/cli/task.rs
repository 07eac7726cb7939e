//! Finds the task a command means: by its id, by its element's key, or because only one waits.

use flowledger::event::InstanceCommand;
use flowledger::{
    AnyRecord, BlockingEngine, CommandId, CommandOptions, ElementInstance, InstanceQuery, NodeInstanceId, ResultCode,
    RollbackToParam,
};

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::words;

/// Node status: completed.
const COMPLETED: i32 = 1;
/// Node status: active.
const ACTIVE: i32 = 2;
/// Node status: a join waits for other branches.
pub(crate) const WAITING: i32 = 5;

/// The node instance that a commit or rollback of `instance` means by `task`.
///
/// A command that is on the record already means what it meant there.
pub(crate) fn meant(
    session: &Session,
    engine: &BlockingEngine,
    instance: &str,
    task: Option<&str>,
    command_id: Option<&CommandId>,
) -> Result<NodeInstanceId, Failure> {
    if let Some(recorded) = recorded(engine, instance, command_id)? {
        return Ok(recorded);
    }
    // Histories of an unknown instance are empty in one of the profiles; this is refused in both.
    engine.get_flow_instance(instance)?;
    let nodes = Nodes::of(engine, instance)?;
    match task {
        Some(task) if nodes.waiting_as(task) > 1 => {
            let waiting = nodes.waiting_if(|node| &*node.element.model_key == task);
            Err(session.unusable(format!(
                "several tasks have the key {task}; name one by its id: {waiting}"
            )))
        }
        Some(task) => nodes.named(task).ok_or_else(|| {
            let detail = format!("no task has the id or key {task}; {}", nodes.waiting());
            session.error(ResultCode::NodeInstanceNotFound, detail).into()
        }),
        None => nodes.only(session),
    }
}

/// How to name a waiting task on the command line: by its element's key, unless that would be read as a variable.
pub(crate) fn name(key: &str, id: &NodeInstanceId) -> String {
    if key.contains('=') || key.starts_with('-') {
        id.to_string()
    } else {
        words::argument(key)
    }
}

/// What `rollback --to` means: a node instance of the instance, or else the newest completed visit of an element.
pub(crate) fn target(
    engine: &BlockingEngine,
    instance: &str,
    task: &str,
    options: CommandOptions,
) -> Result<RollbackToParam, Failure> {
    let id = instance.into();
    let param = match engine.get_node_instance(instance, task) {
        Ok(_) => RollbackToParam::node(&id, &task.into()),
        Err(error) if error.code() == ResultCode::NodeInstanceNotFound => RollbackToParam::element(&id, task),
        Err(error) => return Err(error.into()),
    };
    Ok(RollbackToParam { options, ..param })
}

fn recorded(
    engine: &BlockingEngine,
    instance: &str,
    command_id: Option<&CommandId>,
) -> Result<Option<NodeInstanceId>, Failure> {
    let Some(command_id) = command_id else { return Ok(None) };
    let records = engine.instance_records(instance)?;
    Ok(records.into_iter().find_map(|record| match record.record {
        AnyRecord::Instance(record) if record.given.envelope.command_id == *command_id => match record.given.command {
            InstanceCommand::CommitTask { task_instance_id, .. }
            | InstanceCommand::RollbackTask { task_instance_id } => Some(task_instance_id),
            _ => None,
        },
        _ => None,
    }))
}

/// The node instances of an instance, oldest first, those of its sub flow instances included.
pub(crate) struct Nodes(Vec<Node>);

/// One node instance.
struct Node {
    id: NodeInstanceId,
    element: ElementInstance,
    /// Whether it waits for a commit: active, and no task inside it is.
    waits: bool,
}

impl Nodes {
    /// Those of an instance.
    pub(crate) fn of(engine: &BlockingEngine, query: impl Into<InstanceQuery>) -> Result<Self, Failure> {
        let mut nodes = Vec::new();
        collect(
            engine.get_history_element_list(query)?.element_instance_list,
            &mut nodes,
        );
        Ok(Self(nodes))
    }

    /// The tasks that wait.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&NodeInstanceId, &ElementInstance)> {
        self.0
            .iter()
            .filter(|node| node.waits)
            .map(|node| (&node.id, &node.element))
    }

    /// The joins that wait for branches.
    pub(crate) fn waiting_joins(&self) -> impl Iterator<Item = &ElementInstance> {
        self.0
            .iter()
            .map(|node| &node.element)
            .filter(|element| element.status == WAITING)
    }

    /// By id; else by key: the one that waits, else the one completed last, else the last.
    fn named(&self, task: &str) -> Option<NodeInstanceId> {
        let by_id = self.0.iter().find(|node| node.id == NodeInstanceId::new(task));
        let by_key = |status: Option<i32>| {
            self.0.iter().rev().find(|node| {
                &*node.element.model_key == task && status.is_none_or(|status| status == node.element.status)
            })
        };
        by_id
            .or_else(|| by_key(Some(ACTIVE)))
            .or_else(|| by_key(Some(COMPLETED)))
            .or_else(|| by_key(None))
            .map(|node| node.id.clone())
    }

    /// The one that waits. Where none does, any will do: the engine says that the instance has ended.
    fn only(&self, session: &Session) -> Result<NodeInstanceId, Failure> {
        let mut active = self.active();
        match (active.next(), active.next(), self.0.last()) {
            (Some((id, _)), None, _) | (None, _, Some(Node { id, .. })) => Ok(id.clone()),
            _ => Err(session.unusable(format!("name the task; {}", self.waiting()))),
        }
    }

    fn waiting(&self) -> String {
        let waiting = self.waiting_if(|_| true);
        if waiting.is_empty() {
            "none waits".to_owned()
        } else {
            format!("waiting: {waiting}")
        }
    }

    /// How many tasks of an element wait: a flow and its sub flows, or branches, may come to the same key.
    fn waiting_as(&self, key: &str) -> usize {
        let of_key = |node: &&Node| node.waits && &*node.element.model_key == key;
        self.0.iter().filter(of_key).count()
    }

    fn waiting_if(&self, is_meant: impl Fn(&Node) -> bool) -> String {
        let active = self.0.iter().filter(|node| node.waits && is_meant(node));
        let names = active.map(|node| {
            let element = words::element(&node.element.model_key, &node.element.model_name);
            format!("{element} {}", node.id)
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

fn collect(elements: Vec<ElementInstance>, nodes: &mut Vec<Node>) {
    for mut element in elements {
        let inside = element.sub_element_instance_list.take().unwrap_or_default();
        let Some(id) = element.node_instance_id.clone() else {
            continue;
        };
        // After a rollback two call activities may show one sub flow.
        if nodes.iter().all(|node| node.id != id) {
            let waits = element.status == ACTIVE && !any_active(&inside);
            nodes.push(Node { id, element, waits });
        }
        collect(inside, nodes);
    }
}

fn any_active(elements: &[ElementInstance]) -> bool {
    elements
        .iter()
        .any(|element| element.status == ACTIVE || element.sub_element_instance_list.as_deref().is_some_and(any_active))
}
