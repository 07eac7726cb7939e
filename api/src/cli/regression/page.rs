//! A regression's report as one HTML page: no script, nothing from elsewhere, light and dark as the reader has it.

use std::fmt::Write as _;
use std::sync::Arc;

use flowledger::{
    ConditionChange, DifferenceKind, RegressionExample, RegressionGroup, RegressionReport, RegressionValue,
    RegressionVerdict,
};

use super::{came_out, headline};
use crate::cli::words;

/// How the page looks. Colours are those of text on paper, and the other way round where the reader prefers dark.
const STYLE: &str = "
:root{color-scheme:light dark;--paper:#fbfbfa;--card:#fff;--ink:#1c1e21;--faint:#5f6670;--line:#d9dce1;--same:#2e7d4f;--other:#b26a00;--stop:#b3261e;--code:#f1f2f4}
@media(prefers-color-scheme:dark){:root{--paper:#15171a;--card:#1d2024;--ink:#e8e9eb;--faint:#9aa1ab;--line:#33383f;--same:#5cb682;--other:#e0a030;--stop:#f0716a;--code:#272b31}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:2rem 1.25rem 4rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2.25rem 0 .75rem}h3{font-size:1rem;margin:0}
.faint{color:var(--faint)}code,.mono{font-family:ui-monospace,monospace;font-size:.9em}
code{background:var(--code);border-radius:4px;padding:.1em .35em;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.75rem;margin:1.25rem 0 .75rem}
.tile,.group{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.75rem 1rem}
.tile b{display:block;font-size:1.6rem;line-height:1.2;font-variant-numeric:tabular-nums}
.same b,.same-text{color:var(--same)}.other b,.other-text{color:var(--other)}.stop b,.stop-text{color:var(--stop)}
.bar{display:flex;height:.6rem;border-radius:4px;overflow:hidden;background:var(--line)}
.bar i{display:block}.bar .same{background:var(--same)}.bar .other{background:var(--other)}.bar .stop{background:var(--stop)}
.group{margin:0 0 1rem;border-left:4px solid var(--other)}.group.stop{border-left-color:var(--stop)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.6rem 0}dt{color:var(--faint)}dd{margin:0;min-width:0}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;font-weight:600;color:var(--faint)}th,td{padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}td .mono{white-space:nowrap}
";

/// The page.
pub(super) fn page(report: &RegressionReport) -> String {
    let tally = &report.tally;
    let mut page = String::with_capacity(16 << 10);
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Regression over the past: {module}</title><style>{STYLE}</style></head>\n<body>\n\
         <h1>Regression over the past</h1>\n\
         <p class=\"faint\">Recorded instances of module <code>{module}</code> on the candidate with SHA-256 \
         <code title=\"{sha256}\">{short}…</code>, as of record {position} of the log; {commands} commands decided again.</p>\n",
        module = escaped(&report.flow_module_id.to_string()),
        sha256 = report.candidate.sha256,
        short = words::short(&report.candidate.sha256),
        position = report.log_position,
        commands = tally.commands,
    );
    page.push_str("<div class=\"tiles\">");
    for (class, number, what) in [
        ("", tally.instances, "instances"),
        ("same", tally.same_path, "take the same path"),
        ("other", tally.diverges, "diverge"),
        ("stop", tally.cannot_continue, "cannot continue"),
    ] {
        let _ = write!(page, "<div class=\"tile {class}\"><b>{number}</b>{what}</div>");
    }
    page.push_str("</div>\n<div class=\"bar\">");
    for (class, number) in [
        ("same", tally.same_path),
        ("other", tally.diverges),
        ("stop", tally.cannot_continue),
    ] {
        let _ = write!(page, "<i class=\"{class}\" style=\"flex:{number}\"></i>");
    }
    let live = &tally.live;
    let _ = write!(
        page,
        "</div>\n<p>{} have not ended: <span class=\"same-text\">{} may move</span>, <span class=\"other-text\">{} must finish \
         on the old deployment</span>.</p>\n",
        live.instances, live.may_move, live.must_finish_on_old
    );
    faults(&mut page, report);
    if !tally.groups.is_empty() {
        page.push_str("<h2>Differences</h2>\n");
    }
    for group in &tally.groups {
        difference(&mut page, group);
    }
    if tally.ungrouped > 0 {
        let _ = writeln!(page, "<p>Something else differs first in {} more.</p>", tally.ungrouped);
    }
    if report.is_clean() {
        page.push_str("<p class=\"same-text\">Nothing differs.</p>\n");
    }
    page.push_str("</body></html>\n");
    page
}

/// What deployFlow would say of the candidate.
fn faults(page: &mut String, report: &RegressionReport) {
    let candidate = &report.candidate;
    if !candidate.faults.is_empty() {
        page.push_str("<h2 class=\"stop-text\">deployFlow would refuse the candidate</h2>\n<ul>");
        for fault in &candidate.faults {
            let element = fault
                .element_key
                .as_deref()
                .map(|key| words::element(key, &fault.element_name));
            let at = element.map(|element| format!("{}: ", escaped(&element)));
            let at = at.unwrap_or_default();
            let _ = write!(page, "<li>{} {at}{}</li>", fault.err_code, escaped(&fault.message));
        }
        page.push_str("</ul>\n");
    }
    if !candidate.warnings.is_empty() {
        page.push_str("<h2>Likely not meant in the candidate</h2>\n<ul>");
        for warning in &candidate.warnings {
            let at = warning.element_key.as_deref().map(|key| format!("{}: ", escaped(key)));
            let _ = write!(page, "<li>{}{}</li>", at.unwrap_or_default(), escaped(&warning.message));
        }
        page.push_str("</ul>\n");
    }
}

fn difference(page: &mut String, group: &RegressionGroup) {
    let difference = &group.difference;
    let class = match difference.verdict {
        RegressionVerdict::Diverges => "",
        RegressionVerdict::CannotContinue => " stop",
    };
    let _ = write!(
        page,
        "<section class=\"group{class}\"><h3>{}</h3>\n<dl>",
        escaped(&headline(group))
    );
    if difference.kind != DifferenceKind::Data || difference.then != difference.now {
        let _ = write!(
            page,
            "<dt>then</dt><dd>{}</dd><dt>now</dt><dd>{}</dd>",
            escaped(&difference.then.to_string()),
            escaped(&difference.now.to_string())
        );
    }
    if let Some(change) = &difference.condition {
        condition(page, change);
    }
    if let Some(detail) = group.examples.iter().find_map(|example| example.detail.as_ref()) {
        let _ = write!(page, "<dt>detail</dt><dd>{}</dd>", escaped(detail));
    }
    page.push_str("</dl>\n");
    examples(page, group);
    page.push_str("</section>\n");
}

fn condition(page: &mut String, change: &ConditionChange) {
    let side = |text: &Option<Arc<str>>, held| {
        let text = text.as_ref().map_or_else(
            || "<span class=\"faint\">no condition</span>".to_owned(),
            |text| format!("<code>{}</code>", escaped(text)),
        );
        format!("{text} {}", came_out(held))
    };
    let _ = write!(
        page,
        "<dt>condition</dt><dd>of {}</dd><dt></dt><dd>then {}</dd><dt></dt><dd>now {}</dd>",
        escaped(&change.sequence_flow),
        side(&change.text_then, change.then),
        side(&change.text_now, change.now)
    );
}

fn examples(page: &mut String, group: &RegressionGroup) {
    if group.examples.is_empty() {
        return;
    }
    page.push_str(
        "<div class=\"scroll\"><table><thead><tr><th>instance</th><th>version</th><th>visit</th><th>variables</th>\
         <th>waited then</th><th>waits now</th></tr></thead><tbody>",
    );
    for example in &group.examples {
        let RegressionExample {
            flow_instance_id,
            live,
            version,
            command,
            occurrence,
            waits_then,
            waits_now,
            committed_at,
            values,
            detail: _,
        } = example;
        let ended = if *live {
            ""
        } else {
            " <span class=\"faint\">ended</span>"
        };
        let committed =
            committed_at.map(|version| format!(" <span class=\"faint\">committed by version {version}</span>"));
        let _ = write!(
            page,
            "<tr><td><span class=\"mono\">{}</span>{ended}</td><td>{version} <span class=\"faint\">{}</span></td><td>{occurrence}</td>\
             <td>{}</td><td>{}{}</td><td>{}</td></tr>",
            escaped(&flow_instance_id.to_string()),
            escaped(command),
            variables(values),
            keys(waits_then),
            committed.unwrap_or_default(),
            keys(waits_now),
        );
    }
    page.push_str("</tbody></table></div>");
    let more = group.instances.saturating_sub(group.examples.len() as u64);
    if more > 0 {
        let _ = write!(page, "<p class=\"faint\">and {more} more</p>");
    }
}

fn variables(values: &[RegressionValue]) -> String {
    let told = values.iter().map(|value| {
        let side = |side: &Option<flowledger::Value>| side.as_ref().map_or("–".to_owned(), words::value);
        let now = if value.then == value.now {
            String::new()
        } else {
            format!(" now {}", escaped(&side(&value.now)))
        };
        format!(
            "<code>{}={}</code>{now}",
            escaped(&value.key),
            escaped(&side(&value.then))
        )
    });
    or_none(&told.collect::<Vec<_>>().join(" "))
}

fn keys(keys: &[Arc<str>]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| escaped(key)).collect();
    or_none(&keys.join(", "))
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "–" } else { text }.to_owned()
}

/// Text as it stands in a page, also in an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in words::plain(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_models_and_callers_stays_text() {
        assert_eq!(
            escaped("<b title=\"a & b\">\u{1b}"),
            "&lt;b title=&quot;a &amp; b&quot;&gt;\u{fffd}"
        );
    }
}
