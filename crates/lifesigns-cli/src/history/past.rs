//! What is remembered of a service, as the answer says it.

use jiff::Timestamp;
use lifesigns_model::light::Light;
use serde_json::Value;

/// What is remembered. Whatever the service said is a stranger's text: to be escaped where it is shown.
#[derive(Debug)]
pub struct Past {
    pub service: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub readings: u64,
    /// Share of the time of which something is known in which it was green or amber.
    pub availability: Option<f64>,
    /// How long it was green, amber and red, and for how long nobody knows, in seconds.
    pub seconds: [i64; 4],
    /// The worst light in each part of the time.
    pub points: Vec<Option<Light>>,
    /// What happened, the newest of each kind first.
    pub events: Vec<Event>,
}

/// Something that happened.
#[derive(Debug)]
pub struct Event {
    /// `outage`, `deploy`, `restart`, `gap`.
    pub kind: String,
    pub began: Timestamp,
    /// `None` while it goes on.
    pub ended: Option<Timestamp>,
    pub detail: Value,
}

impl Past {
    /// Takes an answer apart; `None` if it is none.
    pub fn read(json: &Value) -> Option<Past> {
        let seconds = &json["seconds"];
        let seconds_of = |light: &str| seconds[light].as_i64();
        Some(Past {
            service: json["service"].as_str()?.to_owned(),
            from: time(&json["from"])?,
            to: time(&json["to"])?,
            readings: json["readings"].as_u64()?,
            availability: json["availability"].as_f64(),
            seconds: [seconds_of("GREEN")?, seconds_of("AMBER")?, seconds_of("RED")?, seconds_of("UNKNOWN")?],
            points: json["points"].as_array()?.iter().map(|point| light(&point["light"])).collect(),
            events: json["events"].as_array()?.iter().map(event).collect::<Option<_>>()?,
        })
    }

    /// The events of a kind.
    pub fn of_kind<'p>(&'p self, kind: &'p str) -> impl Iterator<Item = &'p Event> {
        self.events.iter().filter(move |event| event.kind == kind)
    }
}

fn event(json: &Value) -> Option<Event> {
    Some(Event {
        kind: json["kind"].as_str()?.to_owned(),
        began: time(&json["began"])?,
        ended: time(&json["ended"]),
        detail: json["detail"].clone(),
    })
}

fn time(json: &Value) -> Option<Timestamp> {
    json.as_str()?.parse().ok()
}

fn light(json: &Value) -> Option<Light> {
    let name = json.as_str()?;
    [Light::Green, Light::Amber, Light::Red].into_iter().find(|light| light.name() == name)
}
