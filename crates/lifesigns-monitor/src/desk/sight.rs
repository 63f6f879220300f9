//! Whom the monitor cannot see, since it cannot ask: one gap for all who are lost together.

use std::collections::HashSet;

use lifesigns_model::history::{Entry, Event, EventKind};
use serde_json::{Value, json};

use super::Desk;
use crate::service::Name;

/// So many are named; more are counted.
const MOST_NAMES: usize = 50;

/// A time in which services are not seen.
#[derive(Debug)]
pub(super) struct Loss {
    /// In milliseconds since 1970.
    began: i64,
    why: String,
    /// Those who are not seen now.
    lost: HashSet<Name>,
    /// The first ones who were lost, who are named.
    first: Vec<Name>,
    /// All who were lost, and how many more there were before the monitor was started anew.
    counted: HashSet<Name>,
    forgotten: usize,
}

impl Desk {
    /// A service cannot be asked any more.
    pub(crate) fn lost_sight(&mut self, at: i64, name: &Name, why: &str) {
        let loss = self.loss.get_or_insert_with(|| Loss::new(at, why.to_owned()));
        if !loss.lost.insert(Name::clone(name)) {
            return;
        }
        if loss.counted.insert(Name::clone(name)) && loss.first.len() < MOST_NAMES {
            loss.first.push(Name::clone(name));
        }
        self.note_loss(None);
    }

    /// It could be asked again.
    pub(crate) fn sees_again(&mut self, at: i64, name: &Name) {
        let Some(loss) = &mut self.loss else { return };
        if loss.lost.remove(name) && loss.lost.is_empty() {
            self.note_loss(Some(at));
            self.loss = None;
        }
    }

    /// After a restart: gaps that went on when the monitor was last there, and since when who is not seen, and why.
    pub(crate) fn restore_sight(&mut self, alive: i64, left: Vec<Event>, mut lost: Vec<(i64, Name, String)>) {
        lost.sort();
        for event in left {
            if lost.is_empty() || self.loss.is_some() {
                let ended = Some(alive.max(event.began));
                self.waiting.fact(Entry::Event(Event { ended, ..event }), false);
                continue;
            }
            let said: Value = serde_json::from_str(&event.detail).unwrap_or_default();
            let mut loss = Loss::new(event.began, said["why"].as_str().unwrap_or_default().to_owned());
            let names = said["services"].as_array().into_iter().flatten().filter_map(Value::as_str);
            loss.first = names.map(Name::from).collect();
            // Whoever is not seen now was counted then.
            loss.counted = lost.iter().map(|(_, name, _)| name).chain(&loss.first).cloned().collect();
            let count = said["count"].as_u64().and_then(|count| usize::try_from(count).ok());
            loss.forgotten = count.unwrap_or_default().saturating_sub(loss.counted.len());
            self.loss = Some(loss);
        }
        for (at, name, why) in lost {
            self.lost_sight(at, &name, &why);
        }
    }

    fn note_loss(&mut self, ended: Option<i64>) {
        let Some(loss) = &self.loss else { return };
        let count = loss.counted.len() + loss.forgotten;
        let detail = json!({"why": loss.why, "services": loss.first, "count": count});
        let (key, began) = (format!("{}-sight", loss.began), loss.began);
        self.event(EventKind::Gap, &key, None, began, ended, &detail);
    }
}

impl Loss {
    fn new(began: i64, why: String) -> Loss {
        Loss { began, why, lost: HashSet::new(), first: Vec::new(), counted: HashSet::new(), forgotten: 0 }
    }
}
