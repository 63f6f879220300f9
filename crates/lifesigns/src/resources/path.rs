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

fn is_plain(path: &str) -> bool {
    let Some(segments) = path.strip_prefix('/') else { return false };
    let mut before = b'/';
    for byte in segments.bytes() {
        if byte == b'%' || (before == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        before = byte;
    }
    segments.is_empty() || before != b'/'
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
