//! Times in which nobody watched.

use std::sync::Arc;

use lifesigns_model::history::{EventKind, EventSelection, HistoryStore, Reading, Span};
use lifesigns_model::store::StoreError;

use super::Watched;
use crate::desk::{self, Desk};

/// Writes down that the monitor was not there, if it was not.
pub(super) fn note(
    desk: &mut Desk,
    store: &dyn HistoryStore,
    now: i64,
    watched: &[Watched],
) -> Result<(), StoreError> {
    let notes = store.recall(desk::MONITOR)?;
    let note = notes.iter().find(|note| &*note.key == desk::ALIVE).map(|note| &*note.text);
    let alive = desk.returned(now, note);
    if let Some(alive) = alive {
        // A service may have been asked after the monitor was last noted.
        let span = Span { from: alive / 1000, to: now / 1000 + 1 };
        for one in watched {
            let last = store.readings(&one.target.name, span)?.last().map_or(0, |last| last.at * 1000);
            blind(desk, one, alive.max(last));
        }
    }
    let span = Span { from: now / 1000, to: now / 1000 + 1 };
    let selection = EventSelection { kinds: vec![EventKind::Gap], service: None, span, limit: usize::MAX };
    let mut left = store.events(&selection)?;
    left.retain(|event| event.ended.is_none());
    let lost = watched.iter().filter_map(|one| {
        let service = &one.lock().service;
        Some((service.not_known_since?, Arc::clone(&one.target.name), service.why.clone()))
    });
    desk.restore_sight(alive.unwrap_or(now), left, lost.collect());
    Ok(())
}

/// From then on nothing is known of a service, until it is asked again.
pub(crate) fn blind(desk: &mut Desk, watched: &Watched, since: i64) {
    let reading = Reading { at: since / 1000 + 1, light: None, code: 0, latency_us: None, memory_mb: None };
    desk.reading(&watched.target.name, reading);
}

#[cfg(test)]
mod tests {
    use lifesigns_model::history::Entry;
    use lifesigns_model::light::Light;
    use lifesigns_model::store::Note;
    use lifesigns_store::history::{HistoryRetention, MemoryHistory};

    use super::*;
    use crate::clock::Clock;
    use crate::fleet::{Fleet, Options};
    use crate::service::Name;
    use crate::target::Target;

    #[test]
    fn a_service_asked_after_the_last_note_of_a_monitor_that_was_killed_was_green_while_nobody_watched() {
        let store = Arc::new(MemoryHistory::new(HistoryRetention::default()));
        let second = Clock::start().now() / 1000;
        let name: Name = "shop".into();
        let green =
            |at| Reading { at, light: Some(Light::Green), code: 200, latency_us: None, memory_mb: None };
        let alive = Some(((second - 1_000) * 1000).to_string().into());
        let note = Note { topic: desk::MONITOR.into(), key: desk::ALIVE.into(), text: alive };
        let readings = [second - 1_005, second - 994].map(|at| Entry::Reading(Arc::clone(&name), green(at)));
        store.append(readings.into_iter().chain([Entry::Note(note)]).collect()).unwrap();
        let target = Target::new("shop", "http://192.0.2.1/".parse().unwrap());
        let options = Options { targets: vec![target], ..Options::default() };
        let fleet = Fleet::open(options, Arc::clone(&store) as Arc<dyn HistoryStore>).unwrap();
        assert!(fleet.inner.keep());
        let found = store.readings("shop", Span { from: 0, to: second + 60 }).unwrap();
        let found: Vec<_> = found.iter().map(|one| (one.at - second, one.light)).collect();
        assert_eq!(found, [(-1_005, Some(Light::Green)), (-994, Some(Light::Green)), (-993, None)]);
    }
}
