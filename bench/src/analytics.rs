//! Questions about a month of traffic, asked of our store, of `ClickHouse` and of Prometheus.

mod answer;
mod clickhouse;
mod client;
mod lifesigns;
mod prometheus;
mod questions;
mod world;

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use bytes::Bytes;
use jiff::Timestamp;

use self::{
    answer::{Answer, Distance},
    clickhouse::ClickHouse,
    client::Client,
    lifesigns::{Gateway, InProcess},
    prometheus::Prometheus,
    questions::{Asked, Question},
    world::World,
};
use crate::{Outcome, USAGE, complain, machine, spread::Spread};

/// A side that took longer than this, in milliseconds, is asked three times only.
const SLOW: f64 = 300.0;

/// What to measure.
pub(crate) struct Options {
    lifesigns: PathBuf,
    rounds: usize,
    days: i64,
    seed: u64,
    only: Option<Vec<String>>,
    /// Only questions in whose name this is.
    question: String,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Outcome<Options> {
        let lifesigns = PathBuf::from("target/release/lifesigns");
        let mut options =
            Options { lifesigns, rounds: 30, days: 30, seed: 1, only: None, question: String::new() };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match flag.as_str() {
                "--lifesigns" => options.lifesigns = value.into(),
                "--rounds" => options.rounds = value.parse()?,
                "--days" => options.days = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--question" => options.question = value,
                "--only" => options.only = Some(value.split(',').map(str::to_owned).collect()),
                _ => return Err(USAGE.into()),
            }
        }
        if options.days < 3 {
            return Err("--days must be 3 or more: minutes are kept for two".into());
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|own| own == name))
    }
}

/// The time at which everything is asked.
fn now() -> Timestamp {
    world::NOW.parse().expect("a time")
}

/// Fills all stores that are not filled yet, asks everybody in turn and returns the tables.
pub(crate) fn compare(options: &Options) -> Outcome<String> {
    let world = World::new(options.seed, options.days);
    let mut questions = questions::all(&world);
    questions.retain(|question| question.name.contains(&options.question));
    let folder = folder(options)?;
    let mut text = machine::describe(&[("clickhouse-client", "--version"), ("prometheus", "--version")]);
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "- {} series, {} days up to {}, seed {}; {} rounds, each asks everybody in turn; medians in milliseconds, with \
         the least and the most in brackets",
        world::SERIES,
        options.days,
        world::NOW,
        options.seed,
        options.rounds
    );
    let mut sides = sides(options, &world, &folder, &mut text)?;
    let mut times: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); sides.len()]; questions.len()];
    for round in 0..=options.rounds {
        for (question, times) in questions.iter().zip(&mut times) {
            for turn in 0..sides.len() {
                let index = (turn + round) % sides.len();
                let times = &mut times[index];
                if times.len() >= 3 && times.iter().all(|time| *time > SLOW) {
                    continue;
                }
                if let Some(elapsed) = sides[index].time(question)?
                    // The first round only fills caches.
                    && round > 0
                {
                    times.push(elapsed);
                }
            }
        }
        if round % 10 == 0 {
            complain(&format!("round {round} of {} done", options.rounds));
        }
    }
    report(&mut text, &questions, &mut sides, &times)?;
    Ok(text)
}

/// Where the filled stores of this seed and length lie.
fn folder(options: &Options) -> Outcome<PathBuf> {
    let name = format!("v{}-seed{}-{}d", world::VERSION, options.seed, options.days);
    let folder = Path::new("target/analytics").join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}

/// Somebody who is asked.
enum Side {
    InProcess(InProcess),
    Gateway(Gateway),
    ClickHouse(ClickHouse),
    /// Asked for its counters.
    Prometheus(Prometheus),
    /// Asked for what recording rules have made of them: the same server, over another connection.
    Recorded(Client),
}

impl Side {
    const fn name(&self) -> &'static str {
        match self {
            Side::InProcess(_) => "lifesigns",
            Side::Gateway(_) => "lifesigns over HTTP",
            Side::ClickHouse(_) => "ClickHouse",
            Side::Prometheus(_) => "Prometheus",
            Side::Recorded(_) => "Prometheus, recorded",
        }
    }

    /// Milliseconds from the question to the last byte of the answer; `None` where it cannot be asked.
    fn time(&mut self, question: &Question) -> Outcome<Option<f64>> {
        let own = Bytes::from(serde_json::to_vec(&question.own)?);
        let begin = Instant::now();
        let bodies = self.ask(question, &own)?;
        let elapsed = begin.elapsed().as_secs_f64() * 1e3;
        Ok((!bodies.is_empty()).then_some(elapsed))
    }

    fn ask(&mut self, question: &Question, own: &Bytes) -> Outcome<Vec<Bytes>> {
        let failed = |error| format!("{}: {error}", question.name);
        let all = |client: &mut Client, asked: &Asked| {
            asked.paths.iter().map(|path| client.ask(path, None)).collect::<Outcome<Vec<Bytes>>>()
        };
        let bodies = match self {
            Side::InProcess(store) => store.ask(own).map(|body| vec![body]),
            Side::Gateway(gateway) => gateway.ask(own).map(|body| vec![body]),
            Side::ClickHouse(server) => server.ask(&question.clickhouse).map(|body| vec![body]),
            Side::Prometheus(server) => all(&mut server.client, &question.prometheus),
            Side::Recorded(client) => all(client, &question.prometheus_recorded),
        };
        Ok(bodies.map_err(failed)?)
    }

    /// How far its answer lies from ours; `None` where it gives none.
    fn distance(&mut self, question: &Question, ours: &Answer) -> Outcome<Option<Distance>> {
        let own = Bytes::from(serde_json::to_vec(&question.own)?);
        let bodies = self.ask(question, &own)?;
        let Some(body) = bodies.first() else { return Ok(None) };
        let told = |error| format!("{}, {}: {error}", question.name, self.name());
        let distance = match self {
            Side::InProcess(_) | Side::Gateway(_) => answer::compare(ours, &answer::of_lifesigns(body)?),
            Side::ClickHouse(_) => answer::compare(ours, &answer::of_clickhouse(body, question.labels)?),
            Side::Prometheus(_) => {
                answer::from_prometheus(ours, &bodies, &question.prometheus, question.is_over_time)
            }
            Side::Recorded(_) => {
                answer::from_prometheus(ours, &bodies, &question.prometheus_recorded, question.is_over_time)
            }
        };
        Ok(Some(distance.map_err(told)?))
    }
}

/// Fills what is not filled yet, starts everybody, and tells of the sizes.
fn sides(options: &Options, world: &World, folder: &Path, text: &mut String) -> Outcome<Vec<Side>> {
    let own = folder.join(format!("lifesigns-{}.db", lifesigns_store::sqlite::FILE_VERSION));
    once(&own, |path| lifesigns::prepare(world, path))?;
    let rows: u64 = lifesigns::rows(world).iter().sum();
    let bytes = fs::metadata(&own)?.len();
    let _ = write!(
        text,
        "\n| | MB | rows | bytes a row |\n|---|---|---|---|\n| lifesigns | {:.0} | {rows} | {:.0} |\n",
        bytes as f64 / 1e6,
        bytes as f64 / rows as f64
    );
    let mut sides = vec![Side::InProcess(InProcess::open(&own)?)];
    if options.wants("http") {
        let copy = folder.join("gateway.db");
        fs::copy(&own, &copy)?;
        let program = options.lifesigns.canonicalize()?;
        sides.push(Side::Gateway(Gateway::start(&program, &copy, &folder.join("gateway.log"))?));
    }
    if options.wants("clickhouse") {
        once(&folder.join("clickhouse"), |path| ClickHouse::start(path)?.fill(world))?;
        let mut server = ClickHouse::start(&folder.join("clickhouse"))?;
        let (bytes, rows) = server.size()?;
        let _ = writeln!(
            text,
            "| ClickHouse | {:.0} | {rows} | {:.0} |",
            bytes as f64 / 1e6,
            bytes as f64 / rows as f64
        );
        sides.push(Side::ClickHouse(server));
    }
    if options.wants("prometheus") {
        let data = folder.join("prometheus");
        once(&data, |path| prometheus::fill(world, path))?;
        let _ = writeln!(
            text,
            "| Prometheus, counters and one API's histograms | {:.0} | | |",
            size(&data)? as f64 / 1e6
        );
        let server = Prometheus::start(&data)?;
        let recorded = Client::connect(server.address, None)?;
        sides.extend([Side::Prometheus(server), Side::Recorded(recorded)]);
    }
    Ok(sides)
}

/// Fills a place that is not there yet. One that was half filled is begun anew.
fn once(place: &Path, fill: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<()> {
    let done = place.with_extension("done");
    if done.exists() {
        return Ok(());
    }
    if place.is_dir() {
        fs::remove_dir_all(place)?;
    } else if place.exists() {
        fs::remove_file(place)?;
    }
    complain(&format!("{} is filled, once", place.display()));
    let begin = Instant::now();
    fill(place)?;
    complain(&format!("it took {:.0} s", begin.elapsed().as_secs_f64()));
    fs::write(done, "")?;
    Ok(())
}

/// Bytes of all files in a folder and the folders in it.
fn size(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { size(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}

fn report(
    text: &mut String,
    questions: &[Question],
    sides: &mut [Side],
    times: &[Vec<Vec<f64>>],
) -> Outcome<()> {
    let names: Vec<&str> = sides.iter().map(Side::name).collect();
    let _ = write!(text, "\n| | limit | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (question, times) in questions.iter().zip(times) {
        let limit = question.limit.map_or("–".to_owned(), |limit| format!("{limit:.0}"));
        let _ = write!(text, "| {} | {limit} |", question.name);
        for times in times {
            let shown = Spread::of(times.iter().copied()).map_or("–".to_owned(), |spread| spread.show(2));
            let _ = write!(text, " {shown} |");
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "\nHow far the answers lie from ours at most, in counts and in percentiles:\n\n| | {} |\n|---|{}\n",
        names[1..].join(" | "),
        "---|".repeat(names.len() - 1)
    );
    for question in questions {
        let own = Bytes::from(serde_json::to_vec(&question.own)?);
        let ours = match sides[0].ask(question, &own)?.first() {
            Some(body) => answer::of_lifesigns(body)?,
            None => BTreeMap::new(),
        };
        let _ = write!(text, "| {} ({} groups) |", question.name, ours.len());
        for side in &mut sides[1..] {
            let shown = match side.distance(question, &ours)? {
                None => "–".to_owned(),
                Some(distance) => distance.show(),
            };
            let _ = write!(text, " {shown} |");
        }
        text.push('\n');
    }
    Ok(())
}
