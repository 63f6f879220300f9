//! From JSON to a query that has been found good.

use jiff::Timestamp;
use serde_json::Value;

use super::element::{Element, Object};
use super::fault::{Fault, FaultCode, quoted};
use super::filters::filters;
use super::unambiguous::Unambiguous;
use super::{
    Aggregator, DEFAULT_DURATION_MINUTES, MAX_AGGREGATORS, MAX_DEPTH, MAX_DURATION_MINUTES,
    MAX_INTERVAL_MINUTES, MAX_LIMIT, MAX_TIME_BUCKETS, Metrics, Order, Query, start_before, window,
    without_policy_violations,
};
use crate::bucket::{Calendar, Level};
use crate::series::Dimension;
use crate::store::GroupBy;

const TYPE: &str = "enriched-http-event";

impl Query {
    /// Reads a query from the body of a request. `now` is where a window without `start_time` ends.
    ///
    /// # Errors
    /// The first fault; for a body that is no JSON with line and column.
    pub fn parse_bytes(body: &[u8], now: Timestamp) -> Result<Query, Fault> {
        let Unambiguous(value) = serde_json::from_slice(body).map_err(|error| {
            if error.is_data() {
                return Fault::new(FaultCode::Conflict, "body", error.to_string());
            }
            let message = if body.trim_ascii().is_empty() {
                "the body is empty; send a JSON object with `aggregators`".to_owned()
            } else {
                format!("the body is no JSON: {error}")
            };
            Fault::new(FaultCode::MalformedJson, "body", message)
        })?;
        Query::parse(&value, now)
    }

    /// Reads a query from JSON. `now` is where a window without `start_time` ends.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(body: &Value, now: Timestamp) -> Result<Query, Fault> {
        let root = Element::root(body);
        let keys = root.object(&[
            "type",
            "aggregators",
            "duration",
            "start_time",
            "filters",
            "include_policy_violation",
        ])?;
        keys.read("type", |element| element.name(&[(TYPE, ())]))?;
        let minutes = keys
            .read("duration", |element| {
                parse_duration(element.text()?).map_err(|(code, message)| element.fault(code, message))
            })?
            .unwrap_or(DEFAULT_DURATION_MINUTES);
        let start = keys.read("start_time", start_time)?.unwrap_or_else(|| start_before(now, minutes));
        let mut aggregators = Aggregators { left: MAX_AGGREGATORS, minutes, outer: Vec::new() };
        let aggregators =
            keys.read("aggregators", |element| aggregators.list(element))?.ok_or_else(|| {
                let message = "is missing; ask for something, such as [{\"dimension\": \"status_code\"}]";
                Fault::new(FaultCode::Missing, "aggregators", message)
            })?;
        let mut filter = keys.read("filters", filters)?.unwrap_or_default();
        let include_policy_violation =
            keys.read("include_policy_violation", Element::boolean)?.unwrap_or(true);
        if !include_policy_violation {
            filter = without_policy_violations(filter);
        }
        Ok(Query { aggregators, range: window(start, minutes), filter, include_policy_violation })
    }
}

/// Minutes of a text such as `90m`, `24h` or `20d`.
pub(super) fn parse_duration(text: &str) -> Result<i64, (FaultCode, String)> {
    let parsed = text.char_indices().next_back().and_then(|(end, unit)| {
        let minutes = match unit {
            'm' => 1,
            'h' => 60,
            'd' => 1440,
            _ => return None,
        };
        let digits = &text[..end];
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // Only digits are left, so all that can fail is their size.
        all_digits.then(|| digits.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(minutes))
    });
    match parsed {
        Some(minutes) if (1..=MAX_DURATION_MINUTES).contains(&minutes) => Ok(minutes),
        Some(_) => Err((
            FaultCode::OutOfRange,
            format!("must be from 1m to {}d, found {}", MAX_DURATION_MINUTES / 1440, quoted(text)),
        )),
        None => Err((
            FaultCode::BadValue,
            format!("must be a whole number and `m`, `h` or `d`, such as 24h; found {}", quoted(text)),
        )),
    }
}

/// Refuses a time series that would have more buckets than an answer may hold.
pub(super) fn check_buckets(interval: i64, minutes: i64) -> Result<(), String> {
    let buckets = minutes / interval;
    if buckets <= MAX_TIME_BUCKETS {
        return Ok(());
    }
    let wide_enough = (minutes + MAX_TIME_BUCKETS - 1) / MAX_TIME_BUCKETS;
    Err(format!(
        "{interval} would cut the window into {buckets} buckets, more than {MAX_TIME_BUCKETS}; use {wide_enough} or more, or a shorter duration"
    ))
}

fn start_time(element: &Element<'_>) -> Result<Timestamp, Fault> {
    let text = element.text()?;
    text.parse().map_err(|_| {
        let message =
            format!("must be an RFC 3339 time, such as 2026-03-18T19:25:14.589Z; found {}", quoted(text));
        element.fault(FaultCode::BadValue, message)
    })
}

/// Reads aggregators and keeps count of them.
struct Aggregators {
    left: usize,
    minutes: i64,
    outer: Vec<GroupBy>,
}

impl Aggregators {
    fn list(&mut self, element: &Element<'_>) -> Result<Vec<Aggregator>, Fault> {
        let items = element.items()?;
        if items.len() == 0 {
            let message = "must not be empty; name at least one aggregator, or leave an inner list out";
            return Err(element.fault(FaultCode::Missing, message));
        }
        if self.outer.len() == MAX_DEPTH {
            let message =
                format!("aggregators may be nested {MAX_DEPTH} deep; ask for this in a query of its own");
            return Err(element.fault(FaultCode::TooDeep, message));
        }
        items.map(|item| self.one(&item)).collect()
    }

    fn one(&mut self, element: &Element<'_>) -> Result<Aggregator, Fault> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let message =
                format!("a query may have {MAX_AGGREGATORS} aggregators in all; send several queries");
            element.fault(FaultCode::TooMany, message)
        })?;
        let keys =
            element.object(&["time_interval", "dimension", "order", "limit", "metrics", "aggregators"])?;
        let by = self.group_by(element, &keys)?;
        let order = keys.read("order", |element| {
            element.name(&[("descending", Order::Descending), ("ascending", Order::Ascending)])
        })?;
        let limit = keys.read("limit", |element| element.positive(MAX_LIMIT, "groups"))?;
        let metrics = keys.read("metrics", metrics)?.unwrap_or_default();
        self.outer.push(by);
        let aggregators = keys.read("aggregators", |element| self.list(element))?.unwrap_or_default();
        self.outer.pop();
        let path = element.path().to_owned();
        Ok(Aggregator { path, by, order, limit: limit.map(|limit| limit as usize), metrics, aggregators })
    }

    fn group_by(&self, element: &Element<'_>, keys: &Object<'_, '_>) -> Result<GroupBy, Fault> {
        match (keys.get("time_interval"), keys.get("dimension")) {
            (Some(interval), None) => self.interval(&interval),
            (None, Some(dimension)) => self.dimension(&dimension),
            (Some(_), Some(_)) => Err(element.fault(
                FaultCode::Conflict,
                "has both `time_interval` and `dimension`; keep one, and nest the other in `aggregators`",
            )),
            (None, None) => Err(element.fault(
                FaultCode::Missing,
                "needs a `time_interval` (minutes, `week` or `month`) or a `dimension`, such as {\"dimension\": \"status_code\"}",
            )),
        }
    }

    fn interval(&self, element: &Element<'_>) -> Result<GroupBy, Fault> {
        // Minutes in quotes are told what they are: a text.
        if element.is_word() {
            let calendar = element.name(&Calendar::ALL.map(|calendar| (calendar.name(), calendar)))?;
            return self.calendar(element, calendar);
        }
        let interval = element.positive(MAX_INTERVAL_MINUTES, "minutes")?;
        check_buckets(interval, self.minutes)
            .map_err(|message| element.fault(FaultCode::OutOfRange, message))?;
        for outer in &self.outer {
            // Weeks and months are whole days.
            let (width, name) = match outer {
                GroupBy::Interval(outer) => (*outer, outer.to_string()),
                GroupBy::Calendar(calendar) => (Level::Day.minutes(), format!("a {}", calendar.name())),
                GroupBy::Dimension(_) => continue,
            };
            let is_the_same = *outer == GroupBy::Interval(interval);
            if is_the_same || width % interval != 0 {
                let message = format!(
                    "{interval} does not cut the outer `time_interval` of {name} into equal parts; use a smaller divisor of {width}"
                );
                return Err(element.fault(FaultCode::Conflict, message));
            }
        }
        Ok(GroupBy::Interval(interval))
    }

    fn calendar(&self, element: &Element<'_>, calendar: Calendar) -> Result<GroupBy, Fault> {
        let outer = self.outer.iter().any(|outer| !matches!(outer, GroupBy::Dimension(_)));
        if outer {
            let message = format!(
                "a {} does not cut an outer `time_interval` into equal parts; make it the outermost one",
                calendar.name()
            );
            return Err(element.fault(FaultCode::Conflict, message));
        }
        Ok(GroupBy::Calendar(calendar))
    }

    fn dimension(&self, element: &Element<'_>) -> Result<GroupBy, Fault> {
        let dimension = element.name(&Dimension::ALL.map(|dimension| (dimension.name(), dimension)))?;
        let by = GroupBy::Dimension(dimension);
        if self.outer.contains(&by) {
            let message =
                format!("`{dimension}` already makes the groups of an outer aggregator; leave it out here");
            return Err(element.fault(FaultCode::Conflict, message));
        }
        Ok(by)
    }
}

fn metrics(element: &Element<'_>) -> Result<Metrics, Fault> {
    let mut metrics = Metrics::default();
    for item in element.items()? {
        type Flag = fn(&mut Metrics) -> &mut bool;
        let known: [(&str, Flag); 3] = [
            ("latency", |metrics| &mut metrics.latency),
            ("request_size", |metrics| &mut metrics.request_size),
            ("response_size", |metrics| &mut metrics.response_size),
        ];
        *item.name(&known)?(&mut metrics) = true;
    }
    Ok(metrics)
}

#[cfg(test)]
mod tests;
