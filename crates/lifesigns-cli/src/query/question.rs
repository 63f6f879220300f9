//! From flags, or from a file, to a question that the model has found good.

mod condition;
mod time;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use lifesigns_model::bucket::{Calendar, Minute, MinuteRange};
use lifesigns_model::query::{DEFAULT_DURATION_MINUTES, Fault, MAX_DURATION_MINUTES, Query};
use serde_json::{Map, Value, json};

use super::arguments::Flags;
use crate::printer::Problem;

/// Longest query, in bytes: the resource takes no longer one.
const MAX_QUERY_BYTES: u64 = 64 * 1024;

/// A good question, in the three forms in which it is needed.
#[derive(Debug)]
pub struct Question {
    /// As the resource takes it.
    pub body: Value,
    /// As the model understands it.
    pub query: Query,
    /// Every way from an outermost aggregator to an innermost one.
    pub chains: Vec<Vec<Step>>,
    origin: Origin,
}

/// One aggregator on a way through the question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// Which of its siblings it is.
    pub index: usize,
    /// The key under which its groups stand in an answer.
    pub name: String,
    /// How wide its buckets are, if it is a time series.
    pub interval: Option<Interval>,
    /// How many groups it shows at most.
    pub limit: Option<u64>,
    /// Whether the last comes first, as it was asked for.
    pub descending: bool,
    /// What is shown besides the count.
    pub metrics: Metrics,
}

/// How wide the buckets of a time series are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interval {
    /// So many minutes.
    Minutes(i64),
    /// Weeks or months of the calendar.
    Calendar,
}

/// What is shown of a group besides its count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Metrics {
    /// Latency.
    pub latency: bool,
    /// Sizes of requests.
    pub request: bool,
    /// Sizes of responses.
    pub response: bool,
}

impl Metrics {
    /// Those of any of the steps.
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Metrics {
        steps.into_iter().fold(Metrics::default(), |all, step| Metrics {
            latency: all.latency || step.metrics.latency,
            request: all.request || step.metrics.request,
            response: all.response || step.metrics.response,
        })
    }
}

/// Where a question comes from, so that a fault can be told there.
#[derive(Debug)]
enum Origin {
    /// Flags, with one text for each filter.
    Flags { flags: Box<Flags>, filters: Vec<String> },
    /// A file of this name.
    File(String),
}

impl Question {
    /// The question that the flags ask. `now` is where a window without an end ends.
    pub fn new(flags: &Flags, now: Timestamp) -> Result<Question, Problem> {
        let (body, origin) = match &flags.query {
            Some(file) => from_file(file)?,
            None => from_flags(flags, now)?,
        };
        let query = Query::parse(&body, now).map_err(|fault| origin.tell(fault.path(), fault.message()))?;
        let mut chains = Vec::new();
        follow(&body["aggregators"], &mut Vec::new(), &mut chains);
        Ok(Question { body, query, chains, origin })
    }

    /// A fault that showed only when the question was answered.
    pub fn refused(&self, fault: &Fault) -> Problem {
        self.tell(fault.path(), fault.message())
    }

    /// A fault of the element at `path`, told at the flag that it comes from.
    pub fn tell(&self, path: &str, message: &str) -> Problem {
        self.origin.tell(path, message)
    }
}

impl Origin {
    fn tell(&self, path: &str, message: &str) -> Problem {
        Problem::new(match self {
            Origin::File(name) => format!("{name}: {path}: {message}"),
            Origin::Flags { flags, filters } => match flag_of(path, flags, filters) {
                Some(flag) => format!("{flag}: {message}"),
                None => format!("{path}: {message}"),
            },
        })
    }
}

/// The flag that an element of the question was made from, as it was given.
fn flag_of(path: &str, flags: &Flags, filters: &[String]) -> Option<String> {
    let given = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name} {value}"));
    if let Some(rest) = path.strip_prefix("filters[") {
        let index: usize = rest.split(']').next()?.parse().ok()?;
        return filters.get(index).cloned();
    }
    match path.rsplit('.').next()? {
        "duration" => given("last", &flags.last).or_else(|| given("from", &flags.from)),
        "start_time" => given("from", &flags.from),
        "time_interval" => given("every", &flags.every),
        "order" => given("order", &flags.order),
        "limit" => given("limit", &flags.limit.map(|limit| limit.to_string())),
        _ if path.starts_with("aggregators") => {
            let by = (!flags.by.is_empty()).then(|| format!("--by {}", flags.by.join(" --by ")));
            by.or_else(|| given("every", &flags.every))
        }
        _ => None,
    }
}

fn from_file(file: &Path) -> Result<(Value, Origin), Problem> {
    let is_stdin = file.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let unreadable =
        |error: io::Error| Problem::new(format!("--query: {name} cannot be read")).because(&error);
    let mut text = Vec::new();
    let source: &mut dyn Read =
        if is_stdin { &mut io::stdin().lock() } else { &mut File::open(file).map_err(unreadable)? };
    source.take(MAX_QUERY_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_QUERY_BYTES {
        let message =
            format!("--query: {name} has more than {MAX_QUERY_BYTES} bytes, which no query may have");
        return Err(Problem::new(message));
    }
    let body = serde_json::from_slice(&text).map_err(|error| {
        Problem::new(format!("--query: {name} is no JSON"))
            .because(&error)
            .hint("send an object such as {\"aggregators\": [{\"dimension\": \"status_code\"}]}")
    })?;
    Ok((body, Origin::File(name)))
}

fn from_flags(flags: &Flags, now: Timestamp) -> Result<(Value, Origin), Problem> {
    let mut body = Map::from_iter([("type".to_owned(), json!("enriched-http-event"))]);
    window(flags, now, &mut body)?;
    let mut filters = Vec::new();
    if let Some(api) = &flags.api {
        filters.push((condition::is_one_of("api_id", api, &format!("--api {api}"))?, format!("--api {api}")));
    }
    for text in &flags.conditions {
        let flag = format!("--where {text}");
        filters.extend(condition::filters(text, &flag)?.into_iter().map(|filter| (filter, flag.clone())));
    }
    let (filters, origins): (Vec<Value>, Vec<String>) = filters.into_iter().unzip();
    if !filters.is_empty() {
        body.insert("filters".to_owned(), Value::Array(filters));
    }
    if flags.without_policy_violations {
        body.insert("include_policy_violation".to_owned(), json!(false));
    }
    body.insert("aggregators".to_owned(), aggregators(flags)?);
    Ok((Value::Object(body), Origin::Flags { flags: Box::new(flags.clone()), filters: origins }))
}

/// Start and length of the window: whole minutes, and no more of them than was asked for.
fn window(flags: &Flags, now: Timestamp, body: &mut Map<String, Value>) -> Result<(), Problem> {
    let from = flags.from.as_deref().map(|text| time::point("--from", text)).transpose()?;
    let to = flags.to.as_deref().map(|text| time::point("--to", text)).transpose()?;
    let mut set = |name: &str, value: String| body.insert(name.to_owned(), Value::String(value));
    if let Some(last) = &flags.last {
        set("duration", last.clone());
    }
    let start = match (from, to, &flags.last) {
        (Some(_), Some(_), Some(_)) => {
            return Err(Problem::new("--from, --to and --last contradict one another").hint("leave one out"));
        }
        (None, None, _) => return Ok(()),
        (Some(from), None, Some(_)) => Minute::of(from),
        (Some(from), to, None) => {
            let end = to.unwrap_or(now);
            if from >= end {
                let end = to.map_or("now", |_| "--to");
                return Err(Problem::new(format!("--from does not lie before {end}")));
            }
            let range = MinuteRange::new(Minute::of(from), Minute::at_or_after(end));
            set("duration", format!("{}m", range.end.number() - range.start.number()));
            range.start
        }
        (None, Some(to), last) => {
            // What cannot be read is left to the model, which says so.
            let minutes = last.as_deref().map_or(Some(DEFAULT_DURATION_MINUTES), time::minutes).unwrap_or(1);
            Minute::at_or_after(to).plus(-minutes.min(MAX_DURATION_MINUTES))
        }
    };
    set("start_time", start.start().to_string());
    Ok(())
}

/// One chain for each `--by`, all of them within the time series if there is one.
fn aggregators(flags: &Flags) -> Result<Value, Problem> {
    let mut metrics = Vec::new();
    if flags.latency {
        metrics.push("latency");
    }
    if flags.sizes {
        metrics.extend(["request_size", "response_size"]);
    }
    let only_time = flags.by.is_empty() && flags.every.is_some();
    let aggregator = |key: &str, value: Value, inner: Option<Value>| {
        let mut aggregator = Map::from_iter([(key.to_owned(), value)]);
        let mut set = |key: &str, value: Option<Value>| {
            aggregator.extend(value.map(|value| (key.to_owned(), value)));
        };
        if key == "dimension" || only_time {
            set("order", flags.order.as_ref().map(|order| json!(order)));
            set("limit", flags.limit.map(|limit| json!(limit)));
        }
        set("metrics", (!metrics.is_empty()).then(|| json!(metrics)));
        set("aggregators", inner);
        Value::Object(aggregator)
    };
    let by: &[String] =
        if flags.by.is_empty() && !only_time { &["status_code".to_owned()] } else { &flags.by };
    let chains: Vec<Value> = by
        .iter()
        .filter_map(|names| {
            names
                .rsplit(',')
                .fold(None, |inner: Option<Value>, name| {
                    Some(json!([aggregator("dimension", json!(name.trim()), inner)]))
                })
                .map(|mut chain| chain[0].take())
        })
        .collect();
    let Some(every) = &flags.every else { return Ok(Value::Array(chains)) };
    let interval = match Calendar::ALL.iter().find(|calendar| calendar.name() == every) {
        Some(calendar) => json!(calendar.name()),
        None => json!(time::minutes(every).ok_or_else(|| {
            Problem::new(format!(
                "--every {every}: must be `week`, `month`, or a whole number and `m`, `h` or `d`, such as 1h"
            ))
        })?),
    };
    let inner = (!chains.is_empty()).then(|| Value::Array(chains));
    Ok(json!([aggregator("time_interval", interval, inner)]))
}

/// The chains through aggregators that the model has found good.
fn follow(aggregators: &Value, steps: &mut Vec<Step>, chains: &mut Vec<Vec<Step>>) {
    for (index, aggregator) in aggregators.as_array().into_iter().flatten().enumerate() {
        let (interval, name) = match &aggregator["time_interval"] {
            Value::Number(minutes) => {
                (minutes.as_i64().map(Interval::Minutes), format!("time_series_{minutes}m"))
            }
            Value::String(calendar) => (Some(Interval::Calendar), format!("time_series_{calendar}")),
            _ => (None, aggregator["dimension"].as_str().unwrap_or_default().to_owned()),
        };
        let asked =
            |metric: &str| aggregator["metrics"].as_array().is_some_and(|all| all.contains(&json!(metric)));
        steps.push(Step {
            index,
            name,
            interval,
            limit: aggregator["limit"].as_u64(),
            descending: aggregator["order"] == "descending",
            metrics: Metrics {
                latency: asked("latency"),
                request: asked("request_size"),
                response: asked("response_size"),
            },
        });
        match aggregator.get("aggregators") {
            Some(inner) => follow(inner, steps, chains),
            None => chains.push(steps.clone()),
        }
        steps.pop();
    }
}

#[cfg(test)]
mod tests;
