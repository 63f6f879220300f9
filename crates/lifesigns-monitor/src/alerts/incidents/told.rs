//! What a route knows of an incident.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::message::{Affected, Message, MessageKind};

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
    /// Who of them has gone out anew since then, which has not been told yet.
    #[serde(default)]
    pub anew: BTreeSet<String>,
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
        !self.names.contains(name) || self.anew.contains(name)
    }

    /// Whether it is not known that this service is green again.
    pub(super) fn is_better(&self, affected: &Affected) -> bool {
        affected.ended.is_some() && self.names.contains(&affected.name) && !self.well.contains(&affected.name)
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
            (self.began, self.opened) = (None, None);
            return;
        }
        self.opened.get_or_insert(message.at);
        for affected in &message.services {
            self.names.insert(affected.name.clone());
            self.anew.remove(&affected.name);
            if affected.ended.is_some() {
                self.well.insert(affected.name.clone());
            }
        }
    }
}
