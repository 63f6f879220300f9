//! Cells in columns, and a bar behind them.

use std::iter;

use crate::printer::Page;

/// Between columns.
const GAP: usize = 2;
/// A shorter bar says nothing; it is left out.
const SHORTEST_BAR: usize = 5;
const LONGEST_BAR: usize = 40;
/// Columns of labels are not cut further than this, even if the lines are then wider than the page.
const SHORTEST_LABEL: usize = 12;
const LONGEST_HEADING: usize = 16;

/// A table that is put together.
#[derive(Debug)]
pub(super) struct Grid {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// Cells of the last line.
    pub(super) total: Option<Vec<String>>,
}

/// One column.
#[derive(Debug)]
pub(super) struct Column {
    heading: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// On the left, and cut when there is no room.
    Label,
    /// On the left, and never cut.
    Time,
    /// On the right, and never cut.
    Figure,
}

/// One line. Cells that are left out are empty.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    /// Length of the bar, 0 to 1.
    pub(super) bar: Option<f64>,
    pub(super) tone: Tone,
}

/// Colour of a bar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tone {
    Plain,
    Green,
    Yellow,
    Red,
}

impl Column {
    pub(super) fn label(heading: &str) -> Column {
        Column { heading: heading.to_owned(), kind: Kind::Label }
    }

    pub(super) fn time(heading: &str) -> Column {
        Column { heading: heading.to_owned(), kind: Kind::Time }
    }

    pub(super) fn figure(heading: &str) -> Column {
        Column { heading: heading.to_owned(), kind: Kind::Figure }
    }
}

impl Row {
    /// A line that holds a few words and no figures.
    pub(super) fn note(text: String) -> Row {
        Row { cells: vec![text], bar: None, tone: Tone::Plain }
    }
}

/// How many columns of figures there is room for beside a time and a count, so that a bar is left.
pub(super) fn room_for_figures(width: usize, highest: u64) -> usize {
    const TIME: usize = 16;
    let figure = highest.to_string().len() * 4 / 3 + 1;
    let left = width.saturating_sub(TIME + GAP + figure + GAP + 2 * SHORTEST_BAR);
    (left / (figure.max(5) + GAP)).max(2)
}

impl Grid {
    pub(super) fn new(columns: impl IntoIterator<Item = Column>) -> Grid {
        Grid { columns: columns.into_iter().collect(), rows: Vec::new(), total: None }
    }

    /// The lines, each ended.
    pub(super) fn draw(&self, page: Page) -> String {
        let widths = self.widths(page.width);
        let used: usize = widths.iter().map(|width| width + GAP).sum();
        let bar = Some(page.width.saturating_sub(used).min(LONGEST_BAR)).filter(|bar| *bar >= SHORTEST_BAR);
        let headings: Vec<String> =
            self.columns.iter().map(|column| cut(&column.heading, LONGEST_HEADING, page)).collect();
        let mut text = String::new();
        let heading = self.line(&headings, &widths, page);
        text.push_str(&painted(heading.trim_end(), page.colour.then_some("1")));
        text.push('\n');
        for row in &self.rows {
            let line = self.line(&row.cells, &widths, page);
            match row.bar.zip(bar).map(|(share, width)| drawn(share, width, page.blocks)) {
                Some(bar) if !bar.is_empty() => {
                    let line = format!("{line}{}", painted(&bar, page.colour.then(|| row.tone.code())));
                    text.push_str(&line);
                }
                _ => text.push_str(line.trim_end()),
            }
            text.push('\n');
        }
        if let Some(total) = &self.total {
            text.push_str(self.line(total, &widths, page).trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self, page: usize) -> Vec<usize> {
        let lines = self.rows.iter().map(|row| &row.cells).chain(&self.total);
        let mut widths: Vec<usize> =
            self.columns.iter().map(|column| length(&column.heading).min(LONGEST_HEADING)).collect();
        for cells in lines {
            widths.iter_mut().zip(cells).for_each(|(width, cell)| *width = length(cell).max(*width));
        }
        // The widest labels give way first.
        let mut over = widths.iter().map(|width| width + GAP).sum::<usize>().saturating_sub(page - GAP);
        while over > 0 {
            let labels =
                widths.iter_mut().zip(&self.columns).filter(|(_, column)| column.kind == Kind::Label);
            match labels.map(|(width, _)| width).max() {
                Some(width) if *width > SHORTEST_LABEL => *width -= 1,
                _ => break,
            }
            over -= 1;
        }
        widths
    }

    /// Ends with a gap.
    fn line(&self, cells: &[String], widths: &[usize], page: Page) -> String {
        let cells = cells.iter().map(String::as_str).chain(iter::repeat(""));
        let mut text = String::new();
        for ((cell, column), width) in cells.zip(&self.columns).zip(widths) {
            let cell = cut(cell, *width, page);
            let padding = " ".repeat(width.saturating_sub(length(&cell)));
            let (before, behind) =
                if column.kind == Kind::Figure { (&*padding, "") } else { ("", &*padding) };
            text.extend([before, &cell, behind, &" ".repeat(GAP)]);
        }
        text
    }
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Tone::Plain => "36",
            Tone::Green => "32",
            Tone::Yellow => "33",
            Tone::Red => "31",
        }
    }
}

fn painted(text: &str, code: Option<&str>) -> String {
    code.map_or_else(|| text.to_owned(), |code| format!("\u{1b}[{code}m{text}\u{1b}[0m"))
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The text in so many characters at most, with a mark where something is missing.
fn cut(text: &str, width: usize, page: Page) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let mark = if page.blocks { "…" } else { "..." };
    let kept = width.saturating_sub(length(mark));
    text.chars().take(kept).chain(mark.chars()).collect()
}

/// A bar for a share of the width. What is more than nothing is seen.
fn drawn(share: f64, width: usize, blocks: bool) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = share.clamp(0.0, 1.0);
    let least = usize::from(share > 0.0);
    if !blocks {
        return "#".repeat(((share * width as f64).round() as usize).max(least));
    }
    let eighths = ((share * width as f64 * 8.0).round() as usize).max(least);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Page = Page { width: 40, blocks: false, colour: false };

    #[test]
    fn a_bar_has_the_length_of_its_share_and_is_never_lost() {
        let check = |share, blocks, expected: &str| assert_eq!(drawn(share, 8, blocks), expected, "{share}");
        check(0.0, true, "");
        check(0.0001, true, "▏");
        check(0.5, true, "████");
        check(0.53, true, "████▎");
        check(1.0, true, "████████");
        check(7.0, true, "████████");
        check(0.0001, false, "#");
        check(0.5, false, "####");
        check(f64::NAN, false, "");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("abcdef", 6, PLAIN), "abcdef");
        assert_eq!(cut("abcdef", 5, PLAIN), "ab...");
        assert_eq!(cut("äöüäöü", 5, Page { blocks: true, ..PLAIN }), "äöüä…");
    }

    #[test]
    fn the_widest_labels_give_way_to_the_page() {
        let mut grid = Grid::new([Column::label("a"), Column::label("b"), Column::figure("count")]);
        let cells = vec!["x".repeat(60), "y".repeat(5), "12".to_owned()];
        grid.rows.push(Row { cells, bar: Some(1.0), tone: Tone::Plain });
        for line in grid.draw(PLAIN).lines() {
            assert!(length(line) <= PLAIN.width, "{line:?}");
        }
    }
}
