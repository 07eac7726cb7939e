//! Plots as SVG text: bars in groups and lines, both with a logarithmic axis. Knows nothing of what they show.

use std::fmt::Write;

/// One kind of bar, or one line, by its name.
pub struct Series {
    /// The name.
    pub name: String,
    /// A value for each group, or for each place on the axis; what is missing is left out.
    pub values: Vec<Option<f64>>,
}

const WIDTH: f64 = 760.0;
/// The least for a group of bars with its figures.
const GROUP: f64 = 165.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 44.0;
/// Told apart also by people who do not see colours well (Okabe and Ito).
const COLOURS: [&str; 6] = ["#999999", "#56b4e9", "#0072b2", "#e69f00", "#d55e00", "#009e73"];

/// Decades that hold all values.
fn decades(series: &[Series]) -> (f64, f64) {
    let values = || {
        series
            .iter()
            .flat_map(|series| &series.values)
            .flatten()
            .filter(|value| **value > 0.0)
    };
    let low = values().copied().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().copied().fold(1.0, f64::max).log10().ceil();
    if low.is_finite() {
        (low, high.max(low + 1.0))
    } else {
        (0.0, 1.0)
    }
}

fn begin(title: &str, series: &[Series], (low, high): (f64, f64), width: f64) -> String {
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="16" font-size="14">{title}</text>
"##
    );
    let mut x = LEFT;
    for (number, series) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let _ = writeln!(
            svg,
            r#"<rect x="{x:.0}" y="24" width="10" height="10" fill="{colour}"/>"#
        );
        let _ = writeln!(svg, r#"<text x="{:.0}" y="33">{}</text>"#, x + 14.0, series.name);
        #[allow(clippy::cast_precision_loss, reason = "a length of text")]
        let len = series.name.chars().count() as f64;
        x += 30.0 + len * 7.0;
    }
    let mut decade = low;
    while decade <= high {
        let y = height(decade, (low, high));
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" y1="{y:.1}" x2="{width}" y2="{y:.1}" stroke="#dddddd"/>"##
        );
        let label = number(10f64.powf(decade));
        let _ = writeln!(
            svg,
            r#"<text x="{:.0}" y="{:.1}" text-anchor="end">{label}</text>"#,
            LEFT - 6.0,
            y + 4.0
        );
        decade += 1.0;
    }
    svg
}

fn height(decade: f64, (low, high): (f64, f64)) -> f64 {
    let room = HEIGHT - TOP - BOTTOM;
    HEIGHT - BOTTOM - (decade - low) / (high - low) * room
}

/// A number with commas between its thousands; small ones with their decimals.
pub fn number(value: f64) -> String {
    if value.abs() < 10.0 && (value - value.round()).abs() > 0.005 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < -0.5 { format!("-{text}") } else { text }
}

/// A figure that must fit over a bar: thousands from ten on as `39.6k`.
fn short(value: f64) -> String {
    if value < 9_999.5 {
        number(value)
    } else if value < 99_950.0 {
        format!("{:.1}k", value / 1e3)
    } else {
        format!("{:.0}k", value / 1e3)
    }
}

/// Bars side by side, a group for each label.
#[allow(clippy::cast_precision_loss, reason = "places on a picture")]
pub fn bars(title: &str, labels: &[String], series: &[Series]) -> String {
    let decades = decades(series);
    let groups = labels.len().max(1) as f64;
    let width = WIDTH.max(LEFT + GROUP * groups);
    let mut svg = begin(title, series, decades, width);
    let group = (width - LEFT) / groups;
    let bar = group * 0.8 / series.len().max(1) as f64;
    for (place, label) in labels.iter().enumerate() {
        let left = LEFT + group * (place as f64 + 0.1);
        for (number_of, one) in series.iter().enumerate() {
            let Some(value) = one.values.get(place).copied().flatten().filter(|value| *value > 0.0) else {
                continue;
            };
            let (x, y) = (left + bar * number_of as f64, height(value.log10(), decades));
            let colour = COLOURS[number_of % COLOURS.len()];
            let _ = writeln!(
                svg,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="{colour}"/>"#,
                bar - 2.0,
                HEIGHT - BOTTOM - y
            );
            let _ = writeln!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" font-size="9" text-anchor="middle">{}</text>"#,
                x + bar / 2.0 - 1.0,
                y - 3.0,
                short(value)
            );
        }
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.0}" text-anchor="middle">{label}</text>"#,
            left + group * 0.4,
            HEIGHT - 24.0
        );
    }
    svg + "</svg>\n"
}

/// Between two figures one above the other.
const FIGURE_HEIGHT: f64 = 10.0;

/// Lines over labels at equal distances. Of points so close that their figures would cover each other, the first has one.
#[allow(clippy::cast_precision_loss, reason = "places on a picture")]
pub fn lines(title: &str, labels: &[String], series: &[Series]) -> String {
    let decades = decades(series);
    let mut svg = begin(title, series, decades, WIDTH);
    let step = (WIDTH - LEFT) / labels.len().max(1) as f64;
    let x = |place: usize| LEFT + step * (place as f64 + 0.5);
    let mut figures: Vec<(f64, f64)> = Vec::new();
    for (number_of, one) in series.iter().enumerate() {
        let colour = COLOURS[number_of % COLOURS.len()];
        let points: Vec<(f64, f64, f64)> = one
            .values
            .iter()
            .enumerate()
            .filter_map(|(place, value)| {
                let value = value.filter(|value| *value > 0.0)?;
                Some((x(place), height(value.log10(), decades), value))
            })
            .collect();
        let path: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            path.join(" ")
        );
        for (x, y, value) in points {
            let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#);
            let covers = |(at, of): &(f64, f64)| (at - x).abs() < 1.0 && (of - y).abs() < FIGURE_HEIGHT;
            if figures.iter().any(covers) {
                continue;
            }
            figures.push((x, y));
            let label = number(value);
            let _ = writeln!(
                svg,
                r#"<text x="{x:.1}" y="{:.1}" font-size="9" text-anchor="middle">{label}</text>"#,
                y - 6.0
            );
        }
    }
    for (place, label) in labels.iter().enumerate() {
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.0}" text-anchor="middle">{label}</text>"#,
            x(place),
            HEIGHT - 24.0
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        let told: Vec<String> = [0.0, 0.47, 7.0, 999.0, 1_000.0, 1_234_567.4, -1_500.0]
            .map(number)
            .into();
        assert_eq!(told, ["0", "0.47", "7", "999", "1,000", "1,234,567", "-1,500"]);
    }

    #[test]
    fn figures_do_not_cover_each_other() {
        let series = [253.0, 251.0, 25.0].map(|value| Series {
            name: "latency".to_owned(),
            values: vec![Some(value)],
        });
        let lines = lines("us", &["1".to_owned()], &series);
        assert_eq!(lines.matches("<circle").count(), 3);
        let has = |figure: &str| lines.contains(&format!(">{figure}</text>"));
        assert!(has("253") && !has("251") && has("25"));
    }

    #[test]
    fn missing_values_are_left_out() {
        let series = [Series {
            name: "engine".to_owned(),
            values: vec![Some(10.0), None, Some(0.0)],
        }];
        let labels = ["1", "16", "64"].map(str::to_owned);
        let bars = bars("commands/s", &labels, &series);
        assert_eq!(bars.matches("<rect").count(), 3, "background, legend and one bar");
        assert_eq!(lines("commands/s", &labels, &series).matches("<circle").count(), 1);
    }
}
