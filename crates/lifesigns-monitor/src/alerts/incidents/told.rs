//! What a route knows of an incident.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::message::{Affected, Message, MessageKind};
use crate::service::Letter;

/// What one route has been told.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Told {
    /// Messages so far.
    pub messages: u32,
    /// The id of the first one.
    #[serde(default)]
    pub first: Option<String>,
    /// Of whom.
    pub names: BTreeSet<String>,
    /// Who of them has been told to be green again.
    #[serde(default)]
    pub well: BTreeSet<String>,
    /// Who of them has gone out anew, which has not been told yet, and the outage that was.
    #[serde(default)]
    pub anew: BTreeMap<String, Affected>,
    /// How bad what it was told of had got.
    #[serde(default)]
    pub light: Option<Letter>,
    /// When what it was told of began, in milliseconds since 1970; `None` once that is over.
    #[serde(default)]
    pub began: Option<i64>,
    /// When it was told so.
    #[serde(default)]
    pub opened: Option<i64>,
    /// When there was the last message, in milliseconds since 1970.
    pub last: i64,
    /// Reminders since something new was said.
    pub reminders: u32,
    /// Whether it has been told that it is over.
    pub is_over: bool,
}

impl Told {
    /// Whether it is not known that this service is out.
    pub(super) fn is_news(&self, name: &str) -> bool {
        !self.names.contains(name) || self.anew.contains_key(name)
    }

    /// Whether it is not known that this service is green again.
    pub(super) fn is_better(&self, affected: &Affected) -> bool {
        !affected.is_out() && !self.is_news(&affected.name) && !self.well.contains(&affected.name)
    }

    /// A service is about to go out again; this is how it was out before.
    pub(super) fn goes_out_anew(&mut self, before: &Affected) {
        if self.names.contains(&before.name) {
            self.anew.entry(before.name.clone()).or_insert_with(|| before.clone());
        }
    }

    pub(super) fn tell(&mut self, message: &Message) {
        self.messages += 1;
        self.first.clone_from(&message.first);
        self.last = message.at;
        match message.kind {
            MessageKind::Reminder => self.reminders += 1,
            MessageKind::Opened => self.reminders = 0,
            MessageKind::Updated if !message.is_better => self.reminders = 0,
            MessageKind::Updated | MessageKind::Resolved => {}
        }
        self.is_over = message.kind == MessageKind::Resolved;
        self.began = Some(message.began);
        if self.is_over {
            // Whoever of them is out again is news.
            (self.names, self.well, self.anew) = Default::default();
            (self.began, self.opened, self.light) = (None, None, None);
            return;
        }
        self.opened.get_or_insert(message.at);
        self.light = Some(message.light);
        for affected in &message.services {
            self.names.insert(affected.name.clone());
            if affected.is_out() {
                self.anew.remove(&affected.name);
                self.well.remove(&affected.name);
            } else {
                self.well.insert(affected.name.clone());
            }
        }
    }
}
