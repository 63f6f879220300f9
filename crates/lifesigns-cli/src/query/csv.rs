//! An answer as rows, one for each innermost group.

use std::fmt::Write as _;

use lifesigns_model::query::csv_cell;

use super::answer::{Answer, Figures, Latency, Level, level};
use super::question::{Metrics, Step};
use crate::printer::escaped;

/// RFC 4180, with a header. The columns are those of all chains together: a row leaves empty what it is not split by.
pub fn rows(answer: &Answer, chains: &[Vec<Step>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for step in chains.iter().flatten() {
        if !names.contains(&step.name.as_str()) {
            names.push(&step.name);
        }
    }
    let metrics = Metrics::of(chains.iter().filter_map(|chain| chain.last()));
    let mut text = names.join(",");
    text.push_str(",count");
    // Writing to a string cannot fail, here and below.
    if metrics.latency {
        for name in Latency::NAMES {
            let _ = write!(text, ",latency_{name}_ms");
        }
    }
    for (name, asked) in [("request", metrics.request), ("response", metrics.response)] {
        if asked {
            let _ = write!(text, ",{name}_bytes,{name}_bytes_mean");
        }
    }
    text.push_str("\r\n");
    for chain in chains {
        let mut rows =
            Rows { names: &names, labels: vec![String::new(); names.len()], metrics, text: &mut text };
        rows.add(&answer.levels, chain);
    }
    text
}

/// Rows of one chain, while they are written.
struct Rows<'a> {
    names: &'a [&'a str],
    /// Those of the group that is looked at and of all around it.
    labels: Vec<String>,
    metrics: Metrics,
    text: &'a mut String,
}

impl Rows<'_> {
    fn add(&mut self, levels: &[Level], chain: &[Step]) {
        let [step, inner @ ..] = chain else { return };
        let column = self.names.iter().position(|name| *name == step.name);
        let column = column.expect("there is a column for every step");
        for group in level(levels, step) {
            self.labels[column] = escaped(&group.label);
            if inner.is_empty() {
                self.row(&group.figures);
            } else {
                self.add(&group.figures.aggregations, inner);
            }
        }
        self.labels[column].clear();
    }

    fn row(&mut self, figures: &Figures) {
        for label in &self.labels {
            csv_cell(label, self.text);
            self.text.push(',');
        }
        let _ = write!(self.text, "{}", figures.count);
        if self.metrics.latency {
            let latency = figures.latency_ms.as_ref().map(Latency::figures).unwrap_or_default();
            latency.into_iter().for_each(|figure| self.number(figure));
        }
        for (asked, size) in
            [(self.metrics.request, &figures.request_size), (self.metrics.response, &figures.response_size)]
        {
            if asked {
                self.number(size.as_ref().map(|size| size.sum));
                self.number(size.as_ref().and_then(|size| size.mean));
            }
        }
        self.text.push_str("\r\n");
    }

    /// A figure more; nothing where nothing was counted.
    fn number(&mut self, figure: Option<impl std::fmt::Display>) {
        self.text.push(',');
        if let Some(figure) = figure {
            let _ = write!(self.text, "{figure}");
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::query::arguments::Flags;
    use crate::query::question::Question;

    fn check(flags: &Flags, response: &serde_json::Value, expected: &str) {
        let question = Question::new(flags, Timestamp::UNIX_EPOCH).unwrap();
        let answer = json!({
            "success": true, "error": null, "response": response, "include_policy_violation": true,
            "start_time": "2026-03-16T00:00:00.000Z", "end_time": "2026-03-17T00:00:00.000Z",
        });
        let answer = Answer::read(&answer, &question.chains).unwrap();
        assert_eq!(rows(&answer, &question.chains), expected);
    }

    #[test]
    fn siblings_share_their_columns_and_leave_empty_what_they_do_not_have() {
        let flags =
            Flags { by: vec!["client_id,method".into(), "method".into()], sizes: true, ..Flags::default() };
        let size = json!({"sum": 30, "mean": 7.5});
        let get = json!({"count": 4, "request_size": {"sum": 0, "mean": null}, "response_size": size});
        let app = json!({"count": 4, "request_size": size, "response_size": size,
            "aggregations": [{"method": [{"GET": get}]}]});
        check(
            &flags,
            &json!([{"client_id": [{"=a\u{1b},b": app}]}, {"method": [{"GET": get}]}]),
            "client_id,method,count,request_bytes,request_bytes_mean,response_bytes,response_bytes_mean\r\n\
             \"'=a\\u{1b},b\",GET,4,0,,30,7.5\r\n,GET,4,0,,30,7.5\r\n",
        );
    }

    #[test]
    fn nothing_is_a_header() {
        let flags = Flags { every: Some("1h".into()), latency: true, ..Flags::default() };
        check(
            &flags,
            &json!([{"time_series_60m": []}]),
            "time_series_60m,count,latency_mean_ms,latency_p50_ms,latency_p90_ms,latency_p95_ms,latency_p99_ms,\
             latency_max_ms\r\n",
        );
    }
}
