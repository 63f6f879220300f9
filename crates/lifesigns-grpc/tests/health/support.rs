//! A server, and a client that does only what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use lifesigns::{ApiOptions, Lifesigns};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const SERVING: &[u8] = b"\x08\x01";
pub(crate) const NOT_SERVING: &[u8] = b"\x08\x02";
pub(crate) const SERVICE_UNKNOWN: &[u8] = b"\x08\x03";

/// A gateway with the APIs `polls` and `votes`.
pub(crate) fn gateway() -> Lifesigns {
    let builder = Lifesigns::builder("gateway").api(ApiOptions::new("polls")).api(ApiOptions::new("votes"));
    builder.start().unwrap()
}

/// A server on a free port. Dropping it stops it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(lifesigns: &Lifesigns) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let lifesigns = lifesigns.clone();
        let task = tokio::spawn(async move { lifesigns_grpc::serve(listener, &lifesigns, stopped).await });
        Server { address, stop, task }
    }
}

/// A connection.
#[derive(Clone)]
pub(crate) struct Client(SendRequest<Bytes>);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        Client::connect_with(address, &mut h2::client::Builder::new()).await
    }

    pub(crate) async fn connect_with(address: SocketAddr, http: &mut h2::client::Builder) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = http.handshake(stream).await.unwrap();
        // It ends with an error when the server goes, which the calls on it tell as well.
        tokio::spawn(async move { drop(connection.await) });
        Client(client)
    }

    /// Begins a call and sends these bytes as its body, whether they are a message or not.
    pub(crate) async fn call(&self, method: &str, body: &[u8]) -> Call {
        self.try_call(method, body).await.unwrap()
    }

    pub(crate) async fn try_call(&self, method: &str, body: &[u8]) -> Result<Call, h2::Error> {
        let (response, mut send) = self.begin(request(method)).await?;
        send.send_data(Bytes::copy_from_slice(body), true)?;
        Call::receive(response).await
    }

    /// Sends a request without its body.
    pub(crate) async fn begin(
        &self,
        request: Request<()>,
    ) -> Result<(h2::client::ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut client = self.0.clone().ready().await?;
        client.send_request(request, false)
    }

    /// A call with one answer: its message, if there is one, and its status.
    pub(crate) async fn ask(&self, method: &str, body: &[u8]) -> (Option<Bytes>, u32) {
        let mut call = self.call(method, body).await;
        let message = call.message().await;
        (message, call.status().await)
    }

    pub(crate) async fn check(&self, service: &str) -> (Option<Bytes>, u32) {
        self.ask("Check", &named(service)).await
    }

    pub(crate) async fn watch(&self, service: &str) -> Call {
        self.call("Watch", &named(service)).await
    }
}

/// An answer that is being read.
pub(crate) struct Call {
    pub(crate) head: Response<()>,
    body: RecvStream,
    read: BytesMut,
}

impl Call {
    pub(crate) async fn receive(response: h2::client::ResponseFuture) -> Result<Call, h2::Error> {
        let (head, body) = in_time(response).await?.into_parts();
        Ok(Call { head: Response::from_parts(head, ()), body, read: BytesMut::new() })
    }

    /// The next message; `None` when there is no more.
    pub(crate) async fn message(&mut self) -> Option<Bytes> {
        loop {
            if let Some(header) = self.read.first_chunk::<5>() {
                assert_eq!(header[0], 0, "nothing is compressed");
                let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
                if self.read.len() >= 5 + length {
                    return Some(self.read.split_to(5 + length).split_off(5).freeze());
                }
            }
            let Some(data) = in_time(self.body.data()).await else {
                assert!(self.read.is_empty(), "a message breaks off");
                return None;
            };
            let data = data.unwrap();
            self.body.flow_control().release_capacity(data.len()).unwrap();
            self.read.put(data);
        }
    }

    /// The status at the end.
    pub(crate) async fn status(mut self) -> u32 {
        assert_eq!(self.message().await, None);
        let from = |headers: &HeaderMap| {
            headers.get("grpc-status").map(|status| status.to_str().unwrap().parse().unwrap())
        };
        if let Some(status) = from(self.head.headers()) {
            return status;
        }
        let trailers = in_time(self.body.trailers()).await.unwrap();
        from(&trailers.expect("an answer without a status has trailers")).expect("they have a status")
    }
}

/// A call of gRPC, without its body.
pub(crate) fn request(method: &str) -> Request<()> {
    Request::post(format!("http://test/grpc.health.v1.Health/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// A message with its five bytes before it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

/// A request for this service, framed.
pub(crate) fn named(service: &str) -> Vec<u8> {
    let mut message = vec![0x0a, u8::try_from(service.len()).unwrap()];
    message.extend_from_slice(service.as_bytes());
    framed(&message)
}

/// Waits for as long as a test may take.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}
