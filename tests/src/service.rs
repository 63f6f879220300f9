//! A service that answers each path as a test says, and otherwise the next time.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::client::{read_headers, read_line};

/// What is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status, with these headers and this body.
    Says {
        /// Status code.
        status: u16,
        /// Headers, besides `Content-Length`.
        headers: Vec<(&'static str, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// Nothing, until the other side closes.
    Hangs,
    /// A head, and then the same bytes again and again, with a pause after each, until the other side closes.
    Streams {
        /// Status line and headers, with the empty line.
        head: String,
        /// What is sent again and again.
        piece: Vec<u8>,
        /// From one piece to the next.
        pause: Duration,
    },
}

impl Reply {
    /// Text of this type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply::Says { status, headers: vec![("Content-Type", content_type.to_owned())], body: body.into() }
    }

    /// JSON.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply::new(status, "application/json", body)
    }

    /// The answer with one header more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        if let Reply::Says { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

/// A running service, one thread for each connection. A path that it does not know is answered with 404.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    replies: Mutex<HashMap<String, Reply>>,
    /// Targets of the requests, in their order.
    heard: Mutex<Vec<String>>,
    is_stopped: AtomicBool,
}

impl Service {
    /// Starts one on a free port.
    pub fn start(replies: impl IntoIterator<Item = (&'static str, Reply)>) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::<Shared>::default();
        let service = Service { address, shared: Arc::clone(&shared) };
        for (path, reply) in replies {
            service.says(path, reply);
        }
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { continue };
                thread::spawn(move || serve(stream, &shared));
            }
        });
        service
    }

    /// From now on this path is answered so.
    pub fn says(&self, path: &str, reply: Reply) {
        self.shared.replies.lock().expect("nothing panics while it is held").insert(path.to_owned(), reply);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was asked, in order.
    pub fn heard(&self) -> Vec<String> {
        self.shared.heard.lock().expect("nothing panics while it is held").clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; whether that succeeds or not, there is nothing more to do.
        drop(TcpStream::connect(self.address));
    }
}

/// An error here is the other side going away, which is the test's own doing.
fn serve(stream: TcpStream, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    let Ok(request_line) = read_line(&mut stream) else { return };
    if read_headers(&mut stream).is_err() {
        return;
    }
    let target = request_line.split(' ').nth(1).unwrap_or_default();
    shared.heard.lock().expect("nothing panics while it is held").push(target.to_owned());
    let path = target.split('?').next().unwrap_or_default();
    let reply = shared.replies.lock().expect("nothing panics while it is held").get(path).cloned();
    match reply.unwrap_or_else(|| Reply::new(404, "text/plain", "nothing here\n")) {
        Reply::Hangs => {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
        Reply::Streams { head, piece, pause } => {
            let mut sent = stream.get_mut().write_all(head.as_bytes());
            while sent.is_ok() && !shared.is_stopped.load(Ordering::SeqCst) {
                thread::sleep(pause);
                sent = stream.get_mut().write_all(&piece);
            }
        }
        Reply::Says { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                // Writing to a string cannot fail.
                let _ = write!(head, "{name}: {value}\r\n");
            }
            head.push_str("Connection: close\r\n\r\n");
            let body = if request_line.starts_with("HEAD ") { Vec::new() } else { body };
            let _ = stream.get_mut().write_all(&[head.as_bytes(), &body].concat());
        }
    }
}
