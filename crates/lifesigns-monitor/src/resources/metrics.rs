//! `/metrics` of the fleet: Prometheus' text format, or OpenMetrics for those who ask for it.

use std::fmt::{self, Display, Write};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Response};
use lifesigns_model::light::Light;

use super::once;
use crate::breaker::BreakerState;
use crate::fleet::Fleet;
use crate::making::Made;
use crate::view::ServiceView;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn page(State(fleet): State<Fleet>, headers: HeaderMap) -> Response<Body> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_open_metrics = accept.contains("application/openmetrics-text");
    let content_type = if is_open_metrics { OPEN_METRICS } else { PROMETHEUS };
    let make = move |fleet: &Fleet| Ok(Made::new(content_type, write(fleet, is_open_metrics)));
    once(&fleet, content_type.to_owned(), make).await
}

/// A label's value, escaped.
struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

struct Page {
    text: String,
    is_open_metrics: bool,
}

impl Page {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let family = if kind == "counter" && !self.is_open_metrics {
            format!("{name}_total")
        } else {
            name.to_owned()
        };
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {family} {help}\n# TYPE {family} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &dyn Display, value: impl Display) {
        let _ = writeln!(self.text, "{name}{{{labels}}} {value}");
    }

    fn single(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn each(
        &mut self,
        (name, help): (&str, &str),
        services: &[ServiceView],
        value: impl Fn(&ServiceView) -> Option<f64>,
    ) {
        self.begin(name, "gauge", help);
        for service in services {
            if let Some(value) = value(service) {
                self.sample(name, &format_args!("{}", labels(service)), value);
            }
        }
    }
}

fn labels(service: &ServiceView) -> String {
    let environment = service.environment.as_deref().unwrap_or_default();
    format!("service=\"{}\",environment=\"{}\"", Label(&service.name), Label(environment))
}

fn write(fleet: &Fleet, is_open_metrics: bool) -> String {
    let services = fleet.services();
    let now = fleet.now();
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let mut page = Page { text: String::with_capacity(512 * (services.len() + 8)), is_open_metrics };
    page.each(("lifesigns_service_light", "0 green, 1 amber, 2 red, -1 not known."), &services, |one| {
        Some(one.light.map_or(-1.0, |light| f64::from(light as u8)))
    });
    page.each(("lifesigns_service_up", "1 while it may be called, 0 while it is red."), &services, |one| {
        one.light.map(|light| f64::from(u8::from(light != Light::Red)))
    });
    page.each(("lifesigns_service_breaker", "0 closed, 1 half open, 2 open."), &services, |one| {
        Some(match one.breaker.state {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        })
    });
    page.each(("lifesigns_service_latency_seconds", "How long the last answer took."), &services, |one| {
        one.latency_us.map(|us| f64::from(us) / 1e6)
    });
    page.each(("lifesigns_service_asked_age_seconds", "How long ago it was asked."), &services, |one| {
        (one.asked > 0).then(|| seconds(now - one.asked))
    });
    page.each(("lifesigns_service_memory_bytes", "Resident memory, as it says."), &services, |one| {
        one.about.memory_used_mb.map(|mb| mb as f64 * 1_048_576.0)
    });
    page.each(
        ("lifesigns_service_uptime_seconds", "How long its process has been running."),
        &services,
        |one| one.process_began.map(|began| seconds(now - began)),
    );
    let name = "lifesigns_service_certificate_expiry_seconds";
    page.each((name, "How long its certificate is still valid."), &services, |one| {
        one.certificate_expires.map(|expires| seconds(expires - now))
    });
    page.begin("lifesigns_incidents_open", "gauge", "Incidents that go on.");
    page.single("lifesigns_incidents_open", fleet.incidents().len());
    own(&mut page, fleet);
    if is_open_metrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

fn own(page: &mut Page, fleet: &Fleet) {
    let figures = &fleet.inner.figures;
    page.begin("lifesigns_monitor_polls", "counter", "Polls begun.");
    page.single("lifesigns_monitor_polls_total", figures.polls.load(Relaxed));
    page.begin("lifesigns_monitor_polls_dropped", "counter", "Polls that were not made for want of time.");
    page.single("lifesigns_monitor_polls_dropped_total", figures.dropped_polls.load(Relaxed));
    page.begin("lifesigns_monitor_polls_under_way", "gauge", "Polls that wait for an answer.");
    page.single("lifesigns_monitor_polls_under_way", figures.under_way.load(Relaxed));
    let lateness = figures.lateness.lock().unwrap_or_else(PoisonError::into_inner).clone();
    page.begin("lifesigns_monitor_lateness_seconds", "summary", "How late polls were begun since the start.");
    for (quantile, percent) in [("0.5", 50.0), ("0.99", 99.0)] {
        if let Some(micros) = lateness.percentile_micros(percent) {
            let labels = format!("quantile=\"{quantile}\"");
            page.sample("lifesigns_monitor_lateness_seconds", &labels, micros / 1e6);
        }
    }
    let seconds = lateness.sum_micros() as f64 / 1e6;
    page.single("lifesigns_monitor_lateness_seconds_sum", seconds);
    page.single("lifesigns_monitor_lateness_seconds_count", lateness.count());
    let desk = fleet.inner.desk();
    let (waiting, dropped, given_up) = (desk.outbox.len(), desk.outbox.dropped(), desk.outbox.given_up());
    drop(desk);
    page.begin("lifesigns_monitor_messages_waiting", "gauge", "Messages that have not been delivered yet.");
    page.single("lifesigns_monitor_messages_waiting", waiting);
    page.begin("lifesigns_monitor_messages_dropped", "counter", "Messages for which there was no room.");
    page.single("lifesigns_monitor_messages_dropped_total", dropped);
    page.begin("lifesigns_monitor_messages_given_up", "counter", "Messages that could not be delivered.");
    page.single("lifesigns_monitor_messages_given_up_total", given_up);
    let history = fleet.inner.history();
    let (readings, events) = history.dropped;
    page.begin("lifesigns_monitor_readings_dropped", "counter", "Readings that the history did not take.");
    page.single("lifesigns_monitor_readings_dropped_total", readings);
    page.begin("lifesigns_monitor_events_dropped", "counter", "Events that the history did not take.");
    page.single("lifesigns_monitor_events_dropped_total", events);
    let name = "lifesigns_monitor_history_waiting";
    page.begin(name, "gauge", "Readings, events and notes that are not known to be kept yet.");
    page.single(name, history.waiting);
    let name = "lifesigns_monitor_history_keeps";
    page.begin(name, "gauge", "1 while the history keeps what happens, 0 while it does not.");
    page.single(name, u8::from(history.trouble.is_none()));
    let name = "lifesigns_monitor_history_kept_age_seconds";
    page.begin(name, "gauge", "How long ago all that there was is known to have been kept.");
    page.single(name, (fleet.now() - history.kept_at).max(0) as f64 / 1000.0);
}
