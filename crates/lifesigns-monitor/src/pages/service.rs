//! Everything about one service on one page.

mod repository;

use std::fmt::{Display, Write};

use lifesigns_model::history::{EventKind, Slice};
use lifesigns_model::light::Light;

use self::repository::Repository;
use super::chart;
use super::markup::{Ago, Clipped, Lamp, Latency, Length, Markup, Megabytes, Moment, Percent, Utc, class};
use super::overview::{Change, Revision, link, strip, url};
use super::past::{Happened, Mark, Past, Window};
use crate::breaker::BreakerState;
use crate::service::Deploy;
use crate::view::{ServiceView, without_secrets};

/// A certificate that expires within this is worth a warning, in milliseconds.
const EXPIRES_SOON: i64 = 21 * 86_400_000;

/// The content of the page. `light_of` knows the lights of other services.
pub(super) fn body(
    view: &ServiceView,
    past: &Past,
    light_of: &dyn Fn(&str) -> Option<Option<Light>>,
    now: i64,
) -> String {
    let mut page = String::with_capacity(60_000);
    let _ = write!(
        page,
        "<div class=\"title {}\"><h1>{}</h1><p>{}",
        class(view.light),
        Markup(&view.name),
        Lamp(view.light)
    );
    if view.since > 0 {
        let _ = write!(page, " since {}", Ago { at: view.since, now });
    }
    page.push_str("</p></div>");
    notes(&mut page, view, now);
    identity(&mut page, view, light_of, now);
    page.push_str("<div class=\"split\"><div>");
    hour(&mut page, view);
    days(&mut page, past);
    page.push_str("</div>");
    figures(&mut page, past);
    page.push_str("</div>");
    charts(&mut page, past);
    page.push_str("<div class=\"split\">");
    outages(&mut page, past, now);
    page.push_str("<div>");
    traffic(&mut page, view);
    parts(&mut page, view);
    changes(&mut page, past);
    gaps(&mut page, past, now);
    page.push_str("</div></div>");
    page
}

/// What the service says of its own traffic.
fn traffic(page: &mut String, view: &ServiceView) {
    let Some(traffic) = view.traffic else { return };
    page.push_str(
        "<section aria-labelledby=\"traffic\"><h2 id=\"traffic\">Its traffic in the last hour</h2><dl class=\"facts\">",
    );
    let mut fact = |name: &str, value: &dyn Display| {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    };
    fact("Requests", &traffic.requests);
    fact("Failed by clients", &traffic.client_errors);
    fact("Failed by the service", &traffic.server_errors);
    for (name, ms) in [("p50", traffic.p50_ms), ("p95", traffic.p95_ms), ("p99", traffic.p99_ms)] {
        if let Some(ms) = ms {
            fact(name, &format_args!("{ms:.1} ms"));
        }
    }
    page.push_str("</dl></section>");
}

/// What somebody who opens the page has to know first.
fn notes(page: &mut String, view: &ServiceView, now: i64) {
    let mut notes = String::new();
    let mut note = |light: Option<Light>, text: &dyn Display| {
        let _ = write!(notes, "<p class=\"note {}\">{text}</p>", class(light));
    };
    if view.light != Some(Light::Green) && !view.why.is_empty() {
        note(view.light, &format_args!("<strong>Why:</strong> {}", Clipped(&view.why, 1_000)));
    }
    if let Some(outage) = &view.outage {
        if let Some(failing) = &outage.failing {
            note(view.light, &format_args!("<strong>First failing:</strong> {}", Clipped(failing, 200)));
        }
        if let Some(excerpt) = &outage.excerpt {
            let text =
                format_args!("<strong>Its answer began:</strong> <code>{}</code>", Clipped(excerpt, 600));
            note(view.light, &text);
        }
    }
    if let Some(maintenance) = &view.maintenance {
        let reason = if maintenance.reason.is_empty() { "no reason was given" } else { &*maintenance.reason };
        note(
            None,
            &format_args!(
                "<strong>Under maintenance:</strong> {}; nobody is told until {}.",
                Clipped(reason, 240),
                Moment(maintenance.to)
            ),
        );
    }
    if view.is_flapping {
        note(Some(Light::Amber), &"<strong>Flapping:</strong> its readings change all the time.");
    }
    if let Some(leak) = view.leak {
        let limit = leak.time_to_limit.map(|left| format!("; at its limit in {}", Length(left)));
        note(
            Some(Light::Amber),
            &format_args!(
                "<strong>Leak suspected:</strong> its memory grows by {:.1} MB an hour{}.",
                leak.mb_per_hour,
                limit.unwrap_or_default()
            ),
        );
    }
    if let Some(expires) = view.certificate_expires.filter(|expires| expires - now < EXPIRES_SOON) {
        let light = if expires < now { Light::Red } else { Light::Amber };
        let text = if expires < now { "expired" } else { "expires" };
        note(
            Some(light),
            &format_args!("<strong>Certificate:</strong> {text} {}.", Ago { at: expires, now }),
        );
    }
    if !notes.is_empty() {
        let _ = write!(page, "<div class=\"notes\">{notes}</div>");
    }
}

fn identity(
    page: &mut String,
    view: &ServiceView,
    light_of: &dyn Fn(&str) -> Option<Option<Light>>,
    now: i64,
) {
    page.push_str(
        "<section aria-labelledby=\"is\"><h2 id=\"is\">What it is</h2><dl class=\"facts wide-facts\">",
    );
    let mut fact = |name: &str, value: &dyn Display| {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    };
    let about = &view.about;
    if let Some(environment) = &view.environment {
        fact("Environment", &Clipped(environment, 60));
    }
    if let Some(version) = &about.version {
        fact("Version", &Clipped(version, 60));
    }
    let repository = about.repo.as_deref().and_then(Repository::read);
    if let Some(revision) = &about.revision {
        match repository.as_ref().and_then(|repository| repository.revision(revision)) {
            Some(url) => {
                fact("Revision", &outside(&url, &format_args!("<code>{}</code>", Revision(revision))));
            }
            None => fact("Revision", &format_args!("<code>{}</code>", Revision(revision))),
        }
    }
    match (&repository, &about.repo) {
        (Some(repository), Some(said)) => fact("Repository", &outside(repository.url(), &Clipped(said, 100))),
        (None, Some(said)) => fact("Repository", &Clipped(said, 100)),
        (_, None) => {}
    }
    if let Some(deploy) = &view.deploy {
        fact("Last deploy", &format_args!("{}, {}", Change(deploy), Ago { at: deploy.at, now }));
    }
    if let Some(deployed) = about.deployed_at {
        fact("Deployed", &Ago { at: deployed, now });
    }
    if let Some(began) = view.process_began {
        fact("Process began", &Ago { at: began, now });
    }
    match (about.memory_used_mb, about.memory_total_mb) {
        (Some(used), Some(total)) => {
            fact("Memory", &format_args!("{} of {}", Megabytes(used as f64), Megabytes(total as f64)));
        }
        (Some(used), None) => fact("Memory", &Megabytes(used as f64)),
        _ => {}
    }
    if let Some(latency) = view.latency_us {
        let code = view.code;
        fact("Last answer", &format_args!("{code} in {}", Latency(f64::from(latency))));
    }
    if view.asked > 0 {
        fact("Asked", &Ago { at: view.asked, now });
    }
    if view.next > 0 {
        fact("Asked next", &Ago { at: view.next, now });
    }
    if let Some(expires) = view.certificate_expires {
        fact("Certificate expires", &Ago { at: expires, now });
    }
    let breaker = &view.breaker;
    let state = match breaker.state {
        BreakerState::Closed if breaker.holds_non_essential => "closed; hold what can wait",
        BreakerState::Closed => "closed",
        BreakerState::HalfOpen => "half-open; try a few calls",
        BreakerState::Open => "open; do not call",
    };
    fact("Breaker", &state);
    if !view.depends_on.is_empty() {
        let needs = view.depends_on.iter().map(|name| match light_of(name) {
            Some(light) => format!("<li>{} {}</li>", link(name), Lamp(light)),
            None => format!("<li>{}</li>", Markup(name)),
        });
        fact("Needs", &format_args!("<ul class=\"inline\">{}</ul>", needs.collect::<String>()));
    }
    fact("Asked at", &format_args!("<code>{}</code>", Clipped(&without_secrets(&view.url), 200)));
    page.push_str("</dl></section>");
}

/// A link to another host, which is not told where its visitors come from.
fn outside(url: &str, text: &dyn Display) -> String {
    format!("<a href=\"{}\" rel=\"noopener noreferrer\">{text}</a>", Markup(url))
}

fn hour(page: &mut String, view: &ServiceView) {
    let known = view.minutes.iter().flatten().filter(|minute| minute.light.is_some()).count();
    let green = view.minutes.iter().flatten().filter(|minute| minute.light == Some(Light::Green)).count();
    page.push_str("<section aria-labelledby=\"hour\"><h2 id=\"hour\">Last hour</h2><div class=\"hour\">");
    strip(page, " preserveAspectRatio=\"none\"", &view.minutes);
    let _ = write!(
        page,
        "</div><p class=\"soft\">Green in {green} of {known} minutes of which something is known.</p></section>"
    );
}

fn days(page: &mut String, past: &Past) {
    let _ = write!(
        page,
        "<section aria-labelledby=\"days\"><h2 id=\"days\">90 days</h2>{}\
         <p class=\"ends soft\"><span>90 days ago</span><span>Today</span></p>",
        chart::bars("bars", "Availability day by day; the table below has the figures", &past.days)
    );
    let rows = past
        .days
        .iter()
        .rev()
        .filter(|day| day.worst.is_some())
        .map(|day| vec![Utc(day.span.from * 1000).format("%Y-%m-%d"), chart::Told(day).to_string()]);
    folded(page, "days-table", "90 days as a table", &["Day (UTC)", "How it was"], rows);
    page.push_str("</section>");
}

fn figures(page: &mut String, past: &Past) {
    page.push_str("<section aria-labelledby=\"figures\"><h2 id=\"figures\">Availability</h2>");
    let rows = past.figures.iter().map(|(window, availability)| {
        let all = availability.green_s + availability.amber_s + availability.red_s + availability.not_known_s;
        let share = availability.share().map_or_else(|| "–".to_owned(), |share| Percent(share).to_string());
        let length =
            |seconds: i64| if seconds == 0 { "–".to_owned() } else { Length(seconds * 1000).to_string() };
        vec![
            window.words().to_owned(),
            share,
            length(availability.red_s),
            length(availability.amber_s),
            Percent(availability.not_known_s as f64 / all.max(1) as f64).to_string(),
        ]
    });
    table(page, "Availability", &["Period", "Available", "Red", "Amber", "Not known"], rows);
    page.push_str(
        "<p class=\"soft\">Of the time of which something is known. Amber counts as available.</p></section>",
    );
}

fn charts(page: &mut String, past: &Past) {
    page.push_str(
        "<section aria-labelledby=\"charts\"><h2 id=\"charts\">Latency and memory</h2>\
         <nav class=\"spans\" aria-label=\"Period\">",
    );
    for window in Window::ALL {
        let current = if window == past.window { " aria-current=\"page\"" } else { "" };
        let _ = write!(page, "<a href=\"?span={}\"{current}>{}</a>", window.name(), window.words());
    }
    page.push_str("</nav>");
    let marks: Vec<Mark> = past.marks.iter().filter_map(Happened::mark).collect();
    let p95 = |slice: &Slice| slice.latency_p95_us.map(f64::from);
    let memory = |slice: &Slice| slice.memory_mean_mb;
    let has_memory = past.parts.iter().any(|slice| memory(slice).is_some());
    page.push_str("<div class=\"pair\"><figure><figcaption>Latency, p95</figcaption>");
    page.push_str(&chart::line("p95", "Latency over time, p95", &past.parts, &marks, p95, |us| {
        Latency(us).to_string()
    }));
    page.push_str("</figure>");
    if has_memory {
        page.push_str("<figure><figcaption>Memory, mean</figcaption>");
        page.push_str(&chart::line("memory", "Memory over time", &past.parts, &marks, memory, |mb| {
            Megabytes(mb).to_string()
        }));
        page.push_str("</figure>");
    }
    page.push_str("</div>");
    if !marks.is_empty() {
        page.push_str(
            "<p class=\"legend soft\"><svg class=\"mark deploy\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
             <path class=\"shape\" d=\"M1,2h10l-5,8z\"/></svg>Deploy \
             <svg class=\"mark restart\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
             <path class=\"shape\" d=\"M6,1l5,5l-5,5l-5,-5z\"/></svg>Restart</p>",
        );
    }
    let rows = past.parts.iter().rev().filter(|slice| p95(slice).or(memory(slice)).is_some()).map(|slice| {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        vec![
            Utc(slice.span.from * 1000).format("%Y-%m-%d %H:%M"),
            or_none(p95(slice).map(|us| Latency(us).to_string())),
            or_none(memory(slice).map(|mb| Megabytes(mb).to_string())),
        ]
    });
    folded(page, "charts-table", "Latency and memory as a table", &["From (UTC)", "p95", "Memory"], rows);
    page.push_str("</section>");
}

fn parts(page: &mut String, view: &ServiceView) {
    if view.parts.is_empty() {
        return;
    }
    page.push_str("<section aria-labelledby=\"parts\"><h2 id=\"parts\">Parts</h2><ul class=\"parts\">");
    for (name, letter) in &view.parts {
        let light: Light = (*letter).into();
        let _ = write!(page, "<li>{} <bdi>{}</bdi></li>", Lamp(Some(light)), Clipped(name, 120));
    }
    page.push_str("</ul></section>");
}

fn outages(page: &mut String, past: &Past, now: i64) {
    page.push_str("<section aria-labelledby=\"outages\"><h2 id=\"outages\">Outages</h2>");
    if past.outages.is_empty() {
        page.push_str("<p>None in the last year.</p></section>");
        return;
    }
    page.push_str("<ol class=\"log\">");
    for outage in &past.outages {
        let _ = write!(
            page,
            "<li>{} {} {} <div>{}",
            Lamp(Some(outage.light())),
            Moment(outage.began),
            Lasted(outage, now),
            Clipped(outage.text("cause"), 240)
        );
        let incident = outage.text("incident");
        if !incident.is_empty() {
            let _ = write!(
                page,
                " <a href=\"/incidents/{}\" aria-label=\"Incident of {}\">Incident</a>",
                url(incident),
                Utc(outage.began).format("%Y-%m-%d %H:%M")
            );
        }
        page.push_str("</div></li>");
    }
    page.push_str("</ol></section>");
}

/// How long something has lasted.
pub(super) struct Lasted<'a>(pub(super) &'a Happened, pub(super) i64);

impl Display for Lasted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.ended {
            Some(ended) => write!(f, "<i>for {}</i>", Length(ended - self.0.began)),
            None => write!(f, "<i>goes on, {}</i>", Length(self.1 - self.0.began)),
        }
    }
}

fn changes(page: &mut String, past: &Past) {
    if past.marks.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "<section aria-labelledby=\"changes\"><h2 id=\"changes\">Deploys and restarts in {}</h2><ol class=\"log\">",
        past.window.words()
    );
    for event in &past.marks {
        let _ = match event.kind {
            EventKind::Deploy => {
                let (from, to) = (event.text("from").to_owned(), event.text("to").to_owned());
                let deploy = Deploy { at: event.began, from, to };
                write!(page, "<li><b>Deploy</b> {} <div>{}</div></li>", Moment(event.began), Change(&deploy))
            }
            _ => write!(page, "<li><b>Restart</b> {}</li>", Moment(event.began)),
        };
    }
    page.push_str("</ol></section>");
}

/// When the monitor did not see it: these times count as neither up nor down.
fn gaps(page: &mut String, past: &Past, now: i64) {
    if past.gaps.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "<section aria-labelledby=\"gaps\"><h2 id=\"gaps\">Gaps in {}</h2><ol class=\"log\">",
        past.window.words()
    );
    for gap in &past.gaps {
        let _ = write!(
            page,
            "<li><b>Gap</b> {} {} <div>{}</div></li>",
            Moment(gap.began),
            Lasted(gap, now),
            Clipped(gap.text("why"), 240)
        );
    }
    page.push_str("</ol></section>");
}

/// A table that is opened by those who want it.
fn folded(page: &mut String, id: &str, title: &str, names: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(page, "<details id=\"{id}\"><summary>{title}</summary>");
    table(page, title, names, rows);
    page.push_str("</details>");
}

/// A table that may be wider than the screen. The cells are ours, and plain.
pub(super) fn table(page: &mut String, title: &str, names: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(
        page,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{title}: figures\"><table><thead><tr>"
    );
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
