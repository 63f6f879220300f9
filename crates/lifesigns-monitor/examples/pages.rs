//! Shows the pages with a made-up fleet, for those who work on them: `cargo run --example pages -- 1000 127.0.0.1:8080`.
//!
//! With an address it serves them. Without one it makes the two that cost most a few times, and says how long that took
//! and how large they are.

#![allow(clippy::print_stdout, reason = "it is what the program is for")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use jiff::Timestamp;
use lifesigns_model::history::{Entry, Event, EventKind, HistoryStore, Reading};
use lifesigns_model::light::Light;
use lifesigns_model::store::Note;
use lifesigns_monitor::alerts::Affected;
use lifesigns_monitor::alerts::incidents::{Incident, Member};
use lifesigns_monitor::pages::{Settings, public_router, router};
use lifesigns_monitor::service::{About, Deploy, Letter, Outage, Service};
use lifesigns_monitor::{Fleet, Options, Target};
use lifesigns_store::history::{HistoryOptions, HistoryRetention, MemoryHistory, SqliteHistory};
use serde_json::json;
use tower::ServiceExt;
use url::Url;

const KINDS: [&str; 10] = [
    "checkout-api",
    "payments",
    "catalogue-search",
    "identity",
    "ledger-writer",
    "mail-sender",
    "polls-api",
    "recommendations",
    "stock-sync",
    "web-frontend",
];
const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(120), |text| text.parse::<usize>())?;
    let address = arguments.next();
    let folder = tempfile::tempdir()?;
    // A year of readings is more than a history in memory holds.
    let store: Arc<dyn HistoryStore> = if address.is_some() {
        Arc::new(MemoryHistory::new(HistoryRetention::default()))
    } else {
        Arc::new(SqliteHistory::open(folder.path().join("history.db"), HistoryOptions::default())?)
    };
    let now = Timestamp::now().as_second();
    let days = if address.is_some() { 60 } else { 365 };
    let targets = fill(&*store, count, days, now)?;
    let fleet = Fleet::open(Options { targets, ..Options::default() }, store)?;
    let settings = Settings { title: "Acme".to_owned(), ..Settings::default() };
    let pages = router(fleet.clone(), settings.clone()).merge(public_router(fleet, settings));
    match address {
        Some(address) => {
            let listener = tokio::net::TcpListener::bind(&address).await?;
            println!("http://{address}");
            axum::serve(listener, pages).await?;
        }
        None => {
            for path in [
                "/",
                "/services/checkout-api-0000",
                "/services/checkout-api-0000?span=1y",
                "/incidents",
                "/public",
            ] {
                measure(&pages, path).await?;
            }
        }
    }
    Ok(())
}

async fn measure(pages: &Router, path: &str) -> Result<(), Box<dyn Error>> {
    let mut took = Vec::new();
    let mut bytes = 0;
    for _ in 0..11 {
        let began = Instant::now();
        let answer = pages.clone().oneshot(Request::get(path).body(Body::empty())?).await?;
        bytes = to_bytes(answer.into_body(), usize::MAX).await?.len();
        took.push(began.elapsed());
    }
    took.sort();
    println!("{path}: {bytes} bytes, median {:?}, slowest {:?}", took[5], took[10]);
    Ok(())
}

/// A number that looks like chance, and is the same each time.
fn chance(seed: usize) -> usize {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^= state >> 29;
    state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((state ^ (state >> 32)) % 10_000) as usize
}

/// Services with an hour behind them, the first of them with all that there can be.
fn fill(store: &dyn HistoryStore, count: usize, days: i64, now: i64) -> Result<Vec<Target>, Box<dyn Error>> {
    let mut targets = Vec::new();
    let mut cascade = Vec::new();
    for index in 0..count {
        let name = format!("{}-{index:04}", KINDS[index % KINDS.len()]);
        let mut target = Target::new(
            &name,
            Url::parse(&format!("http://10.0.{}.{}:8080/health", index / 250, index % 250))?,
        );
        target.environment =
            Some(if chance(index + 7) < 8_000 { "production" } else { "staging" }.to_owned());
        target.is_public = index < 6;
        if index == 0 {
            target.depends_on = vec!["payments-0001".into(), "identity-0003".into()];
        }
        let luck = chance(index);
        let is_in_cascade = (20..27).contains(&index);
        let light = match luck {
            _ if is_in_cascade => Some(Light::Red),
            _ if index == 0 => Some(Light::Amber),
            0..200 => Some(Light::Red),
            200..500 => Some(Light::Amber),
            _ => Some(Light::Green),
        };
        let service = service(index, light, &name, now)?;
        if is_in_cascade && let Some(outage) = &service.outage {
            cascade.push(member(&name, outage));
        }
        let mut entries: Vec<Entry> = readings(index, light, now, if index == 0 { days } else { 1 })
            .map(|reading| Entry::Reading(target.name.clone(), reading))
            .collect();
        if luck.is_multiple_of(25) {
            entries.retain(|entry| !matches!(entry, Entry::Reading(_, reading) if now - reading.at < 50 * MINUTE && now - reading.at > 30 * MINUTE));
        }
        let text = serde_json::to_string(&service)?;
        let light_is_known = luck % 97 != 3;
        if light_is_known {
            let note = Note { topic: "service".into(), key: target.name.clone(), text: Some(text.into()) };
            entries.push(Entry::Note(note));
        }
        if index == 0 {
            entries.extend(events(&name, now));
        }
        keep(store, entries)?;
        targets.push(target);
    }
    keep(store, incidents(cascade, now)?)?;
    store.flush(Duration::from_mins(1))?;
    Ok(targets)
}

/// What a store takes at a time is bounded.
fn keep(store: &dyn HistoryStore, entries: Vec<Entry>) -> Result<(), Box<dyn Error>> {
    for part in entries.chunks(10_000) {
        while store.append(part.to_vec()).is_err() {
            store.flush(Duration::from_mins(1))?;
        }
    }
    Ok(())
}

fn readings(index: usize, light: Option<Light>, now: i64, days: i64) -> impl Iterator<Item = Reading> {
    let length = if days == 1 { 70 } else { days * 1440 };
    (0..length).rev().filter_map(move |minute| {
        let luck = chance(index * 7_919 + minute as usize);
        // A quiet week, and a monitor that was off for a day.
        let day = minute / 1440;
        if day == 33 || (day == 12 && minute % 1440 < 300) {
            return None;
        }
        let was = match luck {
            _ if minute < 8 => light,
            0..15 => Some(Light::Red),
            15..60 => Some(Light::Amber),
            _ if day == 5 && minute % 1440 < 90 => Some(Light::Red),
            _ => Some(Light::Green),
        };
        let wave = ((minute % 1440) as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let latency_us = Some((18_000.0 + 9_000.0 * wave + luck as f64) as u32);
        let memory_mb = Some((220 + (2_880 - minute % 2_880) / 12 + i64::from(luck as u32 % 9)) as u32);
        Some(Reading { at: now - minute * MINUTE, light: was, code: 200, latency_us, memory_mb })
    })
}

fn service(index: usize, light: Option<Light>, name: &str, now: i64) -> Result<Service, serde_json::Error> {
    let at = now * 1000;
    let minutes = 1 + chance(index + 3) as i64 % 300;
    let (why, failing) = match light {
        Some(Light::Green) | None => (String::new(), None),
        Some(Light::Amber) => ("answers slowly: p95 1.2 s".to_owned(), None),
        Some(Light::Red) => {
            ("connection refused by 10.0.7.21:5432 (part database)".to_owned(), Some("database".to_owned()))
        }
    };
    let outage = light.filter(|light| *light != Light::Green).map(|worst| Outage {
        began: at - minutes * 60_000,
        worst: worst.into(),
        cause: why.clone(),
        failing,
        excerpt: Some("{\"status\":\"UNAVAILABLE\",\"database\":\"<script>alert(1)</script>\"}".to_owned()),
    });
    let about = About {
        service: Some(name.to_owned()),
        repo: Some("acme/shop".to_owned()),
        revision: Some(format!("{:040x}", chance(index) as u128 * 0x1234_5678_9abc_def1)),
        version: Some(format!("{}.{}.{}", 1 + index % 4, chance(index) % 30, index % 10)),
        memory_used_mb: Some(90 + chance(index + 2) as u64 % 900),
        memory_total_mb: Some(1024),
        ..About::default()
    };
    let deploy = index.is_multiple_of(3).then(|| Deploy {
        at: at - minutes * 90_000,
        from: "2963648f0b1a2c3d4e5f60718293a4b5c6d7e8f9".to_owned(),
        to: "81c5dc1e0b1a2c3d4e5f60718293a4b5c6d7e8f9".to_owned(),
    });
    let is_red = light == Some(Light::Red);
    let parts = ["database", "cache", "queue"]
        .map(|part| (part, if part == "database" && is_red { Letter::R } else { Letter::G }));
    serde_json::from_value(json!({
        "light": light.map(Letter::from),
        "since": at - minutes * 60_000,
        "why": why,
        "outage": outage,
        "is_flapping": index == 0,
        "asked": at,
        "code": if is_red { 503 } else { 200 },
        "latency_us": 2_000 + 40 * chance(index + 1),
        "certificate_expires": (index < 40).then_some(at + (index as i64 + 9) * DAY * 1000),
        "about": about,
        "parts": parts,
        "deploy": deploy,
        "process_began": at - minutes * 240_000,
    }))
}

fn events(name: &str, now: i64) -> Vec<Entry> {
    let event = |kind, minutes: i64, length: Option<i64>, detail: serde_json::Value| {
        let began = (now - minutes * MINUTE) * 1000;
        Entry::Event(Event {
            kind,
            key: format!("{began}-{name}").into(),
            service: Some(name.into()),
            began,
            ended: length.map(|length| began + length * 60_000),
            detail: detail.to_string().into(),
        })
    };
    let outage = |minutes, length, letter: &str, cause: &str| {
        let detail = json!({"light": letter, "cause": cause, "failing": "database", "incident": format!("{}-{name}", (now - minutes * MINUTE) * 1000)});
        event(EventKind::Outage, minutes, Some(length), detail)
    };
    vec![
        outage(5 * 1440 + 90, 90, "R", "connection refused by 10.0.7.21:5432 (part database)"),
        outage(700, 12, "A", "answers slowly: p95 1.2 s"),
        event(
            EventKind::Deploy,
            300,
            Some(0),
            json!({"from": "2963648f0b1a2c3d4e5f60718293a4b5c6d7e8f9", "to": "81c5dc1e0b1a2c3d4e5f60718293a4b5c6d7e8f9"}),
        ),
        event(EventKind::Restart, 301, Some(0), json!({})),
        event(EventKind::Restart, 1100, Some(0), json!({})),
    ]
}

fn member(name: &str, outage: &Outage) -> Member {
    Member {
        affected: Affected {
            name: name.to_owned(),
            environment: Some("production".to_owned()),
            light: Letter::R,
            now: None,
            began: outage.began,
            ended: None,
            cause: outage.cause.clone(),
            failing: outage.failing.clone(),
            excerpt: outage.excerpt.clone(),
            deploy: None,
        },
        joined: outage.began,
        turned: 0,
        traits: vec!["host db-3.acme.internal".to_owned(), "dependency database".to_owned()],
    }
}

fn incidents(members: Vec<Member>, now: i64) -> Result<Vec<Entry>, Box<dyn Error>> {
    let mut entries = Vec::new();
    if let Some(first) = members.first() {
        let began = members.iter().map(|member| member.affected.began).min().unwrap_or_default();
        let id = format!("{began}-{}", first.affected.name);
        let incident = Incident {
            id: id.clone(),
            began,
            joined: began,
            members,
            before: None,
            told: std::collections::BTreeMap::new(),
            acknowledged: None,
        };
        let text = serde_json::to_string(&incident)?;
        entries.push(Entry::Note(Note { topic: "incident".into(), key: id.into(), text: Some(text.into()) }));
    }
    for index in 0..12_i64 {
        let began = (now - (index * 7 + 3) * DAY + index * 977) * 1000;
        let name = KINDS[index as usize % KINDS.len()];
        entries.push(Entry::Event(Event {
            kind: EventKind::Incident,
            key: format!("{began}-{name}").into(),
            service: None,
            began,
            ended: Some(began + (index * 13 + 4) * 60_000),
            detail: json!({"light": if index % 3 == 0 { "A" } else { "R" }, "services": [name], "cause": "HTTP 502 instead of 200"}).to_string().into(),
        }));
    }
    Ok(entries)
}
