//! This gateway, nginx and HAProxy in front of the same upstream, each in turn.

use std::{fmt::Write, fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use crate::{
    Outcome, complain,
    load::{self, Load},
    machine,
    options::Options,
    process::{Process, free_address},
    spread::Spread,
    upstream,
};

/// Without a word on the command line.
pub(crate) fn options() -> Options {
    Options::new(5, Duration::from_secs(6), 64)
}

/// Somebody who answers the requests.
struct Subject {
    name: &'static str,
    address: SocketAddr,
    /// `None` for the upstream itself, whose CPU time is not told from that of the clients.
    process: Option<Process>,
    samples: [Vec<Sample>; KINDS.len()],
}

/// One measurement.
#[derive(Clone, Copy)]
struct Sample {
    cpu_micros: Option<f64>,
    p50: f64,
    p99: f64,
    per_second: f64,
}

/// What is asked for: how it is called, its path, its bytes, and by how much the rate is divided for it.
const KINDS: [(&str, &str, usize, u32); 2] =
    [("200 B", "/small", upstream::SMALL, 1), ("100 KB", "/large", upstream::LARGE, 4)];

/// Measures all in turn, in each round in another order, and returns the tables.
pub(crate) fn compare(options: &Options) -> Outcome<String> {
    let machine = machine::describe(&[("nginx", "-v"), ("haproxy", "-v")]);
    let directory = tempfile::tempdir()?;
    let upstream = upstream::start()?;
    let mut subjects = start(options, upstream, directory.path())?;
    for round in 0..options.rounds {
        for turn in 0..subjects.len() {
            let count = subjects.len();
            let subject = &mut subjects[(turn + round) % count];
            for (kind, (_, path, body, slower)) in KINDS.into_iter().enumerate() {
                let load = Load {
                    address: subject.address,
                    method: "GET",
                    path,
                    statuses: &[200],
                    body: Some(body),
                    connections: options.connections,
                    rate: options.rate / slower,
                    duration: options.duration,
                };
                let sample = measure(subject, load).map_err(|error| format!("{}: {error}", subject.name))?;
                subject.samples[kind].push(sample);
            }
            complain(&format!("round {} of {}: {} done", round + 1, options.rounds, subject.name));
        }
    }
    Ok(report(options, &machine, &subjects))
}

fn measure(subject: &Subject, load: Load) -> Outcome<Sample> {
    load::run(Load { duration: Duration::from_millis(500), ..load })?;
    let cpu = || subject.process.as_ref().map(Process::cpu_micros).transpose();
    let before = cpu()?;
    let outturn = load::run(load)?;
    let after = cpu()?;
    Ok(Sample {
        cpu_micros: before.zip(after).map(|(before, after)| (after - before) / outturn.requests as f64),
        p50: outturn.percentile(50.0),
        p99: outturn.percentile(99.0),
        per_second: outturn.per_second(),
    })
}

fn start(options: &Options, upstream: SocketAddr, directory: &Path) -> Outcome<Vec<Subject>> {
    let mut subjects = Vec::new();
    if options.wants("direct") {
        subjects.push(Subject {
            name: "direct",
            address: upstream,
            process: None,
            samples: Default::default(),
        });
    }
    for (name, command) in [
        ("lifesigns", lifesigns as fn(&Options, SocketAddr, SocketAddr, &Path) -> Outcome<Command>),
        ("nginx", nginx),
        ("haproxy", haproxy),
    ] {
        if options.wants(name) {
            let address = free_address()?;
            let mut command = command(options, address, upstream, directory)?;
            let log = directory.join(format!("{name}.log"));
            let process = Some(Process::start(&mut command, address, &log)?);
            subjects.push(Subject { name, address, process, samples: Default::default() });
        }
    }
    Ok(subjects)
}

fn lifesigns(
    options: &Options,
    listen: SocketAddr,
    upstream: SocketAddr,
    directory: &Path,
) -> Outcome<Command> {
    let mut command = Command::new(options.program()?);
    command
        .current_dir(directory)
        .args([
            "gateway",
            "--upstream",
            &format!("http://{upstream}"),
            "--listen",
            &listen.to_string(),
            "--data",
        ])
        .arg(directory.join("lifesigns.db"));
    Ok(command)
}

fn nginx(_: &Options, listen: SocketAddr, upstream: SocketAddr, directory: &Path) -> Outcome<Command> {
    let file = directory.join("nginx.conf");
    let directory_text = directory.display();
    fs::write(
        &file,
        format!(
            "daemon off;
worker_processes 2;
pid {directory_text}/nginx.pid;
error_log {directory_text}/nginx-error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory_text}/nginx-body;
    proxy_temp_path {directory_text}/nginx-proxy;
    fastcgi_temp_path {directory_text}/nginx-fastcgi;
    uwsgi_temp_path {directory_text}/nginx-uwsgi;
    scgi_temp_path {directory_text}/nginx-scgi;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    upstream api {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen {listen} reuseport;
        location / {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffers 8 32k;
        }}
    }}
}}
"
        ),
    )?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(directory).arg("-c").arg(file);
    Ok(command)
}

fn haproxy(_: &Options, listen: SocketAddr, upstream: SocketAddr, directory: &Path) -> Outcome<Command> {
    let file = directory.join("haproxy.cfg");
    fs::write(
        &file,
        format!(
            "global
    nbthread 2
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 60s
    http-reuse always
frontend front
    bind {listen}
    default_backend api
backend api
    server one {upstream}
"
        ),
    )?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

fn report(options: &Options, machine: &str, subjects: &[Subject]) -> String {
    let mut text = format!(
        "{machine}- {} connections kept alive; {} rounds of {:.0} s each, in turn; medians, with the least and the most \
         in brackets\n",
        options.connections,
        options.rounds,
        options.duration.as_secs_f64(),
    );
    for (kind, (name, _, _, slower)) in KINDS.into_iter().enumerate() {
        let rate = match options.rate / slower {
            0 => "as fast as possible".to_owned(),
            rate => format!("{rate} requests a second"),
        };
        let haproxy = subjects.iter().find(|subject| subject.name == "haproxy").and_then(|subject| {
            Spread::of(subject.samples[kind].iter().filter_map(|sample| sample.cpu_micros))
        });
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "\n### Body of {name}, {rate}\n\n| | CPU per request, µs | × HAProxy | p50, ms | p99, ms | requests/s |\n\
             |---|---|---|---|---|---|\n"
        );
        for subject in subjects {
            let of = |value: fn(&Sample) -> f64| Spread::of(subject.samples[kind].iter().map(value));
            let cpu = Spread::of(subject.samples[kind].iter().filter_map(|sample| sample.cpu_micros));
            let ratio = cpu
                .zip(haproxy)
                .map_or("–".to_owned(), |(own, other)| format!("{:.2}", own.median / other.median));
            let show = |spread: Option<Spread>, digits| {
                spread.map_or("–".to_owned(), |spread| spread.show(digits))
            };
            let _ = writeln!(
                text,
                "| {} | {} | {ratio} | {} | {} | {} |",
                subject.name,
                show(cpu, 1),
                show(of(|sample| sample.p50), 3),
                show(of(|sample| sample.p99), 3),
                show(of(|sample| sample.per_second), 0),
            );
        }
    }
    text
}
