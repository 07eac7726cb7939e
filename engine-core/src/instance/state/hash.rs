//! The hash of a folded flow instance. Every member of the fold is named here, so a new one cannot be forgotten.

use super::{Flow, FlowInstance, Hold, NodeInstance, PlugInTrace, Undone};
use crate::event::PlugInWayBack;
use crate::instance::branch::{Arrival, Branch, Join};
use crate::state_hash::{FORM, Pen, Written, hash_of};

impl FlowInstance {
    /// The hash of everything that its stream tells: equal on every release that reads the stream alike.
    pub fn state_hash(&self) -> [u8; 32] {
        hash_of(|pen| self.write(pen))
    }

    fn write(&self, pen: &mut Pen) -> Written {
        let Self {
            last_recorded_at,
            commands,
            // An estimate, not a fact.
            data_bytes: _,
            flows,
            nodes,
            branches,
            done,
            // Saves a search; the nodes tell what failed.
            has_failed: _,
            holds,
            undone,
        } = self;
        pen.list(10)?;
        pen.number(FORM)?;
        pen.text("instance")?;
        pen.time(*last_recorded_at)?;
        pen.commands(commands.iter())?;
        pen.each(flows.iter(), |pen, flow| write_flow(pen, flow))?;
        pen.each(nodes.iter(), |pen, node| write_node(pen, node))?;
        pen.each(branches.iter(), write_branch)?;
        pen.version(*done)?;
        pen.each(holds.iter(), |pen, hold| write_hold(pen, hold))?;
        pen.each(undone.iter(), |pen, undone| write_undone(pen, undone))
    }
}

fn write_flow(pen: &mut Pen, flow: &Flow) -> Written {
    let Flow {
        flow_instance_id,
        flow_deploy_id,
        flow_module_id,
        tenant,
        caller,
        parent,
        status,
        start_data,
        created_at,
        modified_at,
    } = flow;
    pen.list(10)?;
    pen.id(flow_instance_id.id())?;
    pen.id(flow_deploy_id.id())?;
    pen.id(flow_module_id.id())?;
    pen.optional_text(tenant.as_ref())?;
    pen.optional_text(caller.as_ref())?;
    pen.optional(parent.as_ref(), |pen, parent| pen.id(parent.id()))?;
    pen.number(status.number())?;
    pen.snapshot(start_data)?;
    pen.time(*created_at)?;
    pen.time(*modified_at)
}

fn write_node(pen: &mut Pen, node: &NodeInstance) -> Written {
    let NodeInstance {
        id,
        flow,
        key,
        element_type,
        is_task,
        source,
        branch,
        join,
        plug_in,
        sub_flow,
        // Stands on the record of the commit; the form of the hash is older than this member.
        operator: _,
        status,
        entry,
        leave,
        done,
        created_at,
        modified_at,
        created_version,
    } = node;
    pen.list(17)?;
    pen.id(id.id())?;
    pen.count(flow.0)?;
    pen.text(key)?;
    pen.number(element_type.number())?;
    pen.flag(*is_task)?;
    pen.optional(source.as_ref(), |pen, source| pen.id(source.id()))?;
    pen.optional(*branch, |pen, branch| pen.count(branch.place()))?;
    pen.optional(join.as_deref(), write_join)?;
    pen.optional(plug_in.as_deref(), write_trace)?;
    pen.optional(*sub_flow, |pen, flow| pen.count(flow.0))?;
    pen.number(status.number())?;
    pen.snapshot(entry)?;
    pen.snapshot(leave)?;
    pen.version(*done)?;
    pen.time(*created_at)?;
    pen.time(*modified_at)?;
    pen.version(*created_version)
}

fn write_branch(pen: &mut Pen, branch: &Branch) -> Written {
    let Branch { fork, number, flow } = branch;
    pen.list(3)?;
    pen.count(*fork)?;
    pen.number(*number)?;
    pen.text(flow)
}

fn write_join(pen: &mut Pen, join: &Join) -> Written {
    let Join {
        fork,
        arrivals,
        early,
        fired_by,
        closed,
        terminated,
    } = join;
    pen.list(6)?;
    pen.id(fork.id())?;
    pen.each(arrivals.iter(), |pen, arrival| {
        let Arrival { source, branch, data } = arrival;
        pen.list(3)?;
        pen.id(source.id())?;
        pen.count(branch.place())?;
        pen.snapshot(data)
    })?;
    pen.flag(*early)?;
    pen.optional(fired_by.as_ref(), |pen, task| pen.id(task.id()))?;
    pen.each(closed.iter(), |pen, node| pen.id(node.id()))?;
    pen.each(terminated.iter(), |pen, flow| pen.id(flow.id()))
}

fn write_trace(pen: &mut Pen, trace: &PlugInTrace) -> Written {
    let PlugInTrace {
        payload,
        entry_payload,
        way_back,
    } = trace;
    pen.list(3)?;
    for payload in [payload, entry_payload] {
        // In a list, so that null is not the same as none.
        pen.each(payload.iter(), Pen::value)?;
    }
    pen.flag(matches!(way_back, PlugInWayBack::On))
}

fn write_hold(pen: &mut Pen, hold: &Hold) -> Written {
    let Hold {
        status,
        actor,
        reason,
        reason_option,
        at,
    } = hold;
    pen.list(5)?;
    pen.number(status.number())?;
    pen.actor(actor)?;
    pen.optional_text(reason.as_ref())?;
    pen.optional_text(reason_option.as_ref())?;
    pen.time(*at)
}

fn write_undone(pen: &mut Pen, undone: &Undone) -> Written {
    let Undone {
        superseded,
        opened,
        flows,
    } = undone;
    pen.list(3)?;
    pen.each(superseded.iter(), |pen, (node, status)| {
        pen.list(2)?;
        pen.id(node.id())?;
        pen.number(status.number())
    })?;
    pen.each(opened.iter(), |pen, node| pen.id(node.id()))?;
    pen.each(flows.iter(), |pen, (flow, status)| {
        pen.list(2)?;
        pen.id(flow.id())?;
        pen.number(status.number())
    })
}
