//! What answers and queries show.

use super::{
    CALL_ACTIVITY, END_EVENT, FlowStatus, Instance, Node, NodeStatus, Rest, SEQUENCE_FLOW, Tree, USER_TASK,
    calling_node, fork,
};
use crate::scenario::{Answer, Body, ElementView, NodeView, Runtime, TaskView, Variables};

impl Tree {
    /// A token rests at a node instance, with the data it came there with.
    pub(super) fn rest(&mut self, instance: usize, node: usize) {
        let data = self.instances[instance].nodes[node].entry.clone();
        self.rest_with(instance, node, data);
    }

    /// A token rests at a node instance.
    pub(super) fn rest_with(&mut self, instance: usize, node: usize, data: Variables) {
        self.rests.push(Rest { instance, node, data });
    }

    /// With a sub flow instance, every call activity around it rests.
    pub(super) fn rest_around(&mut self, index: usize) {
        let mut index = index;
        while let Some(parent) = self.instances[index].parent {
            let call = calling_node(self, index);
            self.rest(parent, call);
            index = parent;
        }
    }

    /// The answer to a start or commit: where tokens came to rest.
    pub(super) fn came_to_rest(&self) -> Answer {
        runtime(self, 0, &self.rests, None)
    }

    /// The answer to a rollback.
    pub(super) fn rolled_back(&self) -> Answer {
        runtime(self, 0, &self.rests, Some(1003))
    }

    /// The answer to a commit that changes nothing: every active task, branches in their order.
    pub(super) fn position(&self) -> Answer {
        let mut rests = Vec::new();
        for (instance, content) in self.instances.iter().enumerate() {
            for node in fork::active_tasks(content) {
                let data = content.nodes[node].entry.clone();
                rests.push(Rest { instance, node, data });
            }
        }
        runtime(self, 0, &rests, None)
    }
}

fn is_still_there(node: &Node) -> bool {
    match node.kind {
        END_EVENT => node.status == NodeStatus::Completed,
        USER_TASK | CALL_ACTIVITY => node.status == NodeStatus::Active,
        _ => node.status == NodeStatus::Waiting,
    }
}

/// Without `code`, the code that fits where the flow stands.
fn runtime(tree: &Tree, index: usize, rests: &[Rest], code: Option<i64>) -> Answer {
    let instance = &tree.instances[index];
    let has_ended = matches!(instance.status, FlowStatus::Completed | FlowStatus::End);
    let shown: Vec<(&Rest, &Node)> = rests
        .iter()
        .filter(|rest| rest.instance == index)
        .map(|rest| (rest, &instance.nodes[rest.node]))
        .filter(|(_, node)| is_still_there(node))
        .collect();
    let has_task = shown
        .iter()
        .any(|(_, node)| matches!(node.kind, USER_TASK | CALL_ACTIVITY));
    let tasks = shown.iter().map(|(rest, node)| TaskView {
        node: node.id.clone(),
        model_key: node.key.clone(),
        status: node.status.number(),
        variables: rest.data.clone(),
        sub: node
            .subs
            .last()
            .map(|sub| runtime(tree, *sub, rests, code))
            .into_iter()
            .collect(),
    });
    let body = Runtime {
        flow_instance: instance.id.clone(),
        status: instance.status.number(),
        tasks: tasks.collect(),
        compensations: match index {
            0 if code == Some(1003) => tree.compensations.clone(),
            _ => Vec::new(),
        },
    };
    let code = match code {
        _ if has_ended => 1000,
        Some(code) => code,
        None if has_task => 1002,
        None => 1601,
    };
    Answer {
        code,
        body: Body::Runtime(body),
    }
}

pub(super) fn node_view(node: &Node) -> NodeView {
    NodeView {
        node: node.id.clone(),
        model_key: node.key.clone(),
        status: node.status.number(),
    }
}

pub(super) fn user_tasks(tree: &Tree, index: usize, effective: bool) -> Vec<NodeView> {
    let mut list = Vec::new();
    for node in tree.instances[index].nodes.iter().rev() {
        if !matches!(node.status, NodeStatus::Completed | NodeStatus::Active) {
            continue;
        }
        match node.kind {
            USER_TASK => list.push(node_view(node)),
            CALL_ACTIVITY if effective => {
                list.extend(
                    node.subs
                        .last()
                        .map(|sub| user_tasks(tree, *sub, effective))
                        .unwrap_or_default(),
                );
            }
            _ => {}
        }
    }
    list
}

/// The sequence flows by which a node instance was reached: one, or one for each arrival at a join.
fn flows_to(instance: &Instance, node: &Node) -> Result<Vec<String>, i64> {
    let between = |source: usize| {
        let from = instance.model.element(&instance.nodes[source].key).ok_or(4009)?;
        let to = instance.model.element(&node.key).ok_or(4009)?;
        let flow = from.outgoing.iter().find(|key| to.incoming.contains(key)).ok_or(3211)?;
        debug_assert!(
            instance
                .model
                .element(flow)
                .is_some_and(|flow| flow.kind == SEQUENCE_FLOW)
        );
        Ok(flow.clone())
    };
    if !node.is_join() {
        return node.source.map(between).into_iter().collect();
    }
    let arrivals = node.arrivals.iter();
    arrivals
        .map(|arrival| {
            // Branches without nodes go from the fork to the join side by side: each is shown as itself.
            // What a fork opened in an attempt that failed is not on the record.
            let source = &instance.nodes[arrival.node];
            let is_from_fork = !source.opened.is_empty() && source.status != NodeStatus::Failed;
            if is_from_fork {
                Ok(arrival.flow.clone())
            } else {
                between(arrival.node)
            }
        })
        .collect()
}

pub(super) fn elements(tree: &Tree, index: usize, effective: bool) -> Result<Vec<ElementView>, i64> {
    let instance = &tree.instances[index];
    let mut list = Vec::new();
    for node in &instance.nodes {
        for flow in flows_to(instance, node)? {
            let status = if node.status == NodeStatus::Active {
                NodeStatus::Completed
            } else {
                node.status
            };
            list.push(ElementView {
                node: None,
                model_key: flow,
                status: status.number(),
                sub: None,
            });
        }
        let sub = if effective && node.kind == CALL_ACTIVITY {
            let mut inner = Vec::new();
            for sub in &node.subs {
                inner.extend(elements(tree, *sub, effective)?);
            }
            Some(inner)
        } else {
            None
        };
        list.push(ElementView {
            node: Some(node.id.clone()),
            model_key: node.key.clone(),
            status: node.status.number(),
            sub,
        });
    }
    Ok(list)
}

/// T-16: the data of the current position.
pub(super) fn current_data(tree: &Tree, index: usize, effective: bool) -> Variables {
    let instance = &tree.instances[index];
    let Some(place) = fork::flow_place(instance) else {
        return Variables::new();
    };
    if let fork::Place::At(node) = place
        && let (Some(sub), true) = (instance.nodes[node].subs.last(), effective)
    {
        return current_data(tree, *sub, effective);
    }
    fork::data_at(instance, place).unwrap_or_default()
}
