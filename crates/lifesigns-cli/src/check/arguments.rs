//! The flags of `lifesigns check`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lifesigns_model::dialect::Dialect;
use url::Url;

use super::ask::Target;
use crate::monitor::names::split;
use crate::printer::Problem;

/// `lifesigns check`
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Who is asked, as URL or `NAME=URL`; without a path /health/status, /health, /status, /actuator/health and /healthz are tried
    #[arg(value_name = "URL", required_unless_present = "config", conflicts_with = "config")]
    pub urls: Vec<String>,
    /// Ask the services that this file names: `[[service]]` with `name` and `url`, as `[monitor]` says
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How long each of them may take: `500ms`, `10s`, `1m` [default: 10s, or what the file says]
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub timeout: Option<Duration>,
    /// Read the answers in this dialect: `health`, `status`, `traffic-light`, `health+json`, `actuator`,
    /// `microprofile`, `xabaril`, `word` or `code` [default: the one that each turns out to be]
    #[arg(long, value_name = "DIALECT", value_parser = dialect)]
    pub dialect: Option<Dialect>,
    /// Trust the certificate authorities in this file, PEM, besides those of the system
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// What is printed.
    #[command(flatten)]
    pub output: Output,
    /// Ask again and again
    #[arg(long, help_heading = "Output")]
    pub watch: bool,
    /// How often, with --watch
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = length, help_heading = "Output")]
    pub interval: Duration,
}

/// What is printed of `lifesigns check`: a table, if nothing else is wanted.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print an array of objects
    #[arg(long, conflicts_with_all = ["junit", "quiet"])]
    pub json: bool,
    /// Print a report as CI systems read it
    #[arg(long, conflicts_with_all = ["quiet", "watch"])]
    pub junit: bool,
    /// Print what is not green, and nothing else
    #[arg(long, short)]
    pub quiet: bool,
}

/// A length of time as it is typed: a whole number with `ms`, `s`, `m` or `h` behind it. From 1 ms to 24 h.
pub fn length(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number and its unit, as in `500ms`, `10s`, `5m` or `1h`".to_owned()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .filter(|length| (1..=24 * 3_600_000).contains(length))
        .map(Duration::from_millis)
        .ok_or_else(|| "is not between 1ms and 24h".to_owned())
}

pub(super) fn dialect(name: &str) -> Result<Dialect, String> {
    Dialect::named(name).ok_or_else(|| {
        let names: Vec<&str> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
        format!("there is no dialect of this name; there are {}", names.join(", "))
    })
}

/// Whom a URL names, or `NAME=URL`.
pub fn target(text: &str, deadline: Duration) -> Result<Target, Problem> {
    let (name, text) = split(text);
    let wrong = |what: &str, hint: String| Err(Problem::new(format!("`{text}` {what}")).hint(hint));
    let example = || "write it as `http://shop.example/health`, or with a name: `shop=http://…`".to_owned();
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return wrong("is no URL", format!("write it as `http://{text}`"));
        }
        Err(error) => return wrong(&format!("is no URL: {error}"), example()),
    };
    if !matches!(url.scheme(), "http" | "https") {
        // `localhost:8080` is one whose scheme is `localhost`.
        let hint = if url.has_host() { example() } else { format!("write it as `http://{text}`") };
        return wrong("begins with neither `http://` nor `https://`", hint);
    }
    if !url.username().is_empty() || url.password().is_some() {
        // The text itself would show the password.
        return Err(
            Problem::new("a URL holds a user or a password").hint("leave them out: they are not sent")
        );
    }
    Ok(Target { name: name.map(str::to_owned), ..Target::new(url, deadline) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(length(text).ok(), expected.map(Duration::from_millis), "{text}");
        };
        check("1ms", Some(1));
        check("10s", Some(10_000));
        check("5m", Some(300_000));
        check("24h", Some(86_400_000));
        for bad in ["", "10", "s", "0s", "25h", "-1s", "1.5s", "10 s", "99999999999999999999h", "1d"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_name_may_stand_before_a_url() {
        let target = target("shop=http://shop.example/health?a=b", Duration::from_secs(1)).unwrap();
        assert_eq!((target.name.as_deref(), target.url.path()), (Some("shop"), "/health"));
    }

    #[test]
    fn what_is_no_url_is_told_with_one_that_is() {
        let check = |text: &str, hint: &str| {
            let problem = target(text, Duration::from_secs(1)).unwrap_err();
            assert!(problem.hint.as_deref().unwrap().contains(hint), "{problem:?}");
            assert!(!problem.message.contains("secret"), "{problem:?}");
        };
        check("localhost:8080", "http://localhost:8080");
        check("shop=localhost:8080", "http://localhost:8080");
        check("shop.example/health", "http://shop.example/health");
        check("ftp://shop.example/", "http://shop.example/health");
        check("http://", "http://shop.example/health");
        check("http://me:secret@shop.example/", "leave them out");
        assert!(target("https://shop.example", Duration::from_secs(1)).is_ok());
    }
}
