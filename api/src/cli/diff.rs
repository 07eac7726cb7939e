//! In what two moments of an instance, or of two, differ.

use clap::Args;
use flowledger::{AsOf, DiffSide, InstanceDiff, InstanceQuery, NodeSeen, ResultCode, Written};
use serde::Serialize;

use crate::cli::arguments;
use crate::cli::failure::Failure;
use crate::cli::session::{Access, Session};
use crate::cli::words;

/// How moments are written.
pub(crate) const DIFF_HELP: &str =
    "A moment is INSTANCE, INSTANCE@VERSION or INSTANCE@TIME. As the second one, @VERSION or @TIME stands for the
same instance; without a second one it is compared with how it stands now.

  flowledger instance diff 4f4ac4ef-…@2 @5

Node instances are matched by where they stand: check#2 is the second visit of check.";

/// Which moments.
#[derive(Args)]
pub(crate) struct DiffArgs {
    /// The one moment
    #[arg(value_name = "INSTANCE[@MOMENT]", value_parser = moment)]
    left: Moment,
    /// The other moment
    #[arg(value_name = "[INSTANCE]@MOMENT", value_parser = moment)]
    right: Option<Moment>,
}

/// An instance, or none to mean the same, at a moment.
#[derive(Clone)]
struct Moment {
    instance: String,
    as_of: Option<AsOf>,
}

fn moment(text: &str) -> Result<Moment, String> {
    let (instance, as_of) = match text.split_once('@') {
        Some((instance, as_of)) => (instance, Some(arguments::as_of(as_of)?)),
        None => (text, None),
    };
    Ok(Moment {
        instance: instance.to_owned(),
        as_of,
    })
}

/// A difference as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Differs<'a> {
    err_code: i32,
    err_msg: &'a str,
    #[serde(flatten)]
    diff: &'a InstanceDiff,
}

/// Compares two moments.
pub(crate) fn run(session: &Session, args: DiffArgs) -> Result<(), Failure> {
    let DiffArgs { left, right } = args;
    let right = right.unwrap_or(Moment {
        instance: String::new(),
        as_of: None,
    });
    let same = |instance: String| {
        if instance.is_empty() {
            left.instance.clone()
        } else {
            instance
        }
    };
    let right = query(same(right.instance), right.as_of);
    let left = query(left.instance.clone(), left.as_of);
    let engine = session.open(Access::Existing)?;
    let diff = engine.diff(left, engine.engine(), right)?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        let success = ResultCode::Success.entry();
        return Ok(out.json(&Differs {
            err_code: success.number,
            err_msg: success.text,
            diff: &diff,
        })?);
    }
    for (number, (header, rows)) in tables(&diff).into_iter().enumerate() {
        if number > 0 {
            out.blank()?;
        }
        out.table(0, &header, rows)?;
    }
    if diff.is_empty() {
        out.blank()?;
        out.line("Nothing differs.")?;
    }
    Ok(())
}

/// The header and the rows of a table.
pub(crate) type Table = ([&'static str; 3], Vec<Vec<String>>);

/// A difference as tables: what is compared, then the elements and the variables that differ, where there are any.
pub(crate) fn tables(diff: &InstanceDiff) -> Vec<Table> {
    let nodes = diff.nodes.iter().map(|node| {
        vec![
            node.place.to_string(),
            status(node.left.as_ref()),
            status(node.right.as_ref()),
        ]
    });
    let variables = diff.variables.iter().map(|variable| {
        vec![
            variable.key.to_string(),
            written(variable.left.as_ref()),
            written(variable.right.as_ref()),
        ]
    });
    let mut tables = vec![
        (["", "left", "right"], sides(diff)),
        (["element", "left", "right"], nodes.collect()),
        (["variable", "left", "right"], variables.collect()),
    ];
    tables.retain(|(_, rows)| !rows.is_empty());
    tables
}

fn query(instance: String, as_of: Option<AsOf>) -> InstanceQuery {
    InstanceQuery {
        as_of,
        ..InstanceQuery::new(instance)
    }
}

/// The rows that say what is compared.
fn sides(diff: &InstanceDiff) -> Vec<Vec<String>> {
    let row =
        |name: &str, tell: &dyn Fn(&DiffSide) -> String| vec![name.to_owned(), tell(&diff.left), tell(&diff.right)];
    let tasks = |side: &DiffSide| {
        let tasks: Vec<String> = side.active_tasks.iter().map(ToString::to_string).collect();
        if tasks.is_empty() {
            "-".to_owned()
        } else {
            tasks.join(", ")
        }
    };
    let mut rows = vec![
        row("version", &|side| side.version.to_string()),
        row("status", &|side| words::instance_status(side.status).to_owned()),
        row("waits at", &tasks),
    ];
    if diff.left.flow_instance_id != diff.right.flow_instance_id {
        rows.insert(0, row("instance", &|side| side.flow_instance_id.to_string()));
    }
    rows
}

fn status(node: Option<&NodeSeen>) -> String {
    node.map_or("-", |node| words::node_status(node.status)).to_owned()
}

/// A value, and which version wrote it.
fn written(variable: Option<&Written>) -> String {
    variable.map_or_else(
        || "-".to_owned(),
        |written| {
            let by = written
                .operator
                .as_deref()
                .map(|by| format!(" by {}", words::plain(by)));
            format!(
                "{} (version {}{})",
                words::value(&written.value),
                written.version,
                by.unwrap_or_default()
            )
        },
    )
}
