//! A gateway in a thread, upstreams made by hand, and a client that says exactly what a test wants said.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lifesigns::{ApiOptions, Lifesigns, Scope, Token, TokenHash};
use lifesigns_gateway::{Config, Gateway, Route};
use lifesigns_model::{
    exchange::FailedBy,
    store::{Rejected, RollupRow, RollupStore, Selected, Selection, StoreError, StoreStatus},
};
use tokio::sync::oneshot;

/// Longest that anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// A timeout that is meant to strike.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// A token that allows queries.
pub(crate) const QUERY_TOKEN: &str = "ls_ops";

/// A gateway that serves until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) lifesigns: Lifesigns,
    ledger: Arc<Ledger>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

/// One thing that was counted: API, route, status, who failed.
pub(crate) type Counted = (String, String, u16, FailedBy);

impl Running {
    /// A gateway in front of one upstream, with API `polls` at `/`.
    pub(crate) fn before(upstream: &Upstream) -> Running {
        Running::with(vec![route("polls", upstream.address)], |_| {})
    }

    /// A gateway with these routes, and whatever else `adjust` changes.
    pub(crate) fn with(routes: Vec<Route>, adjust: impl FnOnce(&mut Config)) -> Running {
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), routes);
        config.workers = 2.try_into().ok();
        config.drain.patience = DEADLINE;
        adjust(&mut config);
        let ledger = Arc::new(Ledger::default());
        let mut names: Vec<String> = config.routes.iter().map(|route| route.api.clone()).collect();
        names.dedup();
        let token = Token::new("ops", TokenHash::of(QUERY_TOKEN), [Scope::AnalyticsRead]);
        let builder = Lifesigns::builder("gateway").store(ledger.clone()).token(token);
        let builder = names.iter().fold(builder, |builder, name| builder.api(ApiOptions::new(name)));
        let lifesigns = builder.start().unwrap();
        let gateway = Gateway::bind(config, lifesigns.clone()).unwrap();
        let (address, admin) = (gateway.local_addr().unwrap(), gateway.admin_addr());
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(gateway.run(stopped))
        });
        Running { address, admin, lifesigns, ledger, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::to(self.address)
    }

    /// Waits until so many exchanges were counted, and gives how often each was.
    pub(crate) fn counted(&self, exchanges: u64) -> BTreeMap<Counted, u64> {
        let total = || {
            self.lifesigns.flush(DEADLINE).unwrap();
            self.ledger.counts().values().sum::<u64>()
        };
        wait_until("all exchanges are counted", || total() >= exchanges);
        let counts = self.ledger.counts();
        assert_eq!(counts.values().sum::<u64>(), exchanges, "{counts:?}");
        counts
    }

    /// The one exchange that was counted.
    pub(crate) fn only_count(&self) -> (u16, FailedBy) {
        let ((_, _, status, failed_by), _) = self.counted(1).pop_first().unwrap();
        (status, failed_by)
    }

    /// Bytes of all request bodies and of all response bodies that were counted.
    pub(crate) fn counted_bytes(&self) -> (u64, u64) {
        self.lifesigns.flush(DEADLINE).unwrap();
        let rows = self.ledger.rows.lock().unwrap();
        rows.iter().fold((0, 0), |(requests, responses), row| {
            (requests + row.rollup.request_bytes, responses + row.rollup.response_bytes)
        })
    }

    /// Asks it to end, without waiting for it.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended already.
            let _ = stop.send(());
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// API `name` at `/`, served there.
pub(crate) fn route(name: &str, upstream: SocketAddr) -> Route {
    Route::new(name, format!("http://{upstream}").parse().unwrap())
}

/// Polls until it holds, at most [`DEADLINE`].
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < DEADLINE, "waited in vain until {what}");
        thread::yield_now();
    }
}

/// A store that keeps everything and answers nothing.
#[derive(Default)]
struct Ledger {
    rows: Mutex<Vec<RollupRow>>,
}

impl Ledger {
    fn counts(&self) -> BTreeMap<Counted, u64> {
        let mut counts = BTreeMap::new();
        for row in self.rows.lock().unwrap().iter() {
            let series = &row.series;
            let key = (series.api.to_string(), series.route.to_string(), series.status, series.failed_by);
            *counts.entry(key).or_default() += row.rollup.latency.count();
        }
        counts
    }
}

impl RollupStore for Ledger {
    fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
        self.rows.lock().unwrap().extend(rows);
        Ok(())
    }

    fn flush(&self, _patience: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn select(&self, _selection: &Selection) -> Result<Selected, StoreError> {
        Err(StoreError::new("this store answers nothing"))
    }

    fn remember(&self, _note: lifesigns_model::store::Note) -> Result<(), StoreError> {
        Err(StoreError::new("this store keeps no notes"))
    }

    fn recall(&self, _topic: &str) -> Result<Vec<lifesigns_model::store::KeptNote>, StoreError> {
        Ok(Vec::new())
    }

    fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }
}

/// A server made by hand: what it does with a connection is up to the test.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Upstream {
    /// Each connection is given to `serve`, in a thread of its own.
    pub(crate) fn new(serve: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (serve, counter, messages) = (Arc::new(serve), connections.clone(), seen.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let (serve, seen) = (serve.clone(), messages.clone());
                thread::spawn(move || {
                    stream.set_read_timeout(Some(DEADLINE))?;
                    stream.set_nodelay(true)?;
                    let reader = BufReader::new(stream);
                    // A gateway that hangs up is no fault of the test; what matters is what it saw before.
                    serve(&mut Connection { reader, number, seen })
                });
            }
        });
        Upstream { address, connections, seen }
    }

    /// Gives the same answer to every request, and keeps its connections.
    pub(crate) fn answering(answer: &'static str) -> Upstream {
        Upstream::new(move |connection| {
            while connection.request()?.is_some() {
                connection.write(answer.as_bytes())?;
            }
            Ok(())
        })
    }

    /// Answers 200 with a body of two bytes.
    pub(crate) fn ok() -> Upstream {
        Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    }

    /// So many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What it was asked, in order.
    pub(crate) fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    /// The only thing it was asked.
    pub(crate) fn only_seen(&self) -> Message {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

/// One connection of an upstream.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    /// 0 for the first.
    pub(crate) number: usize,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Connection {
    /// The next request with its whole body; `None` at the end.
    pub(crate) fn request(&mut self) -> io::Result<Option<Message>> {
        let Some(mut message) = self.head()? else { return Ok(None) };
        read_body(&mut self.reader, &mut message, false)?;
        if !message.complete {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.seen.lock().unwrap().push(message.clone());
        Ok(Some(message))
    }

    /// The head of the next request only.
    pub(crate) fn head(&mut self) -> io::Result<Option<Message>> {
        read_head(&mut self.reader)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads exactly so many bytes.
    pub(crate) fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Waits until the other side has closed.
    pub(crate) fn wait_for_end(&mut self) -> io::Result<()> {
        io::copy(&mut self.reader, &mut io::sink()).map(drop)
    }

    /// Closes so that the other side gets a reset.
    pub(crate) fn reset(self: &mut Connection) -> io::Result<()> {
        socket2::SockRef::from(self.reader.get_ref()).set_linger(Some(Duration::ZERO))
    }
}

/// A request or a response.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) first_line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body came to the end that its framing promised.
    pub(crate) complete: bool,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Request target.
    pub(crate) fn target(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap_or("")
    }

    /// All lines of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The only line of a field, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is there more than once: {self:?}");
        all.first().copied()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client that says exactly what it is told.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Sends, whether or not the other side still listens.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// The next response, interim ones included.
    pub(crate) fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// The next response, to a request with this method.
    pub(crate) fn response_to(&mut self, method: &str) -> Message {
        self.try_response(method).unwrap().expect("the connection was closed instead of an answer")
    }

    pub(crate) fn try_response(&mut self, method: &str) -> io::Result<Option<Message>> {
        let Some(mut message) = read_head(&mut self.reader)? else { return Ok(None) };
        let has_body = method != "HEAD" && !matches!(message.status(), 100..200 | 204 | 304);
        if has_body {
            read_body(&mut self.reader, &mut message, true)?;
        }
        Ok(Some(message))
    }

    /// Sends a request and reads the response.
    pub(crate) fn exchange(&mut self, request: &str) -> Message {
        self.send(request);
        self.response_to(request.split(' ').next().unwrap())
    }

    /// `GET` of this target.
    pub(crate) fn get(&mut self, target: &str) -> Message {
        self.exchange(&format!("GET {target} HTTP/1.1\r\nhost: api.example.com\r\n\r\n"))
    }

    /// Whether the other side closes without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn shutdown_write(&self) {
        self.reader.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}

fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Message>> {
    let mut message = Message::default();
    let Some(first_line) = read_line(reader)? else { return Ok(None) };
    message.first_line = first_line;
    message.headers = read_fields(reader)?;
    message.complete = true;
    Ok(Some(message))
}

fn read_fields(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_body(reader: &mut BufReader<TcpStream>, message: &mut Message, is_response: bool) -> io::Result<()> {
    if message.get("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        assert_eq!(message.get("content-length"), None, "both framings at once: {message:?}");
        message.complete = false;
        while let Some(line) = read_line(reader)? {
            let size = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16)
                .map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                message.trailers = read_fields(reader)?;
                message.complete = true;
                break;
            }
            let before = message.body.len();
            reader.take(size as u64).read_to_end(&mut message.body)?;
            if message.body.len() - before < size || read_line(reader)?.is_none() {
                break;
            }
        }
    } else if let Some(length) = message.get("content-length") {
        let length: u64 = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        reader.take(length).read_to_end(&mut message.body)?;
        message.complete = message.body.len() as u64 == length;
    } else if is_response {
        reader.read_to_end(&mut message.body)?;
    }
    Ok(())
}
