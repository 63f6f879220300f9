//! Streams of `Watch`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use lifesigns_grpc::HealthService;
use tonic::body::Body;
use tower_service::Service;

use crate::support::*;

#[tokio::test]
async fn a_service_that_is_not_known_is_told_as_such_and_watched_on() {
    let lifesigns = gateway();
    let server = Server::start(&lifesigns).await;
    let client = Client::connect(server.address).await;
    let mut watch = client.watch("nobody").await;
    assert_eq!(watch.message().await.unwrap(), SERVICE_UNKNOWN);
    lifesigns.drain();
    let next = tokio::time::timeout(Duration::from_millis(700), watch.message()).await;
    assert!(next.is_err(), "it stays open, and nothing has changed: {next:?}");
    server.stop.send(()).unwrap();
    assert_eq!(watch.status().await, 14, "unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watchers_are_told_at_once() {
    let lifesigns = gateway();
    let server = Server::start(&lifesigns).await;
    let mut watching = Vec::new();
    for number in 0..1000 {
        if number % 100 == 0 {
            watching.push((Client::connect(server.address).await, Vec::new()));
        }
        let (client, calls) = watching.last_mut().unwrap();
        let mut call = client.watch(["", "polls", "votes"][number % 3]).await;
        assert_eq!(call.message().await.unwrap(), SERVING);
        calls.push(call);
    }
    let asked = Instant::now();
    assert_eq!(Client::connect(server.address).await.check("polls").await, (Some(SERVING.into()), 0));
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());

    let drained = Instant::now();
    lifesigns.drain();
    for (_, calls) in &mut watching {
        for call in calls {
            assert_eq!(call.message().await.unwrap(), NOT_SERVING);
        }
    }
    assert!(drained.elapsed() < Duration::from_secs(5), "{:?}", drained.elapsed());
    server.stop.send(()).unwrap();
    for (_, calls) in watching {
        for call in calls {
            assert_eq!(call.status().await, 14);
        }
    }
    in_time(server.task).await.unwrap().unwrap();
}

/// Nothing that was judged long ago is believed. Time stands still for the judge and not for those who ask.
#[tokio::test(start_paused = true)]
async fn an_old_green_is_not_serving() {
    let lifesigns = gateway();
    let mut health = HealthService::new(&lifesigns);
    let mut watch = ask(&mut health, "Watch", "polls").await;
    assert_eq!(message(&mut watch).await, SERVING);
    let asked = tokio::time::Instant::now();
    assert_eq!(message(&mut watch).await, NOT_SERVING);
    let age = asked.elapsed();
    assert!((14..=16).contains(&age.as_secs()), "amber is served until it counts as red: {age:?}");
    assert_eq!(message(&mut ask(&mut health, "Check", "polls").await).await, NOT_SERVING);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_arrive_is_given_up() {
    struct Nothing;

    impl http_body::Body for Nothing {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }

    let mut health = HealthService::new(&gateway());
    for method in ["Check", "List", "Watch"] {
        let asked = tokio::time::Instant::now();
        let answer = health.call(request(method).map(|()| Nothing)).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "4", "deadline exceeded");
        assert_eq!(asked.elapsed().as_secs(), 10);
    }
}

#[tokio::test]
async fn so_many_watch_and_no_more() {
    let mut health = HealthService::new(&gateway());
    let mut watching = Vec::new();
    for _ in 0..10_000 {
        let watch = ask(&mut health, "Watch", "polls").await;
        assert!(!watch.headers().contains_key("grpc-status"));
        watching.push(watch);
    }
    let refused = ask(&mut health, "Watch", "polls").await;
    assert_eq!(refused.headers()["grpc-status"], "8", "resource exhausted");
    assert_eq!(message(&mut ask(&mut health, "Check", "polls").await).await, SERVING);
    watching.pop();
    assert_eq!(message(&mut ask(&mut health, "Watch", "polls").await).await, SERVING);
}

#[tokio::test]
async fn nobody_watches_what_is_closed() {
    let mut health = HealthService::new(&gateway());
    let mut watch = ask(&mut health, "Watch", "polls").await;
    health.close();
    assert_eq!(message(&mut watch).await, SERVING, "what there is to tell is told");
    let trailers = in_time(watch.frame()).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "14");
    assert!(in_time(watch.frame()).await.is_none());
    assert_eq!(ask(&mut health, "Watch", "polls").await.headers()["grpc-status"], "14");
    assert_eq!(message(&mut ask(&mut health, "Check", "polls").await).await, SERVING);
}

async fn ask(health: &mut HealthService, method: &str, service: &str) -> http::Response<Body> {
    let body = Full::new(Bytes::from(named(service)));
    let request: Request<Full<Bytes>> = request(method).map(|()| body);
    health.call(request).await.unwrap()
}

/// The next message of an answer.
async fn message(answer: &mut http::Response<Body>) -> Bytes {
    let frame = answer.frame().await.expect("there is more").unwrap();
    frame.into_data().expect("it is a message").split_off(5)
}
