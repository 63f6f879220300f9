//! Memory and uptime of an API's process, as the API's own `/status` tells them.

use std::time::Duration;

use http_body_util::Full;
use hyper::{Request, header};
use jiff::{SignedDuration, Timestamp};
use lifesigns::{Api, ProcessFigures};
use lifesigns_gateway::Upstream;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::client::{self, Failure};

/// How often the API is asked.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A status is a small thing; more bytes are not read.
const MAX_BYTES: usize = 64 * 1024;

/// The part of an answer that is looked at. Memory is in MB, uptime in seconds.
#[derive(Debug, Deserialize)]
struct Status {
    uptime: Option<f64>,
    memory: Option<Memory>,
}

#[derive(Debug, Deserialize)]
struct Memory {
    used: Option<f64>,
    total: Option<f64>,
}

/// Asks now and again, for ever, and tells the API's health resources.
pub async fn report(api: Api, url: Upstream) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = timeout(PATIENCE, ask(&url)).await.unwrap_or_else(|_| Err("it took too long".into()));
        match answer {
            Ok(status) => api.report_process(Some(figures(&status, Timestamp::now()))),
            Err(error) => {
                tracing::info!(api = api.name(), %error, "the API does not tell its own status");
                api.report_process(None);
            }
        }
    }
}

async fn ask(url: &Upstream) -> Result<Status, Failure> {
    let stream = TcpStream::connect((url.host(), url.port())).await?;
    let path = if url.base().is_empty() { "/" } else { url.base() };
    let authority = url.to_string();
    let authority = authority.trim_start_matches("http://").trim_end_matches(url.base());
    let request = Request::get(path).header(header::HOST, authority).body(Full::default())?;
    // A service that is not well says so with 503 and still tells its memory.
    let answer = client::exchange(stream, request, MAX_BYTES).await?;
    Ok(serde_json::from_slice(answer.body())?)
}

fn figures(status: &Status, now: Timestamp) -> ProcessFigures {
    // What is no sensible figure is not known.
    let sensible = |number: Option<f64>| number.filter(|number| (0.0..1e12).contains(number));
    let bytes =
        |megabytes: Option<f64>| sensible(megabytes).map(|megabytes| (megabytes * 1_048_576.0) as u64);
    let memory = status.memory.as_ref();
    let used = bytes(memory.and_then(|memory| memory.used));
    let total = bytes(memory.and_then(|memory| memory.total));
    let uptime = sensible(status.uptime).map(SignedDuration::from_secs_f64);
    ProcessFigures {
        memory_used: used,
        memory_total: total.map(|total| total.max(used.unwrap_or(0))),
        started: uptime.and_then(|uptime| now.checked_sub(uptime).ok()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn answered(answer: &'static str) -> (Result<Status, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/status", listener.local_addr().unwrap()).parse().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        };
        let (status, request) = tokio::join!(ask(&url), server);
        (status.map_err(|error| error.to_string()), request)
    }

    #[tokio::test]
    async fn the_status_of_an_api_is_read() {
        let (status, request) = answered(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 60\r\n\r\n\
             {\"status\":\"x\",\"uptime\":60,\"memory\":{\"used\":1.5,\"total\":1.0}}",
        )
        .await;
        assert!(request.starts_with("GET /v1/status HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");
        let now = Timestamp::from_second(1000).unwrap();
        let figures = figures(&status.unwrap(), now);
        assert_eq!(figures.memory_used, Some(1_572_864));
        assert_eq!(figures.memory_total, Some(1_572_864));
        assert_eq!(figures.started, Some(Timestamp::from_second(940).unwrap()));
    }

    #[tokio::test]
    async fn what_is_no_status_is_not_believed() {
        assert!(answered("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK").await.0.is_err());
        assert!(answered("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{").await.0.is_err());
        assert!(answered("").await.0.is_err());
        let odd = Status { uptime: Some(-1.0), memory: Some(Memory { used: Some(f64::NAN), total: None }) };
        assert_eq!(figures(&odd, Timestamp::UNIX_EPOCH), ProcessFigures::default());
    }
}
