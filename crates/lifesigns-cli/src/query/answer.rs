//! The nested answer to a question, as far as it is shown.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifesigns_model::bucket::Minute;
use serde::Deserialize;
use serde_json::Value;

use super::question::Step;

/// An answer that fits its question.
#[derive(Clone, Debug)]
pub struct Answer {
    /// One for each outermost aggregator.
    pub levels: Vec<Level>,
    /// What was read: from this minute on,
    pub start: Minute,
    /// and up to this one.
    pub end: Minute,
    /// Whether what policies refused is counted.
    pub include_policy_violation: bool,
}

/// The groups that one aggregator has made.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "BTreeMap<String, Vec<Group>>")]
pub struct Level {
    /// Its dimension, or `time_series_60m`.
    pub name: String,
    /// In the order in which they are shown.
    pub groups: Vec<Group>,
}

/// One group.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "BTreeMap<String, Figures>")]
pub struct Group {
    /// Its label, or the start of its time bucket.
    pub label: String,
    /// What was counted in it.
    pub figures: Figures,
}

/// What was counted in a group, and what it is split by.
#[derive(Clone, Debug, Deserialize)]
pub struct Figures {
    /// Number of exchanges.
    pub count: u64,
    /// If it was asked for.
    pub latency_ms: Option<Latency>,
    /// If it was asked for.
    pub request_size: Option<Size>,
    /// If it was asked for.
    pub response_size: Option<Size>,
    /// One for each inner aggregator.
    #[serde(default)]
    pub aggregations: Vec<Level>,
}

/// Milliseconds; `None` where nothing was counted.
#[derive(Clone, Debug, Deserialize)]
pub struct Latency {
    mean: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

impl Latency {
    /// Names of the figures.
    pub const NAMES: [&str; 6] = ["mean", "p50", "p90", "p95", "p99", "max"];

    /// The figures in the order of their names.
    pub const fn figures(&self) -> [Option<f64>; 6] {
        [self.mean, self.p50, self.p90, self.p95, self.p99, self.max]
    }
}

/// Bytes of bodies.
#[derive(Clone, Debug, Deserialize)]
pub struct Size {
    /// All together.
    pub sum: u64,
    /// For each exchange; `None` where nothing was counted.
    pub mean: Option<f64>,
}

#[derive(Deserialize)]
struct Whole {
    response: Vec<Level>,
    start_time: String,
    end_time: String,
    include_policy_violation: bool,
}

impl Answer {
    /// Reads an answer to the question with these chains; what is wrong with it, if it is none.
    pub fn read(answer: &Value, chains: &[Vec<Step>]) -> Result<Answer, String> {
        let whole = Whole::deserialize(answer).map_err(|error| error.to_string())?;
        let minute = |text: &str| {
            let time: Timestamp = text.parse().map_err(|_| format!("{text:?} is no time"))?;
            Ok::<_, String>(Minute::of(time))
        };
        for chain in chains {
            check(&whole.response, chain)?;
        }
        Ok(Answer {
            start: minute(&whole.start_time)?,
            end: minute(&whole.end_time)?,
            include_policy_violation: whole.include_policy_violation,
            levels: whole.response,
        })
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(|level| level.groups.is_empty())
    }
}

/// The aggregator that a step names, and what it was split into.
pub fn level<'a>(levels: &'a [Level], step: &Step) -> &'a [Group] {
    levels.get(step.index).map_or(&[], |level| &level.groups)
}

/// Whether every group on the way of `chain` is split as the question asks.
fn check(levels: &[Level], chain: &[Step]) -> Result<(), String> {
    let [step, inner @ ..] = chain else { return Ok(()) };
    let level = levels.get(step.index).filter(|level| level.name == step.name);
    let level = level.ok_or_else(|| format!("there is nothing for {}", step.name))?;
    for group in &level.groups {
        if step.interval.is_some() {
            group.minute().ok_or_else(|| format!("{:?} is no time", group.label))?;
        }
        check(&group.figures.aggregations, inner)?;
    }
    Ok(())
}

impl Group {
    /// Where its time bucket starts, if it is one.
    pub fn minute(&self) -> Option<Minute> {
        self.label.parse().ok().map(Minute::of)
    }
}

/// The only member of an object.
fn only<T>(members: BTreeMap<String, T>) -> Result<(String, T), &'static str> {
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (Some(member), None) => Ok(member),
        _ => Err("an object does not have exactly one member"),
    }
}

impl TryFrom<BTreeMap<String, Vec<Group>>> for Level {
    type Error = &'static str;

    fn try_from(members: BTreeMap<String, Vec<Group>>) -> Result<Level, &'static str> {
        only(members).map(|(name, groups)| Level { name, groups })
    }
}

impl TryFrom<BTreeMap<String, Figures>> for Group {
    type Error = &'static str;

    fn try_from(members: BTreeMap<String, Figures>) -> Result<Group, &'static str> {
        only(members).map(|(label, figures)| Group { label, figures })
    }
}
