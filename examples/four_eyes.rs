//! Adds an element type of one's own: an approval that takes two people, and remembers the first.
//!
//! Run it with `cargo run -p flowledger --example four_eyes`.

use flowledger::event::InstanceEvent;
use flowledger::plug_in::{ElementPlugIn, ElementVisit, Step};
use flowledger::{
    Actor, AnyRecord, BlockingEngine, CommitTaskParam, DeployModel, Element, Engine, FlowInstanceId, NodeInstanceId,
    StartProcessParam, Value,
};

/// start -> pay (type 40) -> end.
const PAYMENT: &str = r#"{"flowElementList":[
  {"key":"start","type":2,"outgoing":["f1"]},
  {"key":"f1","type":1,"incoming":["start"],"outgoing":["pay"]},
  {"key":"pay","type":40,"incoming":["f1"],"outgoing":["f2"],"properties":{"name":"Approve the payment","people":2}},
  {"key":"f2","type":1,"incoming":["pay"],"outgoing":["end"]},
  {"key":"end","type":3,"incoming":["f2"]}]}"#;

/// Waits until as many different people as the property `people` says have committed.
struct FourEyes;

fn people(element: &Element) -> Result<usize, String> {
    match element.property("people") {
        Some(Value::Int(people)) if (2..=10).contains(people) => Ok(usize::try_from(*people).unwrap_or(2)),
        _ => Err("people is not a number from 2 to 10".to_owned()),
    }
}

impl ElementPlugIn for FourEyes {
    fn name(&self) -> &'static str {
        "four-eyes"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        40
    }

    fn validate(&self, element: &Element) -> Result<(), Vec<String>> {
        people(element).map(|_| ()).map_err(|wrong| vec![wrong])
    }

    fn enter(&self, _: &ElementVisit<'_>) -> Result<Step, String> {
        Ok(Step::wait())
    }

    fn commit(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        let person = visit.actor.operator.as_deref().ok_or("name the operator")?;
        let mut approved = match visit.payload {
            Some(Value::List(people)) => people.to_vec(),
            _ => Vec::new(),
        };
        if approved.contains(&person.into()) {
            return Err(format!("{person} has approved already; it takes somebody else"));
        }
        approved.push(person.into());
        let step = if approved.len() < people(visit.element)? {
            Step::wait()
        } else {
            Step::pass().variable("approvedBy", approved.clone())
        };
        Ok(step.payload(approved))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder().in_memory().element(FourEyes).open()?.blocking();
    let wrong = PAYMENT.replace("\"people\":2", "\"people\":1");
    let refused = engine.deploy_model(DeployModel::new("payment", &wrong));
    println!("people=1 is refused: {}\n", refused.err().ok_or("it deploys")?);

    let deployed = engine.deploy_model(DeployModel::new("payment", PAYMENT))?;
    let started =
        engine.start_process(StartProcessParam::of_module(deployed.flow_module_id).variable("amount", 900))?;
    let id = started.flow_instance_id.ok_or("no instance")?;
    let pay = started.active_task_instance.ok_or("no task")?.node_instance_id;

    assert_eq!(approve(&engine, &id, &pay, "ann"), 1002, "one is not enough");
    assert_eq!(approve(&engine, &id, &pay, "ann"), 4001, "the same person again");
    let node = engine.get_node_instance(&id, pay.clone())?.node_instance;
    println!("approved so far by {}", node.plug_in_payload.unwrap_or_default());
    assert_eq!(approve(&engine, &id, &pay, "bob"), 1000, "the flow has ended");

    // Each step of the plug-in is on the record, with its name and version: reading it calls no plug-in.
    println!("\nThe record:");
    for record in engine.instance_records(id)? {
        let AnyRecord::Instance(record) = &record.record else {
            continue;
        };
        println!("version {}", record.given.envelope.version);
        for event in &record.events {
            match event {
                InstanceEvent::PlugInStepped {
                    plug_in,
                    waits,
                    payload,
                    ..
                } => {
                    let does = if *waits { "waits" } else { "has passed" };
                    let payload = payload
                        .as_ref()
                        .map_or_else(|| "nothing".to_owned(), ToString::to_string);
                    println!(
                        "  plug-in {} {} {does}, remembers {payload}",
                        plug_in.name, plug_in.version
                    );
                }
                InstanceEvent::CommitFailed { code, detail, .. } => println!("  commit failed: {code} {detail}"),
                InstanceEvent::FlowCompleted => println!("  the flow is completed"),
                _ => {}
            }
        }
    }
    engine.close()?;
    Ok(())
}

/// Commits the approval; the code of the answer.
fn approve(engine: &BlockingEngine, id: &FlowInstanceId, task: &NodeInstanceId, person: &str) -> i32 {
    let mut commit = CommitTaskParam::new(id, task);
    commit.options.actor = Some(Actor {
        operator: Some(person.into()),
        ..Actor::default()
    });
    print!("{person} approves: ");
    match engine.commit_task(commit) {
        Ok(result) => {
            println!("{} {}", result.err_code, result.err_msg);
            result.err_code
        }
        Err(error) => {
            println!("{error}");
            error.err_code()
        }
    }
}
