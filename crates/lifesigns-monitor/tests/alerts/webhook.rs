use std::net::TcpListener;
use std::time::Duration;

use lifesigns_monitor::alerts::channel::{Webhook, WebhookOptions};
use lifesigns_monitor::alerts::{Channel, MessageKind, Secret};
use lifesigns_tests::sink::{Reply, Sink};
use ring::hmac;
use serde_json::json;

use crate::{SECRET, affected, delivery, many, opened, refused, resolved};

fn channel(options: &WebhookOptions) -> Channel {
    Channel::Webhook(Webhook::new(options).unwrap())
}

/// A webhook with a secret wherever there may be one.
fn secretive(sink: &Sink) -> WebhookOptions {
    WebhookOptions {
        headers: vec![("X-Key".to_owned(), Secret::new(SECRET))],
        token: Some(Secret::new(SECRET)),
        secret: Some(Secret::new(SECRET)),
        ..WebhookOptions::new(sink.url(&format!("/hooks/{SECRET}?key={SECRET}")))
    }
}

#[tokio::test]
async fn all_fields_are_sent_as_json() {
    let sink = Sink::start();
    channel(&WebhookOptions::new(sink.url("/hook"))).send(&opened()).await.unwrap();
    let [received] = sink.received().try_into().unwrap();
    assert_eq!(received.line, "POST /hook");
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(received.header("idempotency-key"), Some("1773684000000-orders=20=C3=BC/ops/0"));
    assert_eq!(received.header("x-lifesigns-signature"), None);
    let mut body = received.json();
    let text = body["text"].take();
    assert!(text.as_str().unwrap().contains("Cause: answers 503"), "{text}");
    let expected = json!({
        "id": "1773684000000-orders=20=C3=BC/ops/0",
        "incident": "1773684000000-orders=20=C3=BC",
        "route": "ops",
        "kind": "opened",
        "light": "red",
        "now": "red",
        "title": "RED: orders",
        "text": null,
        "began": "2026-03-16T18:00:00.000Z",
        "at": "2026-03-16T18:04:00.000Z",
        "lasted_seconds": 240,
        "count": 1,
        "services": [{
            "name": "orders",
            "environment": "production",
            "light": "red",
            "now": "red",
            "began": "2026-03-16T18:00:00.000Z",
            "ended": null,
            "cause": "answers 503 <b>&\\u{1b}[31m",
            "failing": "db",
            "excerpt": "{\"status\":\"DOWN\"}\nline two ``` @channel",
            "deploy": {"at": "2026-03-16T17:59:00.000Z", "from": "1a2b3c4", "to": "5d6e7f8"},
        }],
        "shared": ["host 10.0.0.7"],
        "endangered": ["web"],
        "link": "https://monitor.example/incidents/1",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn two_hundred_services_are_one_message_with_all_names() {
    let sink = Sink::start();
    let (delivery, names) = many();
    channel(&WebhookOptions::new(sink.url("/"))).send(&delivery).await.unwrap();
    let [received] = sink.received().try_into().unwrap();
    let body = received.json();
    let sent: Vec<&str> =
        body["services"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(sent, names);
    assert!(names.iter().all(|name| body["text"].as_str().unwrap().contains(name)));
    assert_eq!(body["title"], "RED: service-000 and 199 more");
}

#[tokio::test]
async fn a_body_is_signed_and_secrets_are_sent() {
    let sink = Sink::start();
    channel(&secretive(&sink)).send(&opened()).await.unwrap();
    let [received] = sink.received().try_into().unwrap();
    assert_eq!(received.line, format!("POST /hooks/{SECRET}?key={SECRET}"));
    assert_eq!(received.header("x-key"), Some(SECRET));
    assert_eq!(received.header("authorization"), Some(&*format!("Bearer {SECRET}")));
    let signature = received.header("x-lifesigns-signature").unwrap().strip_prefix("sha256=").unwrap();
    let bytes: Vec<u8> = (0..signature.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&signature[place..place + 2], 16).unwrap())
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, &received.body, &bytes).unwrap();
}

#[tokio::test]
async fn a_template_makes_what_is_sent() {
    let sink = Sink::start();
    let options = WebhookOptions {
        template: Some(
            "{\"say\": {{ title }}, \"why\": {{ services[0].cause }}, \"over\": {{ kind == 'resolved' }}}"
                .to_owned(),
        ),
        content_type: "application/vnd.chat+json".to_owned(),
        ..WebhookOptions::new(sink.url("/"))
    };
    channel(&options).send(&resolved()).await.unwrap();
    let [received] = sink.received().try_into().unwrap();
    assert_eq!(received.header("content-type"), Some("application/vnd.chat+json"));
    let expected =
        json!({"say": "Over after 4 min: orders", "why": "answers 503 <b>&\\u{1b}[31m", "over": true});
    assert_eq!(received.json(), expected);
}

#[tokio::test]
async fn a_template_that_fails_on_a_message_is_final_and_sends_nothing() {
    let sink = Sink::start();
    // Fine for all that it was tried on.
    let template = "{% if services | length > 100 %}{{ nothing }}{% endif %}";
    let options = WebhookOptions {
        template: Some(template.to_owned()),
        content_type: "text/plain".to_owned(),
        ..WebhookOptions::new(sink.url("/"))
    };
    let channel = channel(&options);
    channel.send(&opened()).await.unwrap();
    let why = refused(&channel, &many().0).await;
    assert!(why.is_final && why.why.contains("in line 1") && why.why.contains("undefined"), "{why:?}");
    assert_eq!(sink.received().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (sink, elsewhere) = (Sink::start(), Sink::start());
    for status in [301, 302, 303, 307, 308] {
        sink.reply(Reply::Answer(status, vec![("Location", elsewhere.url("/"))], Vec::new()));
        let why = refused(&channel(&secretive(&sink)), &opened()).await;
        assert!(why.is_final && why.why.contains("redirects are not followed"), "{why:?}");
    }
    assert_eq!((sink.received().len(), elsewhere.received().len()), (5, 0));
}

#[tokio::test]
async fn what_a_receiver_answers_says_whether_it_is_tried_again() {
    let sink = Sink::start();
    let channel = channel(&secretive(&sink));
    let told = format!("no {SECRET} here, \u{1b}[2J, and\nno {{\"token\": \"{SECRET}\"}}");
    for (status, is_final) in [(400, true), (401, true), (404, true), (410, true), (422, true)]
        .into_iter()
        .chain([(408, false), (425, false), (429, false), (500, false), (502, false), (503, false)])
    {
        sink.reply(Reply::Answer(status, Vec::new(), told.clone().into_bytes()));
        let why = refused(&channel, &opened()).await;
        let expected = format!(
            "{} answers {status}: no … here, \\u{{1b}}[2J, and\\nno {{\"token\": \"…\"}}",
            sink.url("").trim_end_matches('/')
        );
        assert_eq!((why.is_final, why.why, why.retry_after), (is_final, expected, None));
    }
}

#[tokio::test]
async fn a_receiver_says_when_it_wants_to_be_asked_again() {
    let sink = Sink::start();
    let channel = channel(&WebhookOptions::new(sink.url("/")));
    sink.reply(Reply::Answer(429, vec![("Retry-After", "17".to_owned())], Vec::new()));
    assert_eq!(refused(&channel, &opened()).await.retry_after, Some(Duration::from_secs(17)));
    sink.reply(Reply::Answer(
        503,
        vec![("Retry-After", "Mon, 16 Mar 2020 18:00:00 GMT".to_owned())],
        Vec::new(),
    ));
    assert_eq!(refused(&channel, &opened()).await.retry_after, Some(Duration::ZERO));
    sink.reply(Reply::Answer(503, vec![("Retry-After", "soon".to_owned())], Vec::new()));
    assert_eq!(refused(&channel, &opened()).await.retry_after, None);
}

#[tokio::test]
async fn a_receiver_that_is_silent_is_given_up_at_the_deadline() {
    let sink = Sink::start();
    let options = WebhookOptions { deadline: Duration::from_millis(50), ..secretive(&sink) };
    sink.reply(Reply::Silence);
    let why = refused(&channel(&options), &opened()).await;
    assert!(!why.is_final && why.why.contains("has not taken it within 50ms"), "{why:?}");
}

#[tokio::test]
async fn what_breaks_off_is_tried_again() {
    let sink = Sink::start();
    sink.reply(Reply::Close);
    assert!(!refused(&channel(&secretive(&sink)), &opened()).await.is_final);
    // Nobody listens there.
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let options = WebhookOptions::new(format!("http://{free}/{SECRET}"));
    let why = refused(&channel(&options), &opened()).await;
    assert!(!why.is_final && why.why.starts_with(&format!("http://{free}: ")), "{why:?}");
}

#[tokio::test]
async fn a_long_answer_is_as_good_as_a_short_one() {
    let sink = Sink::start();
    let channel = channel(&WebhookOptions::new(sink.url("/")));
    let long = vec![b'x'; 10 * 1024 * 1024];
    sink.reply(Reply::Answer(200, Vec::new(), long.clone()));
    channel.send(&opened()).await.unwrap();
    sink.reply(Reply::Answer(500, Vec::new(), long));
    let why = refused(&channel, &opened()).await;
    assert!(!why.is_final && why.why.len() < 300, "{why:?}");
}

#[tokio::test]
async fn a_message_that_was_taken_is_delivered_whatever_comes_then() {
    let sink = Sink::start();
    let options =
        WebhookOptions { deadline: Duration::from_millis(500), ..WebhookOptions::new(sink.url("/")) };
    sink.reply(Reply::Endless(200));
    channel(&options).send(&opened()).await.unwrap();
    sink.reply(Reply::Endless(500));
    assert!(!refused(&channel(&options), &opened()).await.is_final);
}

#[tokio::test]
async fn addresses_where_no_service_is_are_sent_nothing() {
    let options = WebhookOptions::new(format!("http://169.254.169.254/latest/{SECRET}"));
    let why = refused(&channel(&options), &opened()).await;
    assert!(why.why.contains("link-local"), "{why:?}");
}

#[tokio::test]
async fn hostile_texts_stay_in_their_places() {
    let sink = Sink::start();
    let hostile = affected("a\"}\r\nX-Evil: 1\r\n\r\n{{ 7 * 7 }}");
    let hostile = delivery(3, MessageKind::Updated, vec![hostile]);
    channel(&WebhookOptions::new(sink.url("/"))).send(&hostile).await.unwrap();
    let [received] = sink.received().try_into().unwrap();
    assert_eq!(received.header("x-evil"), None);
    assert_eq!(received.json()["services"][0]["name"], "a\"}\\r\\nX-Evil: 1\\r\\n\\r\\n{{ 7 * 7 }}");
}
