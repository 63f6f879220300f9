//! What Check, List and Watch answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lifesigns::model::light::Light;
use lifesigns::{ApiOptions, Builder, Check, Lifesigns};

use crate::support::*;

#[tokio::test]
async fn check_knows_the_process_and_its_apis() {
    let server = Server::start(&gateway()).await;
    let client = Client::connect(server.address).await;
    for service in ["", "polls", "votes"] {
        assert_eq!(client.check(service).await, (Some(SERVING.into()), 0), "{service:?}");
    }
    for service in ["gateway", "Polls", "polls ", "grpc.health.v1.Health"] {
        assert_eq!(client.check(service).await, (None, 5), "{service:?} is not found");
    }
}

#[tokio::test]
async fn an_api_with_the_library_has_two_names() {
    let lifesigns = Lifesigns::builder("polls").starting().start().unwrap();
    let server = Server::start(&lifesigns).await;
    let client = Client::connect(server.address).await;
    for service in ["", "polls"] {
        assert_eq!(client.check(service).await, (Some(NOT_SERVING.into()), 0), "starting: {service:?}");
    }
    lifesigns.ready();
    for service in ["", "polls"] {
        assert_eq!(client.check(service).await, (Some(SERVING.into()), 0), "ready: {service:?}");
    }
    lifesigns.drain();
    for service in ["", "polls"] {
        assert_eq!(client.check(service).await, (Some(NOT_SERVING.into()), 0), "draining: {service:?}");
    }
}

#[tokio::test]
async fn list_has_all_services() {
    let server = Server::start(&gateway()).await;
    let client = Client::connect(server.address).await;
    let (message, status) = client.ask("List", &framed(b"")).await;
    assert_eq!(status, 0);
    let message = message.unwrap();
    let expected = [
        &b"\x0a\x06\x0a\x00\x12\x02\x08\x01"[..],
        b"\x0a\x0b\x0a\x05polls\x12\x02\x08\x01",
        b"\x0a\x0b\x0a\x05votes\x12\x02\x08\x01",
    ];
    assert_eq!(message.len(), expected.concat().len());
    for entry in expected {
        assert!(message.windows(entry.len()).any(|window| window == entry), "{entry:?} in {message:?}");
    }
}

#[tokio::test]
async fn a_list_that_would_be_too_long_is_refused() {
    let with = async |apis: usize| {
        let builder = Lifesigns::builder("gateway");
        let apis = (0..apis).map(|number| ApiOptions::new(&format!("api-{number}")));
        let lifesigns = apis.fold(builder, Builder::api).start().unwrap();
        let server = Server::start(&lifesigns).await;
        let client = Client::connect(server.address).await;
        assert_eq!(client.check("api-98").await, (Some(SERVING.into()), 0));
        client.ask("List", &framed(b"")).await
    };
    let (message, status) = with(99).await;
    assert_eq!((message.map(|message| message.len() > 99 * 10), status), (Some(true), 0));
    assert_eq!(with(100).await, (None, 8), "101 services with the process itself");
}

/// A process with one check for `polls`, critical or not, that fails while the switch is on.
fn with_check(critical: bool) -> (Lifesigns, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let check = Check::new("database", move || {
        let fails = fails.load(Ordering::Relaxed);
        async move { if fails { Err("it is gone") } else { Ok(()) } }
    });
    let check = check.every(Duration::from_millis(100)).thresholds(1, 1);
    let check = if critical { check.critical() } else { check };
    let builder = Lifesigns::builder("gateway").api(ApiOptions::new("polls")).api(ApiOptions::new("votes"));
    (builder.check_for(["polls"], check).start().unwrap(), switch)
}

#[tokio::test]
async fn red_is_not_serving_and_amber_is() {
    let (lifesigns, fails) = with_check(true);
    let server = Server::start(&lifesigns).await;
    let client = Client::connect(server.address).await;
    let mut polls = client.watch("polls").await;
    let mut votes = client.watch("votes").await;
    assert_eq!(polls.message().await.unwrap(), SERVING);
    assert_eq!(votes.message().await.unwrap(), SERVING);
    for _ in 0..2 {
        fails.store(true, Ordering::Relaxed);
        assert_eq!(polls.message().await.unwrap(), NOT_SERVING);
        assert_eq!(client.check("polls").await.0.unwrap(), NOT_SERVING);
        assert_eq!(client.check("votes").await.0.unwrap(), SERVING);
        fails.store(false, Ordering::Relaxed);
        assert_eq!(polls.message().await.unwrap(), SERVING);
        assert_eq!(client.check("polls").await.0.unwrap(), SERVING);
    }
    lifesigns.drain();
    assert_eq!(votes.message().await.unwrap(), NOT_SERVING, "and nothing in between");

    let (lifesigns, fails) = with_check(false);
    let server = Server::start(&lifesigns).await;
    let client = Client::connect(server.address).await;
    let mut polls = client.watch("polls").await;
    assert_eq!(polls.message().await.unwrap(), SERVING);
    fails.store(true, Ordering::Relaxed);
    let amber = async {
        while lifesigns.apis().next().unwrap().snapshot().verdict.light == Light::Green {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(amber).await;
    assert_eq!(client.check("polls").await.0.unwrap(), SERVING);
    lifesigns.drain();
    assert_eq!(polls.message().await.unwrap(), NOT_SERVING, "and nothing in between");
}
