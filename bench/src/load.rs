//! Requests at a fixed rate, and how long each took.
//!
//! The schedule is open: request number n is due n / rate seconds after the start, whatever became of those before
//! it. Each connection has a thread of its own and takes every C-th request. One that is late because its
//! connection was still waiting for an answer counts from when it was due, so that a slow server cannot slow down
//! the clock it is measured by (coordinated omission). One whose thread merely overslept counts from when it was
//! sent: that is the generator's fault.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::Outcome;

/// What to ask, how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// `GET` or `HEAD`.
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Status codes of a right answer.
    pub(crate) statuses: &'static [u16],
    /// Bytes of the body of a right answer; `None`: as many as the answer says that there are.
    pub(crate) body: Option<usize>,
    pub(crate) connections: u32,
    /// Requests a second; 0 for as many as possible.
    pub(crate) rate: u32,
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outturn {
    /// Answered requests.
    pub(crate) requests: u64,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Latencies in microseconds, ascending.
    latencies: Vec<u32>,
}

impl Outturn {
    /// Latency in milliseconds.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.latencies.len() as f64).ceil() as usize;
        let micros = self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        f64::from(micros) / 1000.0
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs a load to its end. An answer that is not the right one is an error.
pub(crate) fn run(load: Load) -> Outcome<Outturn> {
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        clients.push(Client::connect(load)?);
    }
    let start = Instant::now() + Duration::from_millis(20);
    let threads: Vec<_> = clients
        .into_iter()
        .zip(0..)
        .map(|(client, number)| {
            thread::Builder::new().stack_size(128 * 1024).spawn(move || client.run(start, number))
        })
        .collect::<io::Result<_>>()?;
    let mut latencies = Vec::new();
    for thread in threads {
        latencies.extend(thread.join().map_err(|_| "a client's thread has panicked")??);
    }
    latencies.sort_unstable();
    Ok(Outturn { requests: latencies.len() as u64, elapsed: start.elapsed(), latencies })
}

/// Asks once and returns the status and the body of the answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> Outcome<(u16, String)> {
    let mut stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of HTTP")?;
    let (status, _) = status_and_length(head.as_bytes()).ok_or("no answer of HTTP")?;
    Ok((status, body.to_owned()))
}

struct Client {
    stream: TcpStream,
    load: Load,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(load: Load) -> Outcome<Client> {
        let stream =
            TcpStream::connect(load.address).map_err(|error| format!("{}: {error}", load.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench/1\r\nAccept: */*\r\nX-Client-Id: bench\r\n\r\n",
            load.method, load.path, load.address
        );
        Ok(Client { stream, load, request: request.into_bytes(), buffer: vec![0; 256 * 1024] })
    }

    fn run(mut self, start: Instant, number: u32) -> Outcome<Vec<u32>> {
        let end = start + self.load.duration;
        let mut latencies = Vec::new();
        let mut free = start;
        for turn in 0_u64.. {
            let due = if self.load.rate == 0 {
                free
            } else {
                let place = turn * u64::from(self.load.connections) + u64::from(number);
                start + Duration::from_secs_f64(place as f64 / f64::from(self.load.rate))
            };
            if due >= end {
                break;
            }
            let was_free = Instant::now();
            if was_free < due {
                thread::sleep(due - was_free);
            }
            let begin = if was_free < due { Instant::now() } else { due };
            self.exchange()?;
            free = Instant::now();
            latencies.push((free - begin).as_micros().min(u128::from(u32::MAX)) as u32);
        }
        Ok(latencies)
    }

    fn exchange(&mut self) -> Outcome<()> {
        self.stream.write_all(&self.request)?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled)?;
            if let Some(end) = end_of_head(&self.buffer[..filled]) {
                break end;
            }
        };
        let wrong =
            |what: &str| Err(format!("{what}: {}", String::from_utf8_lossy(&self.buffer[..head])).into());
        let Some((status, said)) = status_and_length(&self.buffer[..head]) else {
            return wrong("no answer of HTTP");
        };
        if !self.load.statuses.contains(&status) {
            return wrong("another status than expected");
        }
        let body = match self.load.method {
            "HEAD" => 0,
            _ => said,
        };
        if self.load.body.is_some_and(|expected| expected != body) {
            return wrong("a body of another length than expected");
        }
        while filled < head + body {
            filled += self.read(filled)?;
        }
        if filled > head + body {
            return Err("more came than was asked for".into());
        }
        Ok(())
    }

    fn read(&mut self, filled: usize) -> Outcome<usize> {
        match self.stream.read(&mut self.buffer[filled..])? {
            0 => Err("the connection was closed in the middle of an answer".into()),
            count => Ok(count),
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|position| position + 4)
}

/// Status code and `Content-Length` of an answer; no body where it says nothing.
fn status_and_length(head: &[u8]) -> Option<(u16, usize)> {
    let head = str::from_utf8(head).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, length.unwrap_or(0)))
}
