//! Laws the naive interpreter itself must keep, and proof that comparing with it can fail.

use std::collections::BTreeMap;

use flowledger_tests::conformance::{Bench, NaiveBench};
use flowledger_tests::differential::{SameAnswers, drive};
use flowledger_tests::generate::{Case, calling_case, cases, seeded, serial_case};
use flowledger_tests::scenario::{Body, Operation, Outcome, Profile, Session, Step, Variables};
use proptest::prelude::*;

/// Without forks, rolling back to a task restores the data the task was entered with, at every rollback.
fn rollback_restores_the_prefix(case: &Case) -> Result<(), String> {
    let mut entered: BTreeMap<String, Variables> = BTreeMap::new();
    let mut rolled_back: Option<(String, Variables)> = None;
    let mut commanded = None;
    let mut check = |step: &Step, outcome: &Outcome| {
        if let (Operation::GetInstanceData, Some((key, entry))) = (step.op, &rolled_back) {
            let Body::Variables(data) = &outcome.answer.body else {
                return Err("no data".to_owned());
            };
            if step.effective == Some(true) && step.instance == commanded && data != entry {
                return Err(format!(
                    "data after the rollback to {key}: {data:?}, entered with {entry:?}"
                ));
            }
        }
        if matches!(
            step.op,
            Operation::Start | Operation::Commit | Operation::Rollback | Operation::Terminate
        ) {
            rolled_back = None;
            commanded.clone_from(&step.instance);
            let Body::Runtime(runtime) = &outcome.answer.body else {
                return Ok(());
            };
            let [task] = runtime.tasks.as_slice() else {
                return Err(format!("{} tasks in a flow without forks", runtime.tasks.len()));
            };
            let place = format!("{} {}", runtime.flow_instance, task.model_key);
            // A command given again is answered from memory: its node instance is not new.
            let visit = format!("{place} {}", task.node);
            if outcome.answer.code == 1003 && !entered.contains_key(&visit) {
                let known = entered
                    .iter()
                    .any(|(visit, entry)| visit.starts_with(&place) && *entry == task.variables);
                if !known {
                    return Err(format!("{place} was never entered with {:?}", task.variables));
                }
                rolled_back = Some((place.clone(), task.variables.clone()));
            }
            entered.insert(visit, task.variables.clone());
        }
        Ok(())
    };
    drive(case, Profile::Documented, &mut check)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(100)))]

    #[test]
    fn rollback_restores_what_the_task_was_entered_with(case in serial_case()) {
        rollback_restores_the_prefix(&case).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn comparing_notices_an_answer_that_differs() {
    for cases in [
        (0..100).map(|seed| seeded(&serial_case(), seed)).collect::<Vec<_>>(),
        (0..100).map(|seed| seeded(&calling_case(), seed)).collect(),
    ] {
        let mut noticed = 0;
        for case in cases {
            let subject = NaiveBench.subject(Profile::Turbo131, &case.hook_answer);
            let mut other = SameAnswers {
                session: Session::new(subject, &case.flows),
            };
            assert!(
                drive(&case, Profile::Turbo131, &mut other).is_ok(),
                "one profile, one answer"
            );
            let subject = NaiveBench.subject(Profile::Turbo131, &case.hook_answer);
            let mut other = SameAnswers {
                session: Session::new(subject, &case.flows),
            };
            noticed += usize::from(drive(&case, Profile::Documented, &mut other).is_err());
        }
        // Every case asks the lists of an instance that does not exist, where the profiles differ.
        assert_eq!(noticed, 100);
    }
}
