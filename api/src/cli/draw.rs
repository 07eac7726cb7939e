//! Pictures: of a model's file, of a module, of a deployment, of an instance at a moment.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use flowledger::{
    BlockingEngine, DrawOptions, DrawingFormat, GetFlowModuleParam, Overlay, ResultCode, Theme, draw_model,
};
use serde::Serialize;

use crate::cli::arguments::AsOfArg;
use crate::cli::failure::Failure;
use crate::cli::flow::is_unknown;
use crate::cli::session::{Access, Session};

/// What can be drawn.
pub(crate) const DRAW_HELP: &str = "  flowledger draw model.json --output model.svg
  flowledger draw INSTANCE --as-of 3 --output then.svg
  flowledger draw INSTANCE --format mermaid

A model's file needs no data directory, and may have faults. An instance is drawn with the ways it took,
the tasks that wait, failed attempts and what was rolled back; its sub flow instances stand below it.";

/// What to draw, and how.
#[derive(Args)]
pub(crate) struct DrawArgs {
    /// A model's file, an instance, a module (its draft) or a deployment
    #[arg(value_name = "MODEL.json|INSTANCE|MODULE|DEPLOYMENT")]
    what: String,
    #[command(flatten)]
    as_of: AsOfArg,
    /// What is written
    #[arg(long, value_enum, default_value_t)]
    format: FormatName,
    /// The colours of an SVG
    #[arg(long, value_enum, default_value_t)]
    theme: ThemeName,
    /// The file to write; standard output if none is named
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The formats by their names.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum FormatName {
    /// A picture that every browser shows
    #[default]
    Svg,
    /// Text that pages and wikis make a flowchart of
    Mermaid,
}

/// The themes by their names.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum ThemeName {
    /// Light or dark, as the viewer prefers
    #[default]
    Auto,
    /// Dark on light
    Light,
    /// Light on dark
    Dark,
}

/// A picture as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Drawn<'a> {
    err_code: i32,
    err_msg: &'a str,
    /// The picture; absent when it went to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    drawing: Option<&'a str>,
    /// The file it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The version of the instance that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

/// Draws something.
pub(crate) fn run(session: &Session, args: DrawArgs) -> Result<(), Failure> {
    let options = DrawOptions {
        format: match args.format {
            FormatName::Svg => DrawingFormat::Svg,
            FormatName::Mermaid => DrawingFormat::Mermaid,
        },
        theme: match args.theme {
            ThemeName::Auto => Theme::Auto,
            ThemeName::Light => Theme::Light,
            ThemeName::Dark => Theme::Dark,
        },
    };
    let path = Path::new(&args.what);
    // What looks like a file is told as one that is missing, and not as an unknown id.
    let names_file = path.extension().is_some_and(|extension| extension == "json") || path.components().count() > 1;
    let (drawing, version) = if path.is_file() || names_file {
        if args.as_of.is_given() {
            return Err(session.unusable("--as-of goes with an instance; a file has no past"));
        }
        let title = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let drawn = draw_model(
            &title.unwrap_or_default(),
            &session.read(path)?,
            Overlay::default(),
            options,
        );
        (drawn?, None)
    } else {
        let engine = session.open(Access::Existing)?;
        let drawn = draw_recorded(session, &engine, &args.what, args.as_of, options)?;
        engine.close()?;
        drawn
    };
    let out = &session.out;
    let success = ResultCode::Success.entry();
    let file = args.output.as_deref().map(|path| path.display().to_string());
    if let Some(path) = &args.output {
        fs::write(path, &drawing).map_err(|error| {
            let detail = format!("{} cannot be written: {error}", path.display());
            Failure::Explained(session.error(ResultCode::StoreUnavailable, detail))
        })?;
    }
    if out.is_json() {
        return Ok(out.json(&Drawn {
            err_code: success.number,
            err_msg: success.text,
            drawing: file.is_none().then_some(drawing.as_str()),
            file,
            version,
        })?);
    }
    match file {
        Some(file) => out.line(format!("{file} is written, {} bytes", drawing.len()))?,
        None => out.raw(&drawing)?,
    }
    Ok(())
}

/// Draws an instance; or a module or a deployment, if no instance has the id.
fn draw_recorded(
    session: &Session,
    engine: &BlockingEngine,
    what: &str,
    as_of: AsOfArg,
    options: DrawOptions,
) -> Result<(String, Option<u64>), Failure> {
    let has_moment = as_of.is_given();
    let unknown = match engine.draw(as_of.of(what), options) {
        Ok(drawn) => return Ok((drawn.drawing, Some(drawn.version))),
        Err(error) if error.code() == ResultCode::InstanceNotFound && !has_moment => error,
        Err(error) => return Err(error.into()),
    };
    let id = what;
    let found = match engine.get_flow_module(GetFlowModuleParam::of_module(&id.into())) {
        Err(error) if is_unknown(session, &error) => {
            engine.get_flow_module(GetFlowModuleParam::of_deployment(&id.into()))
        }
        answered => answered,
    };
    let module = match found {
        Err(error) if is_unknown(session, &error) => {
            let detail = format!("{what} is neither a file nor the id of an instance, a module or a deployment");
            return Err(session.error(unknown.code(), detail).into());
        }
        answered => answered?,
    };
    let name = module.flow_name.as_deref().or(module.flow_key.as_deref()).unwrap_or(id);
    let text = module.flow_model.as_deref().unwrap_or_default();
    Ok((draw_model(name, text, Overlay::default(), options)?, None))
}
