//! The last exchanges, one row each.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use lifesigns_model::query::{Event, Events};

use super::Call;
use super::answer::Answer;
use super::health::parameters;
use crate::collector::series_of;

/// How many exchanges that ended with those shown were not kept, where there are any.
const LEFT_OUT: HeaderName = HeaderName::from_static("x-lifesigns-left-out");

pub(super) async fn answer(call: &Call<'_>) -> Answer {
    let parameters: Vec<(String, String)> = parameters(call.parts.uri.query()).collect();
    let events = Events::parse(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let events = match events {
        Ok(events) => events,
        Err(fault) => return Answer::json(StatusCode::BAD_REQUEST, &fault.answer()),
    };
    let media_type = HeaderValue::from_static(events.format.media_type());
    call.make_answer(move |reading| {
        let process = reading.process;
        process.collect();
        let mut known = HashMap::new();
        let mut rows = Vec::new();
        let recent = process.recorder.recent();
        for ended in recent.newest_first() {
            let series = known.entry(ended.key).or_insert_with(|| series_of(process, ended.key.into()));
            if events.filter.matches(series) {
                rows.push(ended);
            }
            if rows.len() == events.limit {
                break;
            }
        }
        let left_out = rows.last().map_or(0, |oldest| recent.left_out_since(oldest.at_micros));
        let mut body = events.format.head();
        for ended in rows.iter().rev() {
            let time = Timestamp::from_microsecond(ended.at_micros).unwrap_or_default();
            let event = Event { ended: time, series: &known[&ended.key], measured: &ended.measured };
            event.write(events.format, &mut body);
        }
        let answer = Answer::new(StatusCode::OK, media_type, body);
        Ok(if left_out > 0 { answer.header(LEFT_OUT, &left_out.to_string()) } else { answer })
    })
    .await
}
