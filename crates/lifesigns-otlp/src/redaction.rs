//! What a collector says, fit for the log: it may repeat what it was sent.

use crate::options::Options;

/// So much of what a collector says is told, in characters.
const LONGEST: usize = 200;

/// The texts that are not to be told: values of headers, and those in the URL's query.
#[derive(Debug)]
pub(crate) struct Redaction(lifesigns::Redaction);

impl Redaction {
    pub(crate) fn of(options: &Options) -> Redaction {
        let headers = options.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        // As it stands in the URL, and as it is meant.
        let written = options.url.query().unwrap_or_default().split('&');
        let written = written.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned()));
        let meant = options.url.query_pairs().map(|(_, value)| value.into_owned());
        let secrets: Vec<String> = headers.chain(written).chain(meant).collect();
        Redaction(lifesigns::Redaction::of(secrets.iter().map(String::as_str)))
    }

    /// The beginning of a text, without secrets. They go first: one that is cut in two is not found any more.
    pub(crate) fn shown(&self, text: &str) -> String {
        self.0.hide(text).chars().take(LONGEST).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_sent_are_not_told() {
        let options = Options::default()
            .metrics_endpoint("http://collector/v1/metrics?key=tok%2Fen%21&n=1")
            .and_then(|options| options.header("Authorization", "Bearer ls_secret"))
            .and_then(|options| options.header("api-key", r#"quo"ted"#))
            .and_then(|options| options.header("x-tenant", "7"))
            .unwrap();
        let redaction = Redaction::of(&options);
        let check = |text: &str, expected: &str| assert_eq!(redaction.shown(text), expected);
        check("no such key: Bearer ls_secret", "no such key: …");
        check("no such key: ls_secret.", "no such key: ….");
        check(r#"{"key":"quo\"ted"} or quo"ted"#, r#"{"key":"…"} or …"#);
        check("tok%2Fen%21 is tok/en!", "… is …");
        check("tenant 7 has used up 17 points", "tenant 7 has used up 17 points");
    }

    #[test]
    fn a_secret_that_is_cut_off_is_hidden_as_well() {
        let redaction = Redaction::of(&Options::default().header("api-key", "ls_secret").unwrap());
        let said = redaction.shown(&format!("{}ls_secret{}", "x".repeat(LONGEST - 5), "y".repeat(LONGEST)));
        assert_eq!(said, format!("{}…yyyy", "x".repeat(LONGEST - 5)));
    }
}
