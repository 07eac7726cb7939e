//! Parts of a program that run in processes of their own, each within a time: what they do to themselves is an outcome.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The path of the program that runs.
pub fn this() -> PathBuf {
    std::env::current_exe().expect("this program has a path")
}

/// Starts this program with other arguments and returns what it says; an error if it fails or takes longer than `patience`.
/// What it writes to the standard error is lost.
pub fn tell(arguments: &[String], patience: Duration) -> Result<String, String> {
    let child = Command::new(this())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let mut output = child.stdout.take().ok_or("no output")?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let read = output.read_to_string(&mut text);
        read.map(|_| text).map_err(|error| error.to_string())
    });
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => break,
            Some(status) => return Err(format!("the process that opened it ended with {status}")),
            None if begun.elapsed() > patience => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the process that opened it hung for {patience:?}"));
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
    reader.join().map_err(|_| "the reader failed".to_owned())?
}
