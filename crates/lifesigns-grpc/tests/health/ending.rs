//! How it ends, alone and in a server of somebody else's.

use std::time::{Duration, Instant};

use lifesigns_grpc::HealthService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tonic::transport::Server as TonicServer;
use tonic::transport::server::TcpIncoming;

use crate::support::*;

const UNAVAILABLE: u32 = 14;

#[tokio::test]
async fn watchers_are_told_and_then_let_go() {
    let lifesigns = gateway();
    let server = Server::start(&lifesigns).await;
    let client = Client::connect(server.address).await;
    let mut watch = client.watch("polls").await;
    assert_eq!(watch.message().await.unwrap(), SERVING);
    lifesigns.drain();
    assert_eq!(watch.message().await.unwrap(), NOT_SERVING);
    assert_eq!(client.check("").await, (Some(NOT_SERVING.into()), 0), "those who ask are still answered");

    let asked = Instant::now();
    server.stop.send(()).unwrap();
    assert_eq!(watch.status().await, UNAVAILABLE);
    in_time(server.task).await.unwrap().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(client.try_call("Check", &named("")).await.is_err());
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody is accepted any more");
}

#[tokio::test]
async fn calls_end_when_the_process_has_stopped() {
    let lifesigns = gateway();
    let server = Server::start(&lifesigns).await;
    let client = Client::connect(server.address).await;
    let mut watch = client.watch("polls").await;
    assert_eq!(watch.message().await.unwrap(), SERVING);
    let stopping = lifesigns.clone();
    tokio::task::spawn_blocking(move || stopping.shutdown(PATIENCE).unwrap()).await.unwrap();
    assert_eq!(watch.message().await.unwrap(), NOT_SERVING);
    assert_eq!(watch.status().await, UNAVAILABLE);
}

#[tokio::test]
async fn it_can_be_added_to_a_server_of_tonic() {
    let lifesigns = gateway();
    let health = HealthService::new(&lifesigns);
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = {
        let (lifesigns, health) = (lifesigns.clone(), health.clone());
        async move {
            stopped.await.unwrap();
            lifesigns.drain();
            health.close();
        }
    };
    let server = TonicServer::builder().add_service(health);
    let server = tokio::spawn(server.serve_with_incoming_shutdown(incoming, shutdown));

    let client = Client::connect(address).await;
    assert_eq!(client.check("polls").await, (Some(SERVING.into()), 0));
    assert_eq!(client.ask("Serve", &framed(b"")).await, (None, 12));
    let mut watch = client.watch("polls").await;
    assert_eq!(watch.message().await.unwrap(), SERVING);
    stop.send(()).unwrap();
    assert_eq!(watch.message().await.unwrap(), NOT_SERVING);
    assert_eq!(watch.status().await, UNAVAILABLE);
    in_time(server).await.unwrap().unwrap();
}
