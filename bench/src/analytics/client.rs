//! One kept-alive connection to somebody who answers over HTTP.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime::Runtime};

use crate::Outcome;

pub(super) struct Client {
    runtime: Runtime,
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    token: Option<String>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr, token: Option<String>) -> Outcome<Client> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(connect(address))?;
        Ok(Client { runtime, address, sender, token })
    }

    /// Posts a body, or gets where there is none, and returns the body of a good answer.
    pub(super) fn ask(&mut self, path: &str, body: Option<Bytes>) -> Outcome<Bytes> {
        let mut request = Request::builder()
            .method(if body.is_some() { "POST" } else { "GET" })
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body.unwrap_or_default()))?;
        self.runtime.block_on(async {
            // Who was not asked for long has hung up.
            if self.sender.ready().await.is_err() {
                self.sender = connect(self.address).await?;
            }
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if !status.is_success() {
                return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
            }
            Ok(body)
        })
    }
}

async fn connect(address: SocketAddr) -> Outcome<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the connection; whoever asks is told why.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
