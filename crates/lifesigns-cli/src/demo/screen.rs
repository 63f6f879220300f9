//! What a person sees of the demo.

use std::fmt::Write as _;
use std::time::Duration;

use lifesigns::Snapshot;
use lifesigns::model::light::Light;
use lifesigns_monitor::Counts;

use super::monitor::Told;
use super::shop;
use super::world::{WINDOW_SECONDS, World};
use crate::printer::escaped;

/// Draws the demo as text.
#[derive(Debug)]
pub(super) struct Screen {
    /// Whether the figures are drawn over those that were drawn before.
    in_place: bool,
    colour: bool,
    /// Lines that the figures take up already.
    drawn: usize,
}

/// What a live line shows of an API.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    requests: u64,
    /// 0 to 1.
    failed_share: f64,
    p95_ms: Option<f64>,
    light: Light,
}

impl Screen {
    pub(super) const fn new(in_place: bool, colour: bool) -> Screen {
        Screen { in_place, colour, drawn: 0 }
    }

    /// A line for each API, under a heading, and one for all that the monitor watches.
    pub(super) fn figures(&mut self, world: &World) -> String {
        let rows: Vec<(String, Figures)> =
            world.apis().map(|api| (api.name().to_owned(), Figures::of(&api.snapshot()))).collect();
        self.draw(&rows, world.monitor.counts())
    }

    /// A message that the monitor has sent, with when that was. It stays; figures are drawn below it.
    pub(super) fn message(&mut self, told: &Told, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs();
        let title = escaped(&told.title);
        let title = if self.colour {
            let colour = if told.kind == "resolved" { 32 } else { 31 };
            format!("\u{1b}[1;{colour}m{title}\u{1b}[0m")
        } else {
            title
        };
        let over = if self.drawn > 0 && self.in_place {
            format!("\u{1b}[{}A\u{1b}[J", self.drawn)
        } else {
            String::new()
        };
        self.drawn = 0;
        let end = if self.in_place { "" } else { "\n" };
        format!("{over}{:>2}:{:02}  one message: {title}{end}", seconds / 60, seconds % 60)
    }

    fn draw(&mut self, rows: &[(String, Figures)], counts: Counts) -> String {
        let mut text = String::new();
        if self.in_place && self.drawn > 0 {
            // Writing to a string cannot fail, here and below.
            let _ = write!(text, "\u{1b}[{}A", self.drawn);
        }
        // Clears what a line held before, in case it was longer.
        let clear = if self.in_place { "\u{1b}[K" } else { "" };
        let heading = format!("last {WINDOW_SECONDS} s");
        let _ = write!(text, "{heading:<20}{:>9}{:>9}{:>10}  light{clear}", "requests", "errors", "p95");
        for (name, figures) in rows {
            let errors = format!("{:.1} %", figures.failed_share * 100.0);
            let p95 = figures.p95_ms.map_or_else(|| "–".to_owned(), |p95| format!("{p95:.1} ms"));
            let light = self.light(figures.light);
            let _ = write!(text, "\n{name:<20}{:>9}{errors:>9}{p95:>10}  {light}{clear}", figures.requests);
        }
        let Counts { green, amber, red, not_known } = counts;
        let _ = write!(text, "\nall {} services: {green} green, {amber} amber, {red} red", counts.all());
        if not_known > 0 {
            let _ = write!(text, ", {not_known} not known");
        }
        text += clear;
        self.drawn = rows.len() + 2;
        if !self.in_place {
            text.push('\n');
        }
        text
    }

    fn light(&self, light: Light) -> String {
        let colour = match light {
            Light::Green => 32,
            Light::Amber => 33,
            Light::Red => 31,
        };
        let name = light.name();
        if self.colour { format!("\u{1b}[1;{colour}m{name}\u{1b}[0m") } else { name.to_owned() }
    }
}

impl Figures {
    fn of(snapshot: &Snapshot) -> Figures {
        Figures {
            requests: snapshot.traffic.exchanges,
            failed_share: snapshot.traffic.failed_share(),
            p95_ms: snapshot.traffic.latency_ms,
            light: snapshot.verdict.light,
        }
    }
}

/// What is running where, and what to try.
pub(super) fn introduction(world: &World) -> Vec<String> {
    let (gateway, polls, monitor, token) = (world.gateway, world.polls, world.monitor.address, &world.token);
    let mut lines: Vec<String> = [
        "Seven APIs behind one gateway, five client apps that call them, a shop of six services, and a monitor of all 13.",
        "Every 3 minutes, from second 8 on: orders is out for 20 s, and three others with it. It is one message, not four.",
        "From second 60 on: payment-service fails for 25 s, is down for 30 s, and recovers for 20 s.",
        "All the time: the memory of thumbnails grows until it is started anew; search is deployed again and again.",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    lines.extend([
        format!("monitor listening on http://{monitor}/ with the dashboard"),
        format!("gateway listening on http://{gateway}"),
        format!("polls listening on http://{polls}"),
    ]);
    lines.extend(world.admin.map(|admin| format!("admin listening on http://{admin}")));
    lines.extend([String::new(), "Try in another terminal:".to_owned()]);
    lines.extend(commands(world).into_iter().map(|line| format!("  {line}")));
    lines.extend([
        String::new(),
        format!("The token {token} opens everything here."),
        "Ctrl-C ends the demo.".to_owned(),
    ]);
    lines.push(String::new());
    lines
}

/// Commands that work as they stand.
fn commands(world: &World) -> Vec<String> {
    let (gateway, polls, monitor) = (world.gateway, world.polls, world.monitor.address);
    let (orders, search) = (&world.orders, &world.search);
    let lifesigns = program();
    let revision = shop::first_revision();
    let bearer = format!("-H 'Authorization: Bearer {}'", world.token);
    let query = r#"{"type":"enriched-http-event","duration":"60m","aggregators":[{"dimension":"api_id","aggregators":[{"dimension":"status_code"}]}]}"#;
    let mut lines = vec![
        format!("{lifesigns} check http://{gateway}/polls/health {orders} {search}"),
        format!("{lifesigns} whois http://{gateway}/polls/health"),
        format!("{lifesigns} deployed {} {search}", &revision[..12]),
        format!("curl -i http://{monitor}/status"),
        format!("curl -i http://{monitor}/services/orders/breaker"),
        format!("curl http://{monitor}/api/incidents"),
        format!("curl -i http://{gateway}/polls/questions"),
        format!("curl -i http://{gateway}/polls/health"),
        format!("curl -i http://{gateway}/user/status"),
        format!("curl -i http://{gateway}/payment/health/status"),
        format!("curl -i -H 'Accept: text/plain' http://{gateway}/payment/health/status/503"),
        format!("curl -i 'http://{gateway}/checkout/readyz?verbose'"),
        format!("curl {bearer} 'http://{gateway}/payment/health/details?interval=1&duration=1h'"),
        format!(
            "curl {bearer} -H 'Content-Type: application/json' -d '{query}' \
             http://{gateway}/analytics/1.0/demo/environments/demo/query"
        ),
        format!("curl -i http://{polls}/health/status"),
    ];
    lines.extend(world.admin.map(|admin| format!("curl http://{admin}/metrics")));
    lines
}

/// This program, as it was called and as a shell understands it.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._+-".contains(character);
    match called {
        called if called.is_empty() => "lifesigns".to_owned(),
        called if called.chars().all(is_plain) => called,
        called => format!("'{}'", escaped(&called).replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts { green: 9, amber: 0, red: 3, not_known: 1 };

    fn rows() -> Vec<(String, Figures)> {
        let quiet = Figures { requests: 0, failed_share: 0.0, p95_ms: None, light: Light::Green };
        let busy = Figures { requests: 1234, failed_share: 0.5, p95_ms: Some(12.34), light: Light::Red };
        vec![("polls".to_owned(), quiet), ("payment-service".to_owned(), busy)]
    }

    #[test]
    fn figures_stand_in_columns() {
        let text = Screen::new(false, false).draw(&rows(), COUNTS);
        let expected = "\
last 30 s            requests   errors       p95  light
polls                       0    0.0 %         –  GREEN
payment-service          1234   50.0 %   12.3 ms  RED
all 13 services: 9 green, 0 amber, 3 red, 1 not known
";
        assert_eq!(text, expected);
    }

    #[test]
    fn on_a_terminal_figures_are_drawn_over_those_before() {
        let mut screen = Screen::new(true, true);
        assert!(!screen.draw(&rows(), COUNTS).contains("\u{1b}[4A"));
        let second = screen.draw(&rows(), COUNTS);
        assert!(second.starts_with("\u{1b}[4A"), "{second:?}");
        assert!(second.contains("\u{1b}[1;31mRED\u{1b}[0m\u{1b}[K\n"), "{second:?}");
        assert!(second.ends_with("1 not known\u{1b}[K"), "{second:?}");
    }

    #[test]
    fn a_message_stays_above_the_figures() {
        let told = |kind: &str, title: &str| Told { kind: kind.to_owned(), title: title.to_owned() };
        let opened = told("opened", "RED: orders and 3 more");
        let mut plain = Screen::new(false, false);
        let line = plain.message(&opened, Duration::from_secs(81));
        assert_eq!(line, " 1:21  one message: RED: orders and 3 more\n");
        let mut screen = Screen::new(true, true);
        screen.draw(&rows(), COUNTS);
        let line = screen.message(&told("resolved", "Over after 25 s: \u{7}"), Duration::from_secs(9));
        assert!(line.starts_with("\u{1b}[4A\u{1b}[J 0:09  one message: \u{1b}[1;32mOver"), "{line:?}");
        assert!(!line.contains('\u{7}'), "{line:?}");
        assert!(!screen.draw(&rows(), COUNTS).contains("\u{1b}[4A"), "there is nothing to draw over");
    }
}
