//! Every result code, provoked through the engine's own operations; a code that nothing provokes fails the build.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowledger::plug_in::{ElementPlugIn, ElementVisit, JoinStanding, MergeStrategy, Step};
use flowledger::store::{
    Append, AppendError, Appended, BoxFuture, Counters, EventStore, Health, Layout, Offset, Partition, Revision, Store,
    StoreError, Stored, StreamId,
};
use flowledger::{
    BlockingEngine, CodeContext, CommandOptions, CommitTaskParam, CreateFlowParam, DeployFlowParam, DeployFlowResult,
    DeployModel, Engine, EngineBuilder, EngineError, FlowInstanceId, FlowModuleId, FlowSwitchParam, GetFlowModuleParam,
    InstanceData, InstanceQuery, LifecycleParam, Limits, NodeInstanceId, Profile, RedoRollbackParam, ResultCode,
    RollbackTaskParam, RollbackToParam, RuntimeResult, StartProcessParam, TerminateProcessParam, UpdateFlowParam,
};
use flowledger_tests::sketch::flow;
use serde_json::{Value, json};

use crate::fixture::{LINE, deployed, instance_and_task, memory, opened, started};

/// What came of a provocation: the code of an answer, or the error; and what kind of operation gave it.
struct Told {
    answer: Result<i32, EngineError>,
    context: CodeContext,
}

impl Told {
    fn commit(answer: Result<RuntimeResult, EngineError>) -> Self {
        Self {
            answer: answer.map(|answer| answer.err_code),
            context: CodeContext::Commit,
        }
    }

    fn rollback(answer: Result<RuntimeResult, EngineError>) -> Self {
        Self {
            answer: answer.map(|answer| answer.err_code),
            context: CodeContext::Rollback,
        }
    }

    /// Everything that is neither a commit nor a rollback. What should be refused needs no code of its own.
    fn other<T>(answer: Result<T, EngineError>) -> Self {
        Self {
            answer: answer.map(|_| ResultCode::Success.number()),
            context: CodeContext::Other,
        }
    }

    fn start(answer: Result<RuntimeResult, EngineError>) -> Self {
        Self {
            answer: answer.map(|answer| answer.err_code),
            context: CodeContext::Other,
        }
    }
}

/// A code, and one way to it.
struct Provoked {
    code: ResultCode,
    profiles: &'static [Profile],
    provoke: fn(Profile) -> Told,
}

const BOTH: &[Profile] = &[Profile::Documented, Profile::Turbo131];
const DOCUMENTED: &[Profile] = &[Profile::Documented];
const TURBO131: &[Profile] = &[Profile::Turbo131];

/// One test for each way to a code, and the list of them.
macro_rules! provoked {
    ($($name:ident: $code:ident in $profiles:ident, $provoke:expr;)*) => {
        const PROVOKED: &[Provoked] = &[
            $(Provoked { code: ResultCode::$code, profiles: $profiles, provoke: $provoke },)*
        ];

        $(
            #[test]
            fn $name() {
                Provoked { code: ResultCode::$code, profiles: $profiles, provoke: $provoke }.check();
            }
        )*
    };
}

impl Provoked {
    fn check(&self) {
        for profile in self.profiles {
            let told = (self.provoke)(*profile);
            match told.answer {
                Ok(number) => {
                    assert!(
                        self.code.is_success(),
                        "{profile:?}: {} is answered {number}",
                        self.code
                    );
                    assert_eq!(number, self.code.number(), "{profile:?}");
                }
                Err(error) => {
                    println!("{profile:?}: {error}");
                    check_error(&error, self.code, *profile, told.context);
                }
            }
        }
    }
}

/// The error has the code, in the form that callers of the profile understand, and says what is wrong.
fn check_error(error: &EngineError, code: ResultCode, profile: Profile, context: CodeContext) {
    let nearest = code.nearest_turbo(context);
    // An offline module answers as one without a deployment, in both profiles.
    let is_behind = profile == Profile::Turbo131 || code == ResultCode::ResourceDisabled;
    let number = if is_behind { nearest } else { code.number() };
    assert_eq!(error.err_code(), number, "{profile:?}: {error}");
    let own = error.err_code_ext().unwrap_or(number);
    if number != code.number() {
        assert_eq!(own, code.number(), "{profile:?}: {error}");
    }
    assert!(
        !error.detail().is_empty(),
        "{profile:?}: {error} says no more than its code"
    );
    let json = serde_json::to_value(error.envelope()).expect("an error is JSON");
    assert_eq!(json["errCode"], number, "{profile:?}");
    assert_eq!(
        json["errCodeExt"].as_i64(),
        error.err_code_ext().map(i64::from),
        "{profile:?}"
    );
    let slug = ResultCode::from_number(own).map(|code| code.entry().slug);
    assert_eq!(json["errSlug"].as_str(), slug, "{profile:?}: {error}");
    if profile == Profile::Turbo131 {
        assert!(number < 7000, "callers of the reference engine do not know {number}");
    }
}

/// Codes of the table that never arise, and why.
const RESERVED: &[(ResultCode, &str)] = &[
    (
        ResultCode::NoNodeToRollback,
        "a rollback that finds nothing is 4002 or 4006",
    ),
    (
        ResultCode::InstanceDataNotFound,
        "data is folded from the log and cannot be missing alone",
    ),
    (ResultCode::SaveDataFailed, "data is stored with its command: 4016"),
    (ResultCode::UpdateDataFailed, "data is stored with its command: 7008"),
    (
        ResultCode::Failed,
        "only the nearest code of others, for callers of the reference engine",
    ),
    (
        ResultCode::ParallelTimeout,
        "branches run within one command, without threads",
    ),
    (ResultCode::ParallelReEntry, "a branch comes to a join once"),
    (ResultCode::ForkNotFound, "a branch without its fork is 6005"),
    (ResultCode::GatewayRollback, "every gateway can be rolled back across"),
];

#[test]
fn every_code_is_provoked_or_reserved() {
    let provoked: BTreeSet<ResultCode> = PROVOKED.iter().map(|provoked| provoked.code).collect();
    let reserved: BTreeSet<ResultCode> = RESERVED.iter().map(|(code, _)| *code).collect();
    assert_eq!(reserved.len(), RESERVED.len(), "a code is reserved twice");
    assert!(RESERVED.iter().all(|(_, why)| !why.is_empty()));
    let both: Vec<_> = provoked.intersection(&reserved).collect();
    assert!(both.is_empty(), "reserved, and yet provoked: {both:?}");
    let none = without_a_way(&provoked, &reserved);
    assert!(
        none.is_empty(),
        "nothing provokes {none:?}: give each a way in PROVOKED, or a reason in RESERVED"
    );
    // Without its way, each of them is missed.
    for code in &provoked {
        let mut others = provoked.clone();
        others.remove(code);
        assert_eq!(
            without_a_way(&others, &reserved),
            [format!("{code} ({})", code.entry().slug)]
        );
    }
}

/// The codes of the table that are neither provoked nor reserved.
fn without_a_way(provoked: &BTreeSet<ResultCode>, reserved: &BTreeSet<ResultCode>) -> Vec<String> {
    let missing = ResultCode::ALL
        .iter()
        .filter(|code| !provoked.contains(code) && !reserved.contains(code));
    missing.map(|code| format!("{code} ({})", code.entry().slug)).collect()
}

#[test]
fn every_code_is_provoked_in_both_profiles_or_is_of_one() {
    // 3205 to 3208 and 4012 and 4015 are the document's; the reference engine lets them pass or has another number.
    const OF_ONE: &[ResultCode] = &[
        ResultCode::ModelUnreachable,
        ResultCode::ModelSequencePair,
        ResultCode::ModelRingWithoutTask,
        ResultCode::ModelGatewayNoExit,
        ResultCode::HookConfigMissing,
        ResultCode::ExpressionDataMissing,
    ];
    for code in PROVOKED.iter().map(|provoked| provoked.code) {
        let ways = PROVOKED.iter().filter(|provoked| provoked.code == code);
        let profiles: BTreeSet<&str> = ways
            .flat_map(|provoked| provoked.profiles)
            .map(|profile| match profile {
                Profile::Documented => "documented",
                Profile::Turbo131 => "turbo131",
            })
            .collect();
        let expected = if OF_ONE.contains(&code) { 1 } else { 2 };
        assert_eq!(profiles.len(), expected, "{code} is provoked in {profiles:?}");
    }
}

#[test]
fn table_and_error_page_reserve_the_same_codes() {
    let reserved: BTreeSet<i32> = RESERVED.iter().map(|(code, _)| code.number()).collect();
    let table: BTreeSet<i32> = ResultCode::ALL
        .iter()
        .map(|code| code.entry())
        .filter(|entry| entry.cause.starts_with("Reserved by "))
        .map(|entry| entry.number)
        .collect();
    assert_eq!(table, reserved, "the causes in the table say otherwise");
    let page = include_str!("../../docs/errors.md");
    let paragraph = page
        .split("\n\n")
        .find(|paragraph| paragraph.contains("never arise"))
        .expect("docs/errors.md says which codes never arise");
    let named: BTreeSet<i32> = paragraph
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    assert_eq!(named, reserved, "docs/errors.md says otherwise");
}

provoked! {
    // Answers.
    flow_without_a_task_is_done: Success in BOTH, |profile| {
        Told::start(start(&engine(profile), "start -> end"))
    };
    commit_on_a_completed_flow_changes_nothing: Reentrant in BOTH, |profile| {
        let scene = Scene::new(profile, "start -> ask -> end");
        scene.commit().expect("the flow ends");
        Told::commit(scene.commit())
    };
    flow_stops_at_a_task: CommitSuspended in BOTH, |profile| Told::start(start(&engine(profile), LINE));
    rollback_opens_the_task_before: RollbackSuspended in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let (_, check) = instance_and_task(&scene.commit().expect("the flow goes on"));
        Told::rollback(scene.rollback(&check))
    };
    first_branch_waits_at_the_join: JoinWaiting in BOTH, |profile| {
        Told::commit(Scene::new(profile, FORK).commit())
    };

    // Requests.
    blank_member: InvalidParam in BOTH, |profile| {
        Told::other(engine(profile).create_flow(CreateFlowParam::default()))
    };
    unknown_module_is_a_wrong_parameter_there: InvalidParam in TURBO131, |profile| {
        let unknown = GetFlowModuleParam { flow_module_id: Some("nobody".into()), ..GetFlowModuleParam::default() };
        Told::other(engine(profile).get_flow_module(unknown))
    };
    json_that_does_not_parse: BodyUnreadable in BOTH, |profile| {
        // What the command line does with its JSON arguments; api/tests/cli.rs asks the program itself.
        let error = serde_json::from_str::<StartProcessParam>("{\"flowModuleId\":").expect_err("half an object");
        let detail = error.to_string();
        Told::other(Err::<(), _>(EngineError::of_host(ResultCode::BodyUnreadable, detail, profile)))
    };

    // Definitions.
    calls_that_nest_too_deep: NestingTooDeep in BOTH, |profile| {
        let limits = Limits { call_depth: 1, ..Limits::default() };
        let engine = opened(Engine::builder().profile(profile).limits(limits));
        let inner = deployed(&engine, "start -> call -> end");
        Told::other(deploy(&engine, &calling(&inner)))
    };
    call_that_would_start_too_deep: NestingTooDeep in BOTH, |profile| {
        let limits = Limits { call_depth: 1, ..Limits::default() };
        let engine = opened(Engine::builder().profile(profile).limits(limits));
        let module = deployed(&engine, "start -> call -> end");
        let (instance, call) = started(&engine, &module);
        let inside = engine.commit_task(commit_calling(&instance, &call, &module)).expect("level 1 is allowed");
        let inner = sub_flow(&inside).active_task().expect("it waits at its own call").node_instance_id.clone();
        Told::commit(engine.commit_task(commit_calling(&instance, &inner, &module)))
    };
    module_that_calls_itself: NestingLoop in BOTH, |profile| {
        let engine = engine(profile);
        let module = created(&engine);
        let model = DeployModel::new("main", &calling(&module).to_string()).to_module(module);
        Told::other(engine.deploy_model(model))
    };
    store_that_takes_no_new_module: DefinitionInsertFailed in BOTH, |profile| {
        let (store, engine) = failing(profile);
        store.fails(Fault::Append(AppendError::Unavailable("the disk is full".into())));
        Told::other(engine.create_flow(owned()))
    };
    store_that_takes_no_deployment: DefinitionInsertFailed in BOTH, |profile| {
        let (store, engine) = failing(profile);
        let module = deployed(&engine, LINE);
        store.fails(Fault::Append(AppendError::Unavailable("the disk is full".into())));
        Told::other(engine.deploy_flow(deploying(&module)))
    };
    update_of_an_unknown_module: DefinitionUpdateFailed in BOTH, |profile| {
        Told::other(engine(profile).update_flow(updating(&FlowModuleId::new("nobody"))))
    };
    store_that_takes_no_update: DefinitionUpdateFailed in BOTH, |profile| {
        let (store, engine) = failing(profile);
        let module = created(&engine);
        store.fails(Fault::Append(AppendError::Unavailable("the disk is full".into())));
        Told::other(engine.update_flow(updating(&module)))
    };
    deployment_of_an_unknown_module: FlowNotFound in BOTH, |profile| {
        Told::other(engine(profile).deploy_flow(deploying(&FlowModuleId::new("nobody"))))
    };
    deployment_without_a_model: FlowNotEditing in BOTH, |profile| {
        let engine = engine(profile);
        Told::other(engine.deploy_flow(deploying(&created(&engine))))
    };

    // Models.
    model_without_elements: ModelEmpty in BOTH, |profile| refused(profile, &json!({ "flowElementList": [] }));
    two_start_events: ModelStartCount in BOTH, |profile| {
        refused(profile, &model("start -> ask -> end; start2 -> ask"))
    };
    two_elements_of_one_key: ModelKeyDuplicate in BOTH, |profile| {
        refused(profile, &changed(LINE, "check", "key", json!("ask")))
    };
    model_without_end: ModelNoEnd in BOTH, |profile| refused(profile, &model("start -> ask -> check -> ask"));
    node_that_no_way_leads_to: ModelUnreachable in DOCUMENTED, |profile| {
        refused(profile, &model("start -> ask -> end; lost -> found -> lost"))
    };
    sequence_flow_to_nowhere: ModelSequencePair in DOCUMENTED, |profile| {
        refused(profile, &changed(LINE, "f2", "outgoing", json!(["nowhere"])))
    };
    ring_that_never_waits: ModelRingWithoutTask in DOCUMENTED, |profile| refused(profile, &model(RING));
    gateway_without_exit: ModelGatewayNoExit in DOCUMENTED, |profile| {
        refused(profile, &model("start -> ask -> end; ask -> gate"))
    };
    gateway_flow_without_condition: ModelConditionMissing in BOTH, |profile| {
        refused(profile, &model("start -> gate -> end"))
    };
    two_defaults: ModelDefaultDuplicate in BOTH, |profile| {
        refused(profile, &model("start -> gate -(default)-> end; gate -(default)-> end2"))
    };
    element_of_unknown_type: ModelUnknownElement in DOCUMENTED, |profile| {
        refused(profile, &changed(LINE, "check", "type", json!(5)))
    };
    history_over_nodes_that_are_not_connected: ModelUnknownElement in TURBO131, |profile| {
        let engine = engine(profile);
        let deployed = deploy(&engine, &changed(LINE, "ask", "incoming", json!(["f2"])));
        let module = deployed.expect("a warning only").flow_module_id;
        let (instance, _) = started(&engine, &module);
        Told::other(engine.get_history_element_list(&instance))
    };
    sequence_flow_with_two_sources: ModelTooManyIncoming in BOTH, |profile| {
        refused(profile, &changed(LINE, "f2", "incoming", json!(["ask", "start"])))
    };
    sequence_flow_with_two_targets: ModelTooManyOutgoing in BOTH, |profile| {
        refused(profile, &changed(LINE, "f2", "outgoing", json!(["check", "end"])))
    };
    task_that_is_never_entered: ModelLacksIncoming in BOTH, |profile| {
        refused(profile, &changed(LINE, "check", "incoming", json!([])))
    };
    task_that_is_never_left: ModelLacksOutgoing in BOTH, |profile| {
        refused(profile, &changed(LINE, "check", "outgoing", json!([])))
    };
    call_activity_without_its_type: ModelAttributeMissing in BOTH, |profile| {
        let bare = json!({ "callActivityInstanceType": "single" });
        refused(profile, &changed("start -> call -> end", "call", "properties", bare))
    };
    model_with_a_gap_where_a_proof_is_required: ModelNotProved in BOTH, |profile| {
        let gap = model("start -> ask -> gate; gate -(n > 1)-> end; gate -(n < 1)-> end");
        Told::other(engine(profile).deploy_model(DeployModel::new("gap", &gap.to_string()).require_proof()))
    };
    call_activity_of_another_type: ModelAttributeUnknown in BOTH, |profile| {
        refused(profile, &model("start -> call[callActivityExecuteType=async] -> end"))
    };

    // Running.
    commit_of_a_task_that_was_rolled_back: CommitFailed in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let (_, check) = instance_and_task(&scene.commit().expect("the flow goes on"));
        scene.rollback(&check).expect("the first task opens again");
        Told::commit(scene.engine.commit_task(CommitTaskParam::new(&scene.instance, &check)))
    };
    commit_that_a_plug_in_fails: CommitFailed in BOTH, |profile| {
        let builder = Engine::builder().profile(profile).element(Contrary);
        Told::commit(Scene::of(builder, &model("start -> ask -> end")).commit())
    };
    rollback_of_a_task_that_was_rolled_back: RollbackFailed in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let (_, check) = instance_and_task(&scene.commit().expect("the flow goes on"));
        scene.rollback(&check).expect("the first task opens again");
        Told::rollback(scene.rollback(&check))
    };
    commit_on_a_terminated_flow: CommitOnEnded in BOTH, |profile| Told::commit(Scene::terminated(profile).commit());
    rollback_on_a_terminated_flow: RollbackNotRunning in BOTH, |profile| {
        let scene = Scene::terminated(profile);
        Told::rollback(scene.rollback(&scene.task))
    };
    rollback_to_the_start: NoUserTaskToRollback in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        Told::rollback(scene.rollback(&scene.task))
    };
    start_without_a_deployment: DeploymentNotFound in BOTH, |profile| {
        let engine = engine(profile);
        Told::start(engine.start_process(StartProcessParam::of_module(created(&engine))))
    };
    commit_on_an_unknown_instance: InstanceNotFound in BOTH, |profile| {
        let commit = CommitTaskParam::new(&FlowInstanceId::new("nobody"), &NodeInstanceId::new("nobody"));
        Told::commit(engine(profile).commit_task(commit))
    };
    way_to_an_element_that_the_model_lacks: CurrentNodeNotFound in BOTH, |profile| {
        // The document's rules refuse such a model; one that was deployed under the other's is still there.
        let store = memory();
        let lax = opened(Engine::builder().profile(Profile::Turbo131).store(store.clone()));
        let model = changed(LINE, "f1", "outgoing", json!(["nowhere"]));
        let module = deploy(&lax, &model).expect("a warning only").flow_module_id;
        let engine = opened(Engine::builder().profile(profile).store(store));
        Told::start(engine.start_process(StartProcessParam::of_module(module)))
    };
    commit_of_an_unknown_task: NodeInstanceNotFound in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let commit = CommitTaskParam::new(&scene.instance, &NodeInstanceId::new("nobody"));
        Told::commit(scene.engine.commit_task(commit))
    };
    gateway_that_asks_a_missing_hook: HookConfigMissing in DOCUMENTED, |profile| {
        Told::start(start(&engine(profile), "start -> gate[hookInfoIds=h] -(default)-> end"))
    };
    no_condition_that_holds: NoOutgoingMatches in BOTH, |profile| {
        Told::start(start(&engine(profile), "start -> gate -(1 > 2)-> end"))
    };
    commit_of_what_is_no_task: UnsupportedElement in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let history = scene.engine.get_history_element_list(&scene.instance).expect("a history");
        let first = history.element_instance_list.into_iter().next().expect("the start event");
        let node = first.node_instance_id.expect("a node");
        Told::commit(scene.engine.commit_task(CommitTaskParam::new(&scene.instance, &node)))
    };
    element_of_unknown_type_there: UnsupportedElement in TURBO131, |profile| {
        refused(profile, &changed(LINE, "check", "type", json!(5)))
    };
    condition_on_a_missing_variable: ExpressionDataMissing in DOCUMENTED, |profile| {
        Told::start(start(&engine(profile), "start -> gate -(days > 2)-> end"))
    };
    condition_on_a_missing_variable_there: ExpressionFailed in TURBO131, |profile| {
        Told::start(start(&engine(profile), "start -> gate -(days > 2)-> end"))
    };
    condition_that_divides_by_zero: ExpressionFailed in BOTH, |profile| {
        Told::start(start(&engine(profile), "start -> gate -(1 / 0 > 2)-> end"))
    };
    store_that_takes_no_instance: SaveInstanceFailed in BOTH, |profile| {
        let (store, engine) = failing(profile);
        let module = deployed(&engine, LINE);
        store.fails(Fault::Append(AppendError::Unavailable("the disk is full".into())));
        Told::start(engine.start_process(StartProcessParam::of_module(module)))
    };
    call_without_a_module: CallActivityModelMissing in BOTH, |profile| {
        Told::commit(Scene::new(profile, "start -> call -> end").commit())
    };
    commit_on_a_sub_flow_instance: SubFlowInstanceNotAccepted in BOTH, |profile| {
        let engine = engine(profile);
        let inner = deployed(&engine, LINE);
        let module = deploy(&engine, &calling(&inner)).expect("the flow deploys").flow_module_id;
        let (instance, call) = started(&engine, &module);
        let inside = engine.commit_task(CommitTaskParam::new(&instance, &call)).expect("the call starts");
        let (sub_instance, task) = instance_and_task(sub_flow(&inside));
        Told::commit(engine.commit_task(CommitTaskParam::new(&sub_instance, &task)))
    };
    start_that_a_plug_in_fails: SystemError in BOTH, |profile| {
        let engine = opened(Engine::builder().profile(profile).element(Contrary));
        Told::start(start(&engine, "start -> ask[closed=yes] -> end"))
    };

    // Forks and joins: refused at deploy, or when the flow gets there.
    gateway_that_says_neither_fork_nor_join: GatewayAttributes in BOTH, |profile| {
        let model = changed("start -> fork -> left -> end; fork -> again -> fork", "fork", "properties", json!({}));
        deployed_and_started(profile, &model)
    };
    join_of_another_fork: ForkJoinMismatch in BOTH, |profile| {
        let sketch = "start -> fork -> join -> fork2 -> join2 -> ask -> end; fork -> join; fork2 -> join2";
        let other = json!({ "forkJoinMatch": { "fork": "fork", "join": "join2" } });
        deployed_and_started(profile, &changed(sketch, "join", "properties", other))
    };
    unknown_data_merge: DataMergeUnsupported in BOTH, |profile| {
        deployed_and_started(profile, &model(&straight("dataMerge=Some")))
    };
    data_merge_without_its_strategy: DataMergeUnsupported in BOTH, |profile| {
        deployed_and_started(profile, &model(&straight("dataMerge=Custom")))
    };
    unknown_branch_merge: BranchMergeUnsupported in BOTH, |profile| {
        deployed_and_started(profile, &model(&straight("branchMerge=Most")))
    };
    branch_merge_without_its_strategy: BranchMergeUnsupported in BOTH, |profile| {
        deployed_and_started(profile, &model(&straight("branchMerge=Custom")))
    };
    branches_that_do_not_agree: BranchMergeFailed in BOTH, |profile| {
        let scene = Scene::new(profile, "start -> fork -> left -> join[dataConflict=fail] -> end; fork -> right -> join");
        let tasks = scene.engine.get_history_user_task_list(&scene.instance).expect("tasks").node_instance_list;
        let commit = |task: &NodeInstanceId, value: i32| {
            scene.engine.commit_task(CommitTaskParam::new(&scene.instance, task).variable("a", value))
        };
        commit(&tasks[0].node_instance_id, 1).expect("the first branch comes to the join");
        Told::commit(commit(&tasks[1].node_instance_id, 2))
    };
    merge_that_the_strategy_fails: BranchMergeFailed in BOTH, |profile| {
        let engine = opened(Engine::builder().profile(profile).merge_strategy(Stubborn));
        let module = deployed(&engine, &straight("dataMerge=Custom"));
        Told::start(engine.start_process(StartProcessParam::of_module(module)))
    };

    // The platform.
    two_hooks_of_one_name: ConfigInvalid in BOTH, |profile| {
        let hook = |builder: EngineBuilder| builder.hook_fn("twice", |_| Ok(Vec::new()));
        Told::other(hook(hook(Engine::builder().profile(profile))).open())
    };
    commit_that_the_store_does_not_take: StoreUnavailable in BOTH, |profile| {
        let (store, scene) = Scene::failing(profile);
        store.fails(Fault::Append(AppendError::Unavailable("the disk is full".into())));
        Told::commit(scene.commit())
    };
    rollback_of_unknown_outcome: StoreUnavailable in BOTH, |profile| {
        let (store, scene) = Scene::failing(profile);
        let (_, check) = instance_and_task(&scene.commit().expect("the flow goes on"));
        store.fails(Fault::Append(AppendError::Unknown("the sync failed".into())));
        Told::rollback(scene.rollback(&check))
    };
    query_that_cannot_be_read: StoreUnavailable in BOTH, |profile| {
        let (store, engine) = failing(profile);
        store.fails(Fault::Read(|| StoreError::Unavailable { why: "the store was closed".into() }));
        Told::other(engine.get_instance_data("nobody"))
    };
    way_without_end: Overloaded in BOTH, |profile| {
        let limits = Limits { steps: 3, ..Limits::default() };
        let engine = opened(Engine::builder().profile(profile).limits(limits));
        let long = "start -> gate -(default)-> gate2 -(default)-> gate3 -(default)-> end";
        Told::start(start(&engine, long))
    };
    others_that_are_always_first: Overloaded in BOTH, |profile| {
        let (store, scene) = Scene::failing(profile);
        let (expected, actual) = (Revision::new(1), Revision::new(2));
        store.fails(Fault::Append(AppendError::Conflict { expected, actual }));
        Told::commit(scene.commit())
    };
    commit_that_breaks_an_invariant: InvariantViolated in BOTH, |profile| {
        let builder = Engine::builder().profile(profile).enforce_invariants(true);
        let scene = Scene::of(builder, &with_an_invariant());
        Told::commit(scene.commit())
    };
    update_by_another_tenant: TenantDenied in BOTH, |profile| {
        let engine = opened(Engine::builder().profile(profile).strict_tenancy(true));
        let module = created(&engine);
        let update = UpdateFlowParam { tenant: "another".into(), ..updating(&module) };
        Told::other(engine.update_flow(update))
    };
    start_of_an_offline_module: ResourceDisabled in BOTH, |profile| {
        let engine = engine(profile);
        let module = deployed(&engine, LINE);
        engine.disable_flow(switching(&module)).expect("it goes offline");
        Told::start(engine.start_process(StartProcessParam::of_module(module)))
    };
    call_of_an_offline_module: ResourceDisabled in BOTH, |profile| {
        let scene = Scene::new(profile, "start -> call -> end");
        let module = deployed(&scene.engine, LINE);
        scene.engine.disable_flow(switching(&module)).expect("it goes offline");
        Told::commit(scene.engine.commit_task(commit_calling(&scene.instance, &scene.task, &module)))
    };

    // Who was first.
    command_id_of_another_command: IdempotencyKeyReused in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let commit = CommitTaskParam::new(&scene.instance, &scene.task).command_id("once");
        scene.engine.commit_task(commit.clone()).expect("the flow goes on");
        Told::commit(scene.engine.commit_task(commit.variable("a", 1)))
    };
    commit_at_another_version: VersionConflict in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let mut commit = CommitTaskParam::new(&scene.instance, &scene.task);
        commit.options = at_version(7);
        Told::commit(scene.engine.commit_task(commit))
    };
    rollback_at_another_version: VersionConflict in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let mut rollback = RollbackTaskParam::new(&scene.instance, &scene.task);
        rollback.options = at_version(7);
        Told::rollback(scene.engine.rollback_task(rollback))
    };
    termination_at_another_version: VersionConflict in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let mut terminate = TerminateProcessParam::new(&scene.instance);
        terminate.options = at_version(7);
        Told::other(scene.engine.terminate_process(terminate))
    };

    // Held instances.
    commit_on_an_aborted_flow: AlreadyAborted in BOTH, |profile| Told::commit(Scene::aborted(profile).commit());
    rollback_on_an_aborted_flow: AlreadyAborted in BOTH, |profile| {
        let scene = Scene::aborted(profile);
        Told::rollback(scene.rollback(&scene.task))
    };
    second_abort: AlreadyAborted in BOTH, |profile| {
        let scene = Scene::aborted(profile);
        Told::other(scene.engine.abort_instance(scene.because("again")))
    };
    restoration_of_what_runs: NotAborted in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        Told::other(scene.engine.restore_instance(scene.because("a mistake")))
    };
    suspension_without_a_reason: ReasonRequired in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        Told::other(scene.engine.suspend_instance(scene.because(" ")))
    };
    abort_without_one_of_the_reasons: ReasonRequired in BOTH, |profile| {
        let scene = Scene::of(Engine::builder().profile(profile), &with_reasons());
        Told::other(scene.engine.abort_instance(scene.because("no reason of the list")))
    };
    reason_that_the_flow_does_not_offer: ReasonOptionUnknown in BOTH, |profile| {
        let scene = Scene::of(Engine::builder().profile(profile), &with_reasons());
        Told::other(scene.engine.abort_instance(scene.because("because").reason_option("no such")))
    };
    abort_of_a_terminated_flow: NotAbortable in BOTH, |profile| {
        let scene = Scene::terminated(profile);
        Told::other(scene.engine.abort_instance(scene.because("too late")))
    };
    restoration_of_a_terminated_flow: NotRestorable in BOTH, |profile| {
        let scene = Scene::terminated(profile);
        Told::other(scene.engine.restore_instance(scene.because("too late")))
    };
    commit_on_a_suspended_flow: InstanceSuspended in BOTH, |profile| Told::commit(Scene::suspended(profile).commit());
    rollback_on_a_suspended_flow: InstanceSuspended in BOTH, |profile| {
        let scene = Scene::suspended(profile);
        Told::rollback(scene.rollback(&scene.task))
    };
    second_suspension: InstanceSuspended in BOTH, |profile| {
        let scene = Scene::suspended(profile);
        Told::other(scene.engine.suspend_instance(scene.because("again")))
    };

    // Going far back.
    rollback_to_what_was_never_reached: NodeNotReached in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        Told::rollback(scene.back_to("check"))
    };
    rollback_to_an_active_task: NodeNotCompleted in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let target = RollbackToParam::node(&scene.instance, &scene.task);
        Told::rollback(scene.engine.rollback_to(target))
    };
    rollback_to_a_key_whose_visits_do_not_count: NodeNotCompleted in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        Told::rollback(scene.back_to("ask"))
    };
    rollback_to_what_no_model_has: NodeNotInModel in BOTH, |profile| {
        Told::rollback(Scene::new(profile, LINE).back_to("nowhere"))
    };
    resumption_of_what_runs: TransitionIllegal in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        Told::other(scene.engine.resume_instance(scene.because("go on")))
    };
    rollback_into_a_branch_that_was_closed: TransitionIllegal in BOTH, |profile| {
        // The first to come closes the other branch, in which one task was done already.
        let sketch = "start -> fork -> left -> join[branchMerge=AnyOne] -> after -> end; fork -> right -> last -> join";
        let scene = Scene::new(profile, sketch);
        let commit = |key: &str| {
            let tasks = scene.engine.get_history_user_task_list(&scene.instance).expect("tasks").node_instance_list;
            let task = tasks.into_iter().find(|task| *task.model_key == *key).expect("the task is open");
            let done = scene.engine.commit_task(CommitTaskParam::new(&scene.instance, &task.node_instance_id));
            done.expect("the flow goes on");
        };
        commit("right");
        commit("left");
        Told::rollback(scene.back_to("right"))
    };
    rollback_over_what_forbids_it: RollbackForbidden in BOTH, |profile| {
        let scene = Scene::new(profile, "start -> ask -> pay[onRollback=forbid] -> check -> end");
        let (_, pay) = instance_and_task(&scene.commit().expect("the flow goes on"));
        let commit = CommitTaskParam::new(&scene.instance, &pay);
        scene.engine.commit_task(commit).expect("the flow goes on");
        Told::rollback(scene.back_to("ask"))
    };
    redo_without_a_rollback: NothingToRedo in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        Told::rollback(scene.engine.redo_rollback(RedoRollbackParam::new(&scene.instance)))
    };
    version_that_lies_ahead: VersionNotReached in BOTH, |profile| {
        let scene = Scene::new(profile, LINE);
        let query = InstanceQuery::new(scene.instance.clone()).as_of(2);
        Told::other(scene.engine.get_instance_data(query))
    };

    // The log.
    record_that_is_none: LogCorrupt in BOTH, |profile| {
        let store = memory();
        let scene = Scene::of(Engine::builder().profile(profile).store(store.clone()), &model(LINE));
        append(&store, &scene.instance, 1, b"no record".to_vec());
        let engine = opened(Engine::builder().profile(profile).store(store));
        Told::other(engine.get_instance_data(&scene.instance))
    };
    record_in_anothers_place: LogCorrupt in BOTH, |profile| {
        let store = memory();
        let scene = Scene::of(Engine::builder().profile(profile).store(store.clone()), &model(LINE));
        append(&store, &scene.instance, 1, scene.record());
        let engine = opened(Engine::builder().profile(profile).store(store));
        Told::other(engine.get_instance_data(&scene.instance))
    };
    damaged_stream: LogCorrupt in BOTH, |profile| {
        let (store, scene) = Scene::failing(profile);
        store.fails(Fault::Append(AppendError::Corrupt("record 3 does not match its hash".into())));
        Told::commit(scene.commit())
    };
    damaged_store: LogCorrupt in BOTH, |profile| {
        let (store, engine) = failing(profile);
        store.fails(Fault::Read(|| {
            StoreError::damaged("data, record 3", "the bytes do not match their hash")
        }));
        Told::other(engine.get_instance_data("nobody"))
    };
    record_of_a_newer_release: EventVersionUnsupported in BOTH, |profile| {
        let store = memory();
        let scene = Scene::of(Engine::builder().profile(profile).store(store.clone()), &model(LINE));
        let mut record = scene.record();
        assert_eq!(record[1], 1, "the schema version comes first in the list that a record is");
        record[1] = 23;
        append(&store, &scene.instance, 1, record);
        let engine = opened(Engine::builder().profile(profile).store(store));
        Told::other(engine.get_instance_data(&scene.instance))
    };
}

/// Two branches that meet.
const FORK: &str = "start -> fork -> left -> join -> end; fork -> right -> join";

/// Gateways that lead to each other.
const RING: &str =
    "start -> ask -> gate1; gate1 -(default)-> gate2; gate2 -(stop == true)-> end; gate2 -(default)-> gate1";

/// Branches that come to their join within the start.
fn straight(property: &str) -> String {
    format!("start -> fork -> join[{property}] -> ask -> end; fork -> join")
}

/// An instance that waits at its first task.
struct Scene {
    engine: BlockingEngine,
    instance: FlowInstanceId,
    task: NodeInstanceId,
}

impl Scene {
    fn new(profile: Profile, sketch: &str) -> Self {
        Self::of(Engine::builder().profile(profile), &model(sketch))
    }

    fn of(builder: EngineBuilder, model: &Value) -> Self {
        let engine = opened(builder);
        let module = deploy(&engine, model).expect("the flow deploys").flow_module_id;
        let (instance, task) = started(&engine, &module);
        Self { engine, instance, task }
    }

    /// On a store that can be made to fail.
    fn failing(profile: Profile) -> (Arc<Failing>, Self) {
        let (store, engine) = failing(profile);
        let (instance, task) = started(&engine, &deployed(&engine, LINE));
        (store, Self { engine, instance, task })
    }

    fn terminated(profile: Profile) -> Self {
        let scene = Self::new(profile, LINE);
        scene.engine.terminate_process(&scene.instance).expect("the flow ends");
        scene
    }

    fn aborted(profile: Profile) -> Self {
        let scene = Self::new(profile, LINE);
        scene
            .engine
            .abort_instance(scene.because("a duplicate"))
            .expect("the flow stops");
        scene
    }

    fn suspended(profile: Profile) -> Self {
        let scene = Self::new(profile, LINE);
        scene
            .engine
            .suspend_instance(scene.because("it waits for papers"))
            .expect("the flow stops");
        scene
    }

    fn commit(&self) -> Result<RuntimeResult, EngineError> {
        self.engine
            .commit_task(CommitTaskParam::new(&self.instance, &self.task))
    }

    fn rollback(&self, task: &NodeInstanceId) -> Result<RuntimeResult, EngineError> {
        self.engine.rollback_task(RollbackTaskParam::new(&self.instance, task))
    }

    fn back_to(&self, key: &str) -> Result<RuntimeResult, EngineError> {
        self.engine.rollback_to(RollbackToParam::element(&self.instance, key))
    }

    fn because(&self, reason: &str) -> LifecycleParam {
        LifecycleParam::new(&self.instance, reason)
    }

    /// The bytes of the first record.
    fn record(&self) -> Vec<u8> {
        let records = self.engine.instance_records(self.instance.clone()).expect("records");
        records.first().expect("the start").bytes.to_vec()
    }
}

fn engine(profile: Profile) -> BlockingEngine {
    opened(Engine::builder().profile(profile))
}

fn model(sketch: &str) -> Value {
    flow("main", sketch).flow_model
}

/// The model of a sketch, with one member of one element changed.
fn changed(sketch: &str, key: &str, member: &str, to: Value) -> Value {
    let mut model = model(sketch);
    let elements = model["flowElementList"].as_array_mut().expect("a list");
    let element = elements.iter_mut().find(|element| element["key"] == key);
    element.expect("the sketch has the element")[member] = to;
    model
}

/// A model that calls a module.
fn calling(module: &FlowModuleId) -> Value {
    model(&format!("start -> call[callActivityFlowModuleId={module}] -> end"))
}

/// A model that offers reasons for an abort.
fn with_reasons() -> Value {
    let mut model = model(LINE);
    model["reasonOptions"] = json!({ "abort": ["duplicate", "by the customer"] });
    model
}

/// A model of which nothing may be done.
fn with_an_invariant() -> Value {
    let mut model = model(LINE);
    model["invariants"] = json!([{ "name": "nothing is asked", "never": "visits.ask > 0" }]);
    model
}

fn deploy(engine: &BlockingEngine, model: &Value) -> Result<DeployFlowResult, EngineError> {
    engine.deploy_model(DeployModel::new("main", &model.to_string()))
}

fn refused(profile: Profile, model: &Value) -> Told {
    Told::other(deploy(&engine(profile), model))
}

/// What deploying a model comes to, else what starting it does.
fn deployed_and_started(profile: Profile, model: &Value) -> Told {
    let engine = engine(profile);
    match deploy(&engine, model) {
        Ok(deployed) => Told::start(engine.start_process(StartProcessParam::of_module(deployed.flow_module_id))),
        Err(error) => Told::other(Err::<(), _>(error)),
    }
}

fn start(engine: &BlockingEngine, sketch: &str) -> Result<RuntimeResult, EngineError> {
    engine.start_process(StartProcessParam::of_module(deployed(engine, sketch)))
}

fn owned() -> CreateFlowParam {
    CreateFlowParam {
        tenant: "acme".into(),
        caller: "hr".into(),
        ..CreateFlowParam::default()
    }
}

fn created(engine: &BlockingEngine) -> FlowModuleId {
    engine.create_flow(owned()).expect("a new module").flow_module_id
}

fn updating(module: &FlowModuleId) -> UpdateFlowParam {
    UpdateFlowParam {
        tenant: "acme".into(),
        caller: "hr".into(),
        flow_module_id: module.to_string(),
        flow_model: "{}".into(),
        ..UpdateFlowParam::default()
    }
}

fn deploying(module: &FlowModuleId) -> DeployFlowParam {
    DeployFlowParam {
        tenant: "acme".into(),
        caller: "hr".into(),
        flow_module_id: module.to_string(),
        ..DeployFlowParam::default()
    }
}

fn switching(module: &FlowModuleId) -> FlowSwitchParam {
    FlowSwitchParam {
        flow_module_id: module.to_string(),
        ..FlowSwitchParam::default()
    }
}

fn commit_calling(instance: &FlowInstanceId, call: &NodeInstanceId, module: &FlowModuleId) -> CommitTaskParam {
    CommitTaskParam {
        call_activity_flow_module_id: Some(module.to_string()),
        ..CommitTaskParam::new(instance, call)
    }
}

/// The answer of the sub flow that an answer carries.
fn sub_flow(answer: &RuntimeResult) -> &RuntimeResult {
    let call = answer.active_task_instance.as_ref().expect("the call waits");
    let inside = call.sub_node_result_list.as_ref().expect("a sub flow runs");
    inside.first().expect("one sub flow")
}

fn at_version(version: u64) -> CommandOptions {
    CommandOptions {
        expected_version: Some(version),
        ..CommandOptions::default()
    }
}

/// Puts bytes behind the first records of an instance, past the engine.
fn append(store: &Store, instance: &FlowInstanceId, expected: u64, record: Vec<u8>) {
    let item = Append {
        stream: StreamId::from_bytes(instance.id().to_bytes()),
        expected: Revision::new(expected),
        record: record.into(),
    };
    let answers = pollster::block_on(store.events.append(vec![item]));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// A user task that lets nobody out, and where it is closed nobody in.
struct Contrary;

impl ElementPlugIn for Contrary {
    fn name(&self) -> &'static str {
        "contrary"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        4
    }

    fn enter(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        match visit.element.text_property("closed") {
            Some(_) => Err("no way in".into()),
            None => Ok(Step::wait()),
        }
    }

    fn commit(&self, _: &ElementVisit<'_>) -> Result<Step, String> {
        Err("no way out".into())
    }
}

/// Brings nothing together.
struct Stubborn;

impl MergeStrategy for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn merge(&self, _: &JoinStanding) -> Result<Vec<InstanceData>, String> {
        Err("these do not fit".into())
    }
}

/// What a store in memory is made to answer.
enum Fault {
    Append(AppendError),
    Read(fn() -> StoreError),
}

/// A store in memory that can be made to fail.
struct Failing {
    store: Store,
    fault: Mutex<Option<Fault>>,
}

impl Failing {
    fn fails(&self, fault: Fault) {
        *self.fault.lock().expect("no panic") = Some(fault);
    }

    fn read_fault(&self) -> Result<(), StoreError> {
        match &*self.fault.lock().expect("no panic") {
            Some(Fault::Read(error)) => Err(error()),
            _ => Ok(()),
        }
    }
}

/// A store that works until it is told otherwise, and an engine on it.
fn failing(profile: Profile) -> (Arc<Failing>, BlockingEngine) {
    let store = memory();
    let index = store.index.clone();
    let failing = Arc::new(Failing {
        store,
        fault: Mutex::new(None),
    });
    let events: Arc<dyn EventStore> = failing.clone();
    let engine = opened(Engine::builder().profile(profile).store(Store { events, index }));
    (failing, engine)
}

impl EventStore for Failing {
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        let fault = match &*self.fault.lock().expect("no panic") {
            Some(Fault::Append(error)) => Some(error.clone()),
            _ => None,
        };
        match fault {
            Some(error) => Box::pin(async move { items.iter().map(|_| Err(error.clone())).collect() }),
            None => self.store.events.append(items),
        }
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        match self.read_fault() {
            Err(error) => Box::pin(async move { Err(error) }),
            Ok(()) => self.store.events.read_stream(stream, after, max),
        }
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        match self.read_fault() {
            Err(error) => Box::pin(async move { Err(error) }),
            Ok(()) => self.store.events.read_partition(partition, after, max),
        }
    }

    fn changed(&self, partition: Partition, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.events.changed(partition, after, wait)
    }

    fn layout(&self) -> &Layout {
        self.store.events.layout()
    }

    fn head(&self, partition: Partition) -> Offset {
        self.store.events.head(partition)
    }

    fn counters(&self) -> Counters {
        self.store.events.counters()
    }

    fn health(&self) -> Health {
        self.store.events.health()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.events.close()
    }
}
