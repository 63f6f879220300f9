//! Charts as SVG, without a script. What they show stands in a table beside them as well.

use std::fmt::{Display, Write};

use lifesigns_model::history::{Availability, Slice};

use super::markup::{Length, Percent, Utc};
use super::past::{Mark, MarkKind};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 6.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 24.0;
/// Lines across a chart, the lowest not counted.
const LINES: u32 = 4;
/// Times that are written under it.
const TIMES: usize = 6;
/// How high a bar of a day is, and the least of it that shows anything.
const BAR: f64 = 40.0;
const LEAST: f64 = 4.0;

/// A line through what slices say; where they say nothing there is none.
pub(super) fn line(
    id: &str,
    title: &str,
    slices: &[Slice],
    marks: &[Mark],
    value: impl Fn(&Slice) -> Option<f64>,
    label: impl Fn(f64) -> String,
) -> String {
    let most = slices.iter().filter_map(&value).fold(0.0, f64::max);
    let scale = Scale { most: round_up(most), step: (WIDTH - LEFT - RIGHT) / slices.len().max(1) as f64 };
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-title\">\
         <title id=\"{id}-title\">{title}; the table below has the figures</title>"
    );
    for line in 0..=LINES {
        let at = scale.most * f64::from(line) / f64::from(LINES);
        let y = scale.y(at);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT},{y:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            label(at)
        );
    }
    scale.times(&mut svg, slices);
    for mark in marks {
        draw_mark(&mut svg, slices, mark);
    }
    let (mut path, mut area) = (String::new(), String::new());
    for run in runs(slices, &value) {
        let points: Vec<(f64, f64)> = run
            .filter_map(|index| Some((scale.x(index) + scale.step / 2.0, scale.y(value(&slices[index])?))))
            .collect();
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        let _ = write!(path, "M{:.1},{:.1}", first.0, first.1);
        let _ = write!(area, "M{:.1},{:.1}", first.0, scale.y(0.0));
        for (x, y) in &points {
            let _ = write!(path, "L{x:.1},{y:.1}");
            let _ = write!(area, "L{x:.1},{y:.1}");
        }
        let _ = write!(area, "V{:.1}Z", scale.y(0.0));
        debug_assert!(last.0 >= first.0);
    }
    let _ = write!(svg, "<path class=\"area\" d=\"{area}\"/><path class=\"line\" d=\"{path}\"/></svg>");
    svg
}

/// Slices next to each other that say something.
fn runs(slices: &[Slice], value: &impl Fn(&Slice) -> Option<f64>) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for index in (0..slices.len()).filter(|index| value(&slices[*index]).is_some()) {
        match runs.last_mut().filter(|run| run.end == index) {
            Some(run) => run.end += 1,
            None => runs.push(index..index + 1),
        }
    }
    runs
}

/// From figures to places.
struct Scale {
    most: f64,
    step: f64,
}

impl Scale {
    fn x(&self, index: usize) -> f64 {
        LEFT + self.step * index as f64
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.most
    }

    fn times(&self, svg: &mut String, slices: &[Slice]) {
        let (Some(first), Some(last)) = (slices.first(), slices.last()) else { return };
        let pattern = if last.span.from - first.span.from > 2 * 86_400 { "%b %-d" } else { "%H:%M" };
        for (index, slice) in slices.iter().enumerate().step_by(slices.len().div_ceil(TIMES)) {
            let time = Utc(slice.span.from * 1000).format(pattern);
            let _ = write!(svg, "<text x=\"{:.1}\" y=\"{}\">{time}</text>", self.x(index), HEIGHT - 7.0);
        }
    }
}

fn draw_mark(svg: &mut String, slices: &[Slice], mark: &Mark) {
    let Some(first) = slices.first() else { return };
    let Some(last) = slices.last() else { return };
    let place = (mark.at as f64 / 1000.0 - first.span.from as f64) / (last.span.to - first.span.from) as f64;
    if !(0.0..=1.0).contains(&place) {
        return;
    }
    let x = LEFT + (WIDTH - LEFT - RIGHT) * place;
    let (class, name) = match mark.kind {
        MarkKind::Deploy => ("deploy", "Deploy"),
        MarkKind::Restart => ("restart", "Restart"),
    };
    let shape = match mark.kind {
        MarkKind::Deploy => format!("M{:.1},4h10l-5,8z", x - 5.0),
        MarkKind::Restart => format!("M{x:.1},3l5,5l-5,5l-5,-5z"),
    };
    let time = Utc(mark.at).format("%Y-%m-%d %H:%M");
    let _ = write!(
        svg,
        "<g class=\"mark {class}\"><title>{name}, {time}</title>\
         <path class=\"at\" d=\"M{x:.1},13V{:.1}\"/><path class=\"shape\" d=\"{shape}\"/></g>",
        HEIGHT - BOTTOM
    );
}

/// One bar for each slice: how much of it was green, amber and red, from below. What is not known is empty.
pub(super) fn bars(id: &str, title: &str, slices: &[Slice]) -> String {
    let mut svg = format!(
        "<svg class=\"bars\" viewBox=\"0 0 {} {BAR}\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"{id}-title\">\
         <title id=\"{id}-title\">{title}</title>",
        slices.len() * 8
    );
    for (index, slice) in slices.iter().enumerate() {
        let day = Utc(slice.span.from * 1000).format("%Y-%m-%d");
        let x = index * 8 + 1;
        let _ = write!(svg, "<g><title>{day}: {}</title>", Told(slice));
        // Something to point at where nothing is known.
        let _ = write!(svg, "<path class=\"n\" d=\"M{x},0h6v{BAR}h-6z\"/>");
        for (class, top, height) in stack(slice) {
            let _ = write!(svg, "<path class=\"{class}\" d=\"M{x},{top:.1}h6v{height:.1}h-6z\"/>");
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>");
    svg
}

/// Green at the bottom, then amber, then red, each no lower than what can be seen; what is not known is left free at the
/// top. Class, top and height.
fn stack(slice: &Slice) -> Vec<(char, f64, f64)> {
    let Availability { green_s, amber_s, red_s, .. } = slice.availability;
    let all = (slice.span.to - slice.span.from).max(1) as f64;
    let known = [('g', green_s), ('a', amber_s), ('r', red_s)];
    let mut stack: Vec<(char, f64, f64)> = Vec::new();
    for (class, seconds) in known.into_iter().filter(|(_, seconds)| *seconds > 0) {
        stack.push((class, 0.0, (seconds as f64 / all * BAR).max(LEAST)));
    }
    // What was made higher than it is takes that from the highest.
    let excess = stack.iter().map(|(.., height)| height).sum::<f64>() - BAR;
    if let Some(highest) =
        stack.iter_mut().max_by(|one, other| one.2.total_cmp(&other.2)).filter(|_| excess > 0.0)
    {
        highest.2 -= excess;
    }
    let mut top = BAR;
    for (_, at, height) in &mut stack {
        top -= *height;
        *at = top;
    }
    stack
}

/// What a slice says of how the service was.
pub(super) struct Told<'a>(pub(super) &'a Slice);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let availability = self.0.availability;
        let Some(up) = availability.share() else { return f.write_str("not known") };
        write!(f, "{} available", Percent(up))?;
        let parts = [
            (availability.red_s, "red"),
            (availability.amber_s, "amber"),
            (availability.not_known_s, "not known"),
        ];
        for (seconds, what) in parts {
            if seconds > 0 {
                write!(f, ", {} {what}", Length(seconds * 1000))?;
            }
        }
        Ok(())
    }
}

/// The next larger number of 2, 4, 8 or 20 times a power of ten: a quarter of it is as short to write.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 4.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let factors = [2.0, 4.0, 8.0, 20.0];
    factors.into_iter().map(|factor| factor * power).find(|candidate| *candidate >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use lifesigns_model::history::Span;

    use super::*;

    fn slice(from: i64, length: i64, availability: Availability) -> Slice {
        let span = Span { from, to: from + length };
        let (latency_mean_us, latency_p95_us, memory_mean_mb) = (None, None, None);
        Slice { span, worst: None, availability, latency_mean_us, latency_p95_us, memory_mean_mb }
    }

    #[test]
    fn a_line_has_gaps_where_nothing_was_measured() {
        let slices: Vec<Slice> = (0..10)
            .map(|index| Slice {
                latency_p95_us: (index != 4).then_some(1000),
                ..slice(index * 60, 60, Availability::default())
            })
            .collect();
        let mark = |at, kind| Mark { at, kind };
        let marks = [mark(120_000, MarkKind::Deploy), mark(900_000, MarkKind::Restart)];
        let p95 = |slice: &Slice| slice.latency_p95_us.map(f64::from);
        let svg = line("p", "P95", &slices, &marks, p95, |us| us.to_string());
        let path = svg.rsplit_once("d=\"").unwrap().1;
        assert_eq!(path.matches('M').count(), 2, "{svg}");
        assert_eq!(svg.matches("<g class=\"mark").count(), 1, "one of them is outside");
        let empty = line("p", "P95", &[], &marks, |_| None, |us| us.to_string());
        assert!(!empty.contains("NaN") && !empty.contains("inf"), "{empty}");
    }

    #[test]
    fn a_bar_shows_the_shortest_outage_and_nothing_of_what_is_not_known() {
        let day = |availability| slice(0, 86_400, availability);
        let slices = [
            day(Availability { green_s: 86_340, red_s: 60, ..Availability::default() }),
            day(Availability { not_known_s: 86_400, ..Availability::default() }),
            day(Availability { green_s: 43_200, not_known_s: 43_200, ..Availability::default() }),
        ];
        let svg = bars("days", "Days", &slices);
        assert_eq!(svg.matches("class=\"r\" d=\"M1,0.0h6v4.0").count(), 1, "{svg}");
        assert_eq!(svg.matches("class=\"g\"").count(), 2, "{svg}");
        assert!(svg.contains("class=\"g\" d=\"M17,20.0h6v20.0"), "{svg}");
        assert!(svg.contains("<title>1970-01-01: not known</title>"), "{svg}");
        assert!(svg.contains("99.93 % available, 1 min red"), "{svg}");
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, expected) in
            [(0.0, 4.0), (0.03, 0.04), (7.0, 8.0), (450.0, 800.0), (1001.0, 2000.0), (9.0, 20.0)]
        {
            assert!((round_up(value) - expected).abs() < 1e-9, "{value} {}", round_up(value));
        }
    }
}
