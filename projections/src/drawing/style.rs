//! The style sheet of an SVG picture: colours, line widths and dashes. Knows classes, no shapes.

use std::fmt::Write;

use super::{Look, Theme};

/// The colours of a look.
struct Colours {
    line: &'static str,
    fill: &'static str,
}

struct Palette {
    ground: &'static str,
    ink: &'static str,
    faint: &'static str,
    line: &'static str,
    fill: &'static str,
    frame: &'static str,
    look: fn(Look) -> Colours,
}

const LIGHT: Palette = Palette {
    ground: "#ffffff",
    ink: "#1d2733",
    faint: "#56626f",
    line: "#57636f",
    fill: "#f8fafb",
    frame: "#d5dbe1",
    look: |look| {
        let (line, fill) = match look {
            Look::Active => ("#b35900", "#ffefd2"),
            Look::Held => ("#7b3fa6", "#f3e8fb"),
            Look::Stopped => ("#222222", "#e6e6e6"),
            Look::Waiting => ("#b35900", "#fff8ea"),
            Look::Passed => ("#0062a8", "#e1effb"),
            Look::Failed => ("#b3261e", "#fdeae8"),
            Look::Closed => ("#7a6744", "#f6f2e8"),
            Look::Undone => ("#77828d", "#f2f4f5"),
            Look::Missed => ("#a3adb7", "#ffffff"),
        };
        Colours { line, fill }
    },
};

const DARK: Palette = Palette {
    ground: "#12161c",
    ink: "#e8ecf1",
    faint: "#a5b0bc",
    line: "#93a0ad",
    fill: "#1b222b",
    frame: "#313b47",
    look: |look| {
        let (line, fill) = match look {
            Look::Active => ("#ffb350", "#45300f"),
            Look::Held => ("#d0a2f5", "#33213f"),
            Look::Stopped => ("#e0e0e0", "#3a3a3a"),
            Look::Waiting => ("#ffb350", "#2d2413"),
            Look::Passed => ("#62b4f4", "#12304a"),
            Look::Failed => ("#ff8c82", "#43191a"),
            Look::Closed => ("#cdb682", "#2e281b"),
            Look::Undone => ("#8b96a2", "#1a1f26"),
            Look::Missed => ("#5a6673", "#12161c"),
        };
        Colours { line, fill }
    },
};

/// The class of a look.
pub(super) fn class(look: Look) -> &'static str {
    match look {
        Look::Active => "active",
        Look::Held => "held",
        Look::Stopped => "stopped",
        Look::Waiting => "waiting",
        Look::Passed => "passed",
        Look::Failed => "failed",
        Look::Closed => "closed",
        Look::Undone => "undone",
        Look::Missed => "missed",
    }
}

/// The width of a node's border and of a sequence flow, in tenths of a pixel, and the dashes of both.
fn stroke(look: Look) -> (u32, u32, &'static str) {
    match look {
        Look::Active | Look::Held | Look::Stopped => (30, 26, "none"),
        Look::Waiting => (26, 26, "7 3"),
        Look::Passed => (22, 28, "none"),
        Look::Failed => (24, 24, "6 4"),
        Look::Closed => (18, 18, "9 3 2 3"),
        Look::Undone => (18, 18, "2 3"),
        Look::Missed => (10, 10, "1 4"),
    }
}

/// The class of a picture with a theme.
pub(super) fn root_class(theme: Theme) -> &'static str {
    match theme {
        Theme::Auto => "flowledger flowledger-auto",
        Theme::Light => "flowledger flowledger-light",
        Theme::Dark => "flowledger flowledger-dark",
    }
}

/// The style sheet of a picture with a theme. Its rules reach nothing outside of the picture.
pub(super) fn sheet(theme: Theme) -> String {
    let mut sheet = String::new();
    let mut put = |text: &str| sheet.push_str(text);
    put(
        ".flowledger{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,\"Noto Sans\",\
         \"PingFang SC\",\"Microsoft YaHei\",\"Noto Sans CJK SC\",sans-serif}\n\
         .flowledger text{stroke:none;white-space:pre}\n\
         .flowledger .title{font-size:16px;font-weight:600}\n\
         .flowledger .heading{font-size:13px;font-weight:600}\n\
         .flowledger .line{font-size:12px}\n\
         .flowledger .name{font-size:12px;text-anchor:middle}\n\
         .flowledger .small{font-size:11px;text-anchor:middle}\n\
         .flowledger .key{font-size:11px}\n\
         .flowledger .shape{stroke-width:1.4px}\n\
         .flowledger .end-event .shape{stroke-width:3.4px}\n\
         .flowledger .call-activity .shape{stroke-width:4px}\n\
         .flowledger .missing .shape{stroke-dasharray:2 2}\n\
         .flowledger .flow path,.flowledger .sign{fill:none;stroke-width:1.4px;stroke-linejoin:round}\n\
         .flowledger .sign{stroke-width:1.8px;stroke-linecap:round}\n\
         .flowledger .gateway-sign{fill:none;stroke-width:3px;stroke-linecap:round}\n\
         .flowledger .flow .head{stroke:none}\n\
         .flowledger .frame{fill:none;stroke-width:1px}\n",
    );
    for look in Look::ALL {
        let class = class(look);
        let (border, flow, dashes) = stroke(look);
        // The bold border of a call activity and of an end event stays recognisable.
        let bold = border + 18;
        // Writing to a text cannot fail.
        let _ = write!(
            sheet,
            ".flowledger .{class} .shape{{stroke-width:{}px;stroke-dasharray:{dashes}}}\n\
             .flowledger .{class}.call-activity .shape,.flowledger .{class}.end-event .shape{{stroke-width:{}px}}\n\
             .flowledger .flow.{class} .way{{stroke-width:{}px;stroke-dasharray:{dashes}}}\n",
            tenths(border),
            tenths(bold),
            tenths(flow),
        );
    }
    match theme {
        Theme::Auto => {
            colours(&mut sheet, ".flowledger-auto", &LIGHT);
            sheet.push_str("@media (prefers-color-scheme:dark){\n");
            colours(&mut sheet, ".flowledger-auto", &DARK);
            sheet.push_str("}\n");
        }
        Theme::Light => colours(&mut sheet, ".flowledger-light", &LIGHT),
        Theme::Dark => colours(&mut sheet, ".flowledger-dark", &DARK),
    }
    sheet
}

fn tenths(tenths: u32) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn colours(sheet: &mut String, scope: &str, palette: &Palette) {
    let Palette {
        ground,
        ink,
        faint,
        line,
        fill,
        frame,
        look: look_colours,
    } = palette;
    let _ = write!(
        sheet,
        "{scope} .ground{{fill:{ground}}}\n\
         {scope} text{{fill:{ink}}}\n\
         {scope} .faint{{fill:{faint}}}\n\
         {scope} .shape{{fill:{fill};stroke:{line}}}\n\
         {scope} .sign,{scope} .gateway-sign,{scope} .flow path{{stroke:{line}}}\n\
         {scope} .flow .head,{scope} .dot{{fill:{line};stroke:none}}\n\
         {scope} .frame{{stroke:{frame}}}\n\
         {scope} .badge .pill{{fill:{ground};stroke:{line};stroke-width:1.2px}}\n",
    );
    for look in Look::ALL {
        let class = class(look);
        let Colours { line, fill } = look_colours(look);
        let _ = write!(
            sheet,
            "{scope} .{class} .shape{{fill:{fill};stroke:{line}}}\n\
             {scope} .{class} .sign,{scope} .{class} .gateway-sign,{scope} .flow.{class} path,{scope} .badge.{class} .pill\
             {{stroke:{line}}}\n\
             {scope} .flow.{class} .head,{scope} .{class} .dot{{fill:{line}}}\n",
        );
        if matches!(look, Look::Undone | Look::Missed) {
            let _ = writeln!(sheet, "{scope} .{class} .name,{scope} .{class} .small{{fill:{faint}}}");
        }
    }
}
