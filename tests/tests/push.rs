//! What goes out by itself: lines of the log, and figures for an OpenTelemetry collector.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use lifesigns_tests::client::get;
use lifesigns_tests::program::Program;
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use prost::Message;
use serde_json::Value as Json;

/// A collector that takes everything: the head and the message of each push.
struct Collector {
    address: SocketAddr,
    pushes: Receiver<(String, ExportMetricsServiceRequest)>,
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, pushes) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, sender) = (stream.unwrap(), sender.clone());
                thread::spawn(move || take(stream, &sender));
            }
        });
        Collector { address, pushes }
    }

    fn next(&self) -> (String, ExportMetricsServiceRequest) {
        self.pushes.recv_timeout(wait::PATIENCE).expect("a push arrives")
    }
}

fn take(stream: TcpStream, pushes: &Sender<(String, ExportMetricsServiceRequest)>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    let message = ExportMetricsServiceRequest::decode(body.as_slice()).unwrap();
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    // The test may be over.
    let _over = pushes.send((head, message));
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// The light of an API, as a push tells it.
fn light(message: &ExportMetricsServiceRequest, api: &str) -> Option<i64> {
    let scopes = message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let metric = scopes.flat_map(|scope| &scope.metrics).find(|metric| metric.name == "lifesigns.light")?;
    let Some(Data::Gauge(gauge)) = &metric.data else { panic!("no gauge: {metric:?}") };
    let is_of_api = |attributes: &[KeyValue]| text(attributes, "lifesigns.api").as_deref() == Some(api);
    let point = gauge.data_points.iter().find(|point| is_of_api(&point.attributes))?;
    match point.value {
        Some(number_data_point::Value::AsInt(light)) => Some(light),
        _ => None,
    }
}

fn run(folder: &Path, upstream: SocketAddr, more: &str, arguments: &[&str]) -> (Program, SocketAddr) {
    let file = folder.join("lifesigns.toml");
    let config = format!(
        "name = \"edge\"\nenvironment = \"test\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"memory\"\n\
         {more}\n[[api]]\nname = \"polls\"\nupstream = \"http://{upstream}\"\n"
    );
    fs::write(&file, config).unwrap();
    let arguments = [&["run", "--config", file.to_str().unwrap()], arguments].concat();
    let program = Program::start_with(&arguments, |command| {
        command.env("LIFESIGNS_TEST_HEADERS", "x-key=ls_secret").env_remove("LIFESIGNS_LOG");
    });
    let address = program.listening("gateway");
    (program, address)
}

fn turn_red(gateway: SocketAddr) {
    for _ in 0..30 {
        assert_eq!(get(gateway, "/status/500").status, 500);
    }
    wait::until("a red light", || (get(gateway, "/health/status").status == 500).then_some(()));
}

#[test]
fn a_red_light_arrives_at_the_collector() {
    let (upstream, collector, folder) = (Upstream::start(), Collector::start(), tempfile::tempdir().unwrap());
    let more = format!(
        "[otlp]\nendpoint = \"http://{}\"\ninterval_seconds = 1\nheaders_env = \"LIFESIGNS_TEST_HEADERS\"",
        collector.address
    );
    let (mut program, gateway) = run(folder.path(), upstream.address(), &more, &[]);
    let (head, message) = collector.next();
    assert!(
        head.starts_with("POST /v1/metrics HTTP/1.1\r\n") && head.contains("x-key: ls_secret\r\n"),
        "{head}"
    );
    let resource = &message.resource_metrics[0].resource.as_ref().unwrap().attributes;
    assert_eq!(text(resource, "service.name").as_deref(), Some("edge"));
    assert_eq!(text(resource, "deployment.environment.name").as_deref(), Some("test"));
    assert_eq!(light(&message, "polls"), Some(0));

    turn_red(gateway);
    wait::until("a red light at the collector", || {
        let (_, message) = collector.next();
        (light(&message, "polls") == Some(2)).then_some(())
    });
    program.signal("TERM");
    assert!(program.ended().success(), "{}", program.stderr());
    assert!(!program.stderr().contains("ls_secret"));
    let last = collector.pushes.try_iter().last().expect("a last push at the end");
    assert!(light(&last.1, "polls").is_some());
}

#[test]
fn a_collector_that_hangs_harms_nothing() {
    let (upstream, folder) = (Upstream::start(), tempfile::tempdir().unwrap());
    // Connections wait in its backlog for ever.
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let more =
        format!("[otlp]\nendpoint = \"http://{}\"\ninterval_seconds = 1\n", hung.local_addr().unwrap());
    let (mut program, gateway) = run(folder.path(), upstream.address(), &more, &[]);
    let (_stream, _) = hung.accept().unwrap();
    assert_eq!(get(gateway, "/status/200").status, 200);
    turn_red(gateway);
    program.signal("TERM");
    let began = Instant::now();
    assert!(program.ended().success(), "{}", program.stderr());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn the_log_tells_of_lights_line_by_line_in_json() {
    let (upstream, folder) = (Upstream::start(), tempfile::tempdir().unwrap());
    let (mut program, gateway) = run(folder.path(), upstream.address(), "", &["--log-format", "json"]);
    turn_red(gateway);
    program.signal("TERM");
    assert!(program.ended().success());
    let stderr = wait::until("the end of the log", || {
        let stderr = program.stderr();
        stderr.contains("\"to\":\"RED\"").then_some(stderr)
    });
    let lines: Vec<Json> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let changes: Vec<&Json> =
        lines.iter().filter(|line| line["api"] == "polls" && line["to"] == "RED").collect();
    let [red] = changes.as_slice() else { panic!("one line for one change: {stderr}") };
    assert_eq!(
        (&red["level"], &red["from"], &red["source"]),
        (&"WARN".into(), &"GREEN".into(), &"traffic".into())
    );
    assert_eq!(red["message"], "the light has changed");
    assert!(red["reason"].as_str().unwrap().contains("% of the requests"), "{red}");
    assert!(red["lasted_seconds"].as_f64().unwrap() >= 0.0);
    assert!(red["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
}

/// Nobody reads what is logged, and the pipe is full: whoever logs must not wait for that.
#[test]
fn a_log_that_nobody_reads_harms_nothing() {
    let (upstream, folder) = (Upstream::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("lifesigns.toml");
    let listen = lifesigns_tests::program::free_address();
    let config = format!(
        "[gateway]\nlisten = \"{listen}\"\n[store]\npath = \"memory\"\n[[api]]\nname = \"polls\"\nupstream = \"http://{}\"\n",
        upstream.address()
    );
    fs::write(&file, config).unwrap();
    let mut child = std::process::Command::new(lifesigns_tests::program::binary())
        .args(["run", "--config", file.to_str().unwrap()])
        .env("LIFESIGNS_LOG", "trace")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait::until("a gateway that answers", || TcpStream::connect(listen).ok());
    // Each exchange is told of by hyper in many lines.
    for _ in 0..1500 {
        assert_eq!(get(listen, "/status/200").status, 200);
    }
    assert_eq!(get(listen, "/livez").status, 200);
    assert_eq!(get(listen, "/health/status").status, 200, "the judge does not wait either");
    child.kill().unwrap();
    child.wait().unwrap();
}
