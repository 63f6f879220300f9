//! The push to a collector: what `[otlp]` says, and over it what OpenTelemetry's variables say.

use std::time::Duration;

use lifesigns_otlp::{BadOption, Options};

use super::{Checks, values};
use crate::config::fault::{Fault, Place};
use crate::config::tree::At;
use crate::config::wire;

/// How to push; `None` if nothing is to be pushed, or that cannot be.
pub(super) fn otlp(written: &wire::Otlp, checks: &mut Checks<'_>) -> Option<Options> {
    let is_on = written.enabled.as_ref().map_or(written.endpoint.is_some(), |enabled| enabled.value);
    let before = checks.faults.len();
    let options = options(written, checks);
    // What is written is weighed in any case: it is to be right on the day when it is switched on.
    let options = if is_on { environment(options, written, checks) } else { options };
    (is_on && checks.faults.len() == before).then_some(options)
}

fn options(written: &wire::Otlp, checks: &mut Checks<'_>) -> Options {
    let seconds =
        |written: &Option<At<u64>>, default| Duration::from_secs(values::number(written.as_ref(), default));
    let mut options = Options::default()
        .interval(seconds(&written.interval_seconds, 60))
        .timeout(seconds(&written.timeout_seconds, 10))
        .gzip(written.compression.as_ref().is_some_and(|at| at.value == "gzip"));
    if let Some(file) = &written.ca_file {
        options = options.ca_file(checks.path(file));
    }
    if let Some(endpoint) = &written.endpoint {
        options = kept(options, &endpoint.place, checks, |options| options.endpoint(&endpoint.value));
    }
    for header in written.headers.iter().flatten() {
        options = header_line(options, &header.value, &header.place, checks);
    }
    if let Some(file) = &written.headers_file {
        let text = checks.read("headers_file", file).unwrap_or_default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            options = header_line(options, line, &file.place, checks);
        }
    }
    if let Some(variable) = &written.headers_env {
        match checks.surroundings.variable(&variable.value) {
            Some(text) => {
                options = kept(options, &variable.place, checks, |options| {
                    options.header_list("headers_env", &text)
                });
            }
            None => checks.fault(Fault::new(
                &variable.place,
                format!("`headers_env`: the environment variable {} is not set", variable.value),
            )),
        }
    }
    options
}

/// What OpenTelemetry's own variables say. Lifesigns' own stands over theirs.
fn environment(options: Options, written: &wire::Otlp, checks: &mut Checks<'_>) -> Options {
    let surroundings = checks.surroundings;
    let has_own = written.endpoint.as_ref().is_some_and(|at| matches!(at.place, Place::Variable(_)));
    let find = |name: &str| {
        let is_endpoint = name.starts_with("OTEL_EXPORTER_OTLP_") && name.ends_with("ENDPOINT");
        if has_own && is_endpoint { None } else { surroundings.variable(name) }
    };
    match options.clone().environment(find) {
        Ok(options) => options,
        Err(BadOption { option, fault }) => {
            checks.fault(Fault::new(&Place::Variable(option), format!("it {fault}")));
            options
        }
    }
}

/// A header as it is written in a request. It may be a secret, so it is not repeated.
fn header_line(options: Options, line: &str, place: &Place, checks: &mut Checks<'_>) -> Options {
    let Some((name, value)) = line.split_once(':') else {
        checks.fault(
            Fault::new(place, "a header has no colon")
                .hint("write name, colon, value: `x-scope-orgid: polls`"),
        );
        return options;
    };
    kept(options, place, checks, |options| options.header(name, value))
}

/// The options with a change; as they were, and a fault more, if it cannot be.
fn kept(
    options: Options,
    place: &Place,
    checks: &mut Checks<'_>,
    change: impl FnOnce(Options) -> Result<Options, BadOption>,
) -> Options {
    match change(options.clone()) {
        Ok(options) => options,
        Err(bad) => {
            checks.fault(Fault::new(place, bad.to_string()));
            options
        }
    }
}
