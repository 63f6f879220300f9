//! Does a name resolve, and to what it should?
//!
//! Every run asks anew: nothing is taken from a cache of ours, nor from `/etc/hosts`.
//!
//! ```
//! use lifesigns_checks::dns;
//!
//! let shop = dns::check("name", dns::Options { expect: Some("192.0.2.7".into()), ..dns::Options::new("shop.example") })?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use lifesigns::{Check, FailureKind, Report};

use crate::BadOption;

const TYPES: [RecordType; 10] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CAA,
    RecordType::CNAME,
    RecordType::MX,
    RecordType::NS,
    RecordType::PTR,
    RecordType::SOA,
    RecordType::SRV,
    RecordType::TXT,
];

/// A datagram that is lost is sent again after so long, once.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What is asked, and what the answer must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The name. One that does not end with a dot may be searched for as the system's resolver does.
    pub name: String,
    /// `A`, `AAAA`, `CAA`, `CNAME`, `MX`, `NS`, `PTR`, `SOA`, `SRV` or `TXT`. Default `A`.
    pub record_type: String,
    /// One of the records must be this: an address; `10 mail.example` for `MX`. Default: any will do.
    pub expect: Option<String>,
    /// The server to ask, as `192.0.2.53` or `192.0.2.53:5353`. Default: those of `/etc/resolv.conf`.
    pub server: Option<String>,
}

impl Options {
    /// The name has an IPv4 address.
    pub fn new(name: impl Into<String>) -> Options {
        Options { name: name.into(), record_type: "A".into(), expect: None, server: None }
    }
}

struct Question {
    name: Name,
    record_type: RecordType,
    expect: Option<String>,
    server: Option<SocketAddr>,
}

/// A check that asks for records of a name.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let bad_name = |what: &str| BadOption::new("name", format!("{:?} {what}", options.name));
    // What the parser says of it is sometimes nothing.
    let asked = Name::from_str(&options.name).map_err(|_| {
        bad_name("is no name; write labels of 1 to 63 characters with single dots between them: `db.example`")
    })?;
    if asked.num_labels() == 0 || options.name.parse::<IpAddr>().is_ok() {
        return Err(bad_name("is not a name to be resolved"));
    }
    let record_type = RecordType::from_str(&options.record_type.to_ascii_uppercase())
        .ok()
        .filter(|record_type| TYPES.contains(record_type))
        .ok_or_else(|| {
            let known = TYPES.map(|known| known.to_string()).join(", ");
            BadOption::new("record_type", format!("{:?} is none of {known}", options.record_type))
        })?;
    let expect = options.expect.map(|expect| expected(record_type, &expect)).transpose()?;
    let server = options.server.map(|text| server(&text)).transpose()?;
    let question = Arc::new(Question { name: asked, record_type, expect, server });
    Ok(Check::new(name, move || {
        let question = Arc::clone(&question);
        async move { run(&question).await.unwrap_or_else(|report| report) }
    }))
}

fn server(text: &str) -> Result<SocketAddr, BadOption> {
    let with_port = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
    with_port.map_err(|_| {
        BadOption::new(
            "server",
            format!("{text:?} is no address; write it as `192.0.2.53` or `192.0.2.53:5353`"),
        )
    })
}

/// A record as it is compared: addresses in their shortest form, texts as they are, names in lower case and without the
/// last dot.
fn expected(record_type: RecordType, text: &str) -> Result<String, BadOption> {
    let good = match record_type {
        RecordType::A => text.parse().ok().map(|ip: Ipv4Addr| ip.to_string()),
        RecordType::AAAA => text.parse().ok().map(|ip: Ipv6Addr| ip.to_string()),
        _ => Some(compared(record_type, text)).filter(|text| !text.is_empty()),
    };
    good.ok_or_else(|| {
        BadOption::new("expect", format!("{text:?} is not what a record of type {record_type} holds"))
    })
}

fn compared(record_type: RecordType, text: &str) -> String {
    if record_type == RecordType::TXT {
        return text.to_owned();
    }
    text.trim_end_matches('.').to_ascii_lowercase()
}

fn shown(record: &RData) -> String {
    match record {
        // Of several strings, as mail servers read them (RFC 7208 §3.3).
        RData::TXT(text) => text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(),
        other => other.to_string(),
    }
}

async fn run(question: &Question) -> Result<Report, Report> {
    let (name, record_type) = (&question.name, question.record_type);
    // A resolver for each run: it holds sockets and tasks, which end with it.
    let resolver = resolver(question.server).map_err(|error| {
        Report::fail(FailureKind::Failed, format_args!("there is no DNS server to ask: {error}"))
    })?;
    let lookup =
        resolver.lookup(name.clone(), record_type).await.map_err(|error| failure(question, &error))?;
    let records: Vec<String> = lookup
        .answers()
        .iter()
        .map(|record| &record.data)
        .filter(|record| record.record_type() == record_type)
        .map(shown)
        .collect();
    let unexpected = |what: String| {
        Report::fail(FailureKind::UnexpectedAnswer, format_args!("{name} {record_type}: {what}"))
    };
    match &question.expect {
        _ if records.is_empty() => Err(unexpected("there is no such record".to_owned())),
        Some(expect) if !records.iter().any(|record| compared(record_type, record) == *expect) => {
            let found: String = records.join(", ").chars().take(400).collect();
            Err(unexpected(format!("{expect} is not among {}", found.escape_debug())))
        }
        _ => Ok(Report::pass()),
    }
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio()?,
        Some(address) => {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = address.port());
            let server = NameServerConfig::new(address.ip(), true, connections);
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = AGAIN_AFTER;
    options.attempts = 1;
    builder.build()
}

fn failure(question: &Question, error: &NetError) -> Report {
    let kind = match error {
        NetError::Timeout => FailureKind::TimedOut,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => FailureKind::Denied,
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::Refused => {
            FailureKind::Denied
        }
        NetError::Dns(_) | NetError::Proto(_) => FailureKind::UnexpectedAnswer,
        NetError::Io(_) | NetError::NoConnections => FailureKind::Unreachable,
        _ => FailureKind::Failed,
    };
    let what = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            format!("there is no such record ({})", none.response_code)
        }
        other => other.to_string(),
    };
    Report::fail(kind, format_args!("{} {}: {what}", question.name, question.record_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses() {
        let check = |text: &str, expected: &str| assert_eq!(server(text).unwrap().to_string(), expected);
        check("192.0.2.53", "192.0.2.53:53");
        check("192.0.2.53:5353", "192.0.2.53:5353");
        check("::1", "[::1]:53");
        check("[::1]:5353", "[::1]:5353");
        for text in ["", "dns.example", "192.0.2.53:", "192.0.2.256"] {
            assert_eq!(server(text).unwrap_err().option, "server", "{text:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_told_with_how_one_is_written() {
        for name in ["a..b", &"a".repeat(64), ".a"] {
            let message = check("name", Options::new(name)).unwrap_err().fault;
            assert!(message.ends_with("between them: `db.example`"), "{message}");
        }
    }

    #[test]
    fn what_is_expected_fits_its_type() {
        let check = |record_type, text: &str, good: Option<&str>| {
            assert_eq!(expected(record_type, text).ok().as_deref(), good, "{record_type} {text:?}");
        };
        check(RecordType::A, "192.0.2.7", Some("192.0.2.7"));
        check(RecordType::A, "::1", None);
        check(RecordType::A, "shop.example", None);
        check(RecordType::AAAA, "2001:DB8:0::1", Some("2001:db8::1"));
        check(RecordType::MX, "10 Mail.Example.", Some("10 mail.example"));
        check(RecordType::TXT, "", None);
        check(RecordType::TXT, "Key=ABC.", Some("Key=ABC."));
        check(RecordType::TXT, "2001:db8:0::1", Some("2001:db8:0::1"));
    }
}
