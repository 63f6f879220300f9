//! CPU time for each request of several servers, side by side.
//!
//! What a process costs depends on where its memory happens to lie, by several percent: so each subject is started
//! anew several times, and the figures are those of all its lives.

use std::{fmt::Write, net::SocketAddr};

use crate::{
    Outcome, complain,
    load::{self, Load},
    options::Options,
    process::Process,
    spread::Spread,
};

/// So many rounds are measured before all subjects are started anew.
const ROUNDS_OF_A_LIFE: usize = 4;

/// Somebody who answers, and how to start it.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'static str,
    pub(crate) start: Box<dyn Fn() -> Outcome<(Process, SocketAddr)> + 'a>,
}

/// What is asked of all of them.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Requests a second; 0: as fast as possible.
    pub(crate) rate: u32,
}

/// Measures all subjects in turn and returns a table, in which the first is what the others are compared with.
pub(crate) fn compare(options: &Options, question: Question, subjects: &[Subject<'_>]) -> Outcome<String> {
    let mut samples = vec![Vec::new(); subjects.len()];
    let mut lives = Vec::new();
    for round in 0..options.rounds {
        if round % ROUNDS_OF_A_LIFE == 0 {
            lives.clear();
            for subject in subjects {
                lives.push((subject.start)()?);
            }
        }
        for turn in 0..subjects.len() {
            let number = (turn + round) % subjects.len();
            let (process, address) = &lives[number];
            samples[number].push(sample(options, question, process, *address)?);
        }
        complain(&format!("{}: round {} of {} done", question.path, round + 1, options.rounds));
    }

    let rate = match question.rate {
        0 => "as fast as possible".to_owned(),
        rate => format!("{rate} requests a second"),
    };
    let mut text = format!(
        "\n### `{} {}`, {rate}\n\n| | CPU per request, µs | × the first, round by round | requests/s |\n\
         |---|---|---|---|\n",
        question.method, question.path
    );
    for (subject, own) in subjects.iter().zip(&samples) {
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            subject.name,
            Spread::shown(own.iter().map(|sample| sample.0), 2),
            Spread::shown(own.iter().zip(&samples[0]).map(|(own, first)| own.0 / first.0), 3),
            Spread::shown(own.iter().map(|sample| sample.1), 0),
        );
    }
    Ok(text)
}

/// CPU time for each request in microseconds, and requests a second.
fn sample(
    options: &Options,
    question: Question,
    process: &Process,
    address: SocketAddr,
) -> Outcome<(f64, f64)> {
    let load = Load {
        address,
        method: question.method,
        path: question.path,
        statuses: &[200],
        body: None,
        connections: options.connections,
        rate: question.rate,
        duration: options.duration,
    };
    load::run(Load { duration: options.duration / 5, ..load })?;
    let before = process.cpu_micros()?;
    let outturn = load::run(load)?;
    let cpu = process.cpu_micros()? - before;
    Ok((cpu / outturn.requests as f64, outturn.per_second()))
}
