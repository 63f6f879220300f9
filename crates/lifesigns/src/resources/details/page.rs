//! `/health/details` for people: one page with charts, without a script and without anything from elsewhere.

mod chart;
mod figures;

use std::fmt::Write;

use http::HeaderValue;
use jiff::Timestamp;
use lifesigns_model::query::{self, Details, Fault, Query};
use lifesigns_model::store::{RollupStore, StoreError};
use serde_json::Value;

use self::chart::{CLASSES, PERCENTILES, short, time};
use self::figures::{Figures, Group};
use super::super::escape::Markup;

pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Nothing is loaded, and nothing runs.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page/style.css");

/// Windows that can be chosen: how they are called, and as `duration`.
const PERIODS: [(&str, &str, i64); 5] = [
    ("1 hour", "1h", 60),
    ("3 hours", "3h", 180),
    ("1 day", "1d", 1440),
    ("7 days", "7d", 10_080),
    ("30 days", "30d", 43_200),
];

/// What the charts and tables ask for besides.
pub(super) fn charts(details: &Details, api: Option<&str>, now: Timestamp) -> Result<Query, Fault> {
    figures::query(details, api, now)
}

/// The page on what the answer to the question says, and on what `charts` has the store say.
pub(super) fn page(
    store: &dyn RollupStore,
    charts: &Query,
    details: &Details,
    answer: &Value,
    service: &str,
) -> Result<String, StoreError> {
    let figures = Figures::of(&query::answer(charts, &charts.plan().run(store)?), details);
    Ok(draw(service, answer, details, &figures))
}

fn draw(service: &str, answer: &Value, details: &Details, figures: &Figures) -> String {
    let mut page = String::new();
    let verdict = &answer["verdict"];
    let light = text(&verdict["light"]);
    let service = Markup(service);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{light} · {service}</title>\
         <style>{STYLE}</style></head><body><header><h1>{service}</h1>\
         <p><span class=\"light {light}\">{light}</span> since {}</p>",
        moment(&verdict["since"])
    );
    let causes = verdict["causes"].as_array().map_or(&[][..], Vec::as_slice);
    if !causes.is_empty() {
        page.push_str("<ul>");
        for cause in causes {
            let _ = write!(page, "<li>{}</li>", Markup(text(&cause["reason"])));
        }
        page.push_str("</ul>");
    }
    page.push_str("<nav aria-label=\"Window\">");
    for (name, duration, minutes) in PERIODS {
        let current = if minutes == details.duration_minutes { " aria-current=\"page\"" } else { "" };
        let _ = write!(page, "<a href=\"?duration={duration}\"{current}>{name}</a>");
    }
    page.push_str("</nav></header><main>");
    summary(&mut page, &answer["summary"]);
    over_time(&mut page, figures);
    page.push_str("<div class=\"pair\">");
    table_of(&mut page, "Apps that call most", "App", &figures.apps);
    table_of(&mut page, "Routes asked for most", "Route", &figures.top_routes);
    table_of(&mut page, "Slowest routes, by p95", "Route", &figures.slow_routes);
    table_of(&mut page, "Routes that fail most, by share", "Route", &figures.failing_routes);
    page.push_str("</div>");
    policies(&mut page, &figures.policies);
    objective(&mut page, &answer["objective"]);
    checks(&mut page, &answer["checks"]);
    windows(&mut page, &answer["windows"]);
    let _ = writeln!(
        page,
        "</main><footer>From {} to {}. Bars are {} wide.</footer></body></html>",
        moment(&answer["start_time"]),
        moment(&answer["end_time"]),
        width(figures.interval_minutes)
    );
    page
}

/// A width in minutes, in words.
fn width(minutes: i64) -> String {
    let (number, unit) = match minutes {
        minutes if minutes % 1440 == 0 => (minutes / 1440, "day"),
        minutes if minutes % 60 == 0 => (minutes / 60, "hour"),
        minutes => (minutes, "minute"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An RFC 3339 time for people.
fn moment(value: &Value) -> String {
    text(value).parse().map_or_else(|_| "–".to_owned(), |at| time(at, "%Y-%m-%d %H:%M:%S UTC"))
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| "–".to_owned(), |number| number.to_string())
}

fn milliseconds(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |value| format!("{} ms", short(value)))
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn summary(page: &mut String, summary: &Value) {
    let requests = summary["requests"].as_u64().unwrap_or(0);
    let failed = summary["server_error"].as_u64().unwrap_or(0);
    let share = if requests == 0 { "–".to_owned() } else { percent(failed as f64 / requests as f64) };
    let latency = &summary["latency_ms"];
    page.push_str("<dl class=\"figures\">");
    for (name, figure) in [
        ("Requests", number(&summary["requests"])),
        ("Client errors", number(&summary["client_error"])),
        ("Server errors", number(&summary["server_error"])),
        ("Failed", share),
        ("Refused by policies", number(&summary["policy_violation"])),
        ("p50", milliseconds(&latency["p50"])),
        ("p95", milliseconds(&latency["p95"])),
        ("p99", milliseconds(&latency["p99"])),
    ] {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{figure}</dd></div>");
    }
    page.push_str("</dl>");
}

fn over_time(page: &mut String, figures: &Figures) {
    let buckets = &figures.buckets;
    let _ = write!(
        page,
        "<section><h2>Requests by status</h2>{}<ul class=\"legend\">",
        chart::requests(buckets, figures.interval_minutes)
    );
    for (class, name, style) in CLASSES {
        if buckets.iter().any(|bucket| bucket.by_class[class] > 0) {
            let sample = "<rect width=\"16\" height=\"8\"/>";
            let _ = write!(
                page,
                "<li><svg viewBox=\"0 0 16 8\" class=\"{style}\" aria-hidden=\"true\">{sample}</svg>{name}</li>"
            );
        }
    }
    page.push_str("</ul>");
    let rows = buckets.iter().rev().filter(|bucket| bucket.count() > 0).map(|bucket| {
        let counts = CLASSES.map(|(class, _, _)| bucket.by_class[class].to_string());
        let mut row = vec![time(bucket.start, "%Y-%m-%d %H:%M")];
        row.extend(counts);
        row
    });
    let names: Vec<&str> = ["Time (UTC)"].into_iter().chain(CLASSES.map(|(_, name, _)| name)).collect();
    folded(page, "Requests by status as a table", &names, rows);
    let _ =
        write!(page, "</section><section><h2>Latency</h2>{}<ul class=\"legend\">", chart::latency(buckets));
    for (name, _) in PERCENTILES {
        let sample = format!("<polyline class=\"{name}\" points=\"0,4 16,4\"/>");
        let _ = write!(page, "<li><svg viewBox=\"0 0 16 8\" aria-hidden=\"true\">{sample}</svg>{name}</li>");
    }
    page.push_str("</ul>");
    let rows = buckets.iter().rev().filter_map(|bucket| {
        let latency = bucket.latency?;
        let mut row = vec![time(bucket.start, "%Y-%m-%d %H:%M")];
        row.extend(PERCENTILES.map(|(_, value)| format!("{:.3}", value(&latency))));
        Some(row)
    });
    let names: Vec<&str> = ["Time (UTC)"].into_iter().chain(PERCENTILES.map(|(name, _)| name)).collect();
    folded(page, "Latency in milliseconds as a table", &names, rows);
    page.push_str("</section>");
}

/// A table that is opened by those who want it.
fn folded(page: &mut String, title: &str, names: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(page, "<details><summary>{title}</summary>");
    table(page, title, names, rows);
    page.push_str("</details>");
}

/// The beginning of what may be wider than the screen: it can be reached and moved with the keyboard, and says what it
/// is.
fn region(title: &str) -> String {
    format!("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">")
}

fn table(page: &mut String, title: &str, names: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(page, "{}<table><thead><tr>", region(title));
    for name in names {
        let _ = write!(page, "<th scope=\"col\">{name}</th>");
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let cell = Markup(cell);
            let _ = if index == 0 {
                write!(page, "<th scope=\"row\">{cell}</th>")
            } else {
                write!(page, "<td>{cell}</td>")
            };
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
}

fn section(page: &mut String, title: &str) {
    let _ = write!(page, "<section><h2>{title}</h2>");
}

fn table_of(page: &mut String, title: &str, first: &str, groups: &[Group]) {
    section(page, title);
    if groups.is_empty() {
        page.push_str("<p>Nothing in this window.</p></section>");
        return;
    }
    let rows = groups.iter().map(|group| {
        let p95 =
            group.latency.map_or_else(|| "–".to_owned(), |latency| format!("{} ms", short(latency.p95)));
        let name =
            if group.label == lifesigns_model::series::NOT_APPLICABLE { "not known" } else { &group.label };
        vec![name.to_owned(), group.count.to_string(), percent(group.failed_share()), p95]
    });
    table(page, title, &[first, "Requests", "Failed", "p95"], rows);
    page.push_str("</section>");
}

fn policies(page: &mut String, policies: &[Group]) {
    let title = "Refused by policies";
    section(page, title);
    if policies.is_empty() {
        page.push_str("<p>No policy refused anything in this window.</p>");
    } else {
        let rows = policies.iter().map(|group| vec![group.label.clone(), group.count.to_string()]);
        table(page, title, &["Policy", "Requests"], rows);
    }
    page.push_str("</section>");
}

fn objective(page: &mut String, objective: &Value) {
    let (Some(good_share), Some(left)) =
        (objective["good_share"].as_f64(), objective["error_budget"]["left"].as_f64())
    else {
        return;
    };
    section(page, "Objective");
    let bound = objective["latency_ms"].as_f64().map(|bound| format!(" within {} ms", short(bound)));
    let reached =
        objective["share"].as_f64().map_or_else(|| "–".to_owned(), |share| format!("{:.3} %", share * 100.0));
    let _ = write!(
        page,
        "<p>{} % of the requests of {} days are to be good{}. {reached} were; {:.1} % of the error budget is left.</p>\
         <meter min=\"0\" max=\"1\" low=\"0.1\" optimum=\"1\" value=\"{:.3}\" aria-label=\"Error budget left\">{:.1} %</meter>",
        short(good_share * 100.0),
        number(&objective["period_days"]),
        bound.unwrap_or_default(),
        left * 100.0,
        left.clamp(0.0, 1.0),
        left * 100.0
    );
    let rates = objective["burn_rates"].as_object().into_iter().flatten();
    let rows = rates.map(|(window, rate)| vec![window.clone(), rate.as_f64().map_or("–".to_owned(), short)]);
    table(page, "Burn rates", &["Window", "Burn rate"], rows);
    page.push_str("</section>");
}

fn checks(page: &mut String, checks: &Value) {
    let Some(checks) = checks.as_array().filter(|checks| !checks.is_empty()) else { return };
    section(page, "Checks");
    let rows = checks.iter().map(|check| {
        let age = check["last"]["age_seconds"].as_u64();
        vec![
            text(&check["name"]).to_owned(),
            text(&check["light"]).to_owned(),
            text(&check["finding"]).to_owned(),
            age.map_or_else(|| "–".to_owned(), |age| format!("{age} s")),
            milliseconds(&check["last"]["duration_ms"]),
        ]
    });
    table(page, "Checks", &["Check", "Light", "It", "Age", "Took"], rows);
    page.push_str("</section>");
}

fn windows(page: &mut String, windows: &Value) {
    section(page, "Windows up to now");
    let rows = windows.as_object().into_iter().flatten().map(|(name, summary)| {
        let latency = &summary["latency_ms"];
        let mut row = vec![name.clone()];
        row.extend(
            ["requests", "success", "client_error", "server_error", "policy_violation"]
                .map(|name| number(&summary[name])),
        );
        row.extend(["p50", "p95", "p99"].map(|name| milliseconds(&latency[name])));
        row
    });
    let names =
        ["Window", "Requests", "Well", "Client errors", "Server errors", "Refused", "p50", "p95", "p99"];
    table(page, "Windows up to now", &names, rows);
    page.push_str("</section>");
}
