//! Charts as SVG, without a script. What they show stands in a table beside them as well.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::figures::Bucket;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 228.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 26.0;
/// Times that are written under a chart.
const TIMES: usize = 6;
/// Lines across it.
const LINES: u32 = 4;

/// Classes of status, from the bottom of a bar to its top: what they are called and how they are drawn.
pub(super) const CLASSES: [(usize, &str, &str); 5] =
    [(1, "2xx", "s2"), (2, "3xx", "s3"), (0, "1xx", "s1"), (3, "4xx", "s4"), (4, "5xx", "s5")];

/// Stacked bars: how many exchanges ended with which status.
pub(super) fn requests(buckets: &[Bucket], interval_minutes: i64) -> String {
    let most = buckets.iter().map(Bucket::count).max().unwrap_or(0);
    let scale = Scale::up_to(most as f64, buckets.len());
    let mut svg = begin("requests", "Requests by status over time; the table below has the figures");
    scale.draw_lines(&mut svg, short);
    for (index, bucket) in buckets.iter().enumerate().filter(|(_, bucket)| bucket.count() > 0) {
        let mut below = 0.0;
        let x = scale.x(index) + scale.step * 0.1;
        let width = scale.step * 0.8;
        svg.push_str("<g>");
        title(&mut svg, bucket, interval_minutes);
        for (class, _, style) in CLASSES {
            let count = bucket.by_class[class] as f64;
            if count == 0.0 {
                continue;
            }
            let (top, bottom) = (scale.y(below + count), scale.y(below));
            let height = bottom - top;
            let _ = write!(
                svg,
                "<rect class=\"{style}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            );
            below += count;
        }
        svg.push_str("</g>");
    }
    scale.draw_times(&mut svg, buckets);
    svg.push_str("</svg>");
    svg
}

/// Lines: how long answers took. Where nothing was measured there is no line.
pub(super) fn latency(buckets: &[Bucket]) -> String {
    let latencies = || buckets.iter().filter_map(|bucket| bucket.latency);
    let scale = Scale::up_to(latencies().map(|latency| latency.p99).fold(0.0, f64::max), buckets.len());
    let mut svg = begin("latency", "Latency over time; the table below has the figures");
    scale.draw_lines(&mut svg, |value| format!("{} ms", short(value)));
    for (style, value) in PERCENTILES {
        for run in runs(buckets) {
            let points: Vec<String> = run
                .filter_map(|index| Some((index, buckets[index].latency?)))
                .map(|(index, latency)| {
                    format!("{:.1},{:.1}", scale.x(index) + scale.step / 2.0, scale.y(value(&latency)))
                })
                .collect();
            // A point alone has no length: it is drawn as a dash.
            let alone = points.first().filter(|_| points.len() == 1).map(|point| format!(" {point}"));
            let _ = write!(
                svg,
                "<polyline class=\"{style}\" stroke-linecap=\"round\" points=\"{}{}\"/>",
                points.join(" "),
                alone.unwrap_or_default()
            );
        }
    }
    scale.draw_times(&mut svg, buckets);
    svg.push_str("</svg>");
    svg
}

type Percentile = fn(&super::figures::Latency) -> f64;

/// What the lines show, and how they are drawn.
pub(super) const PERCENTILES: [(&str, Percentile); 3] =
    [("p50", |latency| latency.p50), ("p95", |latency| latency.p95), ("p99", |latency| latency.p99)];

/// Buckets next to each other in which something was measured.
fn runs(buckets: &[Bucket]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for index in (0..buckets.len()).filter(|index| buckets[*index].latency.is_some()) {
        match runs.last_mut().filter(|run| run.end == index) {
            Some(run) => run.end += 1,
            None => runs.push(index..index + 1),
        }
    }
    runs
}

fn begin(id: &str, title: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-title\"><title id=\"{id}-title\">{title}</title>"
    )
}

fn title(svg: &mut String, bucket: &Bucket, interval_minutes: i64) {
    let _ = write!(svg, "<title>{}, {interval_minutes} min:", time(bucket.start, "%Y-%m-%d %H:%M"));
    for (class, name, _) in CLASSES {
        if bucket.by_class[class] > 0 {
            let _ = write!(svg, " {} with {name}", bucket.by_class[class]);
        }
    }
    svg.push_str("</title>");
}

/// From figures to places.
struct Scale {
    most: f64,
    step: f64,
}

impl Scale {
    fn up_to(most: f64, count: usize) -> Scale {
        Scale { most: round_up(most), step: (WIDTH - LEFT - RIGHT) / count.max(1) as f64 }
    }

    fn x(&self, index: usize) -> f64 {
        LEFT + self.step * index as f64
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.most
    }

    fn draw_lines(&self, svg: &mut String, label: impl Fn(f64) -> String) {
        for line in 0..=LINES {
            let value = self.most * f64::from(line) / f64::from(LINES);
            let y = self.y(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                label(value)
            );
        }
    }

    fn draw_times(&self, svg: &mut String, buckets: &[Bucket]) {
        let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return };
        let covers_days = last.start.as_second() - first.start.as_second() > 2 * 24 * 3600;
        let format = if covers_days { "%m-%d" } else { "%H:%M" };
        for (index, bucket) in buckets.iter().enumerate().step_by(buckets.len().div_ceil(TIMES)) {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\">{}</text>",
                self.x(index),
                HEIGHT - 8.0,
                time(bucket.start, format)
            );
        }
    }
}

/// The next larger number of 1, 2, 4, 5 or 10 times a power of ten: it is divided into four.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let factors = [1.0, 2.0, 4.0, 5.0, 10.0];
    factors.into_iter().map(|factor| factor * power).find(|candidate| *candidate >= value).unwrap_or(value)
}

/// A number in few characters.
pub(super) fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e9 => (value / 1e9, "G"),
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e4 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let digits = if value >= 100.0 || value.fract() == 0.0 { 0 } else { 2 };
    format!("{value:.digits$}{unit}")
}

/// A time in UTC.
pub(super) fn time(time: Timestamp, format: &str) -> String {
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::figures::Latency;
    use super::*;

    fn bucket(by_class: [u64; 5], p99: Option<f64>) -> Bucket {
        let latency = p99.map(|p99| Latency { p50: 1.0, p95: 2.0, p99 });
        Bucket { start: Timestamp::UNIX_EPOCH, by_class, latency }
    }

    #[test]
    fn bars_are_as_high_as_their_counts() {
        let svg = requests(&[bucket([0, 3, 0, 0, 1], None), bucket([0; 5], None)], 1);
        // Four fill the whole height of 184: three quarters and one.
        assert!(svg.contains("height=\"138.0\"") && svg.contains("height=\"46.0\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains("<title>1970-01-01 00:00, 1 min: 3 with 2xx 1 with 5xx</title>"), "{svg}");
    }

    #[test]
    fn a_line_has_gaps_where_nothing_was_measured() {
        let some = || bucket([0, 1, 0, 0, 0], Some(4.0));
        let svg = latency(&[some(), some(), bucket([0; 5], None), some()]);
        assert_eq!(svg.matches("<polyline").count(), 6, "two runs of three lines");
        assert!(!svg.contains("NaN"), "{svg}");
        assert!(!latency(&[]).contains("NaN") && !requests(&[], 1).contains("NaN"));
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, expected) in
            [(0.0, 1.0), (0.03, 0.04), (1.0, 1.0), (7.0, 10.0), (450.0, 500.0), (1001.0, 2000.0)]
        {
            assert!((round_up(value) - expected).abs() < 1e-9, "{value} {}", round_up(value));
        }
        assert_eq!(
            [short(0.25), short(1500.0), short(12_500.0), short(2e6)],
            ["0.25", "1500", "12.50k", "2M"]
        );
    }
}
