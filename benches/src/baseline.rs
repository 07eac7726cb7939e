//! What a team would use instead: the same flow as rows in PostgreSQL, which this starts itself. These are patterns of statements, not the
//! reference engine: what it costs beside its statements is left out.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::load::{Commits, Target, Turns};
use crate::process::{cpu_time, tree_cpu_time};
use crate::workload::{LEAVE, Step, Workload};

/// How the statements of an operation are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// As the reference engine (didi/turbo 1.3.1) gives them: each a transaction of its own, the same rows read again and again, the
    /// model parsed on every call.
    Reference,
    /// As a careful team would write them by hand: one transaction an operation, the flow locked, nothing read twice, the model kept.
    Handwritten,
}

/// A PostgreSQL server of our own in a directory.
pub struct Server {
    directory: PathBuf,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    process: Child,
}

/// The user and the database.
const NAME: &str = "bench";

impl Server {
    /// Makes a cluster in a directory and starts it, with fsync and `synchronous_commit` on. The time added to every flush is waited
    /// for by whoever flushes the write-ahead log, as the other stores do.
    ///
    /// # Errors
    /// No PostgreSQL, or one that does not start.
    pub fn start(directory: &Path, clients: u64, flush_delay: Duration) -> io::Result<Self> {
        let programs = programs().ok_or_else(|| {
            io::Error::other("no PostgreSQL in /usr/lib/postgresql; install Debian's package postgresql")
        })?;
        // The server refuses to be root.
        let user = if fs::metadata("/proc/self")?.uid_is_root() {
            Some(unprivileged()?)
        } else {
            None
        };
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
        let own = directory.join("postgres");
        fs::create_dir(&own)?;
        if let Some((uid, gid)) = user {
            chown(&own, Some(uid), Some(gid))?;
        }
        let data = own.join("data");
        let made = as_user(Command::new(programs.join("initdb")), user)
            .arg("-D")
            .arg(&data)
            .args(["-U", NAME, "-A", "trust", "-E", "UTF8", "--locale=C"])
            .stdout(Stdio::null())
            .current_dir(&own)
            .status()?;
        if !made.success() {
            return Err(io::Error::other("initdb failed"));
        }
        let mut postgres = as_user(Command::new(programs.join("postgres")), user);
        postgres.arg("-D").arg(&data).current_dir(&own);
        let delay = flush_delay.as_micros();
        for setting in [
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={}", own.display()),
            format!("max_connections={}", clients + 16),
            "fsync=on".to_owned(),
            "synchronous_commit=on".to_owned(),
            "shared_buffers=256MB".to_owned(),
            "max_wal_size=4GB".to_owned(),
            format!("commit_delay={delay}"),
            format!("commit_siblings={}", if delay == 0 { 5 } else { 0 }),
        ] {
            postgres.arg("-c").arg(setting);
        }
        let process = postgres.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self {
            directory: own,
            programs,
            user,
            process,
        };
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            match server.ask("postgres", &format!("CREATE DATABASE {NAME}")) {
                Ok(_) => return Ok(server),
                Err(_) if Instant::now() < patience => thread::sleep(Duration::from_millis(50)),
                Err(why) => return Err(io::Error::other(why)),
            }
        }
    }

    fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.directory).user(NAME).dbname(database);
        config
    }

    /// Runs one statement on a connection of its own; the first column of the first row as a number.
    fn ask(&self, database: &str, statement: &str) -> Result<i64, tokio_postgres::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (client, connection) = self.config(database).connect(NoTls).await?;
            let connection = tokio::spawn(connection);
            let rows = client.simple_query(statement).await?;
            drop(client);
            let _ = connection.await;
            let first = rows.iter().find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
                _ => None,
            });
            Ok(first.unwrap_or(0))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = as_user(Command::new(self.programs.join("pg_ctl")), self.user)
            .arg("-D")
            .arg(self.directory.join("data"))
            .args(["stop", "-m", "immediate"])
            .stdout(Stdio::null())
            .current_dir(&self.directory)
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

trait OwnedByRoot {
    fn uid_is_root(&self) -> bool;
}

impl OwnedByRoot for fs::Metadata {
    fn uid_is_root(&self) -> bool {
        std::os::unix::fs::MetadataExt::uid(self) == 0
    }
}

/// The newest PostgreSQL of Debian's packages.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let number = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|version| version.path()).max_by_key(number)?.join("bin");
    newest.join("initdb").exists().then_some(newest)
}

/// User and group of the package's own user, or of nobody.
fn unprivileged() -> io::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres")
        .or_else(|| ids("nobody"))
        .ok_or_else(|| io::Error::other("no user that is not root"))
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    if let Some((uid, gid)) = user {
        command.gid(gid).uid(uid);
    }
    command
}

/// A workload as rows.
pub struct Baseline {
    server: Arc<Server>,
    pattern: Pattern,
    workload: Workload,
    clients: Vec<Mutex<Option<Connected>>>,
    commands: AtomicU64,
}

/// The tables of the reference engine that a run touches, with its indexes (turbo/semantics.md §9.3).
const SCHEMA: &str = "
DROP SCHEMA public CASCADE; CREATE SCHEMA public;
CREATE TABLE em_flow_deployment (id bigserial PRIMARY KEY, flow_deploy_id varchar(128) UNIQUE, flow_module_id varchar(128), flow_name varchar(64),
 flow_key varchar(32), tenant varchar(16), caller varchar(32), flow_model text, status int, create_time timestamptz DEFAULT now(), modify_time timestamptz,
 operator varchar(32), remark varchar(512), archive int DEFAULT 0);
CREATE INDEX ON em_flow_deployment (flow_module_id);
CREATE TABLE ei_flow_instance (id bigserial PRIMARY KEY, flow_instance_id varchar(128) UNIQUE, parent_flow_instance_id varchar(128), flow_deploy_id varchar(128),
 flow_module_id varchar(128), tenant varchar(16), caller varchar(32), status int, create_time timestamptz DEFAULT now(), modify_time timestamptz, archive int DEFAULT 0);
CREATE TABLE ei_node_instance (id bigserial PRIMARY KEY, node_instance_id varchar(128) UNIQUE, flow_instance_id varchar(128), source_node_instance_id varchar(128),
 instance_data_id varchar(128), flow_deploy_id varchar(128), node_key varchar(64), node_type int, source_node_key varchar(64), tenant varchar(16), status int,
 create_time timestamptz DEFAULT now(), modify_time timestamptz, archive int DEFAULT 0);
CREATE INDEX ON ei_node_instance (flow_instance_id, source_node_instance_id, node_key);
CREATE TABLE ei_node_instance_log (id bigserial PRIMARY KEY, node_instance_id varchar(128), flow_instance_id varchar(128), instance_data_id varchar(128),
 node_key varchar(64), type int, tenant varchar(16), status int, create_time timestamptz DEFAULT now(), archive int DEFAULT 0);
CREATE TABLE ei_instance_data (id bigserial PRIMARY KEY, node_instance_id varchar(128), flow_instance_id varchar(128), instance_data_id varchar(128) UNIQUE,
 flow_deploy_id varchar(128), flow_module_id varchar(128), node_key varchar(64), instance_data text, type int, tenant varchar(16),
 create_time timestamptz DEFAULT now(), archive int DEFAULT 0);
CREATE INDEX ON ei_instance_data (flow_instance_id);
";

/// The one deployment there is.
const DEPLOYMENT: &str = "deployment-1";

impl Baseline {
    /// Empty tables, and the deployment.
    pub fn on(server: &Arc<Server>, pattern: Pattern, workload: Workload, clients: u64) -> Self {
        server.ask(NAME, SCHEMA).expect("tables");
        let model = workload_model(workload);
        let insert = format!(
            "INSERT INTO em_flow_deployment (flow_deploy_id, flow_module_id, flow_model, status) VALUES ('{DEPLOYMENT}', 'module-1', $model${model}$model$, 1)"
        );
        server.ask(NAME, &insert).expect("a deployment");
        Self {
            server: server.clone(),
            pattern,
            workload,
            clients: (0..clients).map(|_| Mutex::new(None)).collect(),
            commands: AtomicU64::new(0),
        }
    }

    /// Whether there are statements for a workload: forks and call activities are not written by hand here.
    pub fn can(workload: Workload) -> bool {
        matches!(workload, Workload::Leave | Workload::Rollback)
    }
}

fn workload_model(workload: Workload) -> &'static str {
    match workload {
        Workload::Leave | Workload::Rollback => LEAVE,
        Workload::Parallel | Workload::Call | Workload::Long => "",
    }
}

/// A client's connection, its prepared statements, and where it stands.
struct Connected {
    client: Client,
    statements: Statements,
    at: At,
}

#[derive(Clone, Default)]
struct At {
    flow: String,
    /// The request, once it is there.
    request: String,
    /// The gateway.
    branch: String,
    /// The open task, and its element.
    task: String,
    key: &'static str,
    /// The snapshot it was entered with, and that of the request.
    data: String,
    request_data: String,
    ids: u64,
}

struct Statements {
    deployment: Statement,
    flow: Statement,
    locked_flow: Statement,
    nodes: Statement,
    node: Statement,
    data: Statement,
    again: Statement,
    insert_flow: Statement,
    insert_data: Statement,
    /// By the number of rows, from one.
    insert_nodes: [Statement; 2],
    insert_logs: [Statement; 4],
    update_node: Statement,
    update_flow: Statement,
}

const NODE_COLUMNS: usize = 8;
const LOG_COLUMNS: usize = 6;

fn insert(table: &str, columns: &str, width: usize, rows: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO {table} ({columns}) VALUES {}", rows.join(", "))
}

impl Connected {
    async fn to(server: &Server, client: usize) -> Self {
        let (connected, connection) = server.config(NAME).connect(NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let prepare = async |text: &str| connected.prepare(text).await.expect("a statement");
        let nodes = async |rows| {
            let columns = "node_instance_id, flow_instance_id, source_node_instance_id, instance_data_id, flow_deploy_id, node_key, node_type, status";
            prepare(&insert("ei_node_instance", columns, NODE_COLUMNS, rows)).await
        };
        let logs = async |rows| {
            let columns = "node_instance_id, flow_instance_id, instance_data_id, node_key, type, status";
            prepare(&insert("ei_node_instance_log", columns, LOG_COLUMNS, rows)).await
        };
        let statements = Statements {
            deployment: prepare("SELECT * FROM em_flow_deployment WHERE flow_deploy_id = $1").await,
            flow: prepare("SELECT * FROM ei_flow_instance WHERE flow_instance_id = $1").await,
            locked_flow: prepare("SELECT status FROM ei_flow_instance WHERE flow_instance_id = $1 FOR UPDATE").await,
            nodes: prepare("SELECT * FROM ei_node_instance WHERE flow_instance_id = $1 ORDER BY id DESC").await,
            node: prepare("SELECT * FROM ei_node_instance WHERE node_instance_id = $1").await,
            data: prepare("SELECT instance_data FROM ei_instance_data WHERE instance_data_id = $1").await,
            again: prepare(
                "SELECT * FROM ei_node_instance WHERE flow_instance_id = $1 AND source_node_instance_id = $2 AND node_key = $3 AND status <> 4",
            )
            .await,
            insert_flow: prepare(
                "INSERT INTO ei_flow_instance (flow_instance_id, flow_deploy_id, flow_module_id, status) VALUES ($1, $2, 'module-1', 2)",
            )
            .await,
            insert_data: prepare(
                "INSERT INTO ei_instance_data (instance_data_id, flow_instance_id, node_instance_id, node_key, flow_deploy_id, instance_data, type) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .await,
            insert_nodes: [nodes(1).await, nodes(2).await],
            insert_logs: [logs(1).await, logs(2).await, logs(3).await, logs(4).await],
            update_node: prepare("UPDATE ei_node_instance SET status = $2, instance_data_id = $3, modify_time = now() WHERE node_instance_id = $1").await,
            update_flow: prepare("UPDATE ei_flow_instance SET status = $2, modify_time = now() WHERE flow_instance_id = $1").await,
        };
        let at = At {
            ids: (client as u64) << 40,
            ..At::default()
        };
        Self {
            client: connected,
            statements,
            at,
        }
    }

    /// As long as the ids that UUIDs make, and as scattered.
    fn id(&mut self) -> String {
        self.at.ids += 1;
        let scattered = u128::from(self.at.ids).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let text = format!("{scattered:032x}");
        [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
    }

    async fn select(&self, statement: &Statement, keys: &[&(dyn ToSql + Sync)]) {
        self.client.query(statement, keys).await.expect("rows");
    }

    async fn write(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) {
        self.client.execute(statement, values).await.expect("a write");
    }

    async fn begin(&self, pattern: Pattern) {
        if pattern == Pattern::Handwritten {
            self.client.batch_execute("BEGIN").await.expect("a transaction");
        }
    }

    async fn commit(&self, pattern: Pattern) {
        if pattern == Pattern::Handwritten {
            self.client.batch_execute("COMMIT").await.expect("a commit");
        }
    }

    /// Reads the deployment; the reference engine reads and parses its model each time.
    async fn deployment(&self, pattern: Pattern) {
        let rows = self
            .client
            .query(&self.statements.deployment, &[&DEPLOYMENT])
            .await
            .expect("a deployment");
        if pattern == Pattern::Reference {
            let model: &str = rows[0].get("flow_model");
            assert!(serde_json::from_str::<Value>(model).expect("a model").is_object());
        }
    }

    async fn variables(&self, data: &str) -> Map<String, Value> {
        let row = self
            .client
            .query_one(&self.statements.data, &[&data])
            .await
            .expect("data");
        serde_json::from_str(row.get(0)).expect("an object")
    }

    async fn insert_data(&self, data: &str, node: &str, key: &str, variables: &Map<String, Value>, kind: i32) {
        let text = serde_json::to_string(variables).expect("text");
        let values: [&(dyn ToSql + Sync); 7] = [&data, &self.at.flow, &node, &key, &DEPLOYMENT, &text, &kind];
        self.write(&self.statements.insert_data, &values).await;
    }

    async fn insert_nodes(&self, nodes: &[Node<'_>]) {
        let mut values: Vec<&(dyn ToSql + Sync)> = Vec::new();
        for node in nodes {
            let row: [&(dyn ToSql + Sync); NODE_COLUMNS] = [
                &node.id,
                &self.at.flow,
                &node.source,
                &node.data,
                &DEPLOYMENT,
                &node.key,
                &node.kind,
                &node.status,
            ];
            values.extend(row);
        }
        self.write(&self.statements.insert_nodes[nodes.len() - 1], &values)
            .await;
    }

    async fn insert_logs(&self, nodes: &[Node<'_>]) {
        let mut values: Vec<&(dyn ToSql + Sync)> = Vec::new();
        for node in nodes {
            let row: [&(dyn ToSql + Sync); LOG_COLUMNS] =
                [&node.id, &self.at.flow, &node.data, &node.key, &node.kind, &node.status];
            values.extend(row);
        }
        self.write(&self.statements.insert_logs[nodes.len() - 1], &values).await;
    }

    async fn start(&mut self, pattern: Pattern, number: u64) {
        let (flow, data, start, request) = (self.id(), self.id(), self.id(), self.id());
        self.at.flow = flow;
        let days = number / 3 % 7;
        let Value::Object(variables) = json!({
            "applicant": format!("person {}", number % 1_000), "days": days, "reason": "family",
            "urgent": days > 5, "department": "sales",
        }) else {
            unreachable!("an object is written");
        };
        self.begin(pattern).await;
        self.deployment(pattern).await;
        if pattern == Pattern::Reference {
            self.select(&self.statements.again, &[&self.at.flow, &start, &"request"])
                .await;
        }
        self.write(&self.statements.insert_flow, &[&self.at.flow, &DEPLOYMENT])
            .await;
        self.insert_data(&data, "", "", &variables, 1).await;
        let nodes = [
            Node::new(&start, "", &data, "start", 2, COMPLETED),
            Node::new(&request, &start, &data, "request", 4, ACTIVE),
        ];
        self.insert_nodes(&nodes).await;
        self.insert_logs(&nodes).await;
        self.commit(pattern).await;
        self.at.task.clone_from(&request);
        self.at.request = request;
        self.at.key = "request";
        self.at.request_data.clone_from(&data);
        self.at.data = data;
    }

    /// What a commit and a rollback look at before they write.
    async fn look(&self, pattern: Pattern) -> Map<String, Value> {
        let At {
            flow, task, data, key, ..
        } = &self.at;
        match pattern {
            Pattern::Reference => {
                for _ in 0..2 {
                    self.select(&self.statements.flow, &[flow]).await;
                    self.deployment(pattern).await;
                }
                self.select(&self.statements.nodes, &[flow]).await;
                self.select(&self.statements.node, &[task]).await;
                let variables = self.variables(data).await;
                for _ in 0..2 {
                    self.select(&self.statements.again, &[flow, task, key]).await;
                }
                variables
            }
            Pattern::Handwritten => {
                self.select(&self.statements.locked_flow, &[flow]).await;
                self.deployment(pattern).await;
                self.select(&self.statements.node, &[task]).await;
                self.variables(data).await
            }
        }
    }

    async fn complete(&mut self, pattern: Pattern, variable: &str) {
        let (data, passed, next) = (self.id(), self.id(), self.id());
        self.begin(pattern).await;
        let mut variables = self.look(pattern).await;
        variables.insert(variable.to_owned(), json!(true));
        variables.insert("comment".to_owned(), json!("as agreed"));
        let at = self.at.clone();
        self.insert_data(&data, &at.task, at.key, &variables, 2).await;
        self.write(&self.statements.update_node, &[&at.task, &COMPLETED, &data])
            .await;
        let done = Node::new(&at.task, "", &data, at.key, 4, COMPLETED);
        if at.key == "request" {
            let days = variables.get("days").and_then(Value::as_u64).expect("days");
            let key = if days <= 3 { "lead" } else { "director" };
            let [gateway, task] = [
                Node::new(&passed, &at.task, &data, "branch", 6, COMPLETED),
                Node::new(&next, &passed, &data, key, 4, ACTIVE),
            ];
            self.insert_nodes(&[gateway, task]).await;
            self.insert_logs(&[done, gateway, task]).await;
            self.at.branch.clone_from(&passed);
            self.at.task.clone_from(&next);
            self.at.key = key;
        } else {
            let end = Node::new(&next, &at.task, &data, "end", 3, COMPLETED);
            self.insert_nodes(&[end]).await;
            self.insert_logs(&[done, end]).await;
            self.write(&self.statements.update_flow, &[&at.flow, &1]).await;
        }
        self.commit(pattern).await;
        self.at.data = data;
    }

    /// From the task behind the gateway back to the request.
    async fn roll_back(&mut self, pattern: Pattern) {
        let reopened = self.id();
        self.begin(pattern).await;
        self.look(pattern).await;
        let at = self.at.clone();
        if pattern == Pattern::Reference {
            // The way back: each node it goes over, and the data that the request was entered with.
            for node in [&at.branch, &at.request] {
                self.select(&self.statements.node, &[node]).await;
            }
            self.select(&self.statements.nodes, &[&at.flow]).await;
        }
        self.variables(&at.request_data).await;
        let gone = [
            (&at.task, at.key, 4),
            (&at.branch, "branch", 6),
            (&at.request, "request", 4),
        ];
        for (node, ..) in &gone {
            self.write(&self.statements.update_node, &[*node, &DISABLED, &at.data])
                .await;
        }
        let again = Node::new(&reopened, "", &at.request_data, "request", 4, ACTIVE);
        self.insert_nodes(&[again]).await;
        let [first, second, third] = gone.map(|(id, key, kind)| Node::new(id, "", &at.data, key, kind, DISABLED));
        self.insert_logs(&[first, second, third, again]).await;
        self.commit(pattern).await;
        self.at.data.clone_from(&at.request_data);
        self.at.task.clone_from(&reopened);
        self.at.request = reopened;
        self.at.key = "request";
    }
}

const COMPLETED: i32 = 1;
const ACTIVE: i32 = 2;
const DISABLED: i32 = 4;

/// A row.
#[derive(Clone, Copy)]
struct Node<'a> {
    id: &'a str,
    source: &'a str,
    data: &'a str,
    key: &'a str,
    kind: i32,
    status: i32,
}

impl<'a> Node<'a> {
    fn new(id: &'a str, source: &'a str, data: &'a str, key: &'a str, kind: i32, status: i32) -> Self {
        Self {
            id,
            source,
            data,
            key,
            kind,
            status,
        }
    }
}

impl Target for Baseline {
    fn client(self: Arc<Self>, client: u64, mut turns: Turns) -> Pin<Box<dyn Future<Output = Turns> + Send>> {
        Box::pin(async move {
            let client = usize::try_from(client).unwrap_or(0);
            let mut connected = self.clients[client].lock().await;
            if connected.is_none() {
                *connected = Some(Connected::to(&self.server, client).await);
            }
            let connected = connected.as_mut().expect("a connection");
            for number in turns.by_ref() {
                match self.workload.step(number) {
                    Step::Start => connected.start(self.pattern, number).await,
                    Step::Commit(variable) => connected.complete(self.pattern, variable).await,
                    Step::RollBack => connected.roll_back(self.pattern).await,
                }
                self.commands.fetch_add(1, Ordering::Relaxed);
            }
            turns
        })
    }

    /// Ends the clients' connections: only then does the server know what they have flushed.
    fn commits(&self) -> Commits {
        for client in &self.clients {
            client.blocking_lock().take();
        }
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'bench' AND pid <> pg_backend_pid()";
        let patience = Instant::now() + Duration::from_secs(5);
        while self.server.ask(NAME, others).unwrap_or(0) > 0 && Instant::now() < patience {
            thread::sleep(Duration::from_millis(20));
        }
        let count = |statement| u64::try_from(self.server.ask(NAME, statement).unwrap_or(0)).unwrap_or(0);
        Commits {
            commands: self.commands.load(Ordering::Relaxed),
            syncs: count("SELECT wal_sync FROM pg_stat_wal"),
            bytes: count("SELECT wal_bytes::bigint FROM pg_stat_wal"),
        }
    }

    fn cpu_time(&self) -> Duration {
        cpu_time() + tree_cpu_time(self.server.process.id())
    }

    fn disk_bytes(&self, _directory: &Path) -> u64 {
        let size = self.server.ask(NAME, "SELECT pg_database_size('bench')");
        size.ok().and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
    }

    fn needs_io(&self) -> bool {
        true
    }
}
