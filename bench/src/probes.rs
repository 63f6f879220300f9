//! What probes cost beside the least that a server can do, and whether it matters to them how dependencies are.

use std::{
    env,
    fmt::Write,
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome, complain,
    cost::{self, Question, Subject},
    dependency::{self, State},
    load::{self, Load},
    machine,
    options::Options,
    process::{Process, free_address},
    spread::Spread,
    upstream,
};

/// What is asked for while dependencies hang or are well.
const PATHS: [&str; 3] = ["/health/status", "/readyz", "/health"];

/// Dependencies of each subject whose latency is measured, and checks of them.
const DEPENDENCIES: usize = 50;
/// How long the checks may take to notice how the dependencies are.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a resource may answer whose dependencies may hang.
const STATUSES: &[u16] = &[200, 500, 502, 503];

/// Without a word on the command line.
pub(crate) fn options() -> Options {
    Options::new(30, Duration::from_secs(1), 16)
}

/// Measures both and returns the tables.
pub(crate) fn compare(options: &Options) -> Outcome<String> {
    let directory = tempfile::tempdir()?;
    let mut text = machine::describe(&[]);
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "- {} connections kept alive; {} rounds of {} s each, in turn; medians, with the least and the most in brackets",
        options.connections,
        options.rounds,
        options.duration.as_secs_f64(),
    );
    if options.wants("cost") {
        for rate in [options.rate, 0] {
            text.push_str(&cost(options, rate, directory.path())?);
        }
    }
    if options.wants("hung") {
        text.push_str(&hung(options, directory.path())?);
    }
    Ok(text)
}

/// CPU time of `HEAD /health/status`.
fn cost(options: &Options, rate: u32, directory: &Path) -> Outcome<String> {
    let alone = |name, kind| Subject { name, start: Box::new(move || server(kind, &[], directory)) };
    let listener = |name, which: usize| Subject {
        name,
        start: Box::new(move || {
            let (process, addresses) = gateway(options, &[], directory)?;
            Ok((process, addresses[which]))
        }),
    };
    let subjects = [
        alone("bare hyper, an empty 200", "bare"),
        alone("bare hyper, with the library's headers", "headers"),
        alone("the library", "library"),
        listener("the gateway, public", 0),
        listener("the gateway, for operators", 1),
    ];
    cost::compare(options, Question { method: "HEAD", path: "/health/status", rate }, &subjects)
}

/// Latency of the cheap resources with all dependencies well, and with all of them hung.
fn hung(options: &Options, directory: &Path) -> Outcome<String> {
    let states = [State::Well, State::Hung].map(|state| dependency::start(DEPENDENCIES, state));
    let mut text = format!(
        "\n### {DEPENDENCIES} dependencies, all well or all hung; both asked at the same time, {} times a second each\n\n\
         | | p99 when well, ms | p99 when hung, ms | ratio of the medians | p50 when well, ms | p50 when hung, ms |\n\
         |---|---|---|---|---|---|\n",
        options.rate / 2,
    );
    let [well, hung] = states;
    let (well, hung) = (well?, hung?);
    let library = [server("dependent", &well, directory)?, server("dependent", &hung, directory)?];
    text.push_str(&compare_states(options, "library", &library)?);
    drop(library);
    let gateways = [gateway(options, &well, directory)?, gateway(options, &hung, directory)?];
    let gateways = gateways.map(|(process, [public, _])| (process, public));
    text.push_str(&compare_states(options, "gateway", &gateways)?);
    Ok(text)
}

/// One line for each resource. Both subjects are asked at the same time, so that whatever else the machine does
/// meets both.
fn compare_states(options: &Options, name: &str, subjects: &[(Process, SocketAddr); 2]) -> Outcome<String> {
    // In this order: what their dependencies are can be told by the light.
    for ((_, address), status) in subjects.iter().zip([200, 503]) {
        wait_for(*address, status).map_err(|error| format!("{name}: {error}"))?;
    }
    let mut samples: [[Vec<(f64, f64)>; 2]; PATHS.len()] = Default::default();
    for round in 0..options.rounds {
        for (path, samples) in PATHS.into_iter().zip(&mut samples) {
            let load = |subject: &(Process, SocketAddr)| Load {
                address: subject.1,
                method: "GET",
                path,
                statuses: STATUSES,
                body: None,
                connections: options.connections,
                rate: options.rate / 2,
                duration: options.duration,
            };
            let [well, hung] = subjects.each_ref().map(load);
            let (well, hung) = thread::scope(|scope| {
                let well = scope.spawn(move || load::run(well));
                let hung = load::run(hung);
                (well.join(), hung)
            });
            for (outturn, samples) in
                [well.map_err(|_| "a load's thread has panicked")?, hung].into_iter().zip(samples)
            {
                let outturn = outturn?;
                samples.push((outturn.percentile(99.0), outturn.percentile(50.0)));
            }
        }
        complain(&format!("{name}, well and hung: round {} of {} done", round + 1, options.rounds));
    }
    let mut text = String::new();
    for (path, [well, hung]) in PATHS.iter().zip(&samples) {
        let p99 = |samples: &[(f64, f64)]| Spread::of(samples.iter().map(|sample| sample.0));
        let ratio = p99(hung).zip(p99(well)).map_or(f64::NAN, |(hung, well)| hung.median / well.median);
        let _ = writeln!(
            text,
            "| {name} `{path}` | {} | {} | {ratio:.2} | {} | {} |",
            Spread::shown(well.iter().map(|sample| sample.0), 3),
            Spread::shown(hung.iter().map(|sample| sample.0), 3),
            Spread::shown(well.iter().map(|sample| sample.1), 3),
            Spread::shown(hung.iter().map(|sample| sample.1), 3),
        );
    }
    Ok(text)
}

/// Waits until `/health/status` answers with this status.
fn wait_for(address: SocketAddr, status: u16) -> Outcome<()> {
    let begin = Instant::now();
    loop {
        let (answered, _) = load::get(address, "/health/status")?;
        if answered == status {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("/health/status answers {answered} and not {status}").into());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// One of the servers of [`crate::server`].
pub(crate) fn server(
    kind: &str,
    dependencies: &[SocketAddr],
    directory: &Path,
) -> Outcome<(Process, SocketAddr)> {
    let address = free_address()?;
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["serve", kind])
        .arg(address.to_string())
        .args(dependencies.iter().map(SocketAddr::to_string));
    let log = directory.join(format!("{kind}-{}.log", address.port()));
    Ok((Process::start(&mut command, address, &log)?, address))
}

/// The real binary with one worker, an API and these dependencies; its two addresses.
fn gateway(
    options: &Options,
    dependencies: &[SocketAddr],
    directory: &Path,
) -> Outcome<(Process, [SocketAddr; 2])> {
    let (public, admin, upstream) = (free_address()?, free_address()?, upstream::start()?);
    let mut config = format!(
        "[gateway]\nlisten = \"{public}\"\nadmin_listen = \"{admin}\"\nworkers = 1\n\n\
         [store]\npath = \"memory\"\n\n[[api]]\nname = \"bench\"\nupstream = \"http://{upstream}\"\n"
    );
    for (number, address) in dependencies.iter().enumerate() {
        let _ = write!(
            config,
            "\n[[check]]\nname = \"dependency-{number}\"\ninterval_seconds = 1\ntimeout_seconds = 1\n\
             [check.http]\nurl = \"http://{address}/\"\n"
        );
    }
    let file = directory.join(format!("gateway-{}.toml", public.port()));
    fs::write(&file, config)?;
    let mut command = Command::new(options.program()?);
    command.current_dir(directory).args(["run", "--config"]).arg(&file);
    let process = Process::start(&mut command, public, &file.with_extension("log"))?;
    Ok((process, [public, admin]))
}
