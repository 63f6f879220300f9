//! A receiver of messages over HTTP, which keeps what it gets and answers as a test wants.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::client::{read_headers, read_line};

/// What was sent to a [`Sink`].
#[derive(Clone, Debug)]
pub struct Received {
    /// Method and target, as they stood in the request line.
    pub line: String,
    /// Headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// How a [`Sink`] answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With this status, these headers, and this body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// With this status, and a body that never comes.
    Endless(u16),
    /// Not at all, until the other side gives up.
    Silence,
    /// By closing the connection.
    Close,
}

impl Reply {
    /// A status, and nothing more.
    pub fn status(status: u16) -> Reply {
        Reply::Answer(status, Vec::new(), Vec::new())
    }
}

/// The receiver. It answers 200 to what it has no [`Reply`] for.
pub struct Sink {
    address: SocketAddr,
    state: Arc<State>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Received>>,
    replies: Mutex<VecDeque<Reply>>,
    is_over: AtomicBool,
}

impl Sink {
    /// Starts on a free port.
    pub fn start() -> Sink {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let listening = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A client that goes away has nothing more to be answered.
                thread::spawn(move || stream.and_then(|stream| state.serve(stream)));
            }
        });
        Sink { address, state, listening: Some(listening) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of that path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next request that it has no reply for yet in this way.
    pub fn reply(&self, reply: Reply) {
        self.state.replies.lock().expect("no test has panicked here").push_back(reply);
    }

    /// All that has arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("no test has panicked here").clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that listens.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(listening)) = (woken, self.listening.take()) {
            let _ = listening.join();
        }
    }
}

impl State {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let line = read_line(&mut reader)?;
        let headers = read_headers(&mut reader)?;
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let received = Received { line: line.trim_end_matches(" HTTP/1.1").to_owned(), headers, body };
        self.received.lock().expect("no test has panicked here").push(received);
        let reply = self.replies.lock().expect("no test has panicked here").pop_front();
        match reply.unwrap_or_else(|| Reply::status(200)) {
            Reply::Close => Ok(()),
            Reply::Endless(status) => {
                { stream }
                    .write_all(format!("HTTP/1.1 {status} Status\r\nContent-Length: 9\r\n\r\n").as_bytes())?;
                io::copy(&mut reader, &mut io::sink()).map(drop)
            }
            Reply::Silence => io::copy(&mut reader, &mut io::sink()).map(drop),
            Reply::Answer(status, headers, body) => {
                let mut answer = format!("HTTP/1.1 {status} Status\r\n").into_bytes();
                for (name, value) in headers {
                    write!(answer, "{name}: {value}\r\n")?;
                }
                write!(answer, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
                answer.extend(body);
                { stream }.write_all(&answer)
            }
        }
    }
}
