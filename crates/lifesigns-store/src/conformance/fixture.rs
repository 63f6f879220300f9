//! The rows in the files under `tests/fixtures`. They never change: later versions must read the old files.

use lifesigns_model::exchange::FailedBy;
use lifesigns_model::series::{NOT_APPLICABLE, Series};
use lifesigns_model::store::{Note, RollupRow};

use super::row_of;

/// 2026-01-01T00:00Z, in minutes.
const START: i64 = 29_453_760;

/// Five days from 2026-01-01, a row every ten minutes over several series, in rising order of time. With the
/// default retention the minutes of the first days have expired and only their hours and days are left.
pub fn fixture_rows() -> Vec<RollupRow> {
    (0..5 * 1440)
        .step_by(10)
        .map(|offset| {
            let number = offset / 10;
            let (status, failed_by) = match number % 7 {
                3 => (404, FailedBy::Client),
                5 => (502, FailedBy::Gateway),
                _ => (200, FailedBy::Nobody),
            };
            let series = Series {
                api: if number % 3 == 0 { "orders".into() } else { "café".into() },
                api_version: "v1".into(),
                route: "/items/{id}".into(),
                method: if number % 5 == 0 { "POST".into() } else { "GET".into() },
                status,
                client_id: if number % 2 == 0 { "app".into() } else { NOT_APPLICABLE.into() },
                policy: (number % 11 == 0).then(|| "rate-limit".into()),
                failed_by,
                instance: "one".into(),
            };
            row_of(START + offset, series, number as u64 * 997 + 1)
        })
        .collect()
}

/// Notes, from version 2 on.
pub fn fixture_notes() -> Vec<Note> {
    let note = |topic: &str, key: &str, text| Note { topic: topic.into(), key: key.into(), text: Some(text) };
    vec![
        note("maintenance", "café", r#"{"reason":"\u00dcbung","since":"2026-01-01T00:00:00Z"}"#.into()),
        note("maintenance", "orders", "{}".into()),
    ]
}
