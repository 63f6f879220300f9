//! An answer as tables for the terminal, one for each chain of aggregators.

mod grid;
mod series;

use std::fmt::Write as _;

use lifesigns_model::bucket::Minute;

use super::answer::{Answer, Figures, Group, Latency, Level, level};
use super::question::{Interval, Metrics, Step};
use crate::printer::{Page, escaped};

use self::grid::{Column, Grid, Row, Tone};
use self::series::{Slot, slots};

/// The tables, under a line that says what they are of.
pub fn text(answer: &Answer, chains: &[Vec<Step>], page: Page) -> String {
    let mut text = window(answer);
    if !answer.include_policy_violation {
        text.push_str(", without policy violations");
    }
    let metrics = Metrics::of(chains.iter().flatten());
    if metrics.latency {
        text.push_str(", latency in ms");
    }
    text.push('\n');
    for chain in chains {
        let table = match &chain[..] {
            [time, by] if is_split_in_columns(time, by) => split_in_columns(answer, time, by, page),
            _ => nested(answer, chain, page),
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{table}");
    }
    text
}

/// What was read, for people.
pub fn window(answer: &Answer) -> String {
    let [start, end] = [answer.start, answer.end].map(|minute| time(minute, Interval::Minutes(1)));
    format!("{start} to {end} UTC")
}

/// A minute as it stands in a table; days need no time of day.
fn time(minute: Minute, interval: Interval) -> String {
    let whole_days = match interval {
        Interval::Minutes(minutes) => minutes % 1440 == 0,
        Interval::Calendar => true,
    };
    let format = if whole_days { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M" };
    minute.start().strftime(format).to_string()
}

/// A time series that is split once and shows counts alone is easier to read with a column for each label.
fn is_split_in_columns(time: &Step, by: &Step) -> bool {
    time.interval.is_some() && by.interval.is_none() && Metrics::of([time, by]) == Metrics::default()
}

fn split_in_columns(answer: &Answer, time: &Step, by: &Step, page: Page) -> String {
    let groups = level(&answer.levels, time);
    let mut labels: Vec<(&str, u64)> = Vec::new();
    for inner in groups.iter().flat_map(|group| level(&group.figures.aggregations, by)) {
        match labels.iter_mut().find(|(label, _)| *label == inner.label) {
            Some((_, count)) => *count += inner.figures.count,
            None => labels.push((&inner.label, inner.figures.count)),
        }
    }
    labels.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    let total: u64 = groups.iter().map(|group| group.figures.count).sum();

    let mut grid = Grid::new([column(time), Column::figure("count")]);
    let room = grid::room_for_figures(page.width, total);
    let shown = if labels.len() > room { room.saturating_sub(1).max(1) } else { labels.len() };
    let rest = labels.len() - shown;
    grid.columns.extend(labels[..shown].iter().map(|(label, _)| Column::figure(&escaped(label))));
    if rest > 0 {
        grid.columns.push(Column::figure(&format!("{rest} more")));
    }
    let peak = peak(groups);
    for slot in slots(groups, time, window_of(answer, groups, time)) {
        let group = match slot {
            Slot::Bucket(group) => group,
            Slot::Empty(count) => {
                grid.rows.push(Row::note(empty(count)));
                continue;
            }
        };
        let inner = level(&group.figures.aggregations, by);
        let count_of = |label: &str| {
            inner.iter().find(|inner| inner.label == label).map_or(0, |inner| inner.figures.count)
        };
        let mut cells = vec![label(group, time), thousands(group.figures.count)];
        cells.extend(labels[..shown].iter().map(|(label, _)| nonzero(count_of(label))));
        if rest > 0 {
            cells.push(nonzero(labels[shown..].iter().map(|(label, _)| count_of(label)).sum()));
        }
        grid.rows.push(Row { cells, bar: Some(share(group.figures.count, peak)), tone: Tone::Plain });
    }
    let mut cells = vec![total_heading(groups, time).to_owned(), thousands(total)];
    cells.extend(labels[..shown].iter().map(|(_, count)| thousands(*count)));
    if rest > 0 {
        cells.push(thousands(labels[shown..].iter().map(|(_, count)| count).sum()));
    }
    grid.total = Some(cells);
    format!("count by {}\n{}", by.name, grid.draw(page))
}

/// A row for each group, the inner ones below the one they are part of.
fn nested(answer: &Answer, chain: &[Step], page: Page) -> String {
    let metrics = Metrics::of(chain);
    // In a time series the bars tell more than shares.
    let shares = chain[0].interval.is_none();
    let mut grid = Grid::new(chain.iter().map(column));
    grid.columns.push(Column::figure("count"));
    if shares {
        grid.columns.push(Column::figure("share"));
    }
    if metrics.latency {
        grid.columns.extend(Latency::NAMES.map(Column::figure));
    }
    if metrics.request {
        grid.columns.extend(["requests", "mean"].map(Column::figure));
    }
    if metrics.response {
        grid.columns.extend(["responses", "mean"].map(Column::figure));
    }
    let outer = &chain[0];
    let groups = level(&answer.levels, outer);
    let total: u64 = groups.iter().map(|group| group.figures.count).sum();
    let whole = if outer.interval.is_some() { peak(groups) } else { total };
    let mut rows = Nested { metrics, depth: chain.len(), shares, whole, total, grid: &mut grid };
    rows.add(&answer.levels, chain, window_of(answer, groups, outer));
    let mut cells = vec![String::new(); chain.len()];
    total_heading(groups, outer).clone_into(&mut cells[0]);
    cells.push(thousands(total));
    if shares {
        cells.push(percent(total, total));
    }
    grid.total = Some(cells);
    grid.draw(page)
}

/// Rows of a chain, while they are made.
struct Nested<'a> {
    metrics: Metrics,
    /// Length of the chain.
    depth: usize,
    shares: bool,
    /// What the longest bar stands for.
    whole: u64,
    /// What shares are shares of.
    total: u64,
    grid: &'a mut Grid,
}

impl Nested<'_> {
    fn add(&mut self, levels: &[Level], chain: &[Step], window: Option<(Minute, Minute)>) {
        let [step, inner @ ..] = chain else { return };
        let column = self.depth - chain.len();
        for slot in slots(level(levels, step), step, window) {
            let mut cells = vec![String::new(); self.depth];
            match slot {
                Slot::Empty(count) => {
                    cells[column] = empty(count);
                    self.grid.rows.push(Row { cells, bar: None, tone: Tone::Plain });
                }
                Slot::Bucket(group) => {
                    cells[column] = label(group, step);
                    self.figures(&group.figures, &mut cells);
                    let bar = Some(share(group.figures.count, self.whole));
                    self.grid.rows.push(Row { cells, bar, tone: tone(group, step) });
                    self.add(&group.figures.aggregations, inner, None);
                }
            }
        }
    }

    fn figures(&self, figures: &Figures, cells: &mut Vec<String>) {
        cells.push(thousands(figures.count));
        if self.shares {
            cells.push(percent(figures.count, self.total));
        }
        if self.metrics.latency {
            let latency = figures.latency_ms.as_ref().map(Latency::figures).unwrap_or_default();
            cells.extend(latency.map(|figure| figure.map_or_else(String::new, milliseconds)));
        }
        for (asked, size) in
            [(self.metrics.request, &figures.request_size), (self.metrics.response, &figures.response_size)]
        {
            if asked {
                cells.push(size.as_ref().map_or_else(String::new, |size| bytes(size.sum as f64)));
                cells.push(size.as_ref().and_then(|size| size.mean).map_or_else(String::new, bytes));
            }
        }
    }
}

fn column(step: &Step) -> Column {
    if step.interval.is_some() { Column::time("time (UTC)") } else { Column::label(&step.name) }
}

fn label(group: &Group, step: &Step) -> String {
    match (step.interval, group.minute()) {
        (Some(interval), Some(minute)) => time(minute, interval),
        _ => escaped(&group.label),
    }
}

/// The window, if it shows where a time series begins and ends: one that is cut off says nothing of its ends.
fn window_of(answer: &Answer, groups: &[Group], step: &Step) -> Option<(Minute, Minute)> {
    (!is_cut(groups, step)).then_some((answer.start, answer.end))
}

/// Whether there may be groups that are not shown.
fn is_cut(groups: &[Group], step: &Step) -> bool {
    step.limit.is_some_and(|limit| groups.len() as u64 >= limit)
}

fn total_heading(groups: &[Group], step: &Step) -> &'static str {
    if is_cut(groups, step) { "shown" } else { "total" }
}

fn empty(count: i64) -> String {
    format!("({count} empty)")
}

/// The colour of a status code, if it is one.
fn tone(group: &Group, step: &Step) -> Tone {
    match (step.name.as_str(), group.label.as_bytes().first()) {
        ("status_code", Some(b'5')) => Tone::Red,
        ("status_code", Some(b'4')) => Tone::Yellow,
        ("status_code", _) => Tone::Green,
        _ => Tone::Plain,
    }
}

fn peak(groups: &[Group]) -> u64 {
    groups.iter().map(|group| group.figures.count).max().unwrap_or(0)
}

fn share(count: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { count as f64 / whole as f64 }
}

fn percent(count: u64, total: u64) -> String {
    let percent = share(count, total) * 100.0;
    if count > 0 && percent < 0.05 { "<0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

fn nonzero(count: u64) -> String {
    if count == 0 { String::new() } else { thousands(count) }
}

fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits or more that matter.
fn milliseconds(figure: f64) -> String {
    match figure {
        ..1.0 => format!("{figure:.3}"),
        ..10.0 => format!("{figure:.2}"),
        ..100.0 => format!("{figure:.1}"),
        _ => thousands(figure.round() as u64),
    }
}

fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000.0 {
        return format!("{bytes:.0} B");
    }
    let mut scaled = bytes / 1000.0;
    let mut unit = 0;
    // 999.95 would be shown as 1000.0.
    while scaled >= 999.95 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests;
