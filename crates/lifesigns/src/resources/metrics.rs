//! `/metrics`: Prometheus' text format, or OpenMetrics for those who ask for it.
//!
//! The names of the exchanges' figures are those of OpenTelemetry's HTTP conventions. Figures are those of the last
//! tick and count from the start of the process.

mod checks;

use std::fmt::{self, Display, Write};
use std::sync::atomic::Ordering;

use http::HeaderValue;
use lifesigns_model::objective::ObjectiveReport;
use lifesigns_model::series::NOT_APPLICABLE;

use super::answer::Answer;
use super::escape::Label;
use super::{Call, negotiate};
use crate::exemplar::Exemplar;
use crate::objective::History;
use crate::proc::ProcessSource;
use crate::process::Process;
use crate::settings::ResourceKind;
use crate::totals::{ExchangeTotals, LATENCY_BOUNDS};

pub(super) const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
pub(super) const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

const ACTIVE: &str = "http_server_active_requests";

pub(super) async fn answer(call: &Call<'_>) -> Answer {
    let is_open_metrics =
        negotiate::media_type(&call.parts.headers, &["text/plain", "application/openmetrics-text"]) == 1;
    let content_type = if is_open_metrics { OPEN_METRICS } else { PROMETHEUS };
    // There may be many lines, and the store is asked for its size: nothing for a thread that carries traffic.
    call.make(content_type, move |reading| Ok(page(reading.process, is_open_metrics))).await
}

fn page(process: &Process, is_open_metrics: bool) -> String {
    let mut page = Page { text: String::with_capacity(4096), is_open_metrics };
    exchanges(&mut page, process);
    subjects(&mut page, process);
    checks::checks(&mut page, process);
    objectives(&mut page, process);
    recording(&mut page, process);
    own(&mut page, process);
    if is_open_metrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

fn exchanges(page: &mut Page, process: &Process) {
    const NAME: &str = "http_server_request_duration_seconds";
    let totals = process.exchange_totals();
    page.begin(NAME, "histogram", "Time from a request's head to the end of its response.");
    for total in &totals {
        let labels = labels(total);
        let bounds = LATENCY_BOUNDS.map(|bound| format!("{bound:?}"));
        let bounds = bounds.iter().map(String::as_str).chain(["+Inf"]);
        let counts = total.up_to_bounds.iter().chain([&total.count]);
        for (bucket, (bound, count)) in bounds.zip(counts).enumerate() {
            let exemplar = total.exemplars.as_ref().and_then(|all| all[bucket].as_ref());
            let value = Exemplified { count: *count, exemplar: exemplar.filter(|_| page.is_open_metrics) };
            page.sample(&format!("{NAME}_bucket"), &format!("{labels},le=\"{bound}\""), value);
        }
        page.sample(&format!("{NAME}_sum"), &labels, total.seconds);
        page.sample(&format!("{NAME}_count"), &labels, total.count);
    }
    page.begin(ACTIVE, "gauge", "Requests whose response has not ended.");
    for (api, in_flight) in
        process.apis.iter().zip(process.recorder.in_flight()).filter(|(api, _)| api.records)
    {
        page.sample(ACTIVE, &format!("lifesigns_api=\"{}\"", Label(&api.name)), in_flight);
    }
    for (name, help, bytes) in [
        ("lifesigns_request_body_bytes", "Bytes of request bodies.", 0),
        ("lifesigns_response_body_bytes", "Bytes of response bodies.", 1),
    ] {
        page.begin_counter(name, help);
        for total in &totals {
            let value = [total.request_bytes, total.response_bytes][bytes];
            page.sample(&format!("{name}_total"), &labels(total), value);
        }
    }
}

/// How many, and one of them.
struct Exemplified<'a> {
    count: u64,
    exemplar: Option<&'a Exemplar>,
}

impl Display for Exemplified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count)?;
        let Some(Exemplar { trace_id, seconds, ended }) = self.exemplar else { return Ok(()) };
        let ended = ended.as_microsecond() as f64 / 1e6;
        write!(f, " # {{trace_id=\"{trace_id:032x}\"}} {seconds} {ended}")
    }
}

fn labels(total: &ExchangeTotals) -> String {
    format!(
        "lifesigns_api=\"{}\",http_request_method=\"{}\",http_route=\"{}\",http_response_status_code=\"{}\",\
         lifesigns_failed_by=\"{}\"",
        Label(&total.api),
        total.method,
        Label(&total.route),
        total.status,
        total.failed_by
    )
}

fn subjects(page: &mut Page, process: &Process) {
    page.begin("lifesigns_light", "gauge", "Traffic light: 0 green, 1 amber, 2 red.");
    let elapsed = process.time.elapsed();
    for api in process.apis.iter().filter(|api| api.records) {
        let light = api.snapshot.load_full().at(elapsed).verdict.light as u8;
        page.sample("lifesigns_light", &format!("lifesigns_api=\"{}\"", Label(&api.name)), light);
    }
    page.begin(
        "lifesigns_judgement_age_seconds",
        "gauge",
        "For how long the light has not been judged anew.",
    );
    for api in process.apis.iter().filter(|api| api.records) {
        let age = api.snapshot.load().judged.age(elapsed);
        let labels = format!("lifesigns_api=\"{}\"", Label(&api.name));
        page.sample("lifesigns_judgement_age_seconds", &labels, age.as_secs_f64());
    }
    page.begin_counter("lifesigns_light_changes", "Changes of the traffic light.");
    for api in process.apis.iter().filter(|api| api.records) {
        let labels = format!("lifesigns_api=\"{}\"", Label(&api.name));
        page.sample("lifesigns_light_changes_total", &labels, api.light_changes.load(Ordering::Relaxed));
    }
    page.begin_counter(
        "lifesigns_resource_requests",
        "Requests for health resources; they are no API traffic.",
    );
    for api in &process.apis {
        // A gateway's own resources belong to no API, and it may have the name of one.
        let name = if api.records { &*api.name } else { NOT_APPLICABLE };
        let counters = ResourceKind::ALL.map(|kind| (kind.name(), &api.resource_requests[kind as usize]));
        for (resource, counter) in counters.into_iter().chain([("forced_answer", &api.forced_requests)]) {
            let labels = format!("lifesigns_api=\"{}\",resource=\"{resource}\"", Label(name));
            page.sample("lifesigns_resource_requests_total", &labels, counter.load(Ordering::Relaxed));
        }
    }
}

fn objectives(page: &mut Page, process: &Process) {
    let elapsed = process.time.elapsed();
    let objectives: Vec<_> = process
        .apis
        .iter()
        .filter_map(|api| {
            let state = api.objective.as_ref()?;
            Some((format!("lifesigns_api=\"{}\"", Label(&api.name)), state, state.report(elapsed)))
        })
        .collect();
    if objectives.is_empty() {
        return;
    }
    let mut gauges = |name: &str, help: &str, value: &dyn Fn(&ObjectiveReport) -> f64| {
        page.begin(name, "gauge", help);
        objectives.iter().for_each(|(api, _, report)| page.sample(name, api, value(report)));
    };
    gauges("lifesigns_objective_ratio", "Share of good exchanges that is to be reached.", &|report| {
        report.objective.good_share()
    });
    gauges(
        "lifesigns_objective_good_ratio",
        "Share of good exchanges in the objective's period; NaN while there are none.",
        &|report| report.share.unwrap_or(f64::NAN),
    );
    gauges(
        "lifesigns_error_budget_remaining_ratio",
        "Part of the error budget that is left; negative when more was used than there was.",
        &|report| report.budget_left,
    );
    page.begin(
        "lifesigns_burn_rate",
        "gauge",
        "Share of bad exchanges in the window divided by the share that may be bad.",
    );
    for (api, _, report) in &objectives {
        for burn in &report.burn_rates {
            page.sample("lifesigns_burn_rate", &format!("{api},window=\"{}\"", burn.window.name), burn.rate);
        }
    }
    page.begin("lifesigns_burn_rate_alert", "gauge", "1 while the budget burns too fast in both windows.");
    for (api, _, report) in &objectives {
        for alert in &report.alerts {
            let (long, short) = (alert.long.name, alert.short.name);
            let severity = alert.severity;
            let labels =
                format!("{api},severity=\"{severity}\",long_window=\"{long}\",short_window=\"{short}\"");
            page.sample("lifesigns_burn_rate_alert", &labels, u8::from(alert.is_firing));
        }
    }
    page.begin(
        "lifesigns_objective_history_complete",
        "gauge",
        "1 when the budget counts all that the store has of the period.",
    );
    for (api, state, _) in &objectives {
        let is_complete = state.history() == History::Complete;
        page.sample("lifesigns_objective_history_complete", api, u8::from(is_complete));
    }
    page.begin_counter("lifesigns_objective_exchanges", "Exchanges that count for the objective.");
    for (api, state, _) in &objectives {
        let counts = state.since_start();
        for (outcome, count) in [("good", counts.good), ("bad", counts.bad())] {
            let labels = format!("{api},outcome=\"{outcome}\"");
            page.sample("lifesigns_objective_exchanges_total", &labels, count);
        }
    }
}

fn recording(page: &mut Page, process: &Process) {
    page.begin_counter(
        "lifesigns_labels_capped",
        "Times a label was counted under _other_ because there were too many of its kind.",
    );
    for api in process.apis.iter().filter(|api| api.records) {
        for (label, capped) in [("http_route", api.routes.capped()), ("client_id", api.clients.capped())] {
            let labels = format!("lifesigns_api=\"{}\",label=\"{label}\"", Label(&api.name));
            page.sample("lifesigns_labels_capped_total", &labels, capped);
        }
    }
    page.begin_counter(
        "lifesigns_series_capped",
        "Exchanges that lost route and client because there were too many series.",
    );
    page.sample("lifesigns_series_capped_total", "", process.recorder.capped());
    let Some(status) = process.store_status() else { return };
    page.begin_counter("lifesigns_store_dropped_exchanges", "Exchanges that the store could not keep.");
    page.sample("lifesigns_store_dropped_exchanges_total", "", status.dropped_exchanges);
    page.begin("lifesigns_store_pending_rows", "gauge", "Rows not yet safe in the store.");
    page.sample("lifesigns_store_pending_rows", "", status.pending_rows);
    page.begin("lifesigns_store_failing", "gauge", "1 while the store cannot be written.");
    page.sample("lifesigns_store_failing", "", u8::from(status.last_error.is_some()));
    page.begin("lifesigns_store_size_bytes", "gauge", "Bytes that the store takes on disk.");
    page.sample("lifesigns_store_size_bytes", "", status.bytes);
}

fn own(page: &mut Page, process: &Process) {
    page.begin("process_start_time_seconds", "gauge", "Start of the process, in seconds since the epoch.");
    page.sample("process_start_time_seconds", "", process.started.as_millisecond() as f64 / 1000.0);
    if let Some(used) = ProcessSource::Own.read().and_then(|figures| figures.memory_used) {
        page.begin("process_resident_memory_bytes", "gauge", "Resident memory of the process.");
        page.sample("process_resident_memory_bytes", "", used);
    }
}

struct Page {
    text: String,
    is_open_metrics: bool,
}

impl Page {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// OpenMetrics names the family of a counter without `_total`, the older format with it.
    fn begin_counter(&mut self, name: &str, help: &str) {
        let suffix = if self.is_open_metrics { "" } else { "_total" };
        self.begin(&format!("{name}{suffix}"), "counter", help);
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{labels}}} {value}")
        };
    }
}
