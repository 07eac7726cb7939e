//! Where the tokens of a flow stand, as text: equal texts, equal commits to come, where each commit brings all variables.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::fork::{Place, branch_place, flow_place};
use super::{Branch, CALL_ACTIVITY, FlowStatus, Instance, Naive, NodeStatus, Tree};

impl Naive {
    /// The position of a root flow instance; none when it has ended.
    ///
    /// # Panics
    /// When there is no such instance.
    #[must_use]
    pub fn position(&self, flow_instance_id: &str) -> Option<String> {
        let (root, index) = self.find(flow_instance_id).expect("the instance was started");
        let tree = &self.trees[root];
        (tree.instances[index].status == FlowStatus::Running).then(|| flow_position(tree, index))
    }

    /// The keys of the elements that a flow instance came to, failed attempts included.
    ///
    /// # Panics
    /// When there is no such instance.
    #[must_use]
    pub fn visited(&self, flow_instance_id: &str) -> BTreeSet<String> {
        let instance = self.instance(flow_instance_id);
        instance.nodes.iter().map(|node| node.key.clone()).collect()
    }

    /// Whether a fork was entered in one of its own branches.
    ///
    /// # Panics
    /// When there is no such instance.
    #[must_use]
    pub fn is_nested_in_itself(&self, flow_instance_id: &str) -> bool {
        let instance = self.instance(flow_instance_id);
        instance.nodes.iter().any(|node| {
            let mut around = node.branch;
            while let Some(Branch { fork, .. }) = around {
                if instance.nodes[fork].key == node.key {
                    return true;
                }
                around = instance.nodes[fork].branch;
            }
            false
        })
    }

    fn instance(&self, flow_instance_id: &str) -> &Instance {
        let (root, index) = self.find(flow_instance_id).expect("the instance was started");
        &self.trees[root].instances[index]
    }
}

fn flow_position(tree: &Tree, index: usize) -> String {
    let instance = &tree.instances[index];
    flow_place(instance).map_or_else(String::new, |place| place_text(tree, instance, &place))
}

fn place_text(tree: &Tree, instance: &Instance, place: &Place) -> String {
    match place {
        Place::At(at) => {
            let node = &instance.nodes[*at];
            if node.status != NodeStatus::Active {
                return "-".to_owned();
            }
            let mut text = node.key.clone();
            if node.kind == CALL_ACTIVITY {
                let _ = write!(text, "{:?}", node.entry);
                for sub in &node.subs {
                    let _ = write!(text, "({})", flow_position(tree, *sub));
                }
            }
            text
        }
        Place::Arrived(_) => "-".to_owned(),
        Place::Unbegun => "?".to_owned(),
        Place::Forked(fork) => {
            let node = &instance.nodes[*fork];
            let mut text = format!("{}{:?}[", node.key, node.leave);
            for number in &node.opened {
                let branch = Branch {
                    fork: *fork,
                    number: *number,
                };
                let _ = write!(
                    text,
                    "{number}:{} ",
                    place_text(tree, instance, &branch_place(instance, branch))
                );
            }
            text.push(']');
            for join in &instance.nodes {
                if join.fork == Some(*fork) && join.status == NodeStatus::Waiting {
                    let arrivals = join.arrivals.iter().map(|arrival| (arrival.number, &arrival.data));
                    let _ = write!(text, "<{} {:?}>", join.key, arrivals.collect::<Vec<_>>());
                }
            }
            text
        }
    }
}
