//! `lifesigns whois`: who a service says it is, and where its code lives.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use lifesigns_fetch::Options;
use lifesigns_model::identity::uptime_text;
use lifesigns_model::light::Light;
use serde_json::json;

use crate::Failure;
use crate::check::ask::{self, Depth, Finding};
use crate::check::{fetcher, length, target, wait_for};
use crate::printer::{self, Problem, escaped, escaped_json};

/// `lifesigns whois`
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Who is asked; without a path /health/status, /health, /status, /actuator/health and /healthz are tried
    #[arg(value_name = "URL")]
    pub url: String,
    /// How long it may take: `500ms`, `10s`, `1m`
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = length)]
    pub timeout: Duration,
    /// Trust the certificate authorities in this file, PEM, besides those of the system
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print an object
    #[arg(long)]
    pub json: bool,
}

/// Asks, and prints what it says of itself. Fails if it says nothing.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let target = target(&arguments.url, arguments.timeout).map_err(Failure::Arguments)?;
    let options = Options { ca_file: arguments.ca_file.clone(), ..Options::default() };
    let fetcher = fetcher(options)?;
    let findings = wait_for(ask::all(&fetcher, &[target], Depth::Everything))?;
    // One was asked.
    let Some(finding) = findings.into_iter().next() else { return Err(Failure::Nothing) };
    let facts = facts(&finding);
    if facts.is_empty() {
        let url = &finding.url;
        let problem = Problem::new(format!("{url} says nothing of itself"));
        return Err(Failure::Problem(match finding.complaint() {
            Some(complaint) => Problem { causes: vec![format!("it {complaint}")], ..problem },
            None => problem.hint("where it has another resource that does, name its path"),
        }));
    }
    if arguments.json {
        let facts = facts.into_iter().map(|(name, value)| (name.replace(' ', "_"), json!(value)));
        let object = serde_json::Value::Object(facts.collect());
        return printer::result(&escaped_json(&object.to_string())).map_err(Failure::Output);
    }
    let mut text = String::new();
    for (name, value) in facts.into_iter().chain(circumstances(&finding)) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<12} {}", escaped(&value));
    }
    printer::lines(&text).map_err(Failure::Output)
}

/// What it says of itself.
fn facts(finding: &Finding) -> Vec<(&'static str, String)> {
    let known = &finding.introduction;
    let identity = &known.identity;
    let memory = known.memory_used_mb.map(|used| match known.memory_total_mb {
        Some(total) => format!("{used} of {total} MB"),
        None => format!("{used} MB"),
    });
    let facts = [
        ("service", known.service.clone()),
        ("repo", identity.repo.clone()),
        ("revision", identity.revision.clone()),
        ("version", identity.version.clone()),
        ("environment", identity.environment.clone()),
        ("deployed at", identity.deployed_at.map(|at| at.to_string())),
        ("build type", identity.build_type.clone()),
        ("build date", identity.build_date.clone()),
        ("language", identity.language.clone()),
        ("uptime", known.uptime.map(uptime_text)),
        ("memory", memory),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What was seen of it besides.
fn circumstances(finding: &Finding) -> Vec<(&'static str, String)> {
    let light = finding.light().map(|light| match (light, finding.complaint()) {
        (Light::Amber | Light::Red, Some(complaint)) => format!("{light}: {complaint}"),
        _ => light.to_string(),
    });
    let answer = finding.answered();
    let expires = answer.and_then(|answer| Timestamp::from_millisecond(answer.certificate_expires?).ok());
    let facts = [
        ("light", light),
        ("asked at", Some(finding.url.to_string())),
        ("address", answer.map(|answer| answer.address.to_string())),
        ("certificate", expires.map(|expires| format!("valid until {expires}"))),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
