use std::future::pending;
use std::sync::atomic::AtomicUsize;

use lifesigns_model::check::Finding;
use lifesigns_model::light::Light;

use super::*;
use crate::checks::Check;

const SECOND: Duration = Duration::from_secs(1);

/// Runs these checks in paused time for as long as that; gives how they stand then.
async fn stand_after(checks: Vec<Check>, time: Duration) -> Arc<Checks> {
    let keeper = Timekeeper::new();
    let slots = checks.into_iter().map(|check| Arc::new(Slot::new(Arc::new(check), vec![0]))).collect();
    let checks = Arc::new(Checks::new(slots, keeper));
    let crew = Crew {
        checks: Arc::clone(&checks),
        place: Place::Here,
        under_way: Vec::new(),
        given_up: Vec::new(),
        stuck: Vec::new(),
    };
    let mut scheduler = Scheduler::new(Arc::clone(&checks), crew, 7);
    let _out_of_time = tokio::time::timeout(time, scheduler.run()).await;
    checks
}

fn finding(checks: &Checks, index: usize) -> Finding {
    checks.slots[index].snapshot(checks.time.elapsed()).standing.finding
}

fn said(checks: &Checks, index: usize) -> Option<FailureKind> {
    checks.slots[index].snapshot(checks.time.elapsed()).last.and_then(|run| run.report.failure)
}

fn runs(checks: &Checks, index: usize) -> u64 {
    let counts = checks.slots[index].snapshot(checks.time.elapsed()).counts;
    counts.passed + counts.warned + counts.failed
}

#[tokio::test(start_paused = true)]
async fn each_check_runs_on_its_own_interval() {
    let every =
        |seconds: u64| Check::new(&seconds.to_string(), || async {}).every(Duration::from_secs(seconds));
    let checks = stand_after(vec![every(1), every(10), every(60)], 600 * SECOND).await;
    for (index, expected) in [(0, 600), (1, 60), (2, 10)] {
        assert!(runs(&checks, index).abs_diff(expected) <= 2, "{expected}: {}", runs(&checks, index));
        assert_eq!(finding(&checks, index), Finding::Passing);
    }
    assert!(checks.silent_for(checks.time.elapsed()) <= LOOK_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_deadlock_are_found_and_harm_nobody_else() {
    let checks = stand_after(
        vec![
            Check::new("panics", || async {
                "postgres://user:secret@host".parse::<u16>().expect("postgres://user:secret@host");
            }),
            Check::new("panics before there is a future", || -> std::future::Ready<()> { panic!("oh") }),
            Check::new("hangs", pending::<()>),
            Check::new("well", || async {}),
        ],
        120 * SECOND,
    )
    .await;
    assert_eq!(
        [0, 1, 2, 3].map(|index| finding(&checks, index)),
        [Finding::Failing, Finding::Failing, Finding::Failing, Finding::Passing]
    );
    assert_eq!(
        [0, 1, 2, 3].map(|index| said(&checks, index)),
        [Some(FailureKind::Panicked), Some(FailureKind::Panicked), Some(FailureKind::TimedOut), None]
    );
    let last = checks.slots[0].snapshot(checks.time.elapsed()).last.unwrap();
    assert!(!format!("{last:?}").contains("secret"), "a panic's message may hold anything");
    assert!(runs(&checks, 3) >= 11, "the others run on time");
    assert!(checks.lateness().percentile_micros(99.0).unwrap() < 1_000_000.0);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_under_way_only_once() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen_running, seen_most) = (Arc::clone(&running), Arc::clone(&most));
    let slow = Check::new("slow", move || {
        let (running, most) = (Arc::clone(&seen_running), Arc::clone(&seen_most));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(25 * SECOND).await;
            running.fetch_sub(1, Ordering::Relaxed);
        }
    });
    let checks = stand_after(vec![slow.timeout(30 * SECOND)], 200 * SECOND).await;
    assert_eq!(most.load(Ordering::Relaxed), 1);
    assert!((5..=8).contains(&runs(&checks, 0)), "{}", runs(&checks, 0));
    assert_eq!(finding(&checks, 0), Finding::Passing);
}

#[tokio::test(start_paused = true)]
async fn results_take_effect_after_their_threshold() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let check = Check::new("db", move || {
        let number = seen.fetch_add(1, Ordering::Relaxed);
        async move { if number < 5 { Ok(()) } else { Err("gone") } }
    });
    let check = check.critical().every(SECOND);
    let checks = stand_after(vec![check.clone()], 7 * SECOND).await;
    assert_eq!(checks.slots[0].snapshot(checks.time.elapsed()).standing.light, Light::Green);
    let checks = stand_after(vec![check], 60 * SECOND).await;
    assert_eq!(checks.slots[0].snapshot(checks.time.elapsed()).standing.light, Light::Red);
}

#[test]
fn runs_that_do_not_come_back_leave_a_thread_for_the_others() {
    let over = Arc::new(AtomicBool::new(false));
    let tick = Duration::from_millis(100);
    let quick = |check: Check| check.every(tick).timeout(tick).thresholds(1, 1);
    let blocks = || {
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::Relaxed) {
                thread::park_timeout(tick);
            }
        }
    };
    let mut all: Vec<Check> = (0..MAX_ABANDONED)
        .map(|number| quick(Check::blocking(&format!("blocks {number}"), blocks())))
        .collect();
    let late = Arc::new(AtomicBool::new(false));
    let (block, is_late) = (Arc::new(blocks()), Arc::clone(&late));
    all.push(quick(Check::new("blocks the others", move || {
        let block = is_late.load(Ordering::Relaxed).then(|| Arc::clone(&block));
        async move { block.iter().for_each(|block| block()) }
    })));
    all.push(quick(Check::new("well", || async {}).timeout(SECOND)));
    let [hog, well] = [all.len() - 2, all.len() - 1];
    let slots = all.into_iter().map(|check| Arc::new(Slot::new(Arc::new(check), vec![0]))).collect();
    let checks = Arc::new(Checks::new(slots, Timekeeper::new()));
    start(&checks, 7).unwrap();
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = Instant::now() + 60 * SECOND;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            thread::park_timeout(tick);
        }
    };
    until("all threads are taken", &|| checks.abandoned() >= MAX_ABANDONED as u64);
    late.store(true, Ordering::Relaxed);
    until("the common thread is taken as well", &|| said(&checks, hog) == Some(FailureKind::Blocked));
    let before = runs(&checks, well);
    until("what is well is run", &|| runs(&checks, well) >= before + 20);
    over.store(true, Ordering::Relaxed);
    checks.stop();
    checks.wait_for_end(60 * SECOND);
    assert_eq!(Arc::strong_count(&checks), 1, "all threads have ended");
}

/// Real threads: a loop that never ends, a lock that is never free, a function that sleeps for ever.
#[test]
fn checks_that_keep_their_thread_to_themselves_are_found_and_the_others_go_on() {
    let mutex = Arc::new(Mutex::new(()));
    let held = Arc::clone(&mutex);
    let guard = mutex.lock().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let tick = Duration::from_millis(100);
    let quick = |check: Check| check.every(tick).timeout(tick).thresholds(1, 1).critical();
    let slots = vec![
        quick(Check::new("loops", move || {
            let over = Arc::clone(&is_over);
            async move {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        })),
        quick(Check::new("deadlocks", move || {
            let held = Arc::clone(&held);
            async move { drop(lock(&held)) }
        })),
        quick(Check::blocking("blocks", {
            let over = Arc::clone(&over);
            move || {
                while !over.load(Ordering::Relaxed) {
                    thread::park_timeout(tick);
                }
            }
        })),
        quick(Check::new("well", || async {}).timeout(SECOND)),
        quick(Check::blocking("well, too", || ())),
    ];
    let slots = slots.into_iter().map(|check| Arc::new(Slot::new(Arc::new(check), vec![0]))).collect();
    let checks = Arc::new(Checks::new(slots, Timekeeper::new()));
    start(&checks, 7).unwrap();
    let expect = |expected: [Option<FailureKind>; 5]| {
        let deadline = Instant::now() + 60 * SECOND;
        while [0, 1, 2, 3, 4].map(|index| said(&checks, index)) != expected {
            let found = [0, 1, 2, 3, 4].map(|index| said(&checks, index));
            assert!(Instant::now() < deadline, "{found:?} and not {expected:?}");
            thread::park_timeout(tick);
        }
    };
    let blocked = Some(FailureKind::Blocked);
    expect([blocked, blocked, blocked, None, None]);
    assert!(checks.abandoned() > 0);
    let before = runs(&checks, 3);
    let deadline = Instant::now() + 60 * SECOND;
    while runs(&checks, 3) < before + 20 {
        assert!(Instant::now() < deadline, "what is well is not run any more");
        thread::park_timeout(tick);
    }
    assert_eq!(finding(&checks, 3), Finding::Passing);
    // Whoever comes back is run again.
    over.store(true, Ordering::Relaxed);
    drop(guard);
    expect([None; 5]);
    checks.stop();
    checks.wait_for_end(60 * SECOND);
    assert_eq!(Arc::strong_count(&checks), 1, "all threads have ended");
}
