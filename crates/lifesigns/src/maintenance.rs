//! Maintenance: announced by an operator, over by itself.
//!
//! It ends by the time that has passed and not by the wall clock, which only says when it was meant to end. It is kept
//! as a note in the store, so that a restart in the middle of it does not end it.

use std::fmt;
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifesigns_model::moment::Moment;
use lifesigns_model::store::{KeptNote, Note, StoreError};
use lifesigns_model::verdict::Maintenance;
use serde_json::{Value, json};

use crate::journal::CHANGES;
use crate::process::{Api, ApiState, Process};
use crate::recorder::lock;

/// Longest maintenance.
pub(crate) const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Most characters of a reason.
pub(crate) const MAX_REASON: usize = 500;

/// How long starting waits for the store to say whether there was maintenance.
const RECALL_PATIENCE: Duration = Duration::from_secs(1);

/// Topics of the notes: of APIs, and of a gateway's own subject, which may have the name of one of them.
const TOPICS: [&str; 2] = ["maintenance", "gateway-maintenance"];

/// Why there can be no such maintenance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadMaintenance {
    /// The reason is empty or longer than 500 characters, or has characters that cannot be printed.
    Reason,
    /// It would be over at once, or last for more than 30 days.
    End,
}

impl fmt::Display for BadMaintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadMaintenance::Reason => "a reason has 1 to 500 printable characters",
            BadMaintenance::End => "maintenance ends in the future, at most 30 days ahead",
        })
    }
}

impl std::error::Error for BadMaintenance {}

impl Api {
    /// Switches maintenance on, or gives it another reason and end. Callers are shown the reason: 1 to 500 printable
    /// characters. It ends by itself after `length`, at most 30 days; until then the light is amber at best, and
    /// readiness is as it was. With a store a restart does not end it. Does not wait for the store.
    ///
    /// # Errors
    /// When the reason or the length is out of its bounds.
    pub fn begin_maintenance(&self, reason: &str, length: Duration) -> Result<(), BadMaintenance> {
        let now = self.process.time.now();
        let ends = end(now, length).ok_or(BadMaintenance::End)?;
        self.set_maintenance(reason, ends, now, None)
    }

    /// Switches maintenance off. Returns whether it was on.
    pub fn end_maintenance(&self) -> bool {
        self.clear_maintenance(None)
    }

    /// `by` is who asked for it.
    pub(crate) fn set_maintenance(
        &self,
        reason: &str,
        ends: Moment,
        now: Moment,
        by: Option<&str>,
    ) -> Result<(), BadMaintenance> {
        if !is_reason(reason) {
            return Err(BadMaintenance::Reason);
        }
        let state = self.state();
        let mut announced = lock(&state.maintenance);
        let since = announced.as_ref().filter(|before| before.is_on(now)).map_or(now, |before| before.since);
        let maintenance = Maintenance { reason: reason.into(), since, ends };
        let until = format!("{:.0}", ends.wall);
        tracing::info!(target: CHANGES, api = &*state.name, by, reason, until, "maintenance is on");
        self.note(Some(&maintenance));
        *announced = Some(maintenance);
        drop(announced);
        self.process.collect();
        Ok(())
    }

    pub(crate) fn clear_maintenance(&self, by: Option<&str>) -> bool {
        let state = self.state();
        let mut announced = lock(&state.maintenance);
        let was_on = announced.take().is_some();
        if was_on {
            tracing::info!(target: CHANGES, api = &*state.name, by, "maintenance is off");
            self.note(None);
            drop(announced);
            self.process.collect();
        }
        was_on
    }

    /// Has the store remember or forget it. That it cannot is no reason not to do as the operator says.
    fn note(&self, maintenance: Option<&Maintenance>) {
        let Some(store) = &self.process.store else { return };
        let state = self.state();
        let text = maintenance.map(|Maintenance { reason, since, ends }| {
            let text = json!({
                "reason": &**reason,
                "since": since.wall.to_string(),
                "until": ends.wall.to_string(),
            });
            text.to_string().into()
        });
        let topic = TOPICS[usize::from(!state.records)];
        if let Err(error) = store.remember(Note { topic: topic.into(), key: Arc::clone(&state.name), text }) {
            tracing::error!(api = &*state.name, %error, "a restart will not know of this maintenance");
        }
    }
}

/// When maintenance of this length ends; `None` if it may not last so long, or is over at once.
pub(crate) fn end(now: Moment, length: Duration) -> Option<Moment> {
    if length.is_zero() || length > LONGEST {
        return None;
    }
    let wall = now.wall.checked_add(SignedDuration::try_from(length).ok()?).ok()?;
    Some(Moment { wall, elapsed: now.elapsed + length })
}

fn is_reason(text: &str) -> bool {
    // Line separators, and marks that are not seen themselves and change the order or the look of what is.
    let is_invisible = |letter: char| matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let is_printable = |letter: char| !letter.is_control() && !is_invisible(letter);
    text.chars().count() <= MAX_REASON && text.chars().all(is_printable) && !text.trim().is_empty()
}

impl ApiState {
    /// Maintenance that is on. What has ended is let go of, and told.
    pub(crate) fn maintenance_at(&self, now: Moment) -> Option<Maintenance> {
        let mut announced = lock(&self.maintenance);
        if announced.take_if(|maintenance| !maintenance.is_on(now)).is_some() {
            tracing::info!(target: CHANGES, api = &*self.name, "maintenance is over");
        }
        announced.clone()
    }
}

/// Switches on what was on before the restart. Waits for the store, but not long: with one that hangs, maintenance
/// is on again as soon as it answers.
pub(crate) fn recall(process: &Arc<Process>) -> std::io::Result<()> {
    let Some(store) = process.store.clone() else { return Ok(()) };
    let (done, waits) = mpsc::channel::<()>();
    let process = Arc::downgrade(process);
    thread::Builder::new().name("lifesigns-recall".to_owned()).spawn(move || {
        for (topic, records) in TOPICS.into_iter().zip([true, false]) {
            switch_on(&process, records, store.recall(topic));
        }
        drop(done);
    })?;
    if waits.recv_timeout(RECALL_PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        tracing::warn!("the store does not answer; starting without knowing whether there was maintenance");
    }
    Ok(())
}

fn switch_on(process: &Weak<Process>, records: bool, notes: Result<Vec<KeptNote>, StoreError>) {
    let notes = match notes {
        Ok(notes) => notes,
        Err(error) => {
            tracing::warn!(%error, "whether there was maintenance cannot be read; starting without it");
            return;
        }
    };
    let Some(process) = process.upgrade() else { return };
    for note in notes {
        let named = |api: &ApiState| api.records == records && api.name == note.key;
        let Some(index) = process.apis.iter().position(named) else { continue };
        let api = Api { process: Arc::clone(&process), index };
        let now = process.time.now();
        match read(&note.text, now) {
            // Whoever has said something since the start knows better.
            Some(maintenance) if maintenance.is_on(now) => {
                let until = format!("{:.0}", maintenance.ends.wall);
                tracing::info!(
                    target: CHANGES,
                    api = &*note.key,
                    reason = &*maintenance.reason,
                    until,
                    "maintenance is still on"
                );
                lock(&api.state().maintenance).get_or_insert(maintenance);
            }
            _ => api.note(None),
        }
    }
    process.collect();
}

/// Maintenance as it was kept. It goes on for as long as it was meant to, by a wall clock that may have been set.
fn read(text: &str, now: Moment) -> Option<Maintenance> {
    let value: Value = serde_json::from_str(text).ok()?;
    let time = |name: &str| value[name].as_str()?.parse::<Timestamp>().ok();
    let (reason, since, until) = (value["reason"].as_str()?, time("since")?, time("until")?);
    let left = until.duration_since(now.wall).min(until.duration_since(since));
    let left = Duration::try_from(left).unwrap_or_default().min(LONGEST);
    Some(Maintenance {
        reason: reason.into(),
        since: Moment { wall: since, elapsed: now.elapsed },
        ends: Moment { wall: until, elapsed: now.elapsed + left },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: &str) -> Moment {
        Moment { wall: wall.parse().unwrap(), elapsed: Duration::from_secs(7) }
    }

    #[test]
    fn a_reason_is_short_and_printable() {
        let long = "é".repeat(500);
        for good in ["a", " Move to Übersee \u{1f980} ", &*long] {
            assert!(is_reason(good), "{good}");
        }
        let too_long = "e".repeat(501);
        for bad in ["", "  ", "a\nb", "a\u{1b}[31m", "a\u{2028}b", "\u{85}", &*too_long] {
            assert!(!is_reason(bad), "{bad:?}");
        }
    }

    #[test]
    fn it_lasts_from_a_moment_to_thirty_days() {
        let now = at("2026-03-16T18:00:00Z");
        assert_eq!(end(now, Duration::ZERO), None);
        assert_eq!(end(now, LONGEST + Duration::from_nanos(1)), None);
        let ends = end(now, LONGEST).unwrap();
        assert_eq!(
            (ends.wall.to_string().as_str(), ends.elapsed),
            ("2026-04-15T18:00:00Z", now.elapsed + LONGEST)
        );
    }

    #[test]
    fn what_was_kept_goes_on_for_the_rest_of_its_time() {
        let kept = r#"{"reason":"move","since":"2026-03-16T18:00:00Z","until":"2026-03-16T19:00:00Z"}"#;
        let left = |now: &str| {
            let now = at(now);
            let maintenance = read(kept, now).unwrap();
            (maintenance.is_on(now), maintenance.ends.since(now).as_secs())
        };
        assert_eq!(left("2026-03-16T18:20:00Z"), (true, 2400));
        assert_eq!(left("2026-03-16T19:00:00Z"), (false, 0));
        assert_eq!(left("2027-03-16T19:00:00Z"), (false, 0));
        // A clock that was set back does not make it longer.
        assert_eq!(left("2025-03-16T19:00:00Z"), (true, 3600));
        assert_eq!(read("{}", at("2026-03-16T18:20:00Z")), None);
        assert_eq!(read("no JSON", at("2026-03-16T18:20:00Z")), None);
    }
}
