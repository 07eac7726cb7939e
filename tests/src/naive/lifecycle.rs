//! Suspend, resume, abort and restore: an instance is held, and nothing in it changes.

use super::{During, FlowStatus, Naive, Tree};
use crate::scenario::{Answer, Body, Lifecycle, Transition};

const SUSPENDED: i64 = 5;
const ABORTED: i64 = 6;

impl Tree {
    /// The code that commits and rollbacks get while the instance is held.
    pub(super) fn held(&self) -> Result<(), i64> {
        match (self.aborted, self.suspended) {
            (true, _) => Err(7400),
            (false, true) => Err(7406),
            (false, false) => Ok(()),
        }
    }

    /// The status of a flow instance as queries show it: sub flow instances that run are held with the root.
    pub(super) fn status_number(&self, index: usize) -> i64 {
        let status = self.instances[index].status;
        match self.held() {
            Err(code) if status == FlowStatus::Running => {
                if code == 7400 {
                    ABORTED
                } else {
                    SUSPENDED
                }
            }
            _ => status.number(),
        }
    }
}

impl Naive {
    pub(super) fn do_lifecycle(&mut self, root: usize, lifecycle: &Lifecycle) -> (Answer, bool) {
        match self.transition(root, lifecycle) {
            Ok(tree) => {
                let body = Body::Lifecycle(tree.status_number(0));
                self.trees[root] = tree;
                (Answer { code: 1000, body }, true)
            }
            Err(code) => (self.refuse(code, During::Other), false),
        }
    }

    fn transition(&self, root: usize, lifecycle: &Lifecycle) -> Result<Tree, i64> {
        let mut tree = self.trees[root].clone();
        let has_ended = tree.instances[0].status != FlowStatus::Running;
        match lifecycle.transition {
            Transition::Suspend | Transition::Resume if has_ended => return Err(7413),
            Transition::Suspend | Transition::Resume if tree.aborted => return Err(7400),
            Transition::Suspend if tree.suspended => return Err(7406),
            Transition::Resume if !tree.suspended => return Err(7413),
            Transition::Abort if has_ended => return Err(7404),
            Transition::Abort if tree.aborted => return Err(7400),
            Transition::Restore if has_ended => return Err(7405),
            Transition::Restore if !tree.aborted => return Err(7401),
            Transition::Suspend => tree.suspended = true,
            Transition::Resume => tree.suspended = false,
            Transition::Abort => tree.aborted = true,
            Transition::Restore => tree.aborted = false,
        }
        has_reason(&tree, lifecycle)?;
        Ok(tree)
    }
}

/// The reason is one of the flow's where it offers some, else any words.
fn has_reason(tree: &Tree, lifecycle: &Lifecycle) -> Result<(), i64> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let offered = tree.instances[0].model.reason_options.get(lifecycle.transition.name());
    match (offered, given(&lifecycle.reason_option)) {
        (Some(offered), Some(option)) if offered.contains(&option) => Ok(()),
        (_, Some(_)) => Err(7403),
        (Some(_), None) => Err(7402),
        (None, None) => given(&lifecycle.reason).map(|_| ()).ok_or(7402),
    }
}
