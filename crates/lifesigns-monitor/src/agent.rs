//! HAProxy's agent check: one line over TCP for whoever connects.
//!
//! HAProxy connects, sends what `agent-send` says, here the name of a service, and reads one line: `up 100%`,
//! `up 50%`, `down`. What is not known is not answered: HAProxy then keeps what it knew.

use std::io;
use std::time::Duration;

use lifesigns_model::light::Light;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::breaker::BreakerState;
use crate::connections::Connections;
use crate::fleet::Fleet;

/// How long a line may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A name is no longer, with the end of its line.
const LONGEST_LINE: usize = 130;
/// With more the longest silent one goes.
const MOST_CONNECTIONS: usize = 256;
/// After a connection that could not be taken.
const BREATH: Duration = Duration::from_millis(50);

/// Answers agent checks, for ever.
pub async fn serve_agent(listener: TcpListener, fleet: Fleet) {
    let present = Connections::new(MOST_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (fleet, place) = (fleet.clone(), present.admit());
                tokio::spawn(async move {
                    // Whoever goes away before the answer does not need it.
                    tokio::select! {
                        _ = timeout(PATIENCE, answer(place.watch(stream), &fleet)) => {}
                        () = place.is_needed() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an agent check could not be taken");
                sleep(BREATH).await;
            }
        }
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, fleet: &Fleet) -> io::Result<()> {
    let mut line = Vec::new();
    let mut buffer = [0; LONGEST_LINE];
    while !line.contains(&b'\n') && line.len() < LONGEST_LINE {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        line.extend_from_slice(&buffer[..count]);
    }
    let name = String::from_utf8_lossy(&line);
    let name = name.lines().next().unwrap_or_default().trim();
    if let Some(said) = says(fleet, name) {
        stream.write_all(said.as_bytes()).await?;
    }
    stream.shutdown().await
}

fn says(fleet: &Fleet, name: &str) -> Option<&'static str> {
    let Some(service) = fleet.service(name) else {
        tracing::warn!(service = name, "an agent check asks for a service that is not watched");
        return None;
    };
    Some(match (service.light?, service.breaker.state) {
        (Light::Green, _) => "up 100%\n",
        // What can wait should go elsewhere.
        (Light::Amber, _) => "up 50%\n",
        // A few calls show whether it is well again.
        (Light::Red, BreakerState::HalfOpen) => "up 5%\n",
        (Light::Red, _) => "down\n",
    })
}
