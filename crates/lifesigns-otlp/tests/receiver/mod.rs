//! A stand-in for a collector: takes requests over real sockets, decodes them, and answers as it is told to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, Metric, NumberDataPoint, number_data_point,
};
use prost::Message;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Nothing in these tests takes so long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the receiver answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// Never answers.
    pub(crate) hangs: bool,
    /// Closes the connection instead of answering.
    pub(crate) closes: bool,
    /// The body has no end.
    pub(crate) endless: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Answer {
        let (headers, body) = (Vec::new(), Bytes::from_static(b"because"));
        Answer { status, headers, body, hangs: false, closes: false, endless: false }
    }

    pub(crate) fn ok() -> Answer {
        Answer { body: Bytes::new(), ..Answer::status(200) }
    }

    pub(crate) fn partial(rejected_data_points: i64, error_message: &str) -> Answer {
        let partial =
            ExportMetricsPartialSuccess { rejected_data_points, error_message: error_message.to_owned() };
        let message = ExportMetricsServiceResponse { partial_success: Some(partial) };
        Answer { body: message.encode_to_vec().into(), ..Answer::status(200) }
    }
}

/// A request that has arrived.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    /// Without the coding.
    pub(crate) body: Vec<u8>,
    request: ExportMetricsServiceRequest,
}

impl Push {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn resource(&self) -> BTreeMap<String, String> {
        let [only] = self.request.resource_metrics.as_slice() else {
            panic!("one resource: {:?}", self.request)
        };
        let attributes = &only.resource.as_ref().unwrap().attributes;
        attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
    }

    fn metrics(&self) -> impl Iterator<Item = &Metric> {
        let scopes = self.request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| &scope.metrics)
    }

    pub(crate) fn metric(&self, name: &str) -> &Metric {
        let found: Vec<_> = self.metrics().filter(|metric| metric.name == name).collect();
        assert_eq!(found.len(), 1, "metrics named {name}");
        found[0]
    }

    pub(crate) fn points(&self, name: &str) -> Vec<NumberDataPoint> {
        match self.metric(name).data.clone().unwrap() {
            Data::Gauge(gauge) => gauge.data_points,
            Data::Sum(sum) => sum.data_points,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The value of the one point with these attributes.
    pub(crate) fn number(&self, name: &str, attributes: &[&str]) -> f64 {
        let points = self.points(name);
        let found: Vec<_> = points.iter().filter(|point| has(&point.attributes, attributes)).collect();
        assert_eq!(found.len(), 1, "{name} with {attributes:?} in {points:?}");
        value(found[0])
    }

    /// The same of what is a whole number.
    pub(crate) fn count(&self, name: &str, attributes: &[&str]) -> i64 {
        self.number(name, attributes) as i64
    }

    /// The one histogram of exchanges with these attributes.
    pub(crate) fn histogram(&self, attributes: &[&str]) -> &HistogramDataPoint {
        let Some(Data::Histogram(histogram)) = &self.metric("http.server.request.duration").data else {
            panic!("no histogram")
        };
        let points = &histogram.data_points;
        let found: Vec<_> = points.iter().filter(|point| has(&point.attributes, attributes)).collect();
        assert_eq!(found.len(), 1, "{attributes:?} in {points:?}");
        found[0]
    }
}

pub(crate) fn value(point: &NumberDataPoint) -> f64 {
    match point.value.unwrap() {
        number_data_point::Value::AsInt(value) => value as f64,
        number_data_point::Value::AsDouble(value) => value,
    }
}

fn has(attributes: &[KeyValue], wanted: &[&str]) -> bool {
    let is_there = |wanted: &&str| {
        attributes.iter().any(|attribute| format!("{}={}", attribute.key, text(attribute)) == **wanted)
    };
    wanted.iter().all(is_there)
}

fn text(attribute: &KeyValue) -> String {
    match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{}: {other:?}", attribute.key),
    }
}

/// A running receiver. Ends with the test.
pub(crate) struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    pushes: mpsc::Receiver<Push>,
    written: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    /// Answers the request with each number, from 0, as `answer` says.
    pub(crate) fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Receiver {
        Receiver::serve(answer, None)
    }

    /// The same over TLS; also gives the certificate, PEM.
    pub(crate) fn start_tls(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (Receiver, String) {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (Receiver::serve(answer, Some(TlsAcceptor::from(Arc::new(config)))), made.cert.pem())
    }

    fn serve(answer: impl Fn(usize) -> Answer + Send + Sync + 'static, tls: Option<TlsAcceptor>) -> Receiver {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, pushes) = mpsc::channel();
        let written = Arc::<AtomicU64>::default();
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            count: AtomicUsize::new(0),
            sender,
            written: Arc::clone(&written),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => connection(stream, shared).await,
                        // Who does not trust it goes away.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                connection(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Receiver { address, scheme, pushes, written, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(crate) fn next(&self) -> Push {
        self.pushes.recv_timeout(PATIENCE).expect("a push arrives")
    }

    /// What arrives until nothing has arrived for so long.
    pub(crate) fn all_within(&self, silence: Duration) -> Vec<Push> {
        std::iter::from_fn(|| self.pushes.recv_timeout(silence).ok()).collect()
    }

    /// So many bytes of endless bodies were taken off its hands.
    pub(crate) fn largest_answer_read(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }
}

struct Shared {
    answer: Box<dyn Fn(usize) -> Answer + Send + Sync>,
    count: AtomicUsize,
    sender: mpsc::Sender<Push>,
    written: Arc<AtomicU64>,
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(move |request| exchange(request, Arc::clone(&shared)));
    // An error is the other side going away, or this side closing as it was told to.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn exchange(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<AnswerBody>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let mut body = body.collect().await?.to_bytes().to_vec();
    if head.headers.get("content-encoding").is_some_and(|coding| coding == "gzip") {
        let packed = std::mem::take(&mut body);
        GzDecoder::new(packed.as_slice()).read_to_end(&mut body)?;
    }
    let headers = head.headers.iter();
    let push = Push {
        at: Instant::now(),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        request: ExportMetricsServiceRequest::decode(body.as_slice())?,
        body,
    };
    let number = shared.count.fetch_add(1, Ordering::SeqCst);
    let answer = (shared.answer)(number);
    // The test may be over.
    let _over = shared.sender.send(push);
    if answer.hangs {
        std::future::pending::<()>().await;
    }
    if answer.closes {
        return Err("closes".into());
    }
    let body =
        AnswerBody { rest: answer.body, endless: answer.endless, written: Arc::clone(&shared.written) };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    Ok(response.body(body)?)
}

/// A body with or without an end.
pub(crate) struct AnswerBody {
    rest: Bytes,
    endless: bool,
    written: Arc<AtomicU64>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static MORE: [u8; 16 * 1024] = [b'x'; 16 * 1024];
        if self.endless {
            self.written.fetch_add(MORE.len() as u64, Ordering::SeqCst);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&MORE)))));
        }
        let rest = std::mem::take(&mut self.rest);
        Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))))
    }
}
