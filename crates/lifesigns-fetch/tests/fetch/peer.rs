//! Servers that behave as a test wants.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_hours(24);

/// A TCP server on a free port. It ends when it is dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Peer {
    /// Each connection is given to `serve`.
    pub(crate) async fn start<F, Fut>(serve: F) -> Peer
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (all, now) = (Arc::clone(&connections), Arc::clone(&open));
        let server = tokio::spawn(async move {
            let mut served = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                all.fetch_add(1, Ordering::SeqCst);
                now.fetch_add(1, Ordering::SeqCst);
                let (serving, now) = (serve(stream), Arc::clone(&now));
                served.spawn(async move {
                    serving.await;
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Peer { address, connections, open, heard: Arc::default(), server }
    }

    /// An HTTP server that answers every request with these bytes, and then closes the connection.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Peer {
        let (answer, heard) = (Arc::new(answer.into()), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&heard);
        let mut peer = Peer::start(move |mut stream| {
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
            async move {
                let request = read_head(&mut stream).await;
                log.lock().unwrap().push(request);
                // Whoever has heard enough hangs up.
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
                read_to_end(stream).await;
            }
        })
        .await;
        peer.heard = heard;
        peer
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What clients have asked, each at least up to the empty line.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until `all` connections were there, and all of them are closed.
    pub(crate) async fn is_left_alone_after(&self, all: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.connections.load(Ordering::SeqCst) != all || self.open.load(Ordering::SeqCst) != 0 {
            assert!(Instant::now() < end, "{all} connections are not there, or not closed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Reads until the client has closed its side.
pub(crate) async fn read_to_end(mut stream: impl AsyncRead + Unpin) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|length| length > 0) {}
}

/// A request up to the empty line.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(length) => head.extend_from_slice(&piece[..length]),
        }
    }
    String::from_utf8(head).unwrap()
}

/// An authority whom only those trust who know its file.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // A name of its own: an authority of the same name would be taken for it, with a bad signature.
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("authority.pem"), certificate.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A server that answers with `answer`, under a certificate for `name` that ends so many days from now; and when
    /// that is, in seconds since 1970.
    pub(crate) async fn serve(&self, name: &str, days: i64, answer: Vec<u8>) -> (Peer, i64) {
        let now = SystemTime::now();
        let span = DAY * u32::try_from(days.unsigned_abs()).unwrap();
        let ends = if days < 0 { now - span } else { now + span };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = (now - 1000 * DAY).into();
        params.not_after = ends.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let (acceptor, answer) = (TlsAcceptor::from(Arc::new(config)), Arc::new(answer));
        let peer = Peer::start(move |stream| {
            let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
            async move {
                // A client that does not trust us goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                read_head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        })
        .await;
        let ends = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        (peer, ends.try_into().unwrap())
    }
}
