//! Templates for APIs whose routes nobody has told.

use std::borrow::Cow;

use super::path_only;

const ID: &str = "{id}";
const MAX_SEGMENTS: usize = 8;
const MAX_BYTES: usize = 128;

/// The template of a path, by its looks alone. Ids become `{id}`; words, versions and file names stay.
///
/// | a segment | such as | becomes |
/// |---|---|---|
/// | of digits | `7`, `665885` | `{id}` |
/// | of digits and dashes, at least 6 digits | `123-4567890-1234567`, `2026-03-18` | `{id}` |
/// | that starts with a date and a `T` | `2026-03-18T19:25:14Z` | `{id}` |
/// | but: a date as the first segment, which is how some APIs write their version | `2015-03-31` | stays |
/// | that is a UUID | `123e4567-e89b-12d3-a456-426614174000` | `{id}` |
/// | of 16 or more hex digits | `507f1f77bcf86cd799439011` | `{id}` |
/// | that is a ULID | `01ARZ3NDEKTSV4RRFFQ69G5FAV` | `{id}` |
/// | of 20 or more letters and digits that alternate as no word does | `0ujtsYcgvSTl8PAuAdqWYSMnLOv` | `{id}` |
/// | with `@`, `%`, a space, a control character or anything that is not ASCII | `ann@example.org`, `J%C3%B6rg` | `{id}` |
/// | that is one of these and a file extension | `12345.json` | `{id}.json` |
/// | anything else | `users`, `v1`, `1.2.3`, `report.pdf` | stays |
///
/// At most 8 segments and 128 bytes are kept, the rest becomes `{rest}`. Query and fragment are not looked at,
/// empty segments are left out, and so is a slash at the end. The template of a template is itself.
///
/// ```
/// use lifesigns_model::route::template_of;
/// assert_eq!(template_of("/v1/users/42/orders/123e4567-e89b-12d3-a456-426614174000?page=2"), "/v1/users/{id}/orders/{id}");
/// assert_eq!(template_of("/questions"), "/questions");
/// ```
pub fn template_of(path: &str) -> Cow<'_, str> {
    let path = path_only(path);
    if path == "*" {
        return Cow::Borrowed(path);
    }
    let mut template = String::with_capacity(MAX_BYTES);
    for (number, segment) in path.split('/').filter(|segment| !segment.is_empty()).enumerate() {
        let (kept, extension) = template_of_segment(segment, number == 0);
        let length = 1 + kept.len() + extension.len();
        if number == MAX_SEGMENTS || template.len() + length > MAX_BYTES {
            template.push_str("/{rest}");
            break;
        }
        template.push('/');
        template.push_str(kept);
        template.push_str(extension);
    }
    if template.is_empty() {
        template.push('/');
    }
    if template == path { Cow::Borrowed(path) } else { Cow::Owned(template) }
}

/// What stands for a segment, in two parts to be joined.
fn template_of_segment(segment: &str, first: bool) -> (&str, &str) {
    let bytes = segment.as_bytes();
    if bytes.iter().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'@' | b'%')) {
        return (ID, "");
    }
    if first && starts_with_date(bytes) && bytes.len() == DATE_LENGTH {
        return (segment, "");
    }
    if is_id(bytes) {
        return (ID, "");
    }
    match segment.find('.') {
        Some(dot) if is_id(&bytes[..dot]) && is_extension(&bytes[dot + 1..]) => (ID, &segment[dot..]),
        _ => (segment, ""),
    }
}

/// Such as `json` or `tar.gz`. Begins with a letter, so that `1.2` is no file.
fn is_extension(bytes: &[u8]) -> bool {
    bytes.len() <= 8
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.')
}

fn is_id(bytes: &[u8]) -> bool {
    let looks = Looks::of(bytes);
    is_number(bytes.len(), looks)
        || is_date_time(bytes)
        || is_uuid(bytes)
        || (bytes.len() >= 16 && bytes.iter().all(u8::is_ascii_hexdigit))
        || (looks.upper + looks.lower + looks.digits == bytes.len()
            && (is_ulid(bytes, looks) || is_random(bytes.len(), looks)))
}

fn is_number(length: usize, looks: Looks) -> bool {
    let only_digits = looks.digits == length;
    let digits_and_dashes = looks.digits + looks.dashes == length && looks.digits >= 6;
    length > 0 && (only_digits || digits_and_dashes)
}

const DATE_LENGTH: usize = "2026-03-18".len();

fn starts_with_date(bytes: &[u8]) -> bool {
    bytes.len() >= DATE_LENGTH
        && bytes[..DATE_LENGTH].iter().zip(b"0000-00-00").all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            dash => byte == dash,
        })
}

fn is_date_time(bytes: &[u8]) -> bool {
    starts_with_date(bytes) && matches!(bytes.get(DATE_LENGTH), Some(b'T' | b't'))
}

/// RFC 9562 §4: 8-4-4-4-12 hex digits.
fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// 26 characters of Crockford's base 32 in one case, of which the first holds three bits only.
fn is_ulid(bytes: &[u8], looks: Looks) -> bool {
    bytes.len() == 26
        && matches!(bytes[0], b'0'..=b'7')
        && looks.digits >= 2
        && (looks.upper == 0 || looks.lower == 0)
        && !bytes.iter().any(|byte| matches!(byte.to_ascii_lowercase(), b'i' | b'l' | b'o' | b'u'))
}

/// Letters and digits in a disorder that no word has, not even `getOAuth2Token` or `annualreport2026`: digits in
/// several places, or a change between capitals, small letters and digits at every other character or so.
fn is_random(length: usize, looks: Looks) -> bool {
    let mixed_case = looks.upper > 0 && looks.lower > 0;
    let has_letters = looks.upper + looks.lower > 0;
    let scattered_digits = looks.digit_runs >= 2 && (looks.digits >= 3 || mixed_case);
    let jagged = mixed_case && looks.digits > 0 && looks.changes * 5 >= length * 2;
    length >= 20 && has_letters && (scattered_digits || jagged)
}

/// How many characters of each kind a segment has, and how they alternate.
#[derive(Clone, Copy, Default)]
struct Looks {
    upper: usize,
    lower: usize,
    digits: usize,
    dashes: usize,
    /// Stretches of digits between other characters.
    digit_runs: usize,
    /// Places where one kind of character follows another.
    changes: usize,
}

impl Looks {
    fn of(bytes: &[u8]) -> Looks {
        #[derive(Clone, Copy, Eq, PartialEq)]
        enum Kind {
            Upper,
            Lower,
            Digit,
            Other,
        }
        let mut looks = Looks::default();
        let mut previous = None;
        for byte in bytes {
            let kind = match byte {
                b'A'..=b'Z' => Kind::Upper,
                b'a'..=b'z' => Kind::Lower,
                b'0'..=b'9' => Kind::Digit,
                _ => Kind::Other,
            };
            match kind {
                Kind::Upper => looks.upper += 1,
                Kind::Lower => looks.lower += 1,
                Kind::Digit => looks.digits += 1,
                Kind::Other => looks.dashes += usize::from(*byte == b'-'),
            }
            if previous != Some(kind) {
                looks.changes += usize::from(previous.is_some());
                looks.digit_runs += usize::from(kind == Kind::Digit);
            }
            previous = Some(kind);
        }
        looks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expected: &str) {
        assert_eq!(template_of(path), expected, "{path:?}");
    }

    #[test]
    fn ids_of_all_kinds_are_replaced() {
        check("/users/7", "/users/{id}");
        check("/users/665885/items/1", "/users/{id}/items/{id}");
        check("/orders/123-4567890-1234567", "/orders/{id}");
        check("/calls/-123456", "/calls/{id}");
        check("/reports/2026-03-18", "/reports/{id}");
        check("/reports/2026-03-18T19:25:14.589Z", "/reports/{id}");
        check("/a/123e4567-e89b-12d3-a456-426614174000", "/a/{id}");
        check("/a/123E4567-E89B-12D3-A456-426614174000", "/a/{id}");
        check("/a/507f1f77bcf86cd799439011", "/a/{id}");
        check("/a/deadbeefdeadbeef", "/a/{id}");
        check("/a/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/a/{id}");
        check("/a/01arz3ndektsv4rrffq69g5fav", "/a/{id}");
        check("/a/0ujtsYcgvSTl8PAuAdqWYSMnLOv", "/a/{id}");
        check("/a/cjld2cjxh0000qzrmn831i7rn", "/a/{id}");
        check("/a/0x52908400098527886E0F7030069857D2E4169EE7", "/a/{id}");
        check("/a/ann@example.org", "/a/{id}");
        check("/a/J%C3%B6rg", "/a/{id}");
        check("/a/100%", "/a/{id}");
        check("/a/Jörg", "/a/{id}");
        check("/a/two words", "/a/{id}");
        check("/a/x\u{7f}", "/a/{id}");
        check("/a/\0", "/a/{id}");
    }

    #[test]
    fn words_versions_and_file_names_stay() {
        for path in [
            "/",
            "*",
            "/v1/users",
            "/api/v2.1/1.2.3/2026.1",
            "/questions/latest",
            "/assets/report.pdf",
            "/favicon.ico",
            "/assets/app.3f2a9c.js",
            "/2015-03-31/functions",
            "/a/getOAuth2Token",
            "/a/getFinancialReports2026",
            "/a/annualfinancialreports2026",
            "/a/internationalizations",
            "/a/the-7-habits-of-people-2026",
            "/a/facade",
            "/a/step-2",
            "/a/--",
            "/users/{id}",
            "/users/{id}.json/{rest}",
            "/.well-known/openid-configuration",
            "/users:batchGet",
        ] {
            check(path, path);
            assert!(matches!(template_of(path), Cow::Borrowed(_)), "{path} is copied");
        }
    }

    #[test]
    fn an_id_with_a_file_extension_keeps_the_extension() {
        check("/orders/12345.json", "/orders/{id}.json");
        check("/img/507f1f77bcf86cd799439011.webp", "/img/{id}.webp");
        check("/files/123e4567-e89b-12d3-a456-426614174000.mp4", "/files/{id}.mp4");
        check("/a/12345.", "/a/12345.");
        check("/files/7.tar.gz", "/files/{id}.tar.gz");
        check("/a/12345.withdrawn", "/a/12345.withdrawn");
    }

    #[test]
    fn neither_query_nor_fragment_nor_spare_slashes_are_part_of_it() {
        check("", "/");
        check("//", "/");
        check("users", "/users");
        check("/users/", "/users");
        check("//users///7/", "/users/{id}");
        check("/users?id=7", "/users");
        check("/users#7", "/users");
        check("?users", "/");
    }

    #[test]
    fn what_is_too_long_becomes_rest() {
        check("/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f/g/h");
        check("/a/b/c/d/e/f/g/h/i", "/a/b/c/d/e/f/g/h/{rest}");
        check("/a/b/c/d/e/f/g/h/i/j/k", "/a/b/c/d/e/f/g/h/{rest}");
        let longest = format!("/{}", "w".repeat(127));
        check(&longest, &longest);
        check(&format!("{longest}w"), "/{rest}");
        check(&format!("{longest}/x"), &format!("{longest}/{{rest}}"));
        check(&format!("/a/{}/b", "w".repeat(126)), "/a/{rest}");
    }

    fn any_path() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            "[a-z]{0,8}",
            "[0-9-]{0,12}",
            "[0-9a-fA-F]{14,18}",
            "[0-9A-Za-z]{18,30}",
            "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{0,4})?",
            "[0-9]{1,5}\\.[a-z0-9]{0,6}",
            "\\{[a-z]{0,4}\\}",
            "[w]{100,130}",
            "\\PC{0,8}",
        ];
        prop_oneof![
            prop::collection::vec(segment, 0..12).prop_map(|segments| format!("/{}", segments.join("/"))),
            any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        ]
    }

    proptest! {
        #[test]
        fn the_template_of_a_template_is_itself(path in any_path()) {
            let template = template_of(&path).into_owned();
            prop_assert_eq!(template_of(&template), template.as_str());
        }

        #[test]
        fn a_template_is_short_visible_ascii(path in any_path()) {
            let template = template_of(&path);
            let longest = MAX_BYTES + "/{rest}".len();
            prop_assert!(template.len() <= longest);
            prop_assert!(template.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(template.starts_with('/') || template == "*");
        }

        #[test]
        fn numbers_never_make_new_templates(left in any::<u64>(), right in any::<u64>()) {
            let paths = [left, right].map(|number| format!("/a/{number}"));
            prop_assert_eq!(template_of(&paths[0]), template_of(&paths[1]));
        }
    }
}
