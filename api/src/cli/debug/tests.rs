//! The debugger's screens and keys, without a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flowledger::{
    Actor, BlockingEngine, Clock, CommandOptions, CommitTaskParam, DeployModel, Engine, FlowInstanceId, InstanceFilter,
    ListParam, Profile, RollbackTaskParam, RuntimeResult, StartProcessParam, Timestamp,
};
use ratatui::style::Color;

use super::*;

const SIZE: (u16, u16) = (80, 24);

/// A clock that is set.
#[derive(Clone)]
struct Set(Arc<AtomicI64>);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A leave of the examples: approved, walked back, approved for fewer days, put on file. A command a minute.
fn leave() -> (BlockingEngine, FlowInstanceId) {
    leave_with(60_000)
}

/// The same with so many milliseconds between commands.
fn leave_with(pause: i64) -> (BlockingEngine, FlowInstanceId) {
    let nine: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    let clock = Set(Arc::new(AtomicI64::new(nine.millis())));
    let engine = Engine::builder()
        .in_memory()
        .clock(clock.clone())
        .open()
        .unwrap()
        .blocking();
    let model = include_str!("../../../../examples/models/leave.json");
    let module = engine
        .deploy_model(DeployModel::new("leave", model))
        .unwrap()
        .flow_module_id;
    let options = |operator: &str, id: &str| {
        clock.0.fetch_add(pause, Ordering::Relaxed);
        CommandOptions {
            actor: Some(Actor {
                operator: Some(operator.into()),
                ..Actor::default()
            }),
            command_id: Some(id.into()),
            ..CommandOptions::default()
        }
    };
    let mut start = StartProcessParam::of_module(module).variable("applicant", "Lin");
    start.options = options("Lin", "leave-1");
    let answer = engine.start_process(start).unwrap();
    let instance = answer.flow_instance_id.clone().unwrap();
    let task = |answer: &RuntimeResult| answer.active_task().unwrap().node_instance_id.clone();
    let commit = |task, operator: &str, variables: &[(&str, i64)], id: &str| {
        let mut commit = CommitTaskParam::new(&instance, &task);
        for (key, value) in variables {
            commit = commit.variable(key, *value);
        }
        if id.starts_with("lead") {
            commit = commit.variable("leadAgrees", true);
        }
        commit.options = options(operator, id);
        engine.commit_task(commit).unwrap()
    };
    let answer = commit(task(&answer), "Lin", &[("days", 5)], "request-1");
    let answer = commit(task(&answer), "Wu", &[], "lead-1");
    let mut back = RollbackTaskParam::new(&instance, &task(&answer));
    back.options = options("Wu", "back-1");
    back.options.reason = Some("Lin meant 3 days".into());
    let answer = engine.rollback_task(back).unwrap();
    let answer = commit(task(&answer), "Wu", &[("days", 3)], "lead-2");
    commit(task(&answer), "Zhang", &[], "file-1");
    (engine, instance)
}

fn app(engine: &BlockingEngine, instance: &FlowInstanceId) -> App {
    let mut app = App::new(engine.debugger(instance).unwrap());
    resize(&mut app, SIZE.0, SIZE.1);
    app
}

fn press(app: &mut App, text: &str) -> Next {
    let mut next = Next::Go;
    for key in key::keys(text).unwrap() {
        next = app.update(key);
    }
    next
}

/// The screen behind these keys, pressed at the newest record.
fn screen(keys: &str) -> String {
    let (engine, instance) = leave();
    let mut app = app(&engine, &instance);
    press(&mut app, keys);
    printed(&app, SIZE)
}

/// The screen of the guide, without the instance's id, which no two stores have in common.
fn without_id(screen: &str) -> String {
    let (first, rest) = screen.split_once('\n').unwrap();
    let (_, told) = first.split_at(37);
    format!("{told}\n{rest}")
}

#[test]
fn guide_shows_a_screen_as_it_is() {
    let guide = include_str!("../../../../docs/how-to/debug.md");
    let shown = without_id(&screen("kh"));
    assert!(
        guide.contains(&shown),
        "docs/how-to/debug.md lacks this screen:\n{shown}"
    );
}

#[test]
fn first_record_has_only_new_variables_and_nothing_before_it() {
    let shown = screen("gk");
    for line in [
        "version 1 of 6, event 3 of 3",
        "▸*» request (Leave request) waits",
        "▸* applicant = Lin (new)",
        "this is the first record",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
}

#[test]
fn wide_terminal_has_a_column_for_variables_and_says_more() {
    let (engine, instance) = leave();
    let app = app(&engine, &instance);
    let shown = printed(&app, (160, 30));
    for line in ["end event", "2026-03-02T09:06:00", "v5 Wu 09:05:00"] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    let first = shown.lines().nth(1).unwrap();
    assert!(
        first.contains("Outline") && first.contains("Records") && first.contains("Variables"),
        "{first}"
    );
}

#[test]
fn records_of_several_days_have_dates() {
    let (engine, instance) = leave_with(30 * 3_600_000);
    let app = app(&engine, &instance);
    let shown = printed(&app, SIZE);
    assert!(shown.contains("commitTask request  Lin 03-04 21:00"), "{shown}");
    let wide = printed(&app, (160, 30));
    assert!(
        wide.contains("Lin 2026-03-04T21:00:00") && wide.contains("v5 Wu 03-08 15:00"),
        "{wide}"
    );
}

#[test]
fn pages_say_more_about_what_the_cursor_is_on() {
    for (before, open, lines) in [
        (
            "k",
            "<Enter>",
            &[
                "Record of version 5",
                "answer               1002 Commit task suspend",
                "command id           lead-2",
                "given                days=3 leadAgrees=true",
                "by                   operator Wu",
                " 3  took short_leave (lead_refuses: no, short_leave: yes)",
            ][..],
        ),
        (
            "k<Tab><Tab>kkkk",
            "<Enter>",
            &[
                "Visits of lead (Team lead)",
                "leads to after_lead",
                "Visit 1: rolled back",
                "Visit 2: completed",
                "entered  2026-03-02T09:04:00.000Z, version 4",
                "data     applicant=Lin days=5",
            ],
        ),
        (
            "k<BackTab>j",
            "<Enter>",
            &[
                "Values of leadAgrees",
                "3        2026-03-02T09:03:00.000Z  Wu  true",
                "Wu  (gone)",
            ],
        ),
        (
            "k",
            "d2<Enter>",
            &[
                "Version 2 and version 5",
                "waits at  lead     file",
                "days        5 (version 2 by Lin)  3 (version 5 by Wu)",
            ],
        ),
        ("k", "d5<Enter>", &["Nothing differs."]),
        (
            "k",
            "w",
            &[
                "Why file (Put it on file), waiting",
                "took short_leave to file: days <= 3 is true",
            ],
        ),
        ("", "?", &["Moving in time"]),
        ("", "?G", &["the version that gave a variable its value"]),
    ] {
        let shown = screen(&format!("{before}{open}"));
        for line in lines {
            assert!(shown.contains(line), "{before}{open}: {line}\n{shown}");
        }
        assert_eq!(
            screen(&format!("{before}{open}<Esc>")),
            screen(before),
            "{before}{open}"
        );
    }
}

#[test]
fn jump_goes_to_versions_events_and_times_and_says_why_not() {
    for (typed, position) in [
        ("2", "version 2 of 6, event 2 of 2"),
        ("3.1", "version 3 of 6, event 1 of 4"),
        ("-5", "version 1 of 6"),
        ("2026-03-02T09:03:30Z", "version 3 of 6, event 4 of 4"),
        ("2026-03-03", "version 6 of 6"),
        ("7", "7417: it is at version 6, and has not come to version 7"),
        ("3.9", "version 3 has 4 events"),
        ("3.0", "version 3 has 4 events"),
        ("9.1", "there is no version 9"),
        ("0", "4008: nothing was recorded"),
        ("2020-01-01", "4008: nothing was recorded"),
        ("soon", "soon: it is neither a version"),
    ] {
        let shown = screen(&format!(":{typed}<Enter>"));
        assert!(shown.contains(position), "{typed}: {position}\n{shown}");
    }
    assert_eq!(screen("g:+2<Enter>"), screen("gjj"));
    assert!(screen("d2.1<Enter>").contains("only ends of records are compared"));
    assert_eq!(screen("gd+2<Enter>"), screen("gd3<Enter>"));
    assert_eq!(screen(":<Esc>"), screen(""));
    assert!(screen(":12<Backspace>").contains("jump to (version, version.event, +5, time): 1\n"));
}

#[test]
fn search_goes_from_record_to_record_and_around() {
    for (keys, version, message) in [
        ("g/days<Enter>", 2, "1 of 3: given days = 5"),
        ("g/DAYS<Enter>n", 4, "2 of 3: reason Lin meant 3 days"),
        ("g/days<Enter>nn", 5, "3 of 3: given days = 3"),
        ("g/days<Enter>nnn", 2, "1 of 3: given days = 5"),
        ("g/days<Enter>N", 5, "3 of 3: given days = 3"),
        ("/zhang<Enter>", 6, "1 of 1: by Zhang"),
    ] {
        let shown = screen(keys);
        assert!(
            shown.contains(message) && shown.contains(&format!("version {version} of 6")),
            "{keys}: {message}\n{shown}"
        );
    }
    let unreached = screen("/refused<Enter>");
    assert!(
        unreached.contains("no record has refused; the model has it"),
        "{unreached}"
    );
    assert!(unreached.contains("▸   refused (Leave refused)"), "{unreached}");
    assert!(screen("/nobody<Enter>").contains("nothing has nobody"));
    assert!(screen("n").contains("search first: /"));
    let unreached = screen("<Tab><Tab>Gw");
    assert!(unreached.contains("the flow has not come to refused"), "{unreached}");
}

#[test]
fn debugger_ends_by_its_keys_only() {
    let (engine, instance) = leave();
    for (keys, next) in [
        ("q", Next::Quit),
        ("?q", Next::Go),
        ("?qq", Next::Quit),
        (":q", Next::Go),
        ("<Esc>", Next::Go),
    ] {
        assert_eq!(press(&mut app(&engine, &instance), keys), next, "{keys}");
    }
    for before in ["", "?", "/a"] {
        let mut app = app(&engine, &instance);
        press(&mut app, before);
        assert_eq!(app.update(Key::Interrupt), Next::Quit, "{before}");
    }
}

/// Instances of the golden logs in both profiles, one of `each`.
fn golden(each: usize) -> Vec<(BlockingEngine, Vec<FlowInstanceId>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/0.1.0");
    let logs = [
        ("documented.jsonl", Profile::Documented),
        ("turbo131.jsonl", Profile::Turbo131),
    ];
    let engines = logs.into_iter().map(|(name, profile)| {
        let copy = std::path::Path::new(folder).join(name);
        let engine = Engine::builder().profile(profile).copy(copy).open().unwrap().blocking();
        let all = ListParam {
            limit: Some(1_000),
            ..ListParam::default()
        };
        let list = engine.list_flow_instances(&InstanceFilter::default(), all).unwrap();
        let ids = list
            .flow_instances
            .into_iter()
            .map(|instance| instance.flow_instance_id);
        let ids = ids.step_by(each).collect();
        (engine, ids)
    });
    engines.collect()
}

#[test]
fn every_screen_of_the_golden_logs_is_the_same_from_before_from_behind_and_by_jump() {
    let mut screens = 0;
    for (engine, instances) in golden(2) {
        for instance in instances {
            let mut app = app(&engine, &instance);
            press(&mut app, "<Home>");
            while app.update(Key::Left) == Next::Go && app.message.is_none() {}
            app.update(Key::Escape);
            let mut seen = vec![(app.debugger().position(), printed(&app, SIZE))];
            loop {
                app.update(Key::Right);
                if app.message.is_some() {
                    break;
                }
                seen.push((app.debugger().position(), printed(&app, SIZE)));
            }
            app.update(Key::Escape);
            for (position, earlier) in seen.iter().rev() {
                assert_eq!(&printed(&app, SIZE), earlier, "{instance} {position:?}, from behind");
                app.update(Key::Left);
            }
            for (position, earlier) in seen.iter().step_by(5) {
                press(&mut app, &format!(":{}.{}<Enter>", position.version, position.event));
                assert_eq!(&printed(&app, SIZE), earlier, "{instance} {position:?}, by jump");
            }
            screens += seen.len();
        }
    }
    assert!(screens > 150, "{screens}");
}

/// Numbers that look like chance and are the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

const ALL_KEYS: [&str; 31] = [
    "j",
    "k",
    "l",
    "h",
    "<Space>",
    "<Backspace>",
    "g",
    "G",
    "<PageDown>",
    "<PageUp>",
    "<Tab>",
    "<BackTab>",
    "<Enter>",
    "<Esc>",
    "/",
    ":",
    "d",
    "n",
    "N",
    "?",
    "w",
    "1",
    "2",
    ".",
    "a",
    "<Down>",
    "<Up>",
    "/a<Enter>",
    ":2<Enter>",
    "d1<Enter>",
    "请",
];

#[test]
fn any_keys_on_any_size_give_a_screen() {
    let sizes = [(1, 1), (12, 3), (40, 10), (41, 11), (80, 24), (133, 50), (300, 12)];
    for (engine, instances) in golden(3) {
        for (seed, instance) in instances.iter().enumerate() {
            let mut dice = Dice(seed as u64);
            let mut app = app(&engine, instance);
            let mut pressed = Vec::new();
            for _ in 0..30 {
                let key = ALL_KEYS[dice.below(ALL_KEYS.len())];
                pressed.push(key);
                if press(&mut app, key) == Next::Quit {
                    break;
                }
                let size = sizes[dice.below(sizes.len())];
                resize(&mut app, size.0, size.1);
                let shown = printed(&app, size);
                assert_eq!(shown.lines().count(), usize::from(size.1), "{pressed:?}");
                for line in shown.lines() {
                    assert!(text::width(line) <= usize::from(size.0), "{pressed:?}: {line}");
                    assert!(!line.chars().any(char::is_control), "{pressed:?}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn colours_say_nothing_that_words_and_marks_do_not() {
    let (engine, instance) = leave();
    let mut app = app(&engine, &instance);
    press(&mut app, "kk");
    let drawn = |has_colours| {
        let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).unwrap();
        terminal
            .draw(|frame| view::draw(frame, &app, Theme { has_colours }))
            .unwrap();
        terminal.backend().buffer().clone()
    };
    let (plain, coloured) = (drawn(false), drawn(true));
    let symbols = |buffer: &ratatui::buffer::Buffer| -> String {
        buffer.content().iter().map(|cell| cell.symbol().to_owned()).collect()
    };
    assert_eq!(symbols(&plain), symbols(&coloured));
    let colours =
        |buffer: &ratatui::buffer::Buffer| buffer.content().iter().filter(|cell| cell.fg != Color::Reset).count();
    assert_eq!(colours(&plain), 0);
    assert!(colours(&coloured) > 20);
}

#[test]
fn what_callers_store_does_not_steer_the_terminal() {
    let engine = Engine::builder().in_memory().open().unwrap().blocking();
    let model = include_str!("../../../../examples/models/leave.json");
    let module = engine
        .deploy_model(DeployModel::new("leave", model))
        .unwrap()
        .flow_module_id;
    let mut start = StartProcessParam::of_module(module)
        .variable("applicant", "\u{1b}[31mLin\r\n\u{9b}2J\tx")
        .variable("请\u{7}假", "👩‍💻 e\u{301}");
    start.options.actor = Some(Actor {
        operator: Some("\u{1b}]0;title\u{7}".into()),
        ..Actor::default()
    });
    start.options.reason = Some("\u{1b}c".into());
    let instance = engine.start_process(start).unwrap().flow_instance_id.unwrap();
    for keys in [
        "",
        "<Enter>",
        "<BackTab><Enter>",
        "<BackTab>j<Enter>",
        "/假<Enter>",
        "/\u{1b}",
        "/\u{1b}[31<Enter>",
        "<Tab><Tab><Enter>",
    ] {
        let mut app = app(&engine, &instance);
        press(&mut app, keys);
        let shown = printed(&app, (120, 40));
        assert!(
            shown.chars().all(|c| c == '\n' || !c.is_control()),
            "{keys:?}: {shown:?}"
        );
    }
}
