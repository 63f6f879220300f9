//! Exchanges one by one, as rows of JSON or CSV.

use std::collections::HashSet;
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fault::{Fault, FaultCode, quoted, shortened, suggestion};
use super::filters;
use crate::exchange::Measurement;
use crate::series::{Dimension, Series};
use crate::store::{AnyOf, Condition, Filter};

/// Most rows that may be asked for.
pub const MAX_EVENTS: usize = 10_000;
/// Rows for those who do not say how many.
const DEFAULT_EVENTS: usize = 1000;

/// Which of the last exchanges a caller wants to see, and how.
///
/// ```
/// use lifesigns_model::query::{EventFormat, Events};
/// let events = Events::parse([("format", "csv"), ("status_code", "502"), ("status_code", "504")]).unwrap();
/// assert_eq!((events.format, events.limit), (EventFormat::Csv, 1000));
/// assert!(Events::parse([("status_cod", "502")]).is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Events {
    /// What the rows look like.
    pub format: EventFormat,
    /// Most rows; the newest are shown.
    pub limit: usize,
    /// Which exchanges are shown.
    pub filter: Filter,
}

/// What the rows look like.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EventFormat {
    /// One JSON object on each line.
    #[default]
    JsonLines,
    /// RFC 4180 with a header, safe to be opened as a spreadsheet.
    Csv,
}

impl EventFormat {
    /// The media type of all rows.
    pub const fn media_type(self) -> &'static str {
        match self {
            EventFormat::JsonLines => "application/x-ndjson",
            EventFormat::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What stands before the rows.
    pub fn head(self) -> String {
        match self {
            EventFormat::JsonLines => String::new(),
            EventFormat::Csv => {
                let dimensions = Dimension::ALL.map(Dimension::name).join(",");
                format!("time,{dimensions},{}\r\n", FIGURES.map(|(name, _)| name).join(","))
            }
        }
    }
}

impl Events {
    /// Reads the decoded parameters of a query string: `format` (`json` or `csv`), `limit`, and names of dimensions,
    /// of each of which one of the given labels has to be that of an exchange.
    ///
    /// # Errors
    /// The first fault; its path is the parameter's name.
    pub fn parse<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Events, Fault> {
        let mut events =
            Events { format: EventFormat::default(), limit: DEFAULT_EVENTS, filter: Filter::everything() };
        let mut seen = HashSet::new();
        let mut wanted: Vec<(Dimension, AnyOf)> = Vec::new();
        for (name, value) in parameters {
            let fault = |code, message| Fault::new(code, shortened(name), message);
            if let Some(dimension) = Dimension::from_name(name) {
                let label = filters::known_label(dimension, value)
                    .map_err(|message| Fault::new(FaultCode::UnknownValue, shortened(name), message))?;
                let condition = Condition::Equals(dimension, label);
                match wanted.iter_mut().find(|(other, _)| *other == dimension) {
                    Some((_, any_of)) => any_of.any.push(condition),
                    None => wanted.push((dimension, AnyOf { any: vec![condition] })),
                }
                continue;
            }
            match name {
                "format" => {
                    events.format = match value {
                        "json" => EventFormat::JsonLines,
                        "csv" => EventFormat::Csv,
                        other => {
                            let message = format!("must be json or csv, found {}", quoted(other));
                            return Err(fault(FaultCode::UnknownValue, message));
                        }
                    };
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_EVENTS).contains(limit));
                    events.limit = limit.ok_or_else(|| {
                        let found = quoted(value);
                        let message =
                            format!("must be a whole number of rows from 1 to {MAX_EVENTS}, found {found}");
                        fault(FaultCode::OutOfRange, message)
                    })?;
                }
                unknown => {
                    let known: Vec<&str> =
                        ["format", "limit"].into_iter().chain(Dimension::ALL.map(Dimension::name)).collect();
                    let message = format!("the parameter is not known; {}", suggestion(unknown, &known));
                    return Err(fault(FaultCode::UnknownKey, message));
                }
            }
            if !seen.insert(name) {
                return Err(fault(FaultCode::Conflict, "stands there twice; keep one".to_owned()));
            }
        }
        events.filter.all = wanted.into_iter().map(|(_, any_of)| any_of).collect();
        Ok(events)
    }
}

/// One exchange that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// When its answer had ended.
    pub ended: Timestamp,
    /// Its labels.
    pub series: &'a Series,
    /// What was measured of it.
    pub measured: &'a Measurement,
}

type Figure = fn(&Measurement) -> Value;

/// The figures of a row: milliseconds with three decimals, and bytes.
const FIGURES: [(&str, Figure); 4] = [
    ("latency_ms", |measured| json!(measured.total_micros as f64 / 1000.0)),
    ("first_byte_ms", |measured| json!(measured.first_byte_micros as f64 / 1000.0)),
    ("request_bytes", |measured| json!(measured.request_bytes)),
    ("response_bytes", |measured| json!(measured.response_bytes)),
];

impl Event<'_> {
    /// Adds its row.
    pub fn write(&self, format: EventFormat, rows: &mut String) {
        let time = format!("{:.6}", self.ended);
        match format {
            EventFormat::JsonLines => {
                let mut row = Map::from_iter([("time".to_owned(), json!(time))]);
                for dimension in Dimension::ALL {
                    let label = match dimension {
                        Dimension::StatusCode => json!(self.series.status),
                        _ => json!(self.series.label(dimension)),
                    };
                    row.insert(dimension.name().to_owned(), label);
                }
                row.extend(FIGURES.map(|(name, figure)| (name.to_owned(), figure(self.measured))));
                // Writing into a string cannot fail.
                let _ = writeln!(rows, "{}", Value::Object(row));
            }
            EventFormat::Csv => {
                rows.push_str(&time);
                for dimension in Dimension::ALL {
                    rows.push(',');
                    csv_cell(&self.series.label(dimension), rows);
                }
                for (_, figure) in FIGURES {
                    let _ = write!(rows, ",{}", figure(self.measured));
                }
                rows.push_str("\r\n");
            }
        }
    }
}

/// Adds a text as a cell of CSV (RFC 4180). Spreadsheets take what begins with certain characters for a formula: an
/// apostrophe before it says that it is none.
pub fn csv_cell(text: &str, rows: &mut String) {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let is_plain = !is_formula && !text.contains(['"', ',', '\r', '\n']);
    if is_plain {
        rows.push_str(text);
        return;
    }
    rows.push('"');
    if is_formula {
        rows.push('\'');
    }
    rows.push_str(&text.replace('"', "\"\""));
    rows.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::FailedBy;

    fn series(client_id: &str) -> Series {
        Series {
            api: "polls".into(),
            api_version: "v1".into(),
            route: "/questions/{id}".into(),
            method: "GET".into(),
            status: 502,
            client_id: client_id.into(),
            policy: None,
            failed_by: FailedBy::Gateway,
            instance: "one".into(),
        }
    }

    const MEASURED: Measurement =
        Measurement { total_micros: 12_345, first_byte_micros: 500, request_bytes: 0, response_bytes: 71 };

    fn row(format: EventFormat, client_id: &str) -> String {
        let mut rows = String::new();
        let ended = "2026-03-18T19:25:14.589012Z".parse().unwrap();
        Event { ended, series: &series(client_id), measured: &MEASURED }.write(format, &mut rows);
        rows
    }

    #[test]
    fn a_row_of_json_has_all_labels_and_figures() {
        let row = row(EventFormat::JsonLines, "a \"b\"\n");
        assert_eq!(row.matches('\n').count(), 1, "one line");
        assert_eq!(
            serde_json::from_str::<Value>(&row).unwrap(),
            json!({
                "time": "2026-03-18T19:25:14.589012Z", "api_id": "polls", "api_version_id": "v1",
                "client_id": "a \"b\"\n", "status_code": 502, "method": "GET",
                "resource_path": "/questions/{id}", "request_disposition": "processed", "policy": "_na_",
                "failed_by": "gateway", "instance": "one", "latency_ms": 12.345, "first_byte_ms": 0.5,
                "request_bytes": 0, "response_bytes": 71,
            })
        );
    }

    #[test]
    fn a_row_of_csv_is_no_formula() {
        let head = EventFormat::Csv.head();
        assert_eq!(
            head,
            "time,api_id,api_version_id,client_id,status_code,method,resource_path,request_disposition,policy,\
             failed_by,instance,latency_ms,first_byte_ms,request_bytes,response_bytes\r\n"
        );
        let check = |client_id: &str, cell: &str| {
            let expected = format!(
                "2026-03-18T19:25:14.589012Z,polls,v1,{cell},502,GET,/questions/{{id}},processed,_na_,gateway,one,\
                 12.345,0.5,0,71\r\n"
            );
            assert_eq!(row(EventFormat::Csv, client_id), expected);
        };
        check("app", "app");
        check("a,b", "\"a,b\"");
        check("a\"b", "\"a\"\"b\"");
        check("=1+1", "\"'=1+1\"");
        check("@SUM(1)", "\"'@SUM(1)\"");
        check("-1", "\"'-1\"");
        check("\tx", "\"'\tx\"");
        check("＝1", "\"'＝1\"");
    }

    #[test]
    fn parameters_choose_rows_and_faults_name_them() {
        let events =
            Events::parse([("limit", "7"), ("method", "GET"), ("method", "PUT"), ("status_code", "502")]);
        let events = events.unwrap();
        assert_eq!((events.format, events.limit), (EventFormat::JsonLines, 7));
        assert!(events.filter.matches(&series("a")));
        let other = Series { method: "POST".into(), ..series("a") };
        assert!(!events.filter.matches(&other));
        for (name, value, code) in [
            ("format", "xml", FaultCode::UnknownValue),
            ("limit", "0", FaultCode::OutOfRange),
            ("limit", "10001", FaultCode::OutOfRange),
            ("limit", "-1", FaultCode::OutOfRange),
            ("failed_by", "me", FaultCode::UnknownValue),
            ("route", "/", FaultCode::UnknownKey),
        ] {
            let fault = Events::parse([(name, value)]).unwrap_err();
            assert_eq!((fault.code(), fault.path()), (code, name));
        }
        assert_eq!(Events::parse([("limit", "1"), ("limit", "2")]).unwrap_err().code(), FaultCode::Conflict);
    }
}
