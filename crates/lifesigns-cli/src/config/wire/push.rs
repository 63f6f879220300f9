//! `[log]` and `[otlp]`.

use super::Optional;
use crate::config::fault::Fault;
use crate::config::reader::Reader;
use crate::config::tree::At;

/// `[log]`
#[derive(Debug, Default)]
pub struct Log {
    pub format: Optional<&'static str>,
}

/// `[otlp]`
#[derive(Debug, Default)]
pub struct Otlp {
    pub enabled: Optional<bool>,
    pub endpoint: Optional<String>,
    pub headers: Option<Vec<At<String>>>,
    pub headers_file: Optional<String>,
    pub headers_env: Optional<String>,
    pub interval_seconds: Optional<u64>,
    pub timeout_seconds: Optional<u64>,
    pub compression: Optional<&'static str>,
    pub ca_file: Optional<String>,
}

pub(super) fn log(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Log {
    let log = Log { format: reader.choice("format", faults) };
    reader.finish(faults);
    log
}

pub(super) fn otlp(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Otlp {
    let otlp = Otlp {
        enabled: reader.switch("enabled", faults),
        endpoint: reader.text("endpoint", faults),
        headers: reader.list("headers", faults),
        headers_file: reader.text("headers_file", faults),
        headers_env: reader.text("headers_env", faults),
        interval_seconds: reader.integer("interval_seconds", faults),
        timeout_seconds: reader.integer("timeout_seconds", faults),
        compression: reader.choice("compression", faults),
        ca_file: reader.text("ca_file", faults),
    };
    reader.finish(faults);
    otlp
}
