//! Where an API stands: the host and the path under which its callers reach it.

/// The host and the path under which an API is reached.
///
/// ```
/// use lifesigns::Mount;
/// let mount = Mount::new(Some("Polls.example.com"), "/v1");
/// assert!(mount.covers(Some("polls.example.com:8080"), "/v1/questions"));
/// assert!(!mount.covers(Some("polls.example.com"), "/v12"));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mount {
    host: Option<Host>,
    /// Empty for `/`.
    path: String,
}

impl Mount {
    /// A mount under this path, which is as [`crate::resources::normalize_path`] leaves it, on this host, with or
    /// without a port, or on any.
    pub fn new(host: Option<&str>, path: &str) -> Mount {
        Mount { host: host.map(Host::new), path: if path == "/" { String::new() } else { path.to_owned() } }
    }

    /// Whether requests for this host, as it was sent, and this normalised path come here, unless another mount is
    /// more specific.
    pub fn covers(&self, host: Option<&str>, normalized_path: &str) -> bool {
        self.is_on(host) && self.relative(normalized_path).is_some()
    }

    /// Whether it is reached by this host.
    pub fn is_on(&self, host: Option<&str>) -> bool {
        match (&self.host, host) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(host)) => own.is(host),
        }
    }

    /// Its path, empty for `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The part of a normalised path that is behind that of the mount, at least `/`; `None` if it is not under it.
    pub fn relative<'p>(&self, normalized_path: &'p str) -> Option<&'p str> {
        if self.path.is_empty() { Some(normalized_path) } else { behind(normalized_path, &self.path) }
    }

    /// How much it asks for. Among the mounts that cover a request the one with the most gets it; host before path.
    pub fn specificity(&self) -> (usize, usize) {
        (self.host.as_ref().map_or(0, Host::len), self.path.len())
    }
}

/// What is behind a prefix that ends with a segment; at least `/`.
///
/// ```
/// use lifesigns::behind;
/// assert_eq!(behind("/polls/health", "/polls"), Some("/health"));
/// assert_eq!(behind("/pollsters", "/polls"), None);
/// ```
pub fn behind<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    match path.strip_prefix(prefix)? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}

/// The host that an API is reached by.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Host {
    /// Without the dot that may end it.
    name: String,
    /// `None`: any.
    port: Option<String>,
}

impl Host {
    fn new(text: &str) -> Host {
        let (name, port) = name_and_port(text);
        Host { name: name.to_owned(), port: port.map(str::to_owned) }
    }

    fn is(&self, host: &str) -> bool {
        let (name, port) = name_and_port(host);
        self.name.eq_ignore_ascii_case(name) && (self.port.is_none() || self.port.as_deref() == port)
    }

    fn len(&self) -> usize {
        self.name.len() + self.port.as_ref().map_or(0, |port| 1 + port.len())
    }
}

/// A host and its port: `[::1]:80` is `[::1]` and `80`. The dot that makes a name absolute does not make it another
/// one (RFC 1034 §3.1).
fn name_and_port(host: &str) -> (&str, Option<&str>) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    (name.strip_suffix('.').unwrap_or(name), port.filter(|port| !port.is_empty()))
}
