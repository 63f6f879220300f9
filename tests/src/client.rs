//! HTTP/1.1 with every byte in the test's hands (RFC 9112).

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use crate::wait::PATIENCE;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request without body.
    pub fn new(method: &str, target: &str) -> Request {
        Request { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None }
    }

    /// `GET target`.
    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    /// `POST target` with a JSON body.
    pub fn post_json(target: &str, body: &Value) -> Request {
        Request::new("POST", target).header("Content-Type", "application/json").body(body.to_string())
    }

    /// With one header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `Authorization: Bearer token`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Request {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With this body, and its `Content-Length`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = Some(body.into());
        self
    }

    /// Sends it on a connection of its own.
    pub fn send(&self, to: SocketAddr) -> Answer {
        self.try_send(to).unwrap_or_else(|error| panic!("{} {} to {to}: {error}", self.method, self.target))
    }

    /// Sends it on a connection of its own; what goes wrong there is an error.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Answer> {
        Connection::open(to)?.exchange(self)
    }

    /// The request as it goes over the wire. `Host` is added unless it was given.
    fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        // Writing to a string cannot fail.
        if !has("host") {
            let _ = write!(head, "Host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if let Some(body) = &self.body
            && !has("content-length")
        {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// `GET target`, on a connection of its own.
pub fn get(to: SocketAddr, target: &str) -> Answer {
    Request::get(target).send(to)
}

/// A connection that is kept from one request to the next.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    peer: SocketAddr,
}

impl Connection {
    /// Connects; no read or write on it takes longer than [`PATIENCE`].
    pub fn open(to: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::new(stream), peer: to })
    }

    /// Sends a request and reads its answer.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Answer> {
        self.send(&request.bytes(self.peer))?;
        self.receive(&request.method)
    }

    /// Sends these bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent; answers can still be read.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    /// Reads the final answer to a request with this method.
    pub fn receive(&mut self, method: &str) -> io::Result<Answer> {
        loop {
            let answer = self.receive_head()?;
            match answer.status {
                100..200 => {}
                204 | 304 => return Ok(answer),
                _ if method == "HEAD" => return Ok(answer),
                _ => return self.receive_body(answer),
            }
        }
    }

    /// Reads the head of an answer and leaves its body unread.
    pub fn receive_head(&mut self) -> io::Result<Answer> {
        let status_line = read_line(&mut self.stream)?;
        let mut words = status_line.splitn(3, ' ');
        let (Some("HTTP/1.1"), Some(Ok(status))) = (words.next(), words.next().map(str::parse)) else {
            return Err(malformed(&format!("a status line: {status_line:?}")));
        };
        Ok(Answer { status, headers: read_headers(&mut self.stream)?, body: Vec::new() })
    }

    fn receive_body(&mut self, mut answer: Answer) -> io::Result<Answer> {
        let encoding = answer.header("transfer-encoding");
        let length = answer.header("content-length");
        match (encoding, length) {
            (Some("chunked"), None) => answer.body = read_chunks(&mut self.stream)?,
            (None, Some(length)) => {
                let length = length.parse().map_err(|_| malformed(&format!("a length: {length:?}")))?;
                answer.body = vec![0; length];
                self.stream.read_exact(&mut answer.body)?;
            }
            (None, None) => drop(self.stream.read_to_end(&mut answer.body)?),
            both => return Err(malformed(&format!("the framing of a body: {both:?}"))),
        }
        Ok(answer)
    }

    /// Whatever comes until the other side closes.
    pub fn receive_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }
}

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers in their order, names as they came.
    pub headers: Vec<(String, String)>,
    /// Body, its transfer coding undone.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }
}

pub(crate) fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') || line.pop() != Some(b'\r') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(line).map_err(|_| malformed("a line: it is no text"))
}

pub(crate) fn read_headers(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&format!("a header: {line:?}")))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

pub(crate) fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| malformed(&format!("a chunk: {line:?}")))?;
        if size == 0 {
            read_headers(stream)?;
            return Ok(body);
        }
        let before = body.len() as u64;
        stream.take(size).read_to_end(&mut body)?;
        if body.len() as u64 - before != size || !read_line(stream)?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}"))
}
