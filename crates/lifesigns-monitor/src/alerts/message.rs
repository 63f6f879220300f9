//! What people are told of an incident.

use lifesigns_model::light::Light;
use serde::{Deserialize, Serialize};

use crate::service::{Deploy, Letter};

/// One message about one incident, for one route.
///
/// It holds texts of services: to be escaped for wherever they go.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Message {
    /// Unique among all messages, and the same whenever this one is tried again: `INCIDENT/ROUTE/NUMBER-TIME`, where
    /// the messages that a route is sent of an incident are counted from 0, and the time is when it was decided, in
    /// milliseconds since 1970. One that is decided anew, since nobody knows of it any more, says something else and
    /// has another id.
    pub id: String,
    /// The id of the first message that the route was sent of the incident; `None` in what was kept before there was
    /// a time in ids.
    #[serde(default)]
    pub first: Option<String>,
    /// The incident that it is about; the same for all messages about it.
    pub incident: String,
    /// What has happened.
    pub kind: MessageKind,
    /// How bad it has got: the worst light among those affected.
    pub light: Letter,
    /// How bad it is now, where that is better and it goes on.
    #[serde(default)]
    pub now: Option<Letter>,
    /// Whether this is an update since some are green again, and not since more are affected.
    #[serde(default)]
    pub is_better: bool,
    /// When the incident began, in milliseconds since 1970.
    pub began: i64,
    /// When this is said, in milliseconds since 1970.
    pub at: i64,
    /// Those affected whom the route is for, in the order in which they were.
    pub services: Vec<Affected>,
    /// What they have in common, in words: `host 10.0.0.7`, `dependency db`. Empty if nothing is known.
    pub shared: Vec<String>,
    /// Services that are well and depend on those affected.
    pub endangered: Vec<String>,
    /// Where the incident can be looked at, if the monitor knows its own address.
    pub link: Option<String>,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// It began.
    Opened,
    /// More services are affected than were told, or some of them are green again and others are not.
    Updated,
    /// It still goes on.
    Reminder,
    /// It is over.
    Resolved,
}

/// A service that an incident has affected.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Affected {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub environment: Option<String>,
    /// How bad it got.
    pub light: Letter,
    /// How bad it is now, where that is better.
    #[serde(default)]
    pub now: Option<Letter>,
    /// When it stopped being green, in milliseconds since 1970.
    pub began: i64,
    /// When it was green again, in milliseconds since 1970; `None` while it is not.
    pub ended: Option<i64>,
    /// Why it is not green.
    pub cause: String,
    /// The first of its parts that was not green.
    pub failing: Option<String>,
    /// The beginning of its answer.
    pub excerpt: Option<String>,
    /// What was deployed last, if that was not long before.
    pub deploy: Option<Deploy>,
}

impl Message {
    /// The worst light.
    pub fn light(&self) -> Light {
        self.light.into()
    }

    /// The id of the first message that the route was sent of the incident.
    pub fn first_id(&self, route: &str) -> String {
        self.first.clone().unwrap_or_else(|| format!("{}/{route}/0", self.incident))
    }

    /// How long the incident has lasted, or did last, in milliseconds.
    pub fn lasted(&self) -> i64 {
        (self.at - self.began).max(0)
    }
}

impl Affected {
    /// Whether it goes on.
    pub const fn is_out(&self) -> bool {
        self.ended.is_none()
    }

    /// How it is now: green once it has ended.
    pub fn current(&self) -> Letter {
        if self.ended.is_some() { Letter::G } else { self.now.unwrap_or(self.light) }
    }

    /// It is so now. How bad it got stays.
    pub(super) fn turn(&mut self, now: Letter) {
        self.light = self.light.max(now);
        self.now = (now < self.light).then_some(now);
    }
}

impl MessageKind {
    /// Its name for programs: `opened`, `updated`, `reminder`, `resolved`.
    pub const fn word(self) -> &'static str {
        match self {
            MessageKind::Opened => "opened",
            MessageKind::Updated => "updated",
            MessageKind::Reminder => "reminder",
            MessageKind::Resolved => "resolved",
        }
    }
}
