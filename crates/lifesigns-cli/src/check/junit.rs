//! What is known of services as a report of tests, in the XML that CI systems have taken over from `JUnit`.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::ask::Finding;
use crate::printer::escaped;

/// One test case for each service: a failure if it is not green, an error if there is no answer.
pub(super) fn report(findings: &[Finding], now: Timestamp) -> String {
    let errors = findings.iter().filter(|finding| finding.answer.is_err()).count();
    let not_green = findings.iter().filter(|finding| finding.complaint().is_some()).count();
    let failures = not_green - errors;
    // They were asked at the same time, so that the longest is the whole.
    let longest =
        findings.iter().filter_map(Finding::answered).map(|answer| answer.latency).max().unwrap_or_default();
    let time = seconds(longest);
    let tests = findings.len();
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{time}\"");
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "<testsuites name=\"lifesigns\" {counts}>");
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ");
    let _ =
        writeln!(text, "  <testsuite name=\"lifesigns check\" {counts} skipped=\"0\" timestamp=\"{now}\">");
    for finding in findings {
        case(&mut text, finding);
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn case(text: &mut String, finding: &Finding) {
    let (name, url) = (inert(&finding.name()), inert(finding.url.as_str()));
    let time = seconds(finding.answered().map_or_else(Duration::default, |answer| answer.latency));
    let _ = write!(text, "    <testcase name=\"{name}\" classname=\"lifesigns.check\" time=\"{time}\"");
    let Some(complaint) = finding.complaint() else {
        text.push_str("/>\n");
        return;
    };
    let (element, kind) = match &finding.answer {
        Ok(answer) => ("failure", answer.light.name()),
        Err(failure) => ("error", failure.kind.name()),
    };
    let message = inert(&complaint);
    let _ = writeln!(
        text,
        ">\n      <{element} type=\"{kind}\" message=\"{message}\">{url} {message}</{element}>"
    );
    text.push_str("    </testcase>\n");
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Text that means nothing in XML, and holds no character that XML 1.0 does not have (§2.2).
fn inert(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in escaped(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_means_nothing_in_xml() {
        assert_eq!(inert("a<b>&\"c\"'\u{0}\u{ffff}"), "a&lt;b&gt;&amp;&quot;c&quot;&apos;\\u{0}\u{fffd}");
    }
}
