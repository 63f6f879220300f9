//! The figures of the checks and of what runs them.

use lifesigns_model::check::Outcome;

use super::{Label, Page};
use crate::checks::CheckSnapshot;
use crate::process::Process;

/// Checks are told apart up to so many, counting one for each API that it counts for; there are six lines for each.
const MAX_CHECKS: usize = 20_000;

/// Upper bounds of the buckets of lateness, in seconds.
const LATENESS_BOUNDS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

const STATUS: &str = "lifesigns_check_status";
const DURATION: &str = "lifesigns_check_duration_seconds";
const LAST_RUN: &str = "lifesigns_check_last_run_timestamp_seconds";
const LATENESS: &str = "lifesigns_check_lateness_seconds";
const ABANDONED: &str = "lifesigns_check_abandoned_threads";
const HEARTBEAT: &str = "lifesigns_check_scheduler_heartbeat_age_seconds";

pub(super) fn checks(page: &mut Page, process: &Process) {
    if process.checks.slots.is_empty() {
        return;
    }
    let elapsed = process.time.elapsed();
    let mut checks: Vec<(String, CheckSnapshot)> = Vec::new();
    let mut left_out = 0usize;
    for slot in &process.checks.slots {
        let snapshot = slot.snapshot(elapsed);
        for api in &slot.apis {
            if checks.len() == MAX_CHECKS {
                left_out += 1;
                continue;
            }
            let labels = format!(
                "lifesigns_api=\"{}\",check=\"{}\"",
                Label(&process.apis[*api].name),
                Label(snapshot.check.name())
            );
            checks.push((labels, snapshot.clone()));
        }
    }
    of_each(page, &checks);
    page.begin("lifesigns_checks_left_out", "gauge", "Checks without figures of their own, being too many.");
    page.sample("lifesigns_checks_left_out", "", left_out);
    scheduler(page, process);
}

fn of_each(page: &mut Page, checks: &[(String, CheckSnapshot)]) {
    page.begin(STATUS, "gauge", "The light that the check asks for: 0 green, 1 amber, 2 red.");
    for (labels, check) in checks {
        page.sample(STATUS, labels, check.standing.light as u8);
    }
    page.begin_counter("lifesigns_check_runs", "Runs of the check, by how they ended.");
    for (labels, check) in checks {
        let counts = check.counts;
        for (outcome, count) in
            [(Outcome::Pass, counts.passed), (Outcome::Warn, counts.warned), (Outcome::Fail, counts.failed)]
        {
            let labels = format!("{labels},outcome=\"{}\"", outcome.name());
            page.sample("lifesigns_check_runs_total", &labels, count);
        }
    }
    page.begin(DURATION, "gauge", "How long the last run of the check took.");
    for (labels, check) in checks {
        if let Some(run) = &check.last {
            page.sample(DURATION, labels, run.took.as_secs_f64());
        }
    }
    page.begin(LAST_RUN, "gauge", "When the last run of the check ended, in seconds since the epoch.");
    for (labels, check) in checks {
        if let Some(run) = &check.last {
            page.sample(LAST_RUN, labels, run.ended.wall.as_millisecond() as f64 / 1000.0);
        }
    }
}

fn scheduler(page: &mut Page, process: &Process) {
    let lateness = process.checks.lateness();
    page.begin(LATENESS, "histogram", "From when runs of checks were due to when they began.");
    for bound in LATENESS_BOUNDS {
        let count = lateness.count_up_to((bound * 1e6) as u64);
        page.sample(&format!("{LATENESS}_bucket"), &format!("le=\"{bound:?}\""), count);
    }
    page.sample(&format!("{LATENESS}_bucket"), "le=\"+Inf\"", lateness.count());
    page.sample(&format!("{LATENESS}_sum"), "", lateness.sum_micros() as f64 / 1e6);
    page.sample(&format!("{LATENESS}_count"), "", lateness.count());
    page.begin(ABANDONED, "gauge", "Threads that checks keep to themselves.");
    page.sample(ABANDONED, "", process.checks.abandoned());
    page.begin(HEARTBEAT, "gauge", "For how long the scheduler of the checks has not looked after them.");
    page.sample(HEARTBEAT, "", process.checks.silent_for(process.time.elapsed()).as_secs_f64());
}
