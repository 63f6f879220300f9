//! Messages that get to real receivers, or do not.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

mod command;
mod mail;
mod outbox;
mod pagerduty;
mod slack;
mod webhook;

use lifesigns_monitor::alerts::{Affected, Channel, Delivery, Message, MessageKind, Undelivered};
use lifesigns_monitor::service::{Deploy, Letter};

/// 2026-03-16T18:00:00Z.
const BEGAN: i64 = 1_773_684_000_000;

/// What no failure may tell.
const SECRET: &str = "open-sesame-0123456789";

fn affected(name: &str) -> Affected {
    Affected {
        name: name.to_owned(),
        environment: Some("production".to_owned()),
        light: Letter::R,
        now: None,
        began: BEGAN,
        ended: None,
        cause: "answers 503 <b>&\u{1b}[31m".to_owned(),
        failing: Some("db".to_owned()),
        excerpt: Some("{\"status\":\"DOWN\"}\nline two ``` @channel".to_owned()),
        deploy: Some(Deploy { at: BEGAN - 60_000, from: "1a2b3c4".to_owned(), to: "5d6e7f8".to_owned() }),
    }
}

/// The message of that number about the incident, for the route `ops`.
fn delivery(number: u32, kind: MessageKind, services: Vec<Affected>) -> Delivery {
    let incident = "1773684000000-orders ü";
    let message = Message {
        id: format!("{incident}/ops/{number}"),
        first: None,
        incident: incident.to_owned(),
        kind,
        light: Letter::R,
        now: None,
        is_better: false,
        began: BEGAN,
        at: BEGAN + 240_000,
        services,
        shared: vec!["host 10.0.0.7".to_owned()],
        endangered: vec!["web".to_owned()],
        link: Some("https://monitor.example/incidents/1".to_owned()),
    };
    Delivery::new("ops", message, BEGAN + 240_000)
}

fn opened() -> Delivery {
    delivery(0, MessageKind::Opened, vec![affected("orders")])
}

fn resolved() -> Delivery {
    let over = Affected { ended: Some(BEGAN + 240_000), ..affected("orders") };
    delivery(1, MessageKind::Resolved, vec![over])
}

/// Two hundred services, their names in order.
fn many() -> (Delivery, Vec<String>) {
    let names: Vec<String> = (0..200).map(|number| format!("service-{number:03}")).collect();
    (delivery(0, MessageKind::Opened, names.iter().map(|name| affected(name)).collect()), names)
}

/// An attempt that has to fail, without telling the secret.
async fn refused(channel: &Channel, delivery: &Delivery) -> Undelivered {
    let why = channel.send(delivery).await.expect_err("it is not delivered");
    assert!(!format!("{why:?}").contains(SECRET), "{why:?}");
    assert!(!why.why.contains('\n') && !why.why.is_empty(), "{why:?}");
    why
}
