//! The flags of `lifesigns deployed`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::check::length;

/// `lifesigns deployed`
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The commit: 7 digits of its hash or more; with --repo a branch or a tag as well
    #[arg(value_name = "REVISION")]
    pub revision: String,
    /// The instances; without a path /health/status, /health, /status, /actuator/health and /healthz are tried
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    /// A git repository that has the commits: a later one that runs contains the earlier ones
    #[arg(long, value_name = "DIR")]
    pub repo: Option<PathBuf>,
    /// Ask until all of them run it, at most so long: `90s`, `10m`
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub wait: Option<Duration>,
    /// How often, with --wait
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = length)]
    pub interval: Duration,
    /// How long each of them may take: `500ms`, `10s`, `1m`
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = length)]
    pub timeout: Duration,
    /// Trust the certificate authorities in this file, PEM, besides those of the system
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print an object
    #[arg(long)]
    pub json: bool,
}
