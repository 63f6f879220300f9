//! The flags of `lifesigns query`.

use std::path::PathBuf;

use clap::Args;

/// `lifesigns query`
#[derive(Args, Clone, Debug, Default)]
pub struct Arguments {
    /// What is asked for.
    #[command(flatten)]
    pub question: Flags,
    /// Where the figures come from.
    #[command(flatten)]
    pub place: Place,
    /// Print the answer as the analytics query gives it
    #[arg(long, help_heading = "Output", conflicts_with = "csv")]
    pub json: bool,
    /// Print a row for each innermost group, as RFC 4180 has it
    #[arg(long, help_heading = "Output")]
    pub csv: bool,
}

/// What is asked for, in short form.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Question")]
pub struct Flags {
    /// Split by these, each within the one before; given again, answered side by side
    ///
    /// [default, without --every: `status_code`]
    #[arg(long, value_name = "DIMENSION[,DIMENSION]")]
    pub by: Vec<String>,
    /// As a time series, in buckets so wide: `5m`, `1h`, `1d`, `week`, `month`
    #[arg(long, value_name = "WIDTH")]
    pub every: Option<String>,
    /// So far back: `30m`, `24h`, `7d` [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub last: Option<String>,
    /// From here on: `2026-03-16`, `2026-03-16T18:00` (UTC), or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Up to here [default: now]
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only this API; several are separated by commas
    #[arg(long, value_name = "NAME")]
    pub api: Option<String>,
    /// Only where this holds: `status_code=429,500..599`, `client_id!=_na_`; given again, all must hold
    #[arg(long = "where", value_name = "DIMENSION=VALUE")]
    pub conditions: Vec<String>,
    /// With the latency: mean, percentiles, highest
    #[arg(long)]
    pub latency: bool,
    /// With the sizes of the bodies
    #[arg(long)]
    pub sizes: bool,
    /// So many groups of each dimension, or so many buckets where there is none
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub limit: Option<i64>,
    /// `descending` or `ascending`: dimensions by count, or buckets by time where there is none
    #[arg(long, value_name = "ORDER")]
    pub order: Option<String>,
    /// Leave out what a policy refused
    #[arg(long)]
    pub without_policy_violations: bool,
    /// The question as the analytics query takes it, in JSON; `-` is standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "by", "every", "last", "from", "to", "api", "conditions", "latency", "sizes", "limit", "order",
            "without_policy_violations"
        ]
    )]
    pub query: Option<PathBuf>,
}

/// Where the figures come from.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "From where")]
pub struct Place {
    /// A gateway, or an API with the library [default: `http://127.0.0.1:8080`]
    #[arg(long)]
    pub url: Option<String>,
    /// The organization in the path [default: `LIFESIGNS_ORGANIZATION`, or `default`]
    #[arg(long, value_name = "NAME")]
    pub organization: Option<String>,
    /// The environment in the path [default: `LIFESIGNS_ENVIRONMENT`, or `default`]
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// A file that holds the token and nothing else [default: the token is in `LIFESIGNS_TOKEN`]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A data file instead, also while a gateway writes it; it is only read
    #[arg(long, conflicts_with_all = ["url", "organization", "environment", "token_file"])]
    pub file: Option<PathBuf>,
}
