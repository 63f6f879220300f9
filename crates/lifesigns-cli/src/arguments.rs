//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::alerts;
use crate::check;
use crate::deployed;
use crate::history;
use crate::logging::Format;
use crate::monitor;
use crate::query;
use crate::spec;
use crate::whois;

/// Answers one question for every API: is it alive, and is it serving properly?
#[derive(Debug, Parser)]
#[command(
    name = "lifesigns",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 could not be done, 2 wrong arguments or configuration.\n\
                  Environment variables stand over the file, flags over both; docs/configuration.md lists them."
)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give one API health resources, by standing in front of it
    ///
    /// A reverse proxy: it forwards everything to the upstream, counts what passes, and answers /health, /status,
    /// /health/status, /livez, /readyz, /startupz, /health/details and the analytics query itself.
    #[command(after_help = "Example:\n  lifesigns gateway --upstream http://127.0.0.1:3000 --name polls\n  \
                            curl http://127.0.0.1:8080/health/status")]
    Gateway(Gateway),
    /// Run all that a configuration file asks for
    Run(Run),
    /// See it all at work: seven APIs, a gateway, traffic, and one service that fails on a schedule
    ///
    /// Everything listens on loopback, and nothing is left behind. It prints commands to try, and a line for each API.
    Demo(Demo),
    /// Ask services how they are, all at once, whatever dialect of health each of them speaks
    #[command(after_help = "Exit codes: 0 all are green; 1 one is not; 2 wrong arguments.\n\
                            Example:\n  lifesigns check http://127.0.0.1:8080 https://shop.example/actuator/health\n\n\
                            In a Dockerfile:\n  HEALTHCHECK CMD [\"lifesigns\", \"check\", \"--quiet\", \
                            \"http://127.0.0.1:8080/health/status\"]")]
    Check(check::Arguments),
    /// Ask a service who it is, and where its code lives
    #[command(after_help = "Exit codes: 0 it has said so; 1 it has not; 2 wrong arguments.")]
    Whois(whois::Arguments),
    /// Ask instances whether a revision runs: is my fix live?
    #[command(after_help = "Exit codes: 0 all of them run it; 1 some or none; 2 wrong arguments.\n\
                            Example:\n  lifesigns deployed HEAD https://a.example https://b.example --repo . --wait 10m")]
    Deployed(deployed::Arguments),
    /// Watch services: a dashboard, their history, a decision for every caller
    #[command(
        after_help = "Example:\n  lifesigns monitor http://127.0.0.1:8080 shop=https://shop.example/health"
    )]
    Monitor(monitor::Arguments),
    /// See how a service was: lights, availability, outages, deploys, restarts, and when nobody looked
    #[command(
        after_help = "Exit codes: 0 with something known; 1 without, or no answer could be had; 2 wrong arguments.\n\
                            Example:\n  lifesigns history shop --last 7d"
    )]
    History(history::Arguments),
    /// See what a monitor tells people
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// See what was counted: who called what, how often, how slowly
    ///
    /// Asks the analytics query of a gateway, or a data file, and draws the answer.
    #[command(
        after_help = "Exit codes: 0 with figures; 1 without any, or no answer could be had; 2 wrong arguments.\n\
                      Example:\n  lifesigns query --by status_code --every 1h --last 24h --api polls --latency"
    )]
    Query(query::Arguments),
    /// Have the health resources in the description of an API: OpenAPI 3 or RAML 1.0
    #[command(subcommand)]
    Spec(spec::Command),
    /// Look at a configuration without running it
    #[command(subcommand)]
    Config(Config),
    /// Make tokens, secrets of apps and signing keys, and what a configuration needs of them
    #[command(subcommand)]
    Token(Token),
}

/// `lifesigns gateway`
#[derive(Args, Debug, Default)]
pub struct Gateway {
    /// Where the API really is, such as `http://127.0.0.1:3000`
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Where callers connect [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where operators connect; `/metrics` takes no token there [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
    /// Name of the API in answers and figures [default: lifesigns]
    #[arg(long)]
    pub name: Option<String>,
    /// Environment that the API runs in, such as `production`
    #[arg(long)]
    pub environment: Option<String>,
    /// File that keeps the figures, or `memory` [default: lifesigns.db]
    #[arg(long, value_name = "FILE")]
    pub data: Option<String>,
    /// OpenAPI description, JSON or YAML, whose paths name the routes
    #[arg(long, value_name = "FILE")]
    pub openapi: Option<String>,
    /// How the log on standard error looks: `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// `lifesigns run`
#[derive(Args, Debug)]
pub struct Run {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "lifesigns.toml")]
    pub config: PathBuf,
    /// How the log on standard error looks: `text` or `json` [default: what the configuration says]
    #[arg(long, value_name = "FORMAT", value_parser = Format::NAMES)]
    pub log_format: Option<String>,
}

/// `lifesigns demo`
#[derive(Args, Debug)]
pub struct Demo {
    /// Where the gateway listens [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// End by itself after so many seconds
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
}

/// `lifesigns config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Tell every fault in a configuration; ends with 2 if there is one
    Check {
        /// The configuration
        #[arg(default_value = "lifesigns.toml")]
        file: PathBuf,
    },
    /// Print every key that a configuration can have, as Markdown
    Reference,
}

/// `lifesigns token`
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token, and the lines of a configuration that let it in
    ///
    /// The token is shown this once. The configuration keeps its hash alone.
    New {
        /// Name of whoever will hold it, for the log
        #[arg(long, default_value = "operator")]
        name: String,
        /// What it opens; can be given several times [default: analytics:read, health:details, metrics:read]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Make the secret of a connected app, and the lines of a configuration that let it have tokens
    ///
    /// The app asks for short-lived tokens at /oauth2/token. The secret is shown this once; the configuration keeps its
    /// hash alone.
    App {
        /// Id of the app
        #[arg(long, value_name = "ID")]
        client_id: String,
        /// What its tokens may open; can be given several times [default: analytics:read]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Read the secret of an app from standard input, one line, and print its hash
    Hash,
    /// Make a key that several processes sign tokens with, PEM, for `signing_keys_file` of `[oauth]`
    Key,
}
