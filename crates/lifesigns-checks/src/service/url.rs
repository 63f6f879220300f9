//! URLs of servers: `scheme://user:password@host:port/path`.

use std::fmt;

use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use url::{Host, Url};

use super::{Encryption, Endpoint, Protocol, Server};
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
            Some(Encryption { config: crate::tls::client_config(server.ca_file.as_deref())?, name })
        } else if server.ca_file.is_some() {
            let message = "is given, but the connection is without TLS; set `tls`";
            return Err(BadOption::new("ca_file", message));
        } else {
            None
        };
        Ok(Endpoint {
            scheme,
            host,
            port,
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
