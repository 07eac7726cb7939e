//! What of a flow instance decides about its future, as text: equal texts, equal answers to come, up to ids and to what
//! no longer counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Naive, Tree};

/// Flow instance and node instance.
type Place = (usize, usize);

impl Naive {
    /// The canonical form of a root flow instance.
    ///
    /// # Panics
    /// When there is no such instance.
    #[must_use]
    pub fn canonical(&self, flow_instance_id: &str) -> String {
        let (root, _) = self.find(flow_instance_id).expect("the instance was started");
        let mut text = form(&self.trees[root]);
        for before in &self.before_rollbacks[root] {
            text.push_str("\nbefore a rollback\n");
            text.push_str(&form(before));
        }
        text
    }
}

fn form(tree: &Tree) -> String {
    let mut instances = vec![0];
    let mut numbers: BTreeMap<Place, usize> = BTreeMap::new();
    let mut next = 0;
    while let Some(index) = instances.get(next).copied() {
        next += 1;
        for (at, node) in tree.instances[index].nodes.iter().enumerate() {
            if node.counts() {
                numbers.insert((index, at), numbers.len());
                instances.extend(
                    node.subs
                        .iter()
                        .filter(|sub| !instances.contains(sub))
                        .copied()
                        .collect::<Vec<_>>(),
                );
            }
        }
    }
    // The order of completion decides only about the order of compensations.
    let mut completions: Vec<usize> = Vec::new();
    for (index, at) in numbers.keys() {
        let instance = &tree.instances[*index];
        let node = &instance.nodes[*at];
        let element = instance.model.element(&node.key);
        if element.is_some_and(|element| element.text("onRollback").starts_with("compensate")) {
            completions.push(node.completed_as);
        }
    }
    completions.sort_unstable();
    let mut text = format!("{} {}\n", tree.suspended, tree.aborted);
    for index in instances {
        let instance = &tree.instances[index];
        let number = |at: usize| numbers.get(&(index, at)).copied();
        let place = |place: Option<Place>| place.map(|place| numbers.get(&place).copied());
        let _ = writeln!(
            text,
            "{index} {} {:?} {:?} {:?} {:?}",
            instance.module,
            instance.parent,
            instance.status,
            instance.last_end.map(number),
            place(instance.terminated_by),
        );
        for (at, node) in instance.nodes.iter().enumerate().filter(|(_, node)| node.counts()) {
            let arrivals: Vec<_> = node
                .arrivals
                .iter()
                .map(|arrival| (number(arrival.node), &arrival.flow, arrival.number, &arrival.data))
                .collect();
            let _ = writeln!(
                text,
                "{:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {arrivals:?} {:?} {:?} {:?}",
                number(at),
                node.key,
                node.status,
                node.source.map(number),
                node.entry,
                node.leave,
                node.subs,
                node.branch.map(|branch| (number(branch.fork), branch.number)),
                node.opened,
                node.unbegun,
                node.fork.map(number),
                node.fired_by.map(number),
                place(node.closed_by),
                completions
                    .iter()
                    .position(|completion| *completion == node.completed_as),
            );
        }
    }
    text
}
