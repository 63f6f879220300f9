//! What a person sees of the demo.

use std::fmt::Write as _;

use lifesigns::Snapshot;
use lifesigns::model::light::Light;

use super::world::{WINDOW_SECONDS, World};

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

    /// A line for each API, under a heading.
    pub(super) fn figures(&mut self, world: &World) -> String {
        let rows: Vec<(String, Figures)> =
            world.apis().map(|api| (api.name().to_owned(), Figures::of(&api.snapshot()))).collect();
        self.draw(&rows)
    }

    fn draw(&mut self, rows: &[(String, Figures)]) -> String {
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
        self.drawn = rows.len() + 1;
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
    let (gateway, polls, token) = (world.gateway, world.polls, &world.token);
    let mut lines = vec![
        "Seven APIs behind one gateway, and five client apps that call them.".to_owned(),
        "payment-service fails on a schedule of two minutes: 45 s healthy, 25 s failing, 30 s down, 20 s recovering."
            .to_owned(),
        String::new(),
        format!("gateway listening on http://{gateway}"),
        format!("polls listening on http://{polls}"),
    ];
    lines.extend(world.admin.map(|admin| format!("admin listening on http://{admin}")));
    lines.extend([String::new(), "Try in another terminal:".to_owned()]);
    lines.extend(curl_lines(world).into_iter().map(|line| format!("  {line}")));
    lines.extend([
        String::new(),
        format!("The token {token} opens everything here."),
        "Ctrl-C ends the demo.".to_owned(),
    ]);
    lines.push(String::new());
    lines
}

/// Commands that work as they stand.
fn curl_lines(world: &World) -> Vec<String> {
    let (gateway, polls) = (world.gateway, world.polls);
    let bearer = format!("-H 'Authorization: Bearer {}'", world.token);
    let query = r#"{"type":"enriched-http-event","duration":"60m","aggregators":[{"dimension":"api_id","aggregators":[{"dimension":"status_code"}]}]}"#;
    let mut lines = vec![
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<(String, Figures)> {
        let quiet = Figures { requests: 0, failed_share: 0.0, p95_ms: None, light: Light::Green };
        let busy = Figures { requests: 1234, failed_share: 0.5, p95_ms: Some(12.34), light: Light::Red };
        vec![("polls".to_owned(), quiet), ("payment-service".to_owned(), busy)]
    }

    #[test]
    fn figures_stand_in_columns() {
        let text = Screen::new(false, false).draw(&rows());
        let expected = "\
last 30 s            requests   errors       p95  light
polls                       0    0.0 %         –  GREEN
payment-service          1234   50.0 %   12.3 ms  RED
";
        assert_eq!(text, expected);
    }

    #[test]
    fn on_a_terminal_figures_are_drawn_over_those_before() {
        let mut screen = Screen::new(true, true);
        assert!(!screen.draw(&rows()).contains("\u{1b}[3A"));
        let second = screen.draw(&rows());
        assert!(second.starts_with("\u{1b}[3A"), "{second:?}");
        assert!(second.ends_with("\u{1b}[1;31mRED\u{1b}[0m\u{1b}[K"), "{second:?}");
    }
}
