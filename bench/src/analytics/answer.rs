//! What a question comes to, in one form for all who were asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::questions::Asked;
use crate::Outcome;

/// Groups by their labels.
pub(super) type Answer = BTreeMap<Vec<String>, Figures>;

/// What stands under one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) count: f64,
    /// p50, p95 and p99 in milliseconds.
    pub(super) percentiles: Option<[f64; 3]>,
}

/// How far two answers lie apart, in shares of the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Distance {
    pub(super) count: f64,
    pub(super) percentile: f64,
}

impl Distance {
    pub(super) fn show(self) -> String {
        let show =
            |share: f64| if share == 0.0 { "equal".to_owned() } else { format!("{:.2} %", share * 100.0) };
        format!("{}, {}", show(self.count), show(self.percentile))
    }
}

/// Compares two answers to the same question; groups that only one has are told.
pub(super) fn compare(own: &Answer, other: &Answer) -> Outcome<Distance> {
    let mut distance = Distance::default();
    for key in own.keys().chain(other.keys()) {
        let (Some(own), Some(other)) = (own.get(key), other.get(key)) else {
            return Err(format!("only one of the two answers has the group {key:?}").into());
        };
        distance.count = distance.count.max(apart(own.count, other.count));
        if let Some((own, other)) = own.percentiles.zip(other.percentiles) {
            let farthest = own.into_iter().zip(other).map(|(own, other)| apart(own, other));
            distance.percentile = farthest.fold(distance.percentile, f64::max);
        }
    }
    Ok(distance)
}

fn apart(own: f64, other: f64) -> f64 {
    (own - other).abs() / own.abs().max(f64::MIN_POSITIVE)
}

/// The groups of our own answer.
pub(super) fn of_lifesigns(body: &[u8]) -> Outcome<Answer> {
    let body: Value = serde_json::from_slice(body)?;
    let mut answer = Answer::new();
    for aggregator in body["response"].as_array().ok_or("an answer has a response")? {
        gather(aggregator, &mut Vec::new(), &mut answer)?;
    }
    Ok(answer)
}

fn gather(aggregator: &Value, key: &mut Vec<String>, answer: &mut Answer) -> Outcome<()> {
    let members = aggregator.as_object().and_then(|aggregator| aggregator.values().next());
    for member in members.and_then(Value::as_array).ok_or("an aggregator has members")? {
        let (label, figures) =
            member.as_object().and_then(|member| member.iter().next()).ok_or("a member has a label")?;
        // Times as the others give them.
        key.push(
            label.parse::<Timestamp>().map_or_else(|_| label.clone(), |time| time.as_second().to_string()),
        );
        if let Some(inner) = figures["aggregations"].as_array() {
            inner.iter().try_for_each(|inner| gather(inner, key, answer))?;
        } else {
            let percentile = |name: &str| figures["latency_ms"][name].as_f64();
            let percentiles = match (percentile("p50"), percentile("p95"), percentile("p99")) {
                (Some(p50), Some(p95), Some(p99)) => Some([p50, p95, p99]),
                _ => None,
            };
            let count = figures["count"].as_f64().ok_or("a group has a count")?;
            answer.insert(key.clone(), Figures { count, percentiles });
        }
        key.pop();
    }
    Ok(())
}

/// The groups of an answer of `ClickHouse` as tab separated values: labels, the count, and `[p50,p95,p99]` in
/// microseconds where the question has them.
pub(super) fn of_clickhouse(body: &[u8], labels: usize) -> Outcome<Answer> {
    let mut answer = Answer::new();
    for line in str::from_utf8(body)?.lines() {
        let mut cells = line.split('\t');
        let key: Vec<String> = cells.by_ref().take(labels).map(str::to_owned).collect();
        let count = cells.next().ok_or_else(|| format!("no count: {line}"))?.parse()?;
        let percentiles = match cells.next() {
            None => None,
            Some(list) => {
                let list = list.trim_matches(['[', ']']).split(',');
                let micros: Vec<f64> = list.map(str::parse).collect::<Result<_, _>>()?;
                let micros: [f64; 3] = micros.try_into().map_err(|_| format!("three percentiles: {line}"))?;
                Some(micros.map(|micros| micros / 1000.0))
            }
        };
        answer.insert(key, Figures { count, percentiles });
    }
    Ok(answer)
}

/// How far answers of Prometheus lie from ours: one with counts, or three with percentiles in seconds. Where they go over
/// time, their spans begin at the time of the question and not at the hour or day, so that the sums are compared.
pub(super) fn from_prometheus(
    own: &Answer,
    bodies: &[Bytes],
    asked: &Asked,
    is_over_time: bool,
) -> Outcome<Distance> {
    let mut counts = BTreeMap::<String, f64>::new();
    for (key, figures) in own {
        *counts.entry(key[usize::from(is_over_time)].clone()).or_default() += figures.count;
    }
    let mut distance = Distance::default();
    for (number, body) in bodies.iter().enumerate() {
        let found = of_prometheus(body, asked.label)?;
        if found.len() != counts.len() {
            return Err(format!("{} groups for {}", found.len(), counts.len()).into());
        }
        for (label, value) in found {
            let count = counts.get(&label).ok_or_else(|| format!("a group {label:?} that we have not"))?;
            match own.get(&vec![label]).and_then(|figures| figures.percentiles) {
                Some(percentiles) => {
                    distance.percentile = distance.percentile.max(apart(percentiles[number], value * 1000.0));
                }
                None => distance.count = distance.count.max(apart(*count, value)),
            }
        }
    }
    Ok(distance)
}

/// What stands under each value of a label: the sample, or the sum of all samples.
fn of_prometheus(body: &[u8], label: &str) -> Outcome<Vec<(String, f64)>> {
    let body: Value = serde_json::from_slice(body)?;
    let results = body["data"]["result"].as_array().ok_or_else(|| format!("no result: {body}"))?;
    let number = |pair: &Value| pair[1].as_str().and_then(|text| text.parse::<f64>().ok());
    results
        .iter()
        .map(|result| {
            let value = match result["values"].as_array() {
                Some(values) => values.iter().map(number).sum(),
                None => number(&result["value"]),
            };
            let label = result["metric"][label].as_str().unwrap_or_default().to_owned();
            Ok((label, value.ok_or("a sample is a number")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_groups_come_out_of_either_form() {
        let own = br#"{"response":[{"client_id":[{"a":{"count":2,"latency_ms":{"p50":1.0,"p95":2.0,"p99":3.0}}}]}]}"#;
        let (own, other) =
            (of_lifesigns(own).unwrap(), of_clickhouse(b"a\t2\t[1000,2000,3030]\n", 1).unwrap());
        let distance = compare(&own, &other).unwrap();
        assert!(distance.count == 0.0 && (distance.percentile - 0.01).abs() < 1e-9, "{distance:?}");
        assert!(compare(&own, &Answer::new()).is_err());
    }

    #[test]
    fn samples_of_either_kind_are_read() {
        let body = br#"{"data":{"result":[{"metric":{"s":"200"},"values":[[1,"2"],[2,"3"]]},{"metric":{"s":"404"},"value":[1,"5"]}]}}"#;
        let read = of_prometheus(body, "s").unwrap();
        assert_eq!(read, [("200".to_owned(), 5.0), ("404".to_owned(), 5.0)]);
    }
}
