//! A real mail server, aiosmtpd of Debian's Python, which keeps what it gets.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::wait;

const PROGRAM: &str = include_str!("mail/server.py");

/// How a [`MailServer`] behaves.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Certificate and key, PEM; without them it speaks in the clear alone.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// TLS from the beginning, instead of STARTTLS.
    pub is_tls_from_the_start: bool,
    /// Who has to log in, and with which password.
    pub login: Option<(String, String)>,
    /// Recipients that there are not: 550.
    pub unknown: Vec<String>,
    /// Recipients that are not taken for now: 451.
    pub busy: Vec<String>,
    /// It never answers `QUIT`.
    pub is_silent_at_the_end: bool,
}

/// A mail that has arrived.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Who sent it, as the envelope says.
    pub from: String,
    /// Whom it goes to, as the envelope says.
    pub to: Vec<String>,
    /// Its headers, decoded.
    pub headers: Vec<(String, String)>,
    /// Its text, decoded.
    pub text: String,
}

impl Mail {
    /// The only value of a header; nothing if it is not there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "there are two `{name}`: {:?}", self.headers);
        value
    }
}

/// The server. It ends with its value, and with the process of the test.
pub struct MailServer {
    child: Child,
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    /// Starts on a free port.
    pub fn start(setup: &Setup) -> MailServer {
        let setup = json!({
            "certificate": setup.certificate,
            "tls_from_the_start": setup.is_tls_from_the_start,
            "login": setup.login,
            "unknown": setup.unknown,
            "busy": setup.busy,
            "silent_at_the_end": setup.is_silent_at_the_end,
        });
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", PROGRAM, &setup.to_string()])
            // It ends when nobody is there to close it any more.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Debian's Python is there");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let first = lines.next().expect("it says where it listens").expect("in UTF-8");
        let address = first.parse().unwrap_or_else(|_| panic!("no address: {first}"));
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().expect("no test has panicked here").push(mail(&line));
            }
        });
        MailServer { child, address, mails }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that has arrived so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("no test has panicked here").clone()
    }

    /// The first mails, once there are so many.
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        wait::until("mails", || Some(self.mails()).filter(|mails| mails.len() >= count))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mail(line: &str) -> Mail {
    let value: Value = serde_json::from_str(line).expect("a mail as JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    Mail {
        from: text(&value["from"]),
        to: list(&value["to"]).iter().map(text).collect(),
        headers: list(&value["headers"]).iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        text: text(&value["text"]),
    }
}
