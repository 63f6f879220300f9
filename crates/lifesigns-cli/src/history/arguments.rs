//! The flags of `lifesigns history`.

use std::path::PathBuf;

use clap::Args;

/// `lifesigns history`
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Which service, as the monitor calls it
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// So far back: `90m`, `24h`, `30d`, at most 400d
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = length)]
    pub last: i64,
    /// Who remembers.
    #[command(flatten)]
    pub place: Place,
    /// Print all that is known as an object
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// Who remembers.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "From where")]
pub struct Place {
    /// The data file of a monitor, also while it writes it; it is only read
    #[arg(long, conflicts_with_all = ["monitor", "token_file"])]
    pub file: Option<PathBuf>,
    /// A monitor [default: `http://127.0.0.1:8090`]
    #[arg(long, value_name = "URL")]
    pub monitor: Option<String>,
    /// How it is asked.
    #[command(flatten)]
    pub token: Token,
}

/// How a monitor is asked.
#[derive(Args, Clone, Debug, Default)]
pub struct Token {
    /// A file that holds the token and nothing else [default: the token is in `LIFESIGNS_TOKEN`]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Trust the certificate authorities in this file, PEM, besides those of the system
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// A length of time, in seconds: a whole number with `m`, `h` or `d` behind it, at most 400 days.
pub fn length(text: &str) -> Result<i64, String> {
    const DAY: i64 = 86_400;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => DAY,
        _ => return Err("write a number and its unit, as in `90m`, `24h` or `30d`".to_owned()),
    };
    let seconds = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit));
    let seconds = seconds.filter(|seconds| (60..=400 * DAY).contains(seconds));
    seconds.ok_or_else(|| "is not between 1m and 400d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(length(text).ok(), expected, "{text}");
        check("1m", Some(60));
        check("24h", Some(86_400));
        check("400d", Some(400 * 86_400));
        for bad in ["", "30", "d", "0d", "401d", "-1d", "1.5h", "30s", "99999999999999999999d"] {
            check(bad, None);
        }
    }
}
