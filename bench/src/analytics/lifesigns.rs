//! Our own side: the store in this process, and the binary with a copy of its file.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use bytes::Bytes;
use lifesigns_model::{
    bucket::{Level, Minute},
    query::{self, Query},
    store::RollupRow,
    store::RollupStore,
};
use lifesigns_store::{Options, SqliteStore};

use super::{
    client::Client,
    world::{SERIES, World},
};
use crate::{
    Outcome,
    process::{Process, free_address},
};

const HOUR: i64 = Level::Hour.minutes();
const PATIENCE: Duration = Duration::from_mins(1);

/// The file of a world, filled as its traffic would have filled it.
pub(super) fn prepare(world: &World, path: &Path) -> Outcome<()> {
    let store = SqliteStore::open(path, Options::default())?;
    for span in world.steps() {
        let rows = (0..SERIES).map(|series| RollupRow {
            minute: span.start,
            series: world.series[series].labels.clone(),
            rollup: world.rollup(series, span),
        });
        store.append(rows.collect()).map_err(|_| "the store took no more rows")?;
        store.flush(PATIENCE)?;
    }
    // What has expired leaves in small steps meanwhile.
    thread::sleep(Duration::from_secs(5));
    store.close()?;
    Ok(())
}

/// How many rows a file has: one for each series and minute, hour and day that is kept.
pub(super) fn rows(world: &World) -> [u64; 3] {
    let closed = |level: Level| world.newest().plus(-1).floor(level.minutes());
    let between = |from: Minute, to: Minute, width: i64| {
        ((to.number() - from.number()).max(0) / width) as u64 * SERIES as u64
    };
    [
        between(world.minutes_from(), world.range.end, 1),
        between(world.range.start.floor(HOUR), closed(Level::Hour), HOUR),
        between(world.range.start.floor(Level::Day.minutes()), closed(Level::Day), Level::Day.minutes()),
    ]
}

/// The store in this process.
pub(super) struct InProcess {
    store: SqliteStore,
}

impl InProcess {
    pub(super) fn open(path: &Path) -> Outcome<InProcess> {
        Ok(InProcess { store: SqliteStore::open(path, Options::default())? })
    }

    /// From the bytes of a question to the bytes of the answer.
    pub(super) fn ask(&self, body: &[u8]) -> Outcome<Bytes> {
        let query = Query::parse_bytes(body, super::now()).map_err(|fault| fault.to_string())?;
        let selected = query.plan().run(&self.store)?;
        Ok(query::answer_text(&query, &selected, 0).into())
    }
}

/// The binary, with a file of its own.
pub(super) struct Gateway {
    client: Client,
    _process: Process,
}

impl Gateway {
    pub(super) fn start(program: &Path, path: &Path, log: &Path) -> Outcome<Gateway> {
        let (token, hash) = token(program)?;
        let listen = free_address()?;
        let data = path.to_str().ok_or("the path of the data is no text")?;
        // As many questions as there are rounds: unless told otherwise 120 a minute are answered.
        let config = format!(
            "organization = \"bench\"\nenvironment = \"bench\"\n[gateway]\nlisten = \"{listen}\"\n\
             [store]\npath = {data:?}\n[resources.analytics]\nrequests_per_minute = 1000000\n\
             [[token]]\nname = \"bench\"\nhash = \"{hash}\"\nscopes = [\"analytics:read\"]\n\
             [[api]]\nname = \"bench\"\nupstream = \"http://127.0.0.1:9\"\n",
        );
        let file = path.with_extension("toml");
        fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(file);
        let process = Process::start(&mut command, listen, log)?;
        Ok(Gateway { client: Client::connect(listen, Some(token))?, _process: process })
    }

    pub(super) fn ask(&mut self, body: &Bytes) -> Outcome<Bytes> {
        self.client.ask("/analytics/1.0/bench/environments/bench/query", Some(body.clone()))
    }
}

/// A new token and its hash, as the binary makes them.
fn token(program: &Path) -> Outcome<(String, String)> {
    let output = Command::new(program).args(["token", "new"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let token = text.lines().find(|line| line.starts_with("ls_"));
    let hash = text.lines().find_map(|line| line.strip_prefix("export LIFESIGNS_TOKEN_HASH="));
    match (token, hash) {
        (Some(token), Some(hash)) => Ok((token.to_owned(), hash.to_owned())),
        _ => Err(format!("no token was made:\n{text}").into()),
    }
}
