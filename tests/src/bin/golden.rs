//! Writes the golden logs of this release: an export of every kind, and beside it what this release makes of it.
//!
//! Golden logs are written once for a release and never again; later releases are tested by them.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::Parser;
use flowledger_tests::golden::{KINDS, told};

/// Writes the golden logs of this release.
#[derive(Parser)]
struct Arguments {
    /// A folder that does not exist yet, such as `tests/golden/1.2.0`
    folder: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { folder } = Arguments::parse();
    fs::create_dir(&folder)?;
    for (name, profile, own_ids) in KINDS {
        let engine = told(profile, own_ids);
        let export = fs::File::create_new(folder.join(name).with_extension("jsonl"))?;
        let report = engine.export(export, |_| {})?;
        let certificate = serde_json::to_string_pretty(&engine.certify(None, |_| {})?)?;
        fs::write(folder.join(name).with_extension("json"), certificate + "\n")?;
        println!("{name}: {} records, root {}", report.records, report.root);
    }
    Ok(())
}
