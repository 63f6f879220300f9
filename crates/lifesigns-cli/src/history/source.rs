//! Who remembers: a monitor, or the file that it writes.

use std::path::Path;
use std::time::Duration;

use hyper::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use jiff::Timestamp;
use lifesigns_fetch::{Body, Fetcher, Options, Request};
use lifesigns_model::history::{EventKind, EventSelection, Reading, Span};
use lifesigns_model::store::StoreError;
use lifesigns_monitor::{event_json, history_json};
use lifesigns_store::history::SqliteHistoryReader;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::arguments::Place;
use crate::Failure;
use crate::check::wait_for;
use crate::config::reader::nearest;
use crate::credentials;
use crate::printer::{Problem, escaped};

const MONITOR: &str = "http://127.0.0.1:8090";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// No answer has so many bytes: it has 1,000 points or events at most.
const LONGEST_ANSWER: usize = 16 << 20;
/// The most names that are told where none is like the one that was asked for.
const MOST_NAMES: usize = 10;
/// The most events in an answer.
const MOST_EVENTS: usize = 1_000;
/// A light of which the interval is not known holds at least so long, in seconds.
const SHORTEST_HOLD: i64 = 180;

/// Who remembers.
pub enum Source {
    /// A file, opened for reading only.
    File(SqliteHistoryReader),
    /// A monitor.
    Monitor(Monitor),
}

/// A monitor that can be asked.
pub struct Monitor {
    url: Url,
    fetcher: Fetcher,
    authorization: Option<HeaderValue>,
}

impl Source {
    /// The source that the flags name; a file is opened.
    pub fn new(place: &Place) -> Result<Source, Failure> {
        match &place.file {
            Some(file) => open(file).map(Source::File).map_err(Failure::Problem),
            None => Monitor::new(place).map(Source::Monitor).map_err(Failure::Arguments),
        }
    }

    /// How a service was in the last so many seconds, in so many points, and what happened: as a monitor answers it, with
    /// `events`. `None` if nothing is known of it.
    pub fn history(&self, service: &str, last: i64, points: usize) -> Result<Option<Value>, Failure> {
        match self {
            Source::File(reader) => from_file(reader, service, last, points).map_err(Failure::Problem),
            Source::Monitor(monitor) => monitor.history(service, last, points),
        }
    }

    /// What could have been meant instead of that name.
    pub fn hint(&self, service: &str) -> Result<String, Failure> {
        let known = match self {
            Source::File(reader) => {
                reader.services().map_err(|error| Failure::Problem(unreadable(&error)))?
            }
            Source::Monitor(monitor) => monitor.services()?,
        };
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Ok(match nearest(service, &known) {
            _ if known.is_empty() || known.contains(&service) => String::new(),
            Some(name) => format!("; did you mean `{}`?", escaped(name)),
            None => {
                let more = known.len().saturating_sub(MOST_NAMES);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let names: Vec<String> = known.iter().take(MOST_NAMES).map(|name| escaped(name)).collect();
                format!("; there is something of {}{more}", names.join(", "))
            }
        })
    }
}

/// Opens a file that is there; nothing is made.
pub fn open(path: &Path) -> Result<SqliteHistoryReader, Problem> {
    let name = path.display();
    let found = path.metadata().map_err(|error| {
        Problem::new(format!("there is no data file {name} that could be read")).because(&error).hint(
            "a monitor keeps its history where `--data` or `data` of `[monitor]` says, lifesigns-monitor.db unless told",
        )
    })?;
    if !found.is_file() {
        return Err(Problem::new(format!("{name} is no data file, but a folder or a device")));
    }
    SqliteHistoryReader::open(path).map_err(|error| unreadable(&error))
}

/// The store says itself what is wrong with which file, and how to mend it.
pub fn unreadable(error: &StoreError) -> Problem {
    let problem = Problem::new(error.to_string());
    match std::error::Error::source(error) {
        Some(cause) => problem.because(cause),
        None => problem,
    }
}

fn from_file(
    reader: &SqliteHistoryReader,
    service: &str,
    last: i64,
    points: usize,
) -> Result<Option<Value>, Problem> {
    let now = Timestamp::now().as_second();
    let span = Span { from: now + 1 - last, to: now + 1 };
    let readings = reader.readings(service, span).map_err(|error| unreadable(&error))?;
    let select = |kinds: Vec<EventKind>, service: Option<&str>| {
        let selection = EventSelection { kinds, service: service.map(Into::into), span, limit: MOST_EVENTS };
        reader.events(&selection).map_err(|error| unreadable(&error))
    };
    let mut events = select(Vec::new(), Some(service))?;
    if readings.is_empty() && events.is_empty() {
        return Ok(None);
    }
    events.extend(select(vec![EventKind::Gap], None)?);
    let mut json = history_json(service, &readings, span, hold(&readings), points);
    json["events"] = events.iter().map(event_json).collect();
    Ok(Some(json))
}

/// How long a light counts: for three times the usual time to the next one.
fn hold(readings: &[Reading]) -> i64 {
    let mut steps: Vec<i64> = readings.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    if steps.is_empty() {
        return SHORTEST_HOLD;
    }
    let middle = steps.len() / 2;
    let (_, median, _) = steps.select_nth_unstable(middle);
    SHORTEST_HOLD.max(*median * 3)
}

impl Monitor {
    fn new(place: &Place) -> Result<Monitor, Problem> {
        let text = place.monitor.as_deref().unwrap_or(MONITOR);
        let url =
            Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            Problem::new(format!("--monitor: `{text}` is no URL")).hint(format!("write it as `{MONITOR}`"))
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            // The text itself would show the password.
            return Err(Problem::new("--monitor: the URL holds a user or a password")
                .hint("leave them out; a token stands in LIFESIGNS_TOKEN or in the file of --token-file"));
        }
        let options = Options {
            longest_body: LONGEST_ANSWER,
            ca_file: place.token.ca_file.clone(),
            ..Options::default()
        };
        let fetcher = Fetcher::new(options).map_err(|error| Problem::new(error.to_string()))?;
        let authorization = credentials::authorization(place.token.token_file.as_deref())?;
        Ok(Monitor { url, fetcher, authorization })
    }

    fn history(&self, service: &str, last: i64, points: usize) -> Result<Option<Value>, Failure> {
        // The resource takes minutes.
        let last = format!("{}m", last / 60);
        let (points, of_service) = (points.to_string(), ["api", "services", service]);
        let history =
            self.ask(&[&of_service[..], &["history"]].concat(), &[("last", &last), ("points", &points)])?;
        let Some(mut json) = history else { return Ok(None) };
        let mut events = Vec::new();
        let of_service = self.ask(&[&of_service[..], &["events"]].concat(), &[("last", &last)])?;
        let gaps = self.ask(&["api", "events"], &[("last", &last), ("kind", EventKind::Gap.name())])?;
        for mut answer in [of_service, gaps].into_iter().flatten() {
            if let Some(found) = answer["events"].as_array_mut() {
                events.append(found);
            }
        }
        let is_empty = json["readings"] == 0 && events.iter().all(|event| event["kind"] == "gap");
        json["events"] = events.into();
        Ok((!is_empty).then_some(json))
    }

    fn services(&self) -> Result<Vec<String>, Failure> {
        let answer = self.ask(&["api", "services"], &[])?.unwrap_or_default();
        let services = answer["services"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(services.iter().filter_map(|service| Some(service["name"].as_str()?.to_owned())).collect())
    }

    /// The answer of a resource; `None` if there is no such service.
    fn ask(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Value>, Failure> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().clear().extend_pairs(query);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let request = Request { headers, ..Request::get() };
        let answer = wait_for(async { timeout(PATIENCE, self.fetcher.fetch(&url, &request)).await })?;
        let unreachable = |why: &str| {
            let problem = Problem::new(format!("the monitor at {} gave no answer: {why}", self.url));
            Failure::Problem(problem.hint("--monitor says where it is, --file reads its data file instead"))
        };
        let answer = answer
            .map_err(|_| unreachable(&format!("it took longer than {} s", PATIENCE.as_secs())))?
            .map_err(|failure| unreachable(&failure.to_string()))?;
        let json = match &answer.body {
            Body::Whole(body) => serde_json::from_slice::<Value>(body.as_ref()).ok(),
            Body::TooLong(_) | Body::Unreadable(_) => None,
        };
        match (answer.status, json) {
            (200, Some(json)) => Ok(Some(json)),
            (404, Some(json)) if json["detail"].is_string() => Ok(None),
            (401 | 403, _) => {
                let problem =
                    Problem::new(format!("the monitor at {} lets nobody in without a token", self.url));
                Err(Failure::Problem(problem.hint(
                    "one with the scope `fleet:read` belongs into LIFESIGNS_TOKEN, or into the file of --token-file",
                )))
            }
            (status, json) => {
                let detail = json.as_ref().and_then(|json| json["detail"].as_str()).unwrap_or_default();
                Err(unreachable(&format!("it answered {status} {}", escaped(detail))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_light_holds_for_three_times_the_usual_step() {
        let readings = |times: &[i64]| -> Vec<Reading> {
            let reading =
                |at: &i64| Reading { at: *at, light: None, code: 0, latency_us: None, memory_mb: None };
            times.iter().map(reading).collect()
        };
        let check = |times: &[i64], expected: i64| assert_eq!(hold(&readings(times)), expected, "{times:?}");
        check(&[], 180);
        check(&[5], 180);
        check(&[0, 10, 20], 180);
        check(&[0, 600, 1200, 90_000, 90_600], 1800);
    }
}
