//! What the details of a service's health are made of: a time series, summaries over fixed windows, and the apps
//! that call most.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fault::{Fault, FaultCode, quoted, suggestion};
use super::figures::latency_json;
use super::parse::{check_buckets, parse_duration};
use super::{
    Aggregator, DEFAULT_DURATION_MINUTES, MAX_GROUPS, MAX_GROUPS_WITH_LATENCY, MAX_INTERVAL_MINUTES, Metrics,
    Query, Selection, start_before, window, without_policy_violations,
};
use crate::bucket::MinuteRange;
use crate::exchange::FailedBy;
use crate::rollup::Rollup;
use crate::series::Dimension;
use crate::store::{Condition, Figures, Filter, GroupBy, GroupKey, Selected};

/// The windows that are summed up beside the time series: their names and how many minutes they reach back.
pub const WINDOWS: [(&str, i64); 5] =
    [("1h", 60), ("3h", 180), ("1d", 1440), ("7d", 7 * 1440), ("30d", 30 * 1440)];

/// How many apps are named among those that call most.
pub const TOP_APPS_LIMIT: usize = 10;

/// What a caller wants to see of a service's details.
///
/// ```
/// use lifesigns_model::query::Details;
/// let details = Details::parse([("interval", "15"), ("by", "status_code,method")]).unwrap();
/// assert_eq!(details.interval_minutes, 15);
/// assert_eq!(details.by.len(), 2);
/// assert!(Details::parse([("intervall", "15")]).is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Details {
    /// Width of a time bucket, in minutes.
    pub interval_minutes: i64,
    /// How far back the time series and the summary reach, in minutes.
    pub duration_minutes: i64,
    /// By what each time bucket is split, side by side.
    pub by: Vec<Dimension>,
    /// Whether requests that a policy refused are counted.
    pub include_policy_violation: bool,
}

impl Default for Details {
    fn default() -> Details {
        Details {
            interval_minutes: 60,
            duration_minutes: DEFAULT_DURATION_MINUTES,
            by: vec![Dimension::StatusCode],
            include_policy_violation: true,
        }
    }
}

impl Details {
    /// Reads the decoded parameters of a query string: `interval` in minutes, `duration` (`90m`, `24h`, `20d`),
    /// `by` (names of dimensions, separated by commas), `include_policy_violation`.
    ///
    /// # Errors
    /// The first fault; its path is the parameter's name.
    pub fn parse<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Details, Fault> {
        const KNOWN: [&str; 4] = ["interval", "duration", "by", "include_policy_violation"];
        let mut details = Details::default();
        let mut seen = HashSet::new();
        for (name, value) in parameters {
            let fault = |code, message| Fault::new(code, super::fault::shortened(name), message);
            match name {
                "interval" => details.interval_minutes = parse_interval(value)?,
                "duration" => {
                    details.duration_minutes =
                        parse_duration(value).map_err(|(code, message)| fault(code, message))?;
                }
                "by" => details.by = parse_by(value)?,
                "include_policy_violation" => {
                    details.include_policy_violation = value.parse().map_err(|_| {
                        fault(FaultCode::BadValue, format!("must be true or false, found {}", quoted(value)))
                    })?;
                }
                unknown => {
                    let message = format!("the parameter is not known; {}", suggestion(unknown, &KNOWN));
                    return Err(fault(FaultCode::UnknownKey, message));
                }
            }
            if !seen.insert(name) {
                return Err(fault(FaultCode::Conflict, "stands there twice; keep one".to_owned()));
            }
        }
        check_buckets(details.interval_minutes, details.duration_minutes)
            .map_err(|message| Fault::new(FaultCode::OutOfRange, "interval", message))?;
        Ok(details)
    }

    /// The query for the time series of the API with this name, or of all APIs. The paths of its faults are names
    /// of parameters.
    pub fn query(&self, api: Option<&str>, now: Timestamp) -> Query {
        let aggregator = |path: &str, by, aggregators| Aggregator {
            path: path.to_owned(),
            by,
            order: None,
            limit: None,
            metrics: Metrics::default(),
            aggregators,
        };
        let by = self.by.iter().map(|by| aggregator("by", GroupBy::Dimension(*by), Vec::new())).collect();
        Query {
            aggregators: vec![aggregator("interval", GroupBy::Interval(self.interval_minutes), by)],
            range: last_minutes(self.duration_minutes, now),
            filter: self.filter(api),
            include_policy_violation: self.include_policy_violation,
        }
    }

    /// The filter for the API with this name, or for all APIs.
    pub fn filter(&self, api: Option<&str>) -> Filter {
        let filter = match api {
            Some(api) => Filter::everything().and(Condition::Equals(Dimension::Api, api.into())),
            None => Filter::everything(),
        };
        if self.include_policy_violation { filter } else { without_policy_violations(filter) }
    }
}

/// The window of `minutes` up to `now`, moved outward to whole minutes.
pub fn last_minutes(minutes: i64, now: Timestamp) -> MinuteRange {
    window(start_before(now, minutes), minutes)
}

/// How many exchanges went how.
///
/// `success`, `client_error` and `server_error` add up to `requests`. They go by the status code, but for an answer
/// that began well and that the API or the gateway broke off: it is a `server_error`. One that the client gave up
/// stays what its status says.
/// `policy_violation` overlaps with them: a request that a policy refused with 429 is a client error, too.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// All exchanges.
    pub requests: u64,
    /// Status below 400, unless the serving side broke the answer off.
    pub success: u64,
    /// Status from 400 to 499; exchanges whose client went away are among them.
    pub client_error: u64,
    /// Status of 500 and above, and answers with a status below 400 that the serving side broke off.
    pub server_error: u64,
    /// Refused by a policy, whatever the status.
    pub policy_violation: u64,
    /// The sums of all of them.
    pub rollup: Rollup,
}

impl Summary {
    /// What has to be read for a summary.
    pub fn selection(range: MinuteRange, filter: Filter) -> Selection {
        let group_by = [Dimension::StatusCode, Dimension::RequestDisposition, Dimension::FailedBy]
            .map(GroupBy::Dimension)
            .to_vec();
        Selection {
            range,
            group_by,
            filter,
            figures: Figures::Percentiles,
            max_groups: MAX_GROUPS_WITH_LATENCY,
        }
    }

    /// Sums up the answer to [`Summary::selection`].
    ///
    /// # Panics
    /// If it is the answer to another selection.
    pub fn of(selected: &Selected) -> Summary {
        let mut summary = Summary::default();
        for group in &selected.groups {
            let [GroupKey::Label(status), GroupKey::Label(disposition), GroupKey::Label(failed_by)] =
                group.key.as_slice()
            else {
                panic!("a summary is made of groups by status code, disposition and who failed");
            };
            let status: u16 = status.parse().expect("a status code is a number");
            let failed_by = FailedBy::from_name(failed_by).expect("it is one of the known names");
            summary.requests += group.count;
            *match status {
                ..400 if failed_by.counts_against_service() => &mut summary.server_error,
                ..400 => &mut summary.success,
                400..500 => &mut summary.client_error,
                500.. => &mut summary.server_error,
            } += group.count;
            if **disposition == *"policy_violation" {
                summary.policy_violation += group.count;
            }
            summary.rollup.merge(&group.rollup);
        }
        summary
    }

    /// As it stands in an answer.
    pub fn to_json(&self) -> Value {
        json!({
            "requests": self.requests,
            "success": self.success,
            "client_error": self.client_error,
            "server_error": self.server_error,
            "policy_violation": self.policy_violation,
            "latency_ms": latency_json(&self.rollup),
        })
    }
}

/// What has to be read to name the apps that call most.
pub fn top_apps_selection(range: MinuteRange, filter: Filter) -> Selection {
    let group_by = vec![GroupBy::Dimension(Dimension::ClientId)];
    // One group for each app, whose number is bounded where they are counted: a busy service must not lose its
    // details for having many.
    Selection { range, group_by, filter, figures: Figures::Percentiles, max_groups: MAX_GROUPS }
}

/// The `limit` apps that call most, the busiest first, from the answer to [`top_apps_selection`].
///
/// # Panics
/// If it is the answer to another selection.
pub fn top_apps(selected: &Selected, limit: usize) -> Value {
    let mut apps: Vec<(&str, u64, &Rollup)> = selected
        .groups
        .iter()
        .map(|group| {
            let [GroupKey::Label(client_id)] = group.key.as_slice() else {
                panic!("apps are made of groups by client id");
            };
            (&**client_id, group.count, &group.rollup)
        })
        .collect();
    apps.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    apps.truncate(limit);
    apps.into_iter()
        .map(|(client_id, count, rollup)| {
            json!({"client_id": client_id, "count": count, "latency_ms": latency_json(rollup)})
        })
        .collect()
}

fn parse_interval(text: &str) -> Result<i64, Fault> {
    text.parse().ok().filter(|interval| (1..=MAX_INTERVAL_MINUTES).contains(interval)).ok_or_else(|| {
        let message = format!(
            "must be a whole number of minutes from 1 to {MAX_INTERVAL_MINUTES}, found {}",
            quoted(text)
        );
        Fault::new(FaultCode::OutOfRange, "interval", message)
    })
}

/// An empty text is an empty list: a time series that is not split.
fn parse_by(text: &str) -> Result<Vec<Dimension>, Fault> {
    let mut by = Vec::new();
    for name in text.split(',').filter(|_| !text.is_empty()) {
        let Some(dimension) = Dimension::from_name(name.trim_ascii()) else {
            let names = Dimension::ALL.map(Dimension::name);
            let message = format!("{} is no dimension; {}", quoted(name), suggestion(name, &names));
            return Err(Fault::new(FaultCode::UnknownValue, "by", message));
        };
        if by.contains(&dimension) {
            let message = format!("`{dimension}` stands there twice; keep one");
            return Err(Fault::new(FaultCode::Conflict, "by", message));
        }
        by.push(dimension);
    }
    Ok(by)
}

#[cfg(test)]
mod tests;
