//! `ClickHouse` from Debian with minute, hour and day rollups, as its users keep them.

use std::{fs, path::Path, process::Command};

use bytes::Bytes;
use lifesigns_model::{
    bucket::{Level, Minute},
    rollup::Rollup,
    series::Series,
};

use super::{
    client::Client,
    world::{SERIES, World},
};
use crate::{
    Outcome,
    process::{Process, free_address},
};

/// Rows of one block that is inserted.
const BLOCK: usize = 100_000;

/// The running server.
pub(super) struct ClickHouse {
    client: Client,
    _process: Process,
}

impl ClickHouse {
    /// Starts a server over a folder, which is made if it is not there.
    pub(super) fn start(folder: &Path) -> Outcome<ClickHouse> {
        fs::create_dir_all(folder)?;
        let http = free_address()?;
        let tcp = free_address()?;
        let folder_text = fs::canonicalize(folder)?.display().to_string();
        fs::write(
            folder.join("config.xml"),
            format!(
                "<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{}</http_port>
  <tcp_port>{}</tcp_port>
  <path>{folder_text}/data/</path>
  <tmp_path>{folder_text}/tmp/</tmp_path>
  <users_config>{folder_text}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>
  <keep_alive_timeout>3600</keep_alive_timeout>
  <mark_cache_size>1073741824</mark_cache_size>
  <uncompressed_cache_size>1073741824</uncompressed_cache_size>
</yandex>
",
                http.port(),
                tcp.port()
            ),
        )?;
        fs::write(
            folder.join("users.xml"),
            "<yandex>
  <profiles><default>
    <allow_experimental_low_cardinality_type>1</allow_experimental_low_cardinality_type>
    <use_uncompressed_cache>1</use_uncompressed_cache>
    <log_queries>0</log_queries>
  </default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password></password>
    <networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
  </default></users>
</yandex>
",
        )?;
        let mut command = Command::new("clickhouse-server");
        command.arg(format!("--config-file={folder_text}/config.xml")).current_dir(folder);
        let process = Process::start(&mut command, http, &folder.join("log"))?;
        Ok(ClickHouse { client: Client::connect(http, None)?, _process: process })
    }

    pub(super) fn ask(&mut self, statement: &str) -> Outcome<Bytes> {
        self.client.ask("/", Some(Bytes::copy_from_slice(statement.as_bytes())))
    }

    /// Makes the tables and fills them with what the views would have left of the traffic.
    pub(super) fn fill(&mut self, world: &World) -> Outcome<()> {
        // By month and by day: what expires is dropped in whole partitions.
        for (level, partition) in
            [(Level::Minute, "toYYYYMMDD(t)"), (Level::Hour, "toYYYYMM(t)"), (Level::Day, "toYYYYMM(t)")]
        {
            self.ask(&format!("DROP TABLE IF EXISTS {}", table(level)))?;
            self.ask(&format!(
                "CREATE TABLE {} (t DateTime, api LowCardinality(String), route LowCardinality(String), method \
                 LowCardinality(String), status UInt16, client_id LowCardinality(String), count UInt64, sum_micros \
                 UInt64, first_byte_micros UInt64, request_bytes UInt64, response_bytes UInt64, latencyMap Nested(micros \
                 UInt64, count UInt64)) ENGINE = SummingMergeTree PARTITION BY {partition} ORDER BY (api, t, route, \
                 method, status, client_id)",
                table(level)
            ))?;
        }
        let mut blocks = Level::ALL.map(|level| Block { level, rows: 0, bytes: Vec::new() });
        let mut sums = [Level::Hour, Level::Day].map(|level| (level, Vec::<Rollup>::new()));
        for span in world.steps() {
            let rollups: Vec<Rollup> = (0..SERIES).map(|series| world.rollup(series, span)).collect();
            if span.start >= world.minutes_from() {
                self.add(&mut blocks[0], world, span.start, &rollups)?;
            }
            for (index, (level, sum)) in sums.iter_mut().enumerate() {
                sum.resize_with(SERIES, Rollup::default);
                sum.iter_mut().zip(&rollups).for_each(|(sum, rollup)| sum.merge(rollup));
                if span.end == span.end.floor(level.minutes()) || span.end == world.range.end {
                    let start = span.start.floor(level.minutes());
                    self.add(&mut blocks[index + 1], world, start, &std::mem::take(sum))?;
                }
            }
        }
        for block in &mut blocks {
            self.insert(block)?;
            self.ask(&format!("OPTIMIZE TABLE {} FINAL", table(block.level)))?;
        }
        Ok(())
    }

    fn add(&mut self, block: &mut Block, world: &World, start: Minute, rollups: &[Rollup]) -> Outcome<()> {
        for (kind, rollup) in world.series.iter().zip(rollups) {
            block.add(start, &kind.labels, rollup);
        }
        if block.rows >= BLOCK { self.insert(block) } else { Ok(()) }
    }

    fn insert(&mut self, block: &mut Block) -> Outcome<()> {
        let path = format!("/?query=INSERT%20INTO%20{}%20FORMAT%20RowBinary", table(block.level));
        block.rows = 0;
        self.client.ask(&path, Some(std::mem::take(&mut block.bytes).into()))?;
        Ok(())
    }

    /// Bytes on the disk and rows, in all tables.
    pub(super) fn size(&mut self) -> Outcome<(u64, u64)> {
        let sizes = self.ask(
            "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND database = 'default'",
        )?;
        let (bytes, rows) = str::from_utf8(&sizes)?.trim().split_once('\t').ok_or("two numbers")?;
        Ok((bytes.parse()?, rows.parse()?))
    }
}

const fn table(level: Level) -> &'static str {
    match level {
        Level::Minute => "minutes",
        Level::Hour => "hours",
        Level::Day => "days",
    }
}

/// Rows in the form of `RowBinary`.
struct Block {
    level: Level,
    rows: usize,
    bytes: Vec<u8>,
}

impl Block {
    fn add(&mut self, start: Minute, series: &Series, rollup: &Rollup) {
        self.rows += 1;
        self.bytes.extend(((start.number() * 60) as u32).to_le_bytes());
        for text in [&series.api, &series.route, &series.method] {
            self.text(text);
        }
        self.bytes.extend(series.status.to_le_bytes());
        self.text(&series.client_id);
        for number in [
            rollup.count(),
            rollup.latency.sum_micros(),
            rollup.first_byte_micros,
            rollup.request_bytes,
            rollup.response_bytes,
        ] {
            self.bytes.extend(number.to_le_bytes());
        }
        let buckets: Vec<(u16, u64)> = rollup.latency.buckets().collect();
        self.length(buckets.len());
        buckets.iter().for_each(|(bucket, _)| self.bytes.extend(middle(*bucket).to_le_bytes()));
        self.length(buckets.len());
        buckets.iter().for_each(|(_, count)| self.bytes.extend(count.to_le_bytes()));
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend(text.as_bytes());
    }

    /// In LEB128.
    fn length(&mut self, mut length: usize) {
        while length >= 0x80 {
            self.bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
    }
}

/// The middle of a bucket of the histogram, in microseconds: see `docs/storage-format.md`.
fn middle(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < 128 {
        return bucket;
    }
    let shift = bucket / 64 - 1;
    ((bucket - 64 * shift) << shift) + (1 << shift) / 2
}
