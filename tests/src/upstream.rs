//! An API whose answers its paths choose.
//!
//! | path | answer |
//! |---|---|
//! | `/status/{code}` | this status and a line of text |
//! | `/bytes/{n}` | a body of so many bytes, with its length |
//! | `/chunked/{n}` | the same in chunks |
//! | `/slow/{ms}` | 200, so many milliseconds later |
//! | `/echo` | what arrived: method, target, headers, body, as JSON |
//! | `/broken/{n}` | a body that breaks off after so many bytes, twice as many having been promised |
//! | `/hangup` | none: the connection is closed |
//! | any other | 404 |
//!
//! A query does not matter. A request is counted when its head and body have arrived.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::client::{read_chunks, read_headers, read_line};

/// A running upstream, one thread for each connection. Closes its connections when dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: Mutex<HashMap<String, u64>>,
    /// The open connections by number, so that they can be closed from outside.
    open: Mutex<HashMap<u64, TcpStream>>,
    accepted: AtomicU64,
    stopped: AtomicBool,
}

impl Upstream {
    /// Starts one on a free port.
    pub fn start() -> Upstream {
        Upstream::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts one at this address.
    pub fn start_at(address: SocketAddr) -> Upstream {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&serving)) else { continue };
                stream.set_nodelay(true).expect("a fresh socket takes its options");
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Upstream { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests arrived.
    pub fn requests(&self) -> u64 {
        self.counts().values().sum()
    }

    /// How many requests arrived for exactly this target, query included.
    pub fn requests_for(&self, target: &str) -> u64 {
        self.counts().get(target).copied().unwrap_or_default()
    }

    /// The targets of the requests that arrived.
    pub fn targets(&self) -> Vec<String> {
        self.counts().keys().cloned().collect()
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.shared.requests.lock().expect("nothing panics while it is held")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; whether that succeeds or not, there is nothing more to do.
        drop(TcpStream::connect(self.address));
        if let Ok(open) = self.shared.open.lock() {
            for connection in open.values() {
                // Fails only if it is closed already.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let Ok(handle) = stream.try_clone() else { return };
    let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
    shared.open.lock().expect("nothing panics while it is held").insert(number, handle);
    let mut stream = BufReader::new(stream);
    // An error here is the other side going away, which is the test's own doing.
    while let Ok(true) = answer_one(&mut stream, shared) {}
    shared.open.lock().expect("nothing panics while it is held").remove(&number);
}

/// Reads one request and answers it. False when the connection is to be closed.
fn answer_one(stream: &mut BufReader<TcpStream>, shared: &Shared) -> io::Result<bool> {
    let request_line = read_line(stream)?;
    let headers = read_headers(stream)?;
    let find = |name: &str| headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut body = Vec::new();
    if find("transfer-encoding").is_some() {
        body = read_chunks(stream)?;
    } else if let Some((_, length)) = find("content-length") {
        let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        stream.take(length).read_to_end(&mut body)?;
        if body.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut words = request_line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    *shared
        .requests
        .lock()
        .expect("nothing panics while it is held")
        .entry(target.to_owned())
        .or_default() += 1;

    let path = target.split('?').next().unwrap_or_default();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let name = parts.next().unwrap_or_default();
    let number: u64 = parts.next().and_then(|number| number.parse().ok()).unwrap_or_default();
    let mut answer = Vec::new();
    match name {
        "status" => {
            let body = format!("status {number}\n");
            write_answer(&mut answer, method, number, "text/plain", body.as_bytes())?;
        }
        "bytes" => write_answer(&mut answer, method, 200, "application/octet-stream", &pattern(number))?,
        "chunked" => write_chunked(&mut answer, method, &pattern(number))?,
        "slow" => {
            thread::sleep(Duration::from_millis(number));
            write_answer(&mut answer, method, 200, "text/plain", b"slow\n")?;
        }
        "echo" => {
            let echo = json!({
                "method": method,
                "target": target,
                "headers": headers,
                "body": String::from_utf8_lossy(&body),
            });
            write_answer(&mut answer, method, 200, "application/json", echo.to_string().as_bytes())?;
        }
        "broken" => {
            write!(answer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", number * 2)?;
            answer.extend(pattern(number));
            stream.get_mut().write_all(&answer)?;
            return Ok(false);
        }
        "hangup" => return Ok(false),
        _ => write_answer(&mut answer, method, 404, "text/plain", b"nothing here\n")?,
    }
    stream.get_mut().write_all(&answer)?;
    Ok(!find("connection").is_some_and(|(_, value)| value.eq_ignore_ascii_case("close")))
}

fn write_answer(out: &mut Vec<u8>, method: &str, status: u64, kind: &str, body: &[u8]) -> io::Result<()> {
    write!(out, "HTTP/1.1 {status} Scripted\r\n")?;
    if !matches!(status, 204 | 304) {
        write!(out, "Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())?;
    }
    out.extend_from_slice(b"\r\n");
    if !matches!(status, 204 | 304) && method != "HEAD" {
        out.extend_from_slice(body);
    }
    Ok(())
}

fn write_chunked(out: &mut Vec<u8>, method: &str, body: &[u8]) -> io::Result<()> {
    out.extend_from_slice(b"HTTP/1.1 200 Scripted\r\nTransfer-Encoding: chunked\r\n\r\n");
    if method == "HEAD" {
        return Ok(());
    }
    for chunk in body.chunks(8192) {
        write!(out, "{:x}\r\n", chunk.len())?;
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    Ok(())
}

/// So many bytes, of which the one at each place can be foretold.
pub fn pattern(length: u64) -> Vec<u8> {
    (0..length).map(|index| b'a' + (index % 23) as u8).collect()
}
