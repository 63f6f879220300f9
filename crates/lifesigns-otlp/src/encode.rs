//! From snapshots and totals to the messages of the protocol.

use jiff::Timestamp;
use lifesigns::model::light::Light;
use lifesigns::{CheckSnapshot, ExchangeTotals, LATENCY_BOUNDS, Lifesigns};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Data points in one request. Collectors refuse what is larger than a few megabytes; so many are under one.
const MAX_POINTS: usize = 2000;

/// The version of the conventions whose names are used.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.27.0";

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Who is speaking: what is known of the process, and over it what was configured.
pub(crate) fn resource(lifesigns: &Lifesigns, configured: &[(String, String)]) -> Resource {
    let own = lifesigns.own();
    let known = [
        ("service.name", Some(own.name())),
        ("service.version", own.identity().version.as_deref()),
        ("service.instance.id", Some(lifesigns.instance())),
        ("deployment.environment.name", own.identity().environment.as_deref()),
    ];
    let is_configured = |name: &str| configured.iter().any(|(other, _)| other == name);
    let known = known.into_iter().filter(|(name, _)| !is_configured(name));
    let attributes = known
        .filter_map(|(name, value)| Some(text(name, value?)))
        .chain(configured.iter().map(|(name, value)| text(name, value)))
        .collect();
    Resource { attributes, ..Resource::default() }
}

/// All there is to say now, in requests of a bearable size.
pub(crate) fn requests(lifesigns: &Lifesigns, resource: &Resource) -> Vec<ExportMetricsServiceRequest> {
    let start = nanoseconds(lifesigns.started());
    // Somebody may have set the clock back; nothing ends before it began.
    let span = Span { start, now: nanoseconds(Timestamp::now()).max(start) };
    let mut metrics = lights(lifesigns, span);
    metrics.extend(checks(lifesigns, span));
    metrics.push(exchanges(&lifesigns.exchange_totals(), span));
    metrics.retain(|metric| metric.points.len() > 0);
    batches(metrics).into_iter().map(|metrics| request(resource.clone(), metrics)).collect()
}

/// What the figures are about: from the start of the process to now, in nanoseconds since the epoch.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    now: u64,
}

fn lights(lifesigns: &Lifesigns, span: Span) -> Vec<Figures> {
    let mut lights = Vec::new();
    let mut changes = Vec::new();
    for api in lifesigns.apis() {
        let name = || text("lifesigns.api", api.name());
        lights.push(span.point(vec![name()], int(api.snapshot().verdict.light as u64)));
        for light in [Light::Green, Light::Amber, Light::Red] {
            let attributes = vec![name(), text("lifesigns.light", light.name())];
            changes.push(span.point(attributes, int(api.changes_to(light))));
        }
    }
    vec![
        Figures {
            name: "lifesigns.light",
            unit: "1",
            description: "Traffic light: 0 green, 1 amber, 2 red.",
            points: Points::Gauge(lights),
        },
        Figures {
            name: "lifesigns.light.changes",
            unit: "{change}",
            description: "How often the light has become this one.",
            points: Points::Sum(changes),
        },
    ]
}

fn checks(lifesigns: &Lifesigns, span: Span) -> Vec<Figures> {
    let (mut status, mut duration, mut runs, mut age) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for api in lifesigns.apis() {
        let snapshot = api.snapshot();
        for CheckSnapshot { check, standing, last, counts } in snapshot.checks.iter() {
            let names = || vec![text("lifesigns.api", api.name()), text("lifesigns.check", check.name())];
            status.push(span.point(names(), int(standing.light as u64)));
            if let Some(run) = last {
                duration.push(span.point(names(), double(run.took.as_secs_f64())));
            }
            for (outcome, count) in
                [("pass", counts.passed), ("warn", counts.warned), ("fail", counts.failed)]
            {
                let mut attributes = names();
                attributes.push(text("lifesigns.outcome", outcome));
                runs.push(span.point(attributes, int(count)));
            }
        }
        if !snapshot.checks.is_empty() && age.is_empty() {
            age.push(span.point(Vec::new(), double(snapshot.scheduler_silent.as_secs_f64())));
        }
    }
    vec![
        Figures {
            name: "lifesigns.check.status",
            unit: "1",
            description: "The light that the check asks for: 0 green, 1 amber, 2 red.",
            points: Points::Gauge(status),
        },
        Figures {
            name: "lifesigns.check.duration",
            unit: "s",
            description: "How long the check's last run took.",
            points: Points::Gauge(duration),
        },
        Figures {
            name: "lifesigns.check.runs",
            unit: "{run}",
            description: "Runs of the check that ended so.",
            points: Points::Sum(runs),
        },
        Figures {
            name: "lifesigns.scheduler.age",
            unit: "s",
            description: "For how long nothing has run the checks.",
            points: Points::Gauge(age),
        },
    ]
}

fn exchanges(totals: &[ExchangeTotals], span: Span) -> Figures {
    let points = totals.iter().map(|total| {
        let mut below = 0;
        let up_to_last = total.up_to_bounds.last().copied().unwrap_or_default();
        let bucket = |up_to: u64| up_to.saturating_sub(std::mem::replace(&mut below, up_to));
        let mut bucket_counts: Vec<u64> = total.up_to_bounds.into_iter().map(bucket).collect();
        bucket_counts.push(total.count.saturating_sub(up_to_last));
        HistogramDataPoint {
            attributes: exchange_attributes(total),
            start_time_unix_nano: span.start,
            time_unix_nano: span.now,
            count: total.count,
            sum: Some(total.seconds),
            bucket_counts,
            explicit_bounds: LATENCY_BOUNDS.to_vec(),
            exemplars: exemplars(total),
            ..HistogramDataPoint::default()
        }
    });
    Figures {
        name: "http.server.request.duration",
        unit: "s",
        description: "Time from a request's head to the end of its response.",
        points: Points::Histogram(points.collect()),
    }
}

/// Some of the exchanges whose traces are kept, one in each bucket.
fn exemplars(total: &ExchangeTotals) -> Vec<Exemplar> {
    let all = total.exemplars.iter().flat_map(|all| all.iter().flatten());
    let encoded = all.map(|exemplar| Exemplar {
        time_unix_nano: exemplar.ended.as_nanosecond() as u64,
        trace_id: exemplar.trace_id.get().to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.seconds)),
        ..Exemplar::default()
    });
    encoded.collect()
}

fn exchange_attributes(total: &ExchangeTotals) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("http.request.method", total.method),
        attribute("http.response.status_code", Value::IntValue(total.status.into())),
        text("http.route", &total.route),
        text("lifesigns.api", &total.api),
        text("lifesigns.failed_by", total.failed_by.name()),
    ];
    if total.status >= 500 {
        attributes.push(text("error.type", &total.status.to_string()));
    } else if total.failed_by.counts_against_service() {
        // The answer began well and broke off.
        attributes.push(text("error.type", "incomplete"));
    }
    attributes
}

impl Span {
    fn point(self, attributes: Vec<KeyValue>, value: number_data_point::Value) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }
}

/// One metric.
struct Figures {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    points: Points,
}

enum Points {
    Gauge(Vec<NumberDataPoint>),
    /// Only ever grows.
    Sum(Vec<NumberDataPoint>),
    Histogram(Vec<HistogramDataPoint>),
}

impl Points {
    fn len(&self) -> usize {
        match self {
            Points::Gauge(points) | Points::Sum(points) => points.len(),
            Points::Histogram(points) => points.len(),
        }
    }

    /// What is beyond the first `count`.
    fn split_off(&mut self, count: usize) -> Points {
        match self {
            Points::Gauge(points) => Points::Gauge(points.split_off(count)),
            Points::Sum(points) => Points::Sum(points.split_off(count)),
            Points::Histogram(points) => Points::Histogram(points.split_off(count)),
        }
    }
}

/// The metrics spread over requests, none of which has more than [`MAX_POINTS`].
fn batches(metrics: Vec<Figures>) -> Vec<Vec<Metric>> {
    let mut batches = vec![Vec::new()];
    let mut room = MAX_POINTS;
    for mut figures in metrics {
        while figures.points.len() > 0 {
            if room == 0 {
                batches.push(Vec::new());
                room = MAX_POINTS;
            }
            let rest = figures.points.split_off(room.min(figures.points.len()));
            let part = Figures { points: std::mem::replace(&mut figures.points, rest), ..figures };
            room -= part.points.len();
            if let Some(batch) = batches.last_mut() {
                batch.push(metric(part));
            }
        }
    }
    batches
}

fn metric(figures: Figures) -> Metric {
    let data = match figures.points {
        Points::Gauge(data_points) => Data::Gauge(Gauge { data_points }),
        Points::Sum(data_points) => {
            Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        Points::Histogram(data_points) => {
            Data::Histogram(Histogram { data_points, aggregation_temporality: CUMULATIVE })
        }
    };
    Metric {
        name: figures.name.to_owned(),
        description: figures.description.to_owned(),
        unit: figures.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn request(resource: Resource, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope = InstrumentationScope {
        name: "lifesigns".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: SCHEMA_URL.to_owned() }];
    let resource = Some(resource);
    let resource_metrics =
        vec![ResourceMetrics { resource, scope_metrics, schema_url: SCHEMA_URL.to_owned() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn int(value: u64) -> number_data_point::Value {
    number_data_point::Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX))
}

const fn double(value: f64) -> number_data_point::Value {
    number_data_point::Value::AsDouble(value)
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lifesigns::model::exchange::FailedBy;

    use super::*;

    fn total(route: usize) -> ExchangeTotals {
        ExchangeTotals {
            api: "polls".into(),
            route: Arc::from(format!("/{route}")),
            method: "GET",
            status: 200,
            failed_by: FailedBy::Nobody,
            count: 10,
            seconds: 1.5,
            up_to_bounds: [1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 7],
            request_bytes: 0,
            response_bytes: 0,
            exemplars: None,
        }
    }

    const SPAN: Span = Span { start: 5, now: 7 };

    #[test]
    fn an_exemplar_names_its_trace() {
        let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128;
        let exemplar = lifesigns::Exemplar {
            trace_id: trace_id.try_into().unwrap(),
            seconds: 0.25,
            ended: "2026-03-18T12:00:00.5Z".parse().unwrap(),
        };
        let mut all = Box::new([const { None }; LATENCY_BOUNDS.len() + 1]);
        all[6] = Some(exemplar);
        let encoded = exemplars(&ExchangeTotals { exemplars: Some(all), ..total(1) });
        let [found] = &encoded[..] else { panic!("{encoded:?}") };
        assert_eq!(found.trace_id, trace_id.to_be_bytes());
        assert_eq!(found.time_unix_nano, 1_773_835_200_500_000_000);
        assert_eq!(found.value, Some(exemplar::Value::AsDouble(0.25)));
        assert_eq!(exemplars(&total(1)), []);
    }

    fn histograms(metric: &Metric) -> &[HistogramDataPoint] {
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("no histogram: {metric:?}") };
        &histogram.data_points
    }

    #[test]
    fn buckets_are_counted_by_themselves_and_the_last_has_no_bound() {
        let metric = metric(exchanges(&[total(1)], SPAN));
        let point = &histograms(&metric)[0];
        assert_eq!(point.bucket_counts, [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 3]);
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 7));
    }

    #[test]
    fn an_error_has_its_type() {
        let kind = |status, failed_by| {
            let attributes = exchange_attributes(&ExchangeTotals { status, failed_by, ..total(1) });
            let found = attributes.into_iter().find(|attribute| attribute.key == "error.type");
            found.map(|attribute| attribute.value.unwrap().value.unwrap())
        };
        assert_eq!(kind(200, FailedBy::Nobody), None);
        assert_eq!(kind(404, FailedBy::Client), None);
        assert_eq!(kind(502, FailedBy::Gateway), Some(Value::StringValue("502".into())));
        assert_eq!(kind(200, FailedBy::Upstream), Some(Value::StringValue("incomplete".into())));
    }

    #[test]
    fn no_request_is_larger_than_collectors_bear() {
        let totals: Vec<_> = (0..MAX_POINTS * 2 + 10).map(total).collect();
        let few: Vec<_> = (0..5).map(|_| SPAN.point(Vec::new(), int(1))).collect();
        let gauge = Figures { name: "a", unit: "1", description: "", points: Points::Gauge(few) };
        let batches = batches(vec![gauge, exchanges(&totals, SPAN)]);
        let mut routes = Vec::new();
        for batch in &batches {
            let points: usize = batch
                .iter()
                .map(|metric| match &metric.data {
                    Some(Data::Gauge(gauge)) => gauge.data_points.len(),
                    _ => histograms(metric).len(),
                })
                .sum();
            assert!((1..=MAX_POINTS).contains(&points), "{points}");
            let last = batch.last().unwrap();
            assert_eq!(last.name, "http.server.request.duration");
            routes.extend(histograms(last).iter().map(|point| point.attributes[2].clone()));
        }
        let all: Vec<_> = totals.iter().map(|total| text("http.route", &total.route)).collect();
        assert_eq!((batches.len(), routes), (3, all));
    }
}
