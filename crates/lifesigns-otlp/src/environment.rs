//! The variables that every OpenTelemetry exporter knows.

use std::path::PathBuf;
use std::time::Duration;

use lifesigns::BadOption;
use percent_encoding::percent_decode_str;

use crate::options::Options;

/// Intervals and timeouts in milliseconds that make sense.
const SHORTEST: u64 = 100;
const LONGEST: u64 = 24 * 3600 * 1000;

/// For all signals, and for metrics alone; the second stands over the first.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"];
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT"];
const COMPRESSIONS: [&str; 2] = ["OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION"];
const CERTIFICATES: [&str; 2] = ["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE"];
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

impl Options {
    /// Lays the variables of the OpenTelemetry specification over the options: endpoint, headers, timeout,
    /// compression, certificate, interval, service name and resource attributes. An empty variable counts as not set.
    ///
    /// # Errors
    /// The first variable that cannot be understood.
    pub fn environment(self, variable: impl Fn(&str) -> Option<String>) -> Result<Options, BadOption> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // The one for metrics alone, if it is there.
        let of_both =
            |names: [&'static str; 2]| names.into_iter().rev().find_map(|name| Some((name, variable(name)?)));
        let mut options = self;
        if let Some((name, protocol)) = of_both(PROTOCOLS)
            && protocol.trim() != "http/protobuf"
        {
            let fault = "asks for a protocol that is not spoken here; http/protobuf is. Set \
                         OTEL_EXPORTER_OTLP_METRICS_PROTOCOL to that, and the endpoint to the collector's HTTP port";
            return Err(BadOption::new(name, fault));
        }
        if let Some((name, url)) = of_both(ENDPOINTS) {
            let chosen =
                if name == ENDPOINTS[0] { options.endpoint(&url) } else { options.metrics_endpoint(&url) };
            options = chosen.map_err(|bad| BadOption { option: name, ..bad })?;
        }
        if let Some((name, text)) = of_both(HEADERS) {
            options = options.header_list(name, &text)?;
        }
        if let Some((name, text)) = of_both(TIMEOUTS) {
            options.timeout = milliseconds(name, &text)?;
        }
        if let Some(text) = variable(INTERVAL) {
            options.interval = milliseconds(INTERVAL, &text)?;
        }
        if let Some((name, text)) = of_both(COMPRESSIONS) {
            options.gzip = match text.trim() {
                "gzip" => true,
                "none" => false,
                _ => return Err(BadOption::new(name, "is neither `gzip` nor `none`")),
            };
        }
        if let Some((_, file)) = of_both(CERTIFICATES) {
            options.ca_file = Some(PathBuf::from(file));
        }
        if let Some(text) = variable(RESOURCE) {
            for (name, value) in pairs(RESOURCE, &text)? {
                options = options.resource_attribute(&name, &value);
            }
        }
        if let Some(name) = variable(SERVICE_NAME) {
            options = options.resource_attribute("service.name", name.trim());
        }
        Ok(options)
    }

    /// With headers as these variables write them: `name=value,name=value`, percent-encoded. `option` is the name of
    /// the variable.
    ///
    /// # Errors
    /// When the text is no such list.
    pub fn header_list(self, option: &'static str, text: &str) -> Result<Options, BadOption> {
        pairs(option, text)?.into_iter().try_fold(self, |options, (name, value)| {
            options.header(&name, &value).map_err(|bad| BadOption { option, ..bad })
        })
    }
}

/// `name=value,name=value`, as the baggage of W3C is written.
fn pairs(option: &'static str, text: &str) -> Result<Vec<(String, String)>, BadOption> {
    // What was written may hold a secret, so it is not repeated.
    let fault = || BadOption::new(option, "is no list such as `name=value,name=value`");
    let decoded = |text: &str| -> Result<String, BadOption> {
        let decoded = percent_decode_str(text.trim()).decode_utf8().map_err(|_| fault())?;
        Ok(decoded.into_owned())
    };
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (name, value) =
                pair.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or_else(fault)?;
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

fn milliseconds(option: &'static str, text: &str) -> Result<Duration, BadOption> {
    let number = text.trim().parse().ok().filter(|number| (SHORTEST..=LONGEST).contains(number));
    let fault = || {
        BadOption::new(option, format!("must be a whole number of milliseconds from {SHORTEST} to {LONGEST}"))
    };
    Ok(Duration::from_millis(number.ok_or_else(fault)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Options, BadOption> {
        let find = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        Options::default().environment(find)
    }

    #[test]
    fn without_variables_everything_stays() {
        let options = environment(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap();
        assert_eq!(options.url(), "http://localhost:4318/v1/metrics");
        assert_eq!((options.interval, options.timeout), (Duration::from_mins(1), Duration::from_secs(10)));
        assert!(!options.gzip && options.headers.is_empty());
    }

    #[test]
    fn the_standard_variables_are_understood() {
        let options = environment(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318/x"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x-tenant = 7"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=a%2Cb"),
            ("OTEL_SERVICE_NAME", "polls"),
        ])
        .unwrap();
        assert_eq!(options.url(), "https://collector:4318/x/v1/metrics");
        assert_eq!(options.headers["api-key"], "a b");
        assert_eq!(options.headers["x-tenant"], "7");
        assert_eq!(
            (options.interval, options.timeout),
            (Duration::from_millis(500), Duration::from_millis(2500))
        );
        assert!(options.gzip);
        assert_eq!(options.ca_file, Some(PathBuf::from("/ca.pem")));
        let expected = [("team", "a,b"), ("service.name", "polls")];
        assert_eq!(options.resource, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn those_for_metrics_stand_over_those_for_all() {
        let options = environment(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:9/exactly"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ])
        .unwrap();
        assert_eq!(options.url(), "http://metrics:9/exactly");
    }

    #[test]
    fn what_cannot_be_understood_is_told_without_repeating_it() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "secret"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "ftp://secret"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0A,=secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "secret"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "99"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "secret"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ] {
            let bad = environment(&[(name, value)]).unwrap_err();
            assert_eq!(bad.option, name);
            assert!(!bad.to_string().contains("secret"), "{bad}");
        }
    }
}
