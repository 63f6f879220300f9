//! One spelling for every path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The path percent-decoded once, without dot segments (RFC 3986 §5.2.4), empty segments and a slash at its end.
///
/// Whatever spelling a client chooses for a resource, it comes out the same here, so that a protected resource
/// stays protected. Paths that are plain already are not copied.
///
/// ```
/// use lifesigns::resources::normalize_path;
/// assert_eq!(normalize_path("/health/details"), "/health/details");
/// assert_eq!(normalize_path("//health/./x/..//%64etails/"), "/health/details");
/// assert_eq!(normalize_path("/health%2Fdetails"), "/health/details");
/// ```
pub fn normalize_path(path: &str) -> Cow<'_, str> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    Cow::Owned(format!("/{}", segments.join("/")))
}

#[expect(clippy::needless_bitwise_bool, reason = "without a branch for each byte it takes half the time")]
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let [b'/', rest @ ..] = bytes else { return false };
    // Without a way out before the end: nearly every path is plain, and this is asked of all of them.
    let is_encoded = rest.iter().fold(false, |found, byte| found | (*byte == b'%'));
    let has_odd_segment = bytes.iter().zip(rest).fold(false, |found, (before, byte)| {
        found | ((*before == b'/') & ((*byte == b'/') | (*byte == b'.')))
    });
    !is_encoded && !has_odd_segment && (rest.is_empty() || rest.last() != Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        assert_eq!(normalize_path(path), expected, "{path}");
        assert_eq!(normalize_path(expected), expected, "{path}, again");
    }

    #[test]
    fn every_spelling_of_a_resource_is_the_same() {
        for path in [
            "/health/details",
            "//health/details",
            "/health//details",
            "/health/details/",
            "/health/./details",
            "/./health/details",
            "/x/../health/details",
            "/../health/details",
            "/health/%64etails",
            "/%68%65alth/details",
            "/health%2fdetails",
            "/health/%2e/details",
            "/health/x/%2E%2e/details",
            "/health/x/.%2e/details/.",
            "health/details",
        ] {
            check(path, "/health/details");
        }
    }

    #[test]
    fn other_paths_stay_other() {
        check("/", "/");
        check("", "/");
        check("/..", "/");
        check("/Health/Details", "/Health/Details");
        check("/.hidden", "/.hidden");
        check("/a..b/c.", "/a..b/c.");
        assert_eq!(normalize_path("/health/%2564etails"), "/health/%64etails");
        assert_eq!(normalize_path("/%ff"), "/\u{fffd}");
        assert_eq!(normalize_path("/100%"), "/100%");
    }
}
