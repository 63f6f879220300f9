//! What the library adds to each request of an API, beside the usual way to count requests.

use std::{net::SocketAddr, time::Duration};

use crate::{
    Outcome,
    cost::{self, Question, Subject},
    machine,
    options::Options,
    probes::server,
    process::Process,
};

/// Without a word on the command line.
pub(crate) fn options() -> Options {
    Options::new(40, Duration::from_millis(500), 16)
}

/// Measures all and returns the tables.
pub(crate) fn compare(options: &Options) -> Outcome<String> {
    let directory = tempfile::tempdir()?;
    let started = |kind: &'static str| -> Box<dyn Fn() -> Outcome<(Process, SocketAddr)> + '_> {
        Box::new(|| server(kind, &[], directory.path()))
    };
    let subjects = [
        Subject { name: "axum", start: started("axum") },
        Subject { name: "with a layer that does nothing", start: started("axum-layer") },
        Subject { name: "with the library", start: started("axum-library") },
        Subject {
            name: "with the `metrics` crate and its Prometheus recorder",
            start: started("axum-metrics"),
        },
    ];
    let mut text = machine::describe(&[]);
    for rate in [0, options.rate] {
        text.push_str(&cost::compare(
            options,
            Question { method: "GET", path: "/users/42", rate },
            &subjects,
        )?);
    }
    Ok(text)
}
