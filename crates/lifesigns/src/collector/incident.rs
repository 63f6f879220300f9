//! Half an hour of traffic, played from a file: a noisy API, a bad deployment that is rolled back, an upstream that
//! flaps around the threshold, a crawler, an upstream that is gone, callers who obey the red light.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use lifesigns_model::exchange::Measurement;
use lifesigns_model::light::Light;
use lifesigns_model::verdict::Thresholds;

use super::*;
use crate::process::Lifesigns;
use crate::record::Seen;
use crate::settings::RouteGroup;

const INCIDENT: &str = include_str!("../../tests/incident.txt");

/// One second of the file.
struct Second {
    requests: u64,
    client_errors: u64,
    failures: u64,
    median_ms: u64,
}

fn seconds() -> Vec<Second> {
    let lines = INCIDENT.lines().filter(|line| !line.starts_with('#'));
    let second = |line: &str| {
        let figures: Vec<u64> = line.split(' ').map(|figure| figure.parse().unwrap()).collect();
        let [_, requests, client_errors, failures, median_ms] = figures[..] else { panic!("{line}") };
        Second { requests, client_errors, failures, median_ms }
    };
    lines.map(second).collect()
}

/// Plays the file; gives each change of the light with the second in which it came. `clock_ahead` says by how much the
/// machine's clock is wrong in a second.
fn play(clock_ahead: impl Fn(usize) -> SignedDuration) -> Vec<(u64, Light, Light)> {
    let group = RouteGroup {
        name: "checkout".to_owned(),
        routes: vec!["/checkout".to_owned()],
        thresholds: Thresholds { amber_failed_share: 0.2, ..Thresholds::default() },
        critical: false,
    };
    let thresholds = Thresholds { amber_latency_ms: Some(500.0), ..Thresholds::default() };
    let builder = Lifesigns::builder("polls").thresholds(thresholds).route_group(group);
    let lifesigns = Lifesigns { process: Arc::new(Process::new(builder).unwrap()) };
    lifesigns.ready();
    let process = &*lifesigns.process;
    let api = &process.apis[0];
    let (began, started) = (Instant::now(), Timestamp::from_second(1_773_684_000).unwrap());
    let route = api.routes.id("/checkout");
    let record = |status, failed_by, millis: u64| {
        let key = SeriesKey { api: 0, route, client: 0, status, policy: 0, method: 1, failed_by };
        let measured = Measurement { total_micros: millis * 1000, ..Measurement::default() };
        let watched = process.recorder.begin(|_| Seen::of(key));
        watched.end(process.recorder.subjects.clock.read(began), &measured);
    };
    for (number, second) in seconds().iter().enumerate() {
        for request in 0..second.requests {
            // Latencies are spread around the median, the slowest about twice as long.
            let millis = second.median_ms * (50 + 150 * request / second.requests.max(1)) / 100;
            match request {
                request if request < second.failures => record(503, FailedBy::Upstream, millis),
                request if request < second.failures + second.client_errors => {
                    record(404, FailedBy::Client, millis);
                }
                _ => record(200, FailedBy::Nobody, millis),
            }
        }
        for half in 0..2 {
            let elapsed = Duration::from_secs(10 + number as u64) + TICK * half;
            let wall = started + SignedDuration::try_from(elapsed).unwrap() + clock_ahead(number);
            lock(&process.collected).collect(process, Moment { wall, elapsed });
        }
    }
    let transitions = lock(&api.transitions);
    // The first one is the end of start-up.
    let seconds = transitions.iter().skip(1);
    seconds.map(|it| (it.at.elapsed.as_secs() - 10, it.from, it.to)).collect()
}

#[test]
fn the_lights_of_an_incident_are_these_and_do_not_flap() {
    let lights = play(|_| SignedDuration::ZERO);
    let expected = [
        // The deployment: failures rise from the 300th second on, and are most of the traffic from the 360th on.
        (338, Light::Green, Light::Amber),
        (402, Light::Amber, Light::Red),
        // Rolled back at 480 to 30 % and at 540 to a share that hovers around the amber threshold for five minutes.
        (541, Light::Red, Light::Amber),
        (913, Light::Amber, Light::Green),
        // From 1200 to 1320 a crawler makes a third of all requests fail, by its own fault. From 1440 on the upstream is
        // gone, at 1470 callers obey, and from 1620 on the few that are left find it well.
        (1443, Light::Green, Light::Amber),
        (1473, Light::Amber, Light::Red),
        (1649, Light::Red, Light::Green),
    ];
    assert_eq!(lights, expected);
}

#[test]
fn setting_the_clock_in_the_middle_changes_no_light() {
    let expected = play(|_| SignedDuration::ZERO);
    let jumps = [
        SignedDuration::from_secs(-1),
        SignedDuration::from_hours(365 * 24),
        SignedDuration::from_hours(-365 * 24),
    ];
    for jump in jumps {
        for second in [330, 700, 1600] {
            let lights = play(|now| if now >= second { jump } else { SignedDuration::ZERO });
            assert_eq!(lights, expected, "{jump:?} in second {second}");
        }
    }
}
