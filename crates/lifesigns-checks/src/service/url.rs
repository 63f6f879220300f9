//! URLs of servers: `scheme://user:password@host:port/path`.

use std::fmt;

use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use url::{Host, Url};

use super::{Encryption, Endpoint, Protocol, Server};
use crate::network::Address;
use crate::{BadOption, Secret};

/// Before a scheme, this makes it one that the URL standard has no rules of its own for. Otherwise the ports 80 and
/// 443 of `http` and `https` could not be told from none at all.
const NEUTRAL: &str = "x-";

/// The URL of a server. A password in it is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct ServerUrl(String);

impl From<&str> for ServerUrl {
    fn from(url: &str) -> ServerUrl {
        ServerUrl(url.to_owned())
    }
}

impl From<String> for ServerUrl {
    fn from(url: String) -> ServerUrl {
        ServerUrl(url)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// Scheme, host and port; nothing else.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(url) = Url::parse(&format!("{NEUTRAL}{}", self.0)) else { return f.write_str("…") };
        let scheme = url.scheme().trim_start_matches(NEUTRAL);
        write!(f, "{scheme}://{}", url.host_str().unwrap_or("…"))?;
        url.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Endpoint {
    /// The endpoint that these options describe.
    pub(crate) fn new(server: Server, protocol: &Protocol) -> Result<Endpoint, BadOption> {
        let bad_url = |message: String| BadOption::new("url", message);
        let example = protocol.example;
        let url = Url::parse(&format!("{NEUTRAL}{}", server.url.0)).map_err(|error| {
            bad_url(format!(
                "is no URL ({error}); it looks like `{example}`, and `@`, `/`, `#` and `%` in a password are written \
                 `%40`, `%2F`, `%23` and `%25`"
            ))
        })?;
        let written = url.scheme().trim_start_matches(NEUTRAL);
        let known = |schemes: &[&'static str]| schemes.iter().find(|scheme| **scheme == written).copied();
        let encrypted = known(protocol.encrypted.0);
        let Some(scheme) = encrypted.or_else(|| known(protocol.plain.0)) else {
            return Err(bad_url(format!("begins with `{written}:`; it looks like `{example}`")));
        };
        // What stands behind an unencoded `/`, `?` or `#` of a password is not to be mistaken for something else, nor
        // to be printed.
        if url.fragment().is_some()
            || url.path().contains('@')
            || url.query().is_some_and(|query| query.contains('@'))
        {
            let message = "has `@` or `#` where none should be; in a password, `@`, `/`, `?`, `#` and `%` are written \
                           `%40`, `%2F`, `%3F`, `%23` and `%25`";
            return Err(bad_url(message.to_owned()));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if name.is_ascii() && !name.contains('%') && !name.is_empty() => {
                name.to_owned()
            }
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(Host::Domain(name)) if !name.is_empty() => {
                return Err(bad_url(
                    "names a host that is not written in ASCII; write it as DNS has it".to_owned(),
                ));
            }
            _ => return Err(bad_url(format!("names no host; it looks like `{example}`"))),
        };
        let tls = server.tls || encrypted.is_some() || wants_tls(&url, protocol)?;
        let port = match url.port() {
            Some(0) => return Err(bad_url("names port 0, at which nothing can be reached".to_owned())),
            Some(port) => port,
            None if tls => protocol.encrypted.1,
            None => protocol.plain.1,
        };
        let user = decoded(url.username(), "user")?;
        let tls = if tls {
            let name = ServerName::try_from(host.clone())
                .map_err(|_| bad_url("names a host that no certificate can be for".to_owned()))?;
            Some(Encryption { config: lifesigns_tls::client_config(server.ca_file.as_deref())?, name })
        } else if server.ca_file.is_some() {
            let message = "is given, but the connection is without TLS; set `tls`";
            return Err(BadOption::new("ca_file", message));
        } else {
            None
        };
        Ok(Endpoint {
            scheme,
            address: Address { host, port },
            user: Some(user).filter(|user| !user.is_empty()),
            password: password(&url, server.password)?,
            path: decoded(url.path().strip_prefix('/').unwrap_or_default(), "path")?,
            tls,
        })
    }

    /// The user, who must be named.
    pub(crate) fn required_user(&self, protocol: &Protocol) -> Result<String, BadOption> {
        let message = || format!("names no user; it looks like `{}`", protocol.example);
        self.user.clone().ok_or_else(|| BadOption::new("url", message()))
    }
}

/// The password, which stands in one place or the other.
fn password(url: &Url, given: Option<Secret>) -> Result<Option<Secret>, BadOption> {
    match (url.password(), given) {
        (Some(_), Some(_)) => {
            Err(BadOption::new("password", "is given, and the URL has one too; take one of them out"))
        }
        (Some(password), None) => Ok(Some(Secret::new(decoded(password, "password")?))),
        (None, given) => Ok(given),
    }
}

fn decoded(text: &str, what: &str) -> Result<String, BadOption> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| BadOption::new("url", format!("has a {what} that is not UTF-8")))?;
    if text.contains('\0') {
        return Err(BadOption::new("url", format!("has a {what} with a zero byte in it")));
    }
    Ok(text.into_owned())
}

/// Whether the parameters ask for TLS; there must be no others. What would be content with either is refused: it
/// encrypts against nobody.
fn wants_tls(url: &Url, protocol: &Protocol) -> Result<bool, BadOption> {
    let mut wanted = false;
    for (parameter, value) in url.query_pairs() {
        let Some(known) = protocol.tls_parameter.filter(|known| *known == parameter) else {
            let message = match protocol.tls_parameter {
                Some(known) => {
                    format!("has a parameter other than `{known}`, the only one that is known here")
                }
                None => "has parameters after a `?`, and none is known here".to_owned(),
            };
            return Err(BadOption::new("url", message));
        };
        wanted = match &*value.to_ascii_lowercase().replace('_', "-") {
            "disable" | "disabled" => false,
            "require" | "required" | "verify-ca" | "verify-full" | "verify-identity" => true,
            _ => {
                let message = format!(
                    "has a value of `{known}` that is not known; it may be `disable`, or `verify-full`, and other \
                     names for that: certificates are verified in any case"
                );
                return Err(BadOption::new("url", message));
            }
        };
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: Protocol = Protocol {
        example: "db://user@host:1234/name",
        plain: (&["db", "http"], 1234),
        encrypted: (&["dbs", "https"], 4321),
        tls_parameter: Some("sslmode"),
    };

    fn endpoint(url: &str) -> Result<Endpoint, BadOption> {
        Endpoint::new(Server::at(url), &PROTOCOL)
    }

    #[test]
    fn urls_are_read() {
        let check =
            |url: &str, address: &str, user: Option<&str>, password: &str, path: &str, is_encrypted: bool| {
                let endpoint = endpoint(url).unwrap();
                assert_eq!(endpoint.url(), address, "{url}");
                assert_eq!(endpoint.user.as_deref(), user, "{url}");
                assert_eq!(endpoint.secret(), password, "{url}");
                assert_eq!(endpoint.path, path, "{url}");
                assert_eq!(endpoint.tls.is_some(), is_encrypted, "{url}");
            };
        check("db://h", "db://h:1234", None, "", "", false);
        check("DB://H.example/", "db://H.example:1234", None, "", "", false);
        check("dbs://h/n", "dbs://h:4321", None, "", "n", true);
        check("dbs://h:99", "dbs://h:99", None, "", "", true);
        check("http://h:80/n", "http://h:80", None, "", "n", false);
        check("https://h:443/n", "https://h:443", None, "", "n", true);
        check("db://u:p@h:1/n", "db://h:1", Some("u"), "p", "n", false);
        check("db://u%40:p%3A%2F%25%40@h", "db://h:1234", Some("u@"), "p:/%@", "", false);
        check("db://:p@h", "db://h:1234", None, "p", "", false);
        check("db://u@[::1]:5/a%2Fb", "db://[::1]:5", Some("u"), "", "a/b", false);
        check("db://h?sslmode=disable", "db://h:1234", None, "", "", false);
        check("db://h?sslmode=verify-full", "db://h:4321", None, "", "", true);
        check("db://h/n?sslmode=REQUIRE", "db://h:4321", None, "", "n", true);
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_a_secret() {
        let check = |url: &str, part: &str| {
            let error = endpoint(url).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert_eq!(error.option, "url", "{url}");
            assert!(error.fault.contains(part), "{url}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{url}: {error}");
            let shown = format!("{:?}", Server::at(url));
            assert!(!shown.contains("s3cret"), "{url}: {shown}");
        };
        check("", "db://user@host:1234/name");
        check("h:1234", "begins with `h:`");
        check("tcp://u:s3cret@h", "begins with `tcp:`");
        check("db://", "names no host");
        check("db://u:s3cret@", "db://user@host:1234/name");
        check("db://u:s3cret@h:0", "port 0");
        check("db://u:s3cret@h:99999", "is no URL");
        check("db://u:s3cret@bücher.example", "ASCII");
        check("db://u:x/s3cret@h", "is no URL");
        check("db://u:1/s3cret@h", "%2F");
        check("db://u:1?s3cret@h", "%3F");
        check("db://u:1#s3cret@h", "%23");
        check("db://u:s3cret@h?password=s3cret", "only");
        check("db://u:s3cret@h?sslmode=prefer", "sslmode");
        check("db://u:s3cret%FF@h", "UTF-8");
        check("db://u%00:s3cret@h", "zero byte");
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let check = |server: Server, option: &str| {
            assert_eq!(Endpoint::new(server, &PROTOCOL).err().map(|error| error.option), Some(option));
        };
        check(Server::at("db://u:p@h").password(Secret::new("p")), "password");
        check(Server { ca_file: Some("ca.pem".into()), ..Server::at("db://u@h") }, "ca_file");
        check(Server { ca_file: Some("/nowhere/ca.pem".into()), ..Server::at("dbs://u@h") }, "ca_file");
    }

    #[test]
    fn a_user_is_asked_for_where_there_must_be_one() {
        let user = |url: &str| endpoint(url).unwrap().required_user(&PROTOCOL).map_err(|error| error.option);
        assert_eq!(user("db://u@h"), Ok("u".to_owned()));
        assert_eq!(user("db://h"), Err("url"));
    }
}
