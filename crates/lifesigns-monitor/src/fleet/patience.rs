//! Services that are left alone for long, since they asked for it.

use std::time::Duration;

use lifesigns_model::history::Reading;
use lifesigns_model::light::Light;

use super::{Inner, State};
use crate::target::Target;

impl Inner {
    /// Notes the light of those that are left alone at their own wish again, as often as they are asked otherwise. In the
    /// history a reading holds for some intervals; what they have said holds for as long as they have said.
    pub(crate) fn note_the_patient(&self, now: i64) {
        for watched in &self.watched {
            let mut state = watched.lock();
            if let Some(reading) = state.again(&watched.target, now) {
                state.noted = now;
                state.recent.add(&reading);
                self.desk().reading(&watched.target.name, reading);
            }
        }
    }
}

impl State {
    fn again(&self, target: &Target, now: i64) -> Option<Reading> {
        let every = target.interval.max(Duration::from_mins(1)).as_millis();
        let service = &self.service;
        let is_waiting = service.light == Some(Light::Amber)
            && service.retry_after.is_some()
            && service.not_known_since.is_none()
            && now < self.next
            && u128::try_from(now - self.noted).is_ok_and(|passed| passed >= every);
        let (light, code) = (service.light, service.code);
        is_waiting.then_some(Reading { at: now / 1000, light, code, latency_us: None, memory_mb: None })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use lifesigns_model::history::{HistoryStore, Span, availability};
    use lifesigns_store::history::{HistoryRetention, MemoryHistory};

    use crate::poll::Manner;
    use crate::service::{Answered, Observation, Sight};
    use crate::{Fleet, Options, Target};

    use super::*;

    #[tokio::test]
    async fn a_service_that_asked_for_an_hour_was_not_known_in_the_history_after_three_minutes() {
        let store = Arc::new(MemoryHistory::new(HistoryRetention::default()));
        let target = Target::new("shop", "http://127.0.0.1:1/".parse().unwrap());
        let options = Options { targets: vec![target], ..Options::default() };
        let fleet = Fleet::open(options, Arc::clone(&store) as Arc<dyn HistoryStore>).unwrap();
        let begin = fleet.now();
        let amber = Answered {
            light: Light::Amber,
            why: "busy".to_owned(),
            dialect: None,
            code: 503,
            latency: Duration::from_millis(3),
            parts: None,
            excerpt: None,
            retry_after: Some(Duration::from_hours(1)),
            address: ([127, 0, 0, 1], 1).into(),
            certificate_expires: None,
        };
        for second in 0..2 {
            let (at, sight) = (begin + second * 1000, Sight::Answered(amber.clone()));
            let seen = Observation { at, sight, introduction: None, traffic: None };
            fleet.inner.observe(0, &seen, Manner::default());
        }
        let end = begin + 3_600_000;
        fleet.inner.watched[0].lock().next = end;
        for second in (0..5_000).step_by(10) {
            fleet.inner.note_the_patient(begin + second * 1000);
        }
        assert!(fleet.inner.keep());
        store.flush(Duration::from_secs(10)).unwrap();
        let span = Span { from: begin / 1000, to: end / 1000 };
        let readings = store.readings("shop", Span { to: span.to + 3_600, ..span }).unwrap();
        assert_eq!((readings.len(), readings.last().unwrap().at <= span.to), (61, true));
        let known = availability(&readings, span, 180);
        assert_eq!((known.amber_s, known.not_known_s), (3_600, 0));
    }
}
