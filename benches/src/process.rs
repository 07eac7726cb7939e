//! What this process has used so far, as Linux tells it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Processor time of all threads, ended ones included; zero where `/proc` is missing.
pub fn cpu_time() -> Duration {
    // Fields after the command's closing parenthesis: state is the third of all, utime the 14th, stime the 15th.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    // Linux shows a hundred ticks a second to programs, whatever it counts itself.
    Duration::from_millis(ticks * 10)
}

/// Processor time of another process, of its children, and of those that it has waited for.
pub fn tree_cpu_time(process: u32) -> Duration {
    let ticks = |process: u32, fields: usize| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let ticks = behind.split_whitespace().skip(11).take(fields);
        ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    };
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    let of_children: u64 = children.map(|child| ticks(child, 2)).sum();
    Duration::from_millis((ticks(process, 4) + of_children) * 10)
}

/// Bytes of memory that this process holds now; zero where `/proc` is missing.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Bytes that the files in a directory take on the disk.
pub fn disk_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
