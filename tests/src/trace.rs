//! What a process did to the files below a directory, recorded with strace and kept as operations in order; knows nothing of
//! what the files mean.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The calls that are recorded: those that are understood, and those that would make a record worthless.
const CALLS: &str = "trace=open,openat,creat,close,dup,dup2,dup3,fcntl,lseek,write,pwrite64,fsync,fdatasync,sync_file_range,\
                     ftruncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,truncate,\
                     writev,pwritev,pwritev2,copy_file_range,sendfile,splice,mmap,io_uring_setup,sync,syncfs";

/// A moment: the number of a line of the recording. A call begins at one and is done at the same or a later one.
pub type Moment = usize;

/// A file or a directory, whatever its name is or was.
pub type NodeId = usize;

/// The directory that is watched.
pub const ROOT: NodeId = 0;

/// A change of a file's content.
#[derive(Clone, Debug)]
pub enum Change {
    /// Bytes were written at a place.
    Write(u64, Vec<u8>),
    /// The length was set.
    Resize(u64),
}

/// A change of a directory's entries.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A name leads to a file or directory, a new one or one with another name.
    Put(String, NodeId),
    /// A name is gone.
    Remove(String),
    /// A name has become another one, in the place of what that was.
    Rename(String, String),
}

/// Something that began at one moment and was done at another; `None`: not before the process ended.
#[derive(Clone, Debug)]
pub struct Timed<T> {
    /// When it began.
    pub begun: Moment,
    /// When it was done.
    pub done: Option<Moment>,
    /// What it is.
    pub what: T,
}

impl<T> Timed<T> {
    /// Whether it was done before a moment.
    pub fn is_done_before(&self, moment: Moment) -> bool {
        self.done.is_some_and(|done| done < moment)
    }
}

/// How a file or directory was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncCall {
    /// `fsync`.
    All,
    /// `fdatasync`.
    Data,
}

/// A file or directory, as it was at first and what was done to it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its first name; for messages, and to tell files apart.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its rights.
    pub mode: u32,
    /// What a file held when the recording began.
    pub content: Vec<u8>,
    /// What a directory held when the recording began.
    pub entries: BTreeMap<String, NodeId>,
    /// What was done to a file.
    pub changes: Vec<Timed<Change>>,
    /// What was done to a directory.
    pub moves: Vec<Timed<Entry>>,
    /// When it was synced.
    pub syncs: Vec<Timed<SyncCall>>,
}

/// Everything one process did.
#[derive(Debug, Default)]
pub struct Trace {
    /// Files and directories by their ids; [`ROOT`] is the directory that was watched.
    pub nodes: Vec<Node>,
    /// What the process wrote to its standard output.
    pub said: Vec<Timed<Vec<u8>>>,
    /// The moment after the last one.
    pub end: Moment,
}

/// Whether this machine can record: strace is there and may trace.
pub fn is_possible() -> Result<(), String> {
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("strace: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("strace: {error}")),
    }
}

/// Runs a program and records what it does below `root`, which it must be told by its absolute path. `scratch` is a file
/// that is made and removed.
pub fn record(root: &Path, scratch: &Path, program: &Path, arguments: &[String]) -> Result<Trace, String> {
    let mut trace = Trace::default();
    trace.nodes.push(Node::default());
    trace
        .take_in(ROOT, root)
        .map_err(|error| format!("{}: {error}", root.display()))?;
    let status = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "--seccomp-bpf",
            "-xx",
            "-s",
            "16777216",
            "-e",
            "signal=none",
            "-e",
        ])
        .arg(CALLS)
        .arg("-o")
        .arg(scratch)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    status.map_err(|error| format!("strace: {error}"))?;
    let mut reader = Reader {
        trace: &mut trace,
        root: root.to_owned(),
        open: HashMap::new(),
        unfinished: HashMap::new(),
    };
    let file = std::fs::File::open(scratch).map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    for moment in 0.. {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(|error| error.to_string())? == 0 {
            reader.end(moment)?;
            break;
        }
        let text = std::str::from_utf8(&line).map_err(|error| error.to_string())?;
        let text = text.trim_end_matches('\n');
        reader
            .line(moment, text)
            .map_err(|error| format!("{error}: {}", text.chars().take(200).collect::<String>()))?;
    }
    let _ = std::fs::remove_file(scratch);
    Ok(trace)
}

impl Trace {
    /// Reads what is there before the process starts.
    fn take_in(&mut self, directory: NodeId, path: &Path) -> io::Result<()> {
        self.nodes[directory].is_directory = true;
        self.nodes[directory].mode = 0o755;
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = self.add(&name, rights(&entry.metadata()?));
            if entry.path().is_dir() {
                self.take_in(id, &entry.path())?;
            } else {
                self.nodes[id].content = std::fs::read(entry.path())?;
            }
            self.nodes[directory].entries.insert(name, id);
        }
        Ok(())
    }

    fn add(&mut self, name: &str, mode: u32) -> NodeId {
        self.nodes.push(Node {
            name: name.to_owned(),
            mode,
            ..Node::default()
        });
        self.nodes.len() - 1
    }

    /// What the names of a directory lead to, after everything that was done to it.
    fn entries(&self, directory: NodeId) -> BTreeMap<String, NodeId> {
        let node = &self.nodes[directory];
        let mut entries = node.entries.clone();
        for entry in &node.moves {
            apply(&mut entries, &entry.what);
        }
        entries
    }

    /// The length of a file after everything that was done to it.
    fn len(&self, file: NodeId) -> u64 {
        let node = &self.nodes[file];
        node.changes
            .iter()
            .fold(node.content.len() as u64, |len, change| match &change.what {
                Change::Write(at, bytes) => len.max(at + bytes.len() as u64),
                Change::Resize(len) => *len,
            })
    }
}

#[cfg(unix)]
fn rights(file: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    file.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn rights(_file: &std::fs::Metadata) -> u32 {
    0
}

/// Changes a directory's entries. What is renamed and not there stays away.
pub fn apply(entries: &mut BTreeMap<String, NodeId>, entry: &Entry) {
    match entry {
        Entry::Put(name, node) => drop(entries.insert(name.clone(), *node)),
        Entry::Remove(name) => drop(entries.remove(name)),
        Entry::Rename(from, to) => {
            if let Some(node) = entries.remove(from) {
                entries.insert(to.clone(), node);
            }
        }
    }
}

struct Open {
    node: NodeId,
    at: u64,
    appends: bool,
}

/// A call whose end is still to come.
struct Unfinished {
    begun: Moment,
    text: String,
}

struct Reader<'t> {
    trace: &'t mut Trace,
    root: PathBuf,
    open: HashMap<i64, Open>,
    unfinished: HashMap<u64, Unfinished>,
}

impl Reader<'_> {
    fn line(&mut self, moment: Moment, line: &str) -> Result<(), String> {
        let (process, rest) = line.split_once(' ').ok_or("no process id")?;
        let process: u64 = process.parse().map_err(|_| "no process id")?;
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            return Ok(());
        }
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            // Its number may be given out again before this call is told as done.
            if let Some(("close", arguments)) = begun.split_once('(') {
                self.close(arguments);
            }
            let text = begun.to_owned();
            self.unfinished.insert(process, Unfinished { begun: moment, text });
            return Ok(());
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, ending) = resumed.split_once(" resumed>").ok_or("no end of the name")?;
            let Unfinished { begun, mut text } = self.unfinished.remove(&process).ok_or("nothing had begun")?;
            if text.starts_with("close(") {
                return Ok(());
            }
            text.push_str(ending);
            return self.call(begun, Some(moment), &text);
        }
        self.call(moment, Some(moment), rest)
    }

    /// What was not done when the process ended may be there in part.
    fn end(&mut self, moment: Moment) -> Result<(), String> {
        for (_, Unfinished { begun, text }) in std::mem::take(&mut self.unfinished) {
            if ["write(", "pwrite64(", "ftruncate("]
                .iter()
                .any(|call| text.starts_with(call))
            {
                self.call(begun, None, &text)?;
            }
        }
        self.trace.end = moment;
        Ok(())
    }

    fn close(&mut self, arguments: &str) {
        if let Some(fd) = number(arguments.trim_end_matches(|c: char| !c.is_ascii_digit())) {
            self.open.remove(&fd);
        }
    }

    fn call(&mut self, begun: Moment, done: Option<Moment>, text: &str) -> Result<(), String> {
        let (name, rest) = text.split_once('(').ok_or("no call")?;
        let (arguments, result) = match rest.rsplit_once(") ") {
            Some((arguments, result)) => (arguments, result.trim_start().strip_prefix("= ").unwrap_or("?")),
            None => (rest, "?"),
        };
        let failed = result.starts_with('-') || (done.is_some() && result.starts_with('?'));
        if failed {
            return Ok(());
        }
        let arguments = split(arguments);
        let result = number(result.split(' ').next().unwrap_or_default());
        let at = |place: usize| arguments.get(place).copied().unwrap_or_default();
        let fd = || number(at(0)).ok_or("no file");
        let timed = Timed { begun, done, what: () };
        match name {
            "close" => self.close(at(0)),
            "open" | "creat" => self.opened(&timed, result, at(0), at(1), at(2))?,
            "openat" => self.opened(&timed, result, at(1), at(2), at(3))?,
            "dup" | "dup2" | "dup3" => self.duplicate(fd()?, result),
            "fcntl" if at(1).starts_with("F_DUPFD") => self.duplicate(fd()?, result),
            "lseek" => {
                if let (Some(open), Some(at)) = (self.open.get_mut(&fd()?), result) {
                    open.at = u64::try_from(at).map_err(|_| "a place below zero")?;
                }
            }
            "write" => self.write(&timed, fd()?, at(1), None, result)?,
            "pwrite64" => {
                let place = number(at(3))
                    .and_then(|place| u64::try_from(place).ok())
                    .ok_or("no place")?;
                self.write(&timed, fd()?, at(1), Some(place), result)?;
            }
            "ftruncate" => {
                let len = number(at(1))
                    .and_then(|len| u64::try_from(len).ok())
                    .ok_or("no length")?;
                self.change(&timed, fd()?, Change::Resize(len));
            }
            "fallocate" => {
                if let Some(node) = self.open.get(&fd()?).map(|open| open.node) {
                    let sum = number(at(2)).zip(number(at(3))).map(|(start, len)| start + len);
                    let end = sum.and_then(|end| u64::try_from(end).ok()).ok_or("no length")?;
                    if at(1) != "0" {
                        return Err("a hole is not understood".into());
                    }
                    let len = self.trace.len(node).max(end);
                    self.change(&timed, fd()?, Change::Resize(len));
                }
            }
            "fsync" => self.sync(&timed, fd()?, SyncCall::All),
            "fdatasync" => self.sync(&timed, fd()?, SyncCall::Data),
            "mkdir" => self.make_directory(&timed, at(0), at(1))?,
            "mkdirat" => self.make_directory(&timed, at(1), at(2))?,
            "unlink" | "rmdir" => self.remove(&timed, at(0))?,
            "unlinkat" => self.remove(&timed, at(1))?,
            "rename" => self.rename(&timed, at(0), at(1))?,
            "renameat" | "renameat2" => self.rename(&timed, at(1), at(3))?,
            "link" => self.link(&timed, at(0), at(1))?,
            "linkat" => self.link(&timed, at(1), at(3))?,
            "writev" | "pwritev" | "pwritev2" | "copy_file_range" | "sendfile" | "splice" => {
                if arguments
                    .iter()
                    .filter_map(|fd| number(fd))
                    .any(|fd| self.open.contains_key(&fd))
                {
                    return Err(format!("{name} is not understood"));
                }
            }
            "mmap" => {
                let is_shared = at(3).contains("MAP_SHARED") && at(2).contains("PROT_WRITE");
                if is_shared && number(at(4)).is_some_and(|fd| self.open.contains_key(&fd)) {
                    return Err("writing to mapped files is not understood".into());
                }
            }
            "truncate" => {
                if self.find(at(0))?.is_some() {
                    return Err("truncate is not understood".into());
                }
            }
            "io_uring_setup" => return Err("io_uring is not understood".into()),
            // Of no use to us: what it syncs is not known to be on the disk.
            "sync_file_range" | "sync" | "syncfs" | "fcntl" => {}
            other => return Err(format!("{other} is not understood")),
        }
        Ok(())
    }

    fn duplicate(&mut self, from: i64, to: Option<i64>) {
        if let (Some(open), Some(to)) = (self.open.get(&from), to) {
            let Open { node, at, appends } = *open;
            self.open.insert(to, Open { node, at, appends });
        }
    }

    fn opened(
        &mut self,
        timed: &Timed<()>,
        fd: Option<i64>,
        path: &str,
        flags: &str,
        mode: &str,
    ) -> Result<(), String> {
        let Some(fd) = fd else { return Ok(()) };
        // Whoever had this number has closed it.
        self.open.remove(&fd);
        let Some((directory, name)) = self.find(path)? else {
            return Ok(());
        };
        let known = if name.is_empty() {
            Some(directory)
        } else {
            self.trace.entries(directory).get(&name).copied()
        };
        let node = match known {
            Some(node) => node,
            None if flags.contains("O_CREAT") => {
                let mode = u32::from_str_radix(mode.trim_start_matches('0'), 8).unwrap_or(0o644) & !0o022;
                let node = self.trace.add(&name, mode);
                self.trace.nodes[directory]
                    .moves
                    .push(timed.with(Entry::Put(name, node)));
                node
            }
            None => return Err(format!("{name} was never made")),
        };
        if flags.contains("O_TRUNC") && self.trace.len(node) > 0 {
            self.trace.nodes[node].changes.push(timed.with(Change::Resize(0)));
        }
        let appends = flags.contains("O_APPEND");
        self.open.insert(fd, Open { node, at: 0, appends });
        Ok(())
    }

    fn write(
        &mut self,
        timed: &Timed<()>,
        fd: i64,
        bytes: &str,
        place: Option<u64>,
        written: Option<i64>,
    ) -> Result<(), String> {
        let Some(open) = self.open.get_mut(&fd) else {
            if fd == 1 {
                self.trace.said.push(timed.with(bytes_of(bytes)?));
            }
            return Ok(());
        };
        let mut bytes = bytes_of(bytes)?;
        bytes.truncate(
            written
                .and_then(|written| usize::try_from(written).ok())
                .unwrap_or(bytes.len()),
        );
        let node = open.node;
        let place = if let Some(place) = place {
            place
        } else {
            let place = if open.appends { self.trace.len(node) } else { open.at };
            open.at = place + bytes.len() as u64;
            place
        };
        self.change(timed, fd, Change::Write(place, bytes));
        Ok(())
    }

    fn change(&mut self, timed: &Timed<()>, fd: i64, change: Change) {
        if let Some(open) = self.open.get(&fd) {
            self.trace.nodes[open.node].changes.push(timed.with(change));
        }
    }

    fn sync(&mut self, timed: &Timed<()>, fd: i64, call: SyncCall) {
        if let Some(open) = self.open.get(&fd) {
            self.trace.nodes[open.node].syncs.push(timed.with(call));
        }
    }

    fn make_directory(&mut self, timed: &Timed<()>, path: &str, _mode: &str) -> Result<(), String> {
        if let Some((directory, name)) = self.find(path)? {
            let node = self.trace.add(&name, 0o755);
            self.trace.nodes[node].is_directory = true;
            self.trace.nodes[directory]
                .moves
                .push(timed.with(Entry::Put(name, node)));
        }
        Ok(())
    }

    fn remove(&mut self, timed: &Timed<()>, path: &str) -> Result<(), String> {
        if let Some((directory, name)) = self.find(path)? {
            self.trace.nodes[directory].moves.push(timed.with(Entry::Remove(name)));
        }
        Ok(())
    }

    fn rename(&mut self, timed: &Timed<()>, from: &str, to: &str) -> Result<(), String> {
        match (self.find(from)?, self.find(to)?) {
            (Some((directory, from)), Some((other, to))) if directory == other => {
                self.trace.nodes[directory]
                    .moves
                    .push(timed.with(Entry::Rename(from, to)));
                Ok(())
            }
            (None, None) => Ok(()),
            _ => Err("a rename between directories is not understood".into()),
        }
    }

    fn link(&mut self, timed: &Timed<()>, from: &str, to: &str) -> Result<(), String> {
        match (self.find(from)?, self.find(to)?) {
            (Some((directory, from)), Some((other, to))) => {
                let node = self.trace.entries(directory).get(&from).copied();
                let node = node.ok_or("what is linked was never made")?;
                self.trace.nodes[other].moves.push(timed.with(Entry::Put(to, node)));
                Ok(())
            }
            (None, None) => Ok(()),
            _ => Err("a link out of the directory is not understood".into()),
        }
    }

    /// The directory and the name below the root that a path leads to; nothing if it leads elsewhere.
    fn find(&self, path: &str) -> Result<Option<(NodeId, String)>, String> {
        let path = PathBuf::from(String::from_utf8(bytes_of(path)?).map_err(|error| error.to_string())?);
        let Ok(below) = path.strip_prefix(&self.root) else {
            return Ok(None);
        };
        let mut parts: Vec<_> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let name = parts.pop().unwrap_or_default();
        let mut directory = ROOT;
        for part in parts {
            let entries = self.trace.entries(directory);
            directory = *entries.get(&part).ok_or_else(|| format!("{part} was never made"))?;
        }
        Ok(Some((directory, name)))
    }
}

impl Timed<()> {
    fn with<T>(&self, what: T) -> Timed<T> {
        let Self { begun, done, .. } = *self;
        Timed { begun, done, what }
    }
}

/// The arguments of a call. In strings everything is a `\x` with two digits, so commas separate.
fn split(arguments: &str) -> Vec<&str> {
    arguments.split(", ").map(str::trim).collect()
}

fn number(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// The bytes of a string of `\x` and two digits each.
fn bytes_of(text: &str) -> Result<Vec<u8>, String> {
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .ok_or("a string that is not whole")?;
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .map_or(0, |digit| u8::try_from(digit).unwrap_or(0))
    };
    digits
        .as_bytes()
        .chunks(4)
        .map(|part| match *part {
            [b'\\', b'x', high, low] => Ok(digit(high) << 4 | digit(low)),
            _ => Err("a string of another form".to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a recording of a directory that was empty.
    fn read(lines: &[&str]) -> Trace {
        let mut trace = Trace::default();
        trace.nodes.push(Node {
            is_directory: true,
            ..Node::default()
        });
        let mut reader = Reader {
            trace: &mut trace,
            root: PathBuf::from("/d"),
            open: HashMap::new(),
            unfinished: HashMap::new(),
        };
        for (moment, line) in lines.iter().enumerate() {
            reader.line(moment, line).expect("the line is understood");
        }
        reader.end(lines.len()).expect("the end is understood");
        trace
    }

    fn hex(text: &str) -> String {
        let digits = crate::load::to_hex(text.as_bytes());
        let pairs = digits.as_bytes().chunks(2);
        pairs.fold(String::new(), |text, pair| {
            text + "\\x" + std::str::from_utf8(pair).unwrap_or_default()
        })
    }

    #[test]
    fn calls_that_overlap_begin_and_end_where_they_do() {
        let (path, text) = (hex("/d/f"), hex("abc"));
        let trace = read(&[
            &format!("7 openat(AT_FDCWD, \"{path}\", O_WRONLY|O_CREAT|O_CLOEXEC, 0600) = 3"),
            &format!("7 pwrite64(3, \"{text}\", 3, 4 <unfinished ...>"),
            "8 fdatasync(3 <unfinished ...>",
            "7 <... pwrite64 resumed>)          = 3",
            "8 <... fdatasync resumed>)         = 0",
            &format!("7 write(3, \"{text}\", 3) = 3"),
            &format!("7 write(1, \"{text}\", 3) = 3"),
            &format!("8 write(3, \"{text}\", 3 <unfinished ...>"),
        ]);
        let file = &trace.nodes[1];
        let times: Vec<_> = file.changes.iter().map(|change| (change.begun, change.done)).collect();
        assert_eq!(times, [(1, Some(3)), (5, Some(5)), (7, None)]);
        let places = file.changes.iter().map(|change| match &change.what {
            Change::Write(at, bytes) => (*at, bytes.len()),
            Change::Resize(_) => (0, 0),
        });
        assert_eq!(places.collect::<Vec<_>>(), [(4, 3), (0, 3), (3, 3)]);
        assert_eq!((file.syncs[0].begun, file.syncs[0].done), (2, Some(4)));
        assert_eq!((trace.said.len(), file.mode), (1, 0o600));
    }

    #[test]
    fn names_lead_to_what_they_were_given_to() {
        let (one, two) = (hex("/d/one"), hex("/d/two"));
        let trace = read(&[
            &format!("7 openat(AT_FDCWD, \"{one}\", O_WRONLY|O_CREAT|O_EXCL, 0666) = 3"),
            "7 close(3) = 0",
            &format!("7 rename(\"{one}\", \"{two}\") = 0"),
            &format!("7 openat(AT_FDCWD, \"{one}\", O_RDONLY) = -1 ENOENT (No such file or directory)"),
            &format!("7 openat(AT_FDCWD, \"{}\", O_RDONLY|O_CLOEXEC) = 3", hex("/d")),
            "7 fsync(3) = 0",
        ]);
        assert_eq!(trace.entries(ROOT), [("two".to_owned(), 1)].into());
        assert_eq!(trace.nodes[ROOT].syncs.len(), 1);
    }
}
