use lifesigns_monitor::alerts::channel::{PagerDuty, PagerDutyOptions};
use lifesigns_monitor::alerts::{Channel, Delivery, Message, MessageKind};
use lifesigns_monitor::service::Letter;
use lifesigns_tests::sink::{Reply, Sink};
use serde_json::json;

use crate::{SECRET, affected, delivery, many, opened, refused, resolved};

fn channel(sink: &Sink) -> Channel {
    let options = PagerDutyOptions { url: sink.url("/v2/enqueue"), ..PagerDutyOptions::new(SECRET) };
    Channel::PagerDuty(PagerDuty::new(&options).unwrap())
}

#[tokio::test]
async fn one_alert_is_triggered_and_resolved_by_the_same_key() {
    let sink = Sink::start();
    let channel = channel(&sink);
    for _ in 0..4 {
        sink.reply(Reply::Answer(202, Vec::new(), b"{\"status\":\"success\"}".to_vec()));
    }
    channel.send(&opened()).await.unwrap();
    for (number, kind) in [(1, MessageKind::Updated), (2, MessageKind::Reminder)] {
        channel.send(&delivery(number, kind, vec![affected("orders")])).await.unwrap();
    }
    channel.send(&resolved()).await.unwrap();
    let received = sink.received();
    assert!(received.iter().all(|one| one.line == "POST /v2/enqueue"));
    let events: Vec<_> = received.iter().map(lifesigns_tests::sink::Received::json).collect();
    let actions: Vec<&str> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "trigger", "trigger", "resolve"]);
    for event in &events {
        assert_eq!(event["dedup_key"], "1773684000000-orders=20=C3=BC/ops");
        assert_eq!(event["routing_key"], SECRET);
    }
    let mut first = events[0].clone();
    let text = first["payload"]["custom_details"]["text"].take();
    assert!(text.as_str().unwrap().contains("They share: host 10.0.0.7"), "{text}");
    let expected = json!({
        "routing_key": SECRET,
        "event_action": "trigger",
        "dedup_key": "1773684000000-orders=20=C3=BC/ops",
        "client": "Lifesigns",
        "client_url": "https://monitor.example/incidents/1",
        "links": [{"href": "https://monitor.example/incidents/1", "text": "Incident"}],
        "payload": {
            "summary": "RED: orders",
            "source": "orders",
            "severity": "critical",
            "timestamp": "2026-03-16T18:00:00.000Z",
            "component": "db",
            "group": "production",
            "custom_details": {"text": null, "message": "1773684000000-orders=20=C3=BC/ops/0", "services": 1},
        },
    });
    assert_eq!(first, expected);
}

#[tokio::test]
async fn amber_is_a_warning_and_routes_have_alerts_of_their_own() {
    let sink = Sink::start();
    let amber = Delivery {
        route: "other".to_owned(),
        message: Message { light: Letter::A, ..many().0.message },
        ..opened()
    };
    channel(&sink).send(&amber).await.unwrap();
    let [received] = sink.received().try_into().unwrap();
    let event = received.json();
    assert_eq!(event["payload"]["severity"], "warning");
    assert_eq!(event["dedup_key"], "1773684000000-orders=20=C3=BC/other");
    assert!(event["payload"]["custom_details"]["text"].as_str().unwrap().contains("service-199"));
}

#[tokio::test]
async fn a_key_that_is_refused_is_final_and_one_asked_too_often_is_not() {
    let sink = Sink::start();
    let refusal = format!("{{\"status\":\"invalid event\",\"errors\":[\"no such routing_key {SECRET}\"]}}");
    sink.reply(Reply::Answer(400, Vec::new(), refusal.into_bytes()));
    let why = refused(&channel(&sink), &opened()).await;
    assert!(why.is_final && why.why.contains("no such routing_key …"), "{why:?}");
    sink.reply(Reply::status(429));
    assert!(!refused(&channel(&sink), &opened()).await.is_final);
}
