use lifesigns_monitor::alerts::Channel;
use lifesigns_monitor::alerts::channel::{Slack, SlackOptions};
use lifesigns_tests::sink::{Reply, Sink};

use crate::{SECRET, many, opened, refused, resolved};

fn channel(sink: &Sink) -> Channel {
    Channel::Slack(Slack::new(&SlackOptions::new(sink.url(&format!("/services/T0/B0/{SECRET}")))).unwrap())
}

#[tokio::test]
async fn a_message_is_a_line_and_a_block_in_the_color_of_its_light() {
    let sink = Sink::start();
    channel(&sink).send(&opened()).await.unwrap();
    channel(&sink).send(&resolved()).await.unwrap();
    let [red, green] = sink.received().try_into().unwrap();
    assert_eq!(red.line, format!("POST /services/T0/B0/{SECRET}"));
    let (red, green) = (red.json(), green.json());
    assert_eq!((&red["text"], &green["text"]), (&"RED: orders".into(), &"Over after 4 min: orders".into()));
    let attachment = &red["attachments"][0];
    assert_eq!(attachment["color"], "#d1242f");
    assert_eq!(green["attachments"][0]["color"], "#2e9e5b");
    assert_eq!(attachment["title_link"], "https://monitor.example/incidents/1");
    assert_eq!(attachment["fallback"], "RED: orders");
    let text = attachment["text"].as_str().unwrap();
    assert!(text.starts_with("```\nRED since 2026-03-16 18:00:00 UTC") && text.ends_with("```"), "{text}");
    // Nothing of a service ends the block, opens a tag or steers a terminal.
    assert_eq!(text.matches("```").count(), 2);
    assert!(text.contains("Cause: answers 503 &lt;b&gt;&amp;\\u{1b}[31m"), "{text}");
}

#[tokio::test]
async fn two_hundred_names_are_in_one_message() {
    let sink = Sink::start();
    let (delivery, names) = many();
    channel(&sink).send(&delivery).await.unwrap();
    let [received] = sink.received().try_into().unwrap();
    let body = received.json();
    let attachments = body["attachments"].as_array().unwrap();
    let text: String = attachments.iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    assert!(attachments.iter().all(|one| one["text"].as_str().unwrap().len() < 3_100));
}

#[tokio::test]
async fn the_address_is_a_secret() {
    let sink = Sink::start();
    sink.reply(Reply::Answer(403, Vec::new(), format!("invalid_token: {SECRET}").into_bytes()));
    let why = refused(&channel(&sink), &opened()).await;
    assert!(why.is_final && why.why.ends_with("answers 403: invalid_token: …"), "{why:?}");
    sink.reply(Reply::Answer(302, vec![("Location", sink.url(&format!("/{SECRET}")))], Vec::new()));
    refused(&channel(&sink), &opened()).await;
    assert_eq!(channel(&sink).receiver(), sink.url(""));
}
