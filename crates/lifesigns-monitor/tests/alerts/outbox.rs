//! An outbox and a receiver that fails for a while.

use std::time::Duration;

use lifesigns_monitor::alerts::channel::{Webhook, WebhookOptions};
use lifesigns_monitor::alerts::outbox::{Limits, Outcome};
use lifesigns_monitor::alerts::{Channel, Outbox};
use lifesigns_tests::sink::{Reply, Sink};

use crate::{opened, resolved};

/// Delivers one after the other, at the time at which it is due, until nothing waits.
async fn run(outbox: &mut Outbox, channel: &Channel, begun: i64) -> i64 {
    let mut now = begun;
    while !outbox.is_empty() {
        let [delivery] = outbox.due(now).try_into().unwrap();
        match channel.send(&delivery).await {
            Ok(()) => assert!(outbox.delivered(&delivery.id).is_some()),
            Err(why) => {
                let outcome = outbox.failed(&delivery.id, now, &why, 1.0);
                let Some(Outcome::Again(again)) = outcome else { panic!("{outcome:?}") };
                now = again.next_at;
            }
        }
    }
    now
}

#[tokio::test]
async fn what_fails_for_a_while_arrives_in_order_and_once() {
    let sink = Sink::start();
    let channel = Channel::Webhook(Webhook::new(&WebhookOptions::new(sink.url("/"))).unwrap());
    sink.reply(Reply::status(500));
    sink.reply(Reply::Answer(429, vec![("Retry-After", "60".to_owned())], Vec::new()));
    sink.reply(Reply::Close);
    let (mut outbox, dropped) = Outbox::restored(Limits::default(), vec![resolved(), opened()]);
    assert!(dropped.is_empty());
    let begun = opened().next_at;
    let ended = run(&mut outbox, &channel, begun).await;
    let kinds: Vec<String> =
        sink.received().iter().map(|one| one.json()["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["opened", "opened", "opened", "opened", "resolved"]);
    let keys: Vec<_> =
        sink.received().iter().map(|one| one.header("idempotency-key").unwrap().to_owned()).collect();
    assert!(keys[..4].iter().all(|key| *key == keys[0]) && keys[4] != keys[0], "{keys:?}");
    // 5 s after the first failure, a minute as it was asked for, 20 s after the third one.
    assert_eq!(Duration::from_millis((ended - begun).cast_unsigned()), Duration::from_secs(5 + 60 + 20));
}
