use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const LATENCY: u64 = 3;

fn answered(light: Light) -> Sight {
    Sight::Answered(Answered {
        light,
        why: if light == Light::Green { String::new() } else { format!("is {light}") },
        dialect: None,
        code: 200,
        latency: Duration::from_millis(LATENCY),
        parts: None,
        excerpt: None,
        retry_after: None,
        address: ([127, 0, 0, 1], 80).into(),
        certificate_expires: None,
    })
}

fn failed() -> Sight {
    Sight::Failed { why: "no answer".to_owned() }
}

/// Observes these, one a minute, and tells the lights that were believed and the changes.
fn observe(
    service: &mut Service,
    sights: impl IntoIterator<Item = Sight>,
) -> (Vec<Option<Light>>, Vec<Change>) {
    let (mut lights, mut changes) = (Vec::new(), Vec::new());
    for sight in sights {
        let seen = Observation { at: service.asked + MINUTE, sight, introduction: None, traffic: None };
        changes.extend(service.observe(&seen, Patience::default()));
        lights.push(service.light);
    }
    (lights, changes)
}

fn lights(text: &str) -> Vec<Sight> {
    let sight = |letter| match letter {
        'G' => answered(Light::Green),
        'A' => answered(Light::Amber),
        'R' => answered(Light::Red),
        'x' => failed(),
        _ => Sight::NotKnown { why: "no network".to_owned(), is_network: true },
    };
    text.chars().map(sight).collect()
}

fn check(readings: &str, believed: &str) {
    let (found, _) = observe(&mut Service::default(), lights(readings));
    let letter = |light: &Option<Light>| match light {
        None => '-',
        Some(Light::Green) => 'G',
        Some(Light::Amber) => 'A',
        Some(Light::Red) => 'R',
    };
    assert_eq!(found.iter().map(letter).collect::<String>(), believed, "{readings}");
}

#[test]
fn a_light_is_believed_when_it_is_seen_twice() {
    check("GGGG", "GGGG");
    check("GRGG", "GGGG");
    check("GRRR", "GGRR");
    check("GxxG", "GGRR");
    check("GRRGG", "GGRRG");
    check("RR", "-R");
    check("AAA", "-AA");
    // The mildest of what is worse, the worst of what is better.
    check("GRA", "GGA");
    check("GRARR", "GGAAR");
    check("RRAG", "-RRA");
    check("GRR?GG", "GGRRRG");
}

#[test]
fn what_is_not_known_is_neither_up_nor_down() {
    let mut service = Service::default();
    let (found, changes) = observe(&mut service, lights("GG????????"));
    assert_eq!(found.last(), Some(&Some(Light::Green)));
    assert_eq!(changes, []);
    assert_eq!(service.not_known_since, Some(3 * MINUTE));
    observe(&mut service, lights("G"));
    assert_eq!(service.not_known_since, None);
}

#[test]
fn a_service_that_changes_all_the_time_is_amber() {
    let mut service = Service::default();
    observe(&mut service, lights("GRGRGRGRGR"));
    assert!(service.is_flapping);
    assert_eq!(service.light, Some(Light::Amber));
    let (_, changes) = observe(&mut service, lights(&"G".repeat(30)));
    assert!(!service.is_flapping);
    assert!(matches!(&changes[..], [Change::OutageEnded(_)]), "{changes:?}");
}

#[test]
fn an_outage_begins_with_its_first_reading_and_ends_once() {
    let mut service = Service::default();
    let (_, changes) = observe(&mut service, lights("GGAARRRG"));
    assert_eq!(changes, [Change::OutageBegan, Change::OutageChanged]);
    let outage = service.outage.clone().unwrap();
    assert_eq!((outage.began, outage.worst, &*outage.cause), (3 * MINUTE, Letter::R, "is AMBER"));
    let (_, changes) = observe(&mut service, lights("GG"));
    assert_eq!(changes, [Change::OutageEnded(outage)]);
    assert_eq!((service.outage, &*service.why), (None, ""));
}

fn says(revision: &str, uptime_seconds: u64) -> Introduction {
    Introduction {
        identity: lifesigns_model::identity::Identity {
            revision: Some(revision.to_owned()),
            ..Default::default()
        },
        uptime: Some(Duration::from_secs(uptime_seconds)),
        uptime_unit: Duration::from_secs(1),
        ..Introduction::default()
    }
}

fn meet(service: &mut Service, said: Introduction) -> Vec<Change> {
    let at = service.asked + MINUTE;
    service.observe(
        &Observation { at, sight: answered(Light::Green), introduction: Some(said), traffic: None },
        Patience::default(),
    )
}

#[test]
fn a_falling_uptime_is_a_restart_and_another_revision_a_deploy() {
    let mut service = Service::default();
    assert_eq!(meet(&mut service, says("aaaaaaa", 100)), []);
    assert_eq!(meet(&mut service, says("aaaaaaa", 160)), []);
    assert_eq!(meet(&mut service, says("aaaaaaa", 218)), []);
    assert_eq!(meet(&mut service, says("aaaaaaa", 10)), [restarted(4 * MINUTE - 10_000)]);
    let changes = meet(&mut service, says("bbbbbbb", 5));
    let deploy = Deploy { at: 5 * MINUTE, from: "aaaaaaa".to_owned(), to: "bbbbbbb".to_owned() };
    assert_eq!(changes, [restarted(5 * MINUTE - 5_000), Change::Deployed(deploy)]);
}

/// The last moment at which a process can have begun that said so.
fn restarted(at: i64) -> Change {
    Change::Restarted(at + LATENCY as i64)
}

/// One reading a minute of the process that began at that minute; and what was told, with the minute.
fn readings<'a>(service: &mut Service, seen: impl IntoIterator<Item = (&'a str, i64)>) -> Vec<(i64, Change)> {
    let mut told = Vec::new();
    for (revision, began) in seen {
        let at = service.asked + MINUTE;
        let uptime = u64::try_from(at / 1000 - began * 60).unwrap();
        told.extend(meet(service, says(revision, uptime)).into_iter().map(|change| (at / MINUTE, change)));
    }
    told
}

fn deployed(minute: i64, from: &str, to: &str) -> (i64, Change) {
    let deploy = Deploy { at: minute * MINUTE, from: from.to_owned(), to: to.to_owned() };
    (minute, Change::Deployed(deploy))
}

#[test]
fn a_restart_is_seen_although_the_new_process_has_outlived_the_old_one() {
    let mut service = Service::default();
    assert_eq!(readings(&mut service, [("a", 0), ("a", 0)]), []);
    service.asked = 60 * MINUTE;
    assert_eq!(readings(&mut service, [("a", 10)]), [(61, restarted(10 * MINUTE))]);
    assert_eq!(service.process_began, Some(10 * MINUTE + LATENCY as i64));
}

#[test]
fn several_processes_behind_one_address_are_no_restarts() {
    let mut service = Service { asked: 600 * MINUTE, ..Service::default() };
    let three = [("a", 100), ("a", 250), ("a", 50), ("a", 250), ("a", 100)];
    assert_eq!(readings(&mut service, three.into_iter().cycle().take(200)), []);
    assert_eq!(service.process_began, Some(250 * MINUTE + LATENCY as i64));
    // One of them is started anew, and that is told once.
    let told =
        readings(&mut service, [("a", 800), ("a", 100), ("a", 800), ("a", 50), ("a", 800), ("a", 800)]);
    assert_eq!(told, [(801, restarted(800 * MINUTE))]);
    // Hundreds are too many to be known, and still no restarts.
    let many = (0..500).map(|number| ("a", 700 - 7 * (number * 37 % 100)));
    assert_eq!(readings(&mut service, many), []);
}

#[test]
fn a_process_that_takes_the_place_of_another_after_a_while_is_a_restart_once_it_is_alone() {
    let mut service = Service::default();
    assert_eq!(readings(&mut service, [("a", 0); 20]), []);
    // It began at minute 15, when the other one was still there.
    let old_and_new = [("a", 15), ("a", 0)].into_iter().chain([("a", 15); 30]);
    assert_eq!(readings(&mut service, old_and_new), [(42, restarted(15 * MINUTE))]);
}

#[test]
fn several_processes_that_take_the_place_of_others_are_one_restart() {
    let mut service = Service { asked: 600 * MINUTE, ..Service::default() };
    assert_eq!(readings(&mut service, [("a", 100), ("a", 250)].into_iter().cycle().take(20)), []);
    let overlap = [("a", 615), ("a", 250), ("a", 616), ("a", 100)].into_iter();
    let told = readings(&mut service, overlap.chain([("a", 615), ("a", 616)].into_iter().cycle().take(60)));
    assert_eq!(told, [(644, restarted(616 * MINUTE))]);
}

#[test]
fn a_second_process_beside_the_first_was_a_restart_as_soon_as_it_was_seen_three_times_in_a_row() {
    let mut service = Service::default();
    assert_eq!(readings(&mut service, [("a", 0); 20]), []);
    let shared = "BBBBABBABBBBBBABAAABBBBBBBBBA".repeat(4);
    let seen = |letter: char| ("a", if letter == 'B' { 15 } else { 0 });
    assert_eq!(readings(&mut service, shared.chars().map(seen)), []);
    // The first one goes: there are fewer of them then, and none is new.
    assert_eq!(readings(&mut service, [("a", 15); 60]), []);
}

#[test]
fn a_deploy_that_takes_a_while_is_told_once() {
    let mut service = Service::default();
    let told = readings(
        &mut service,
        "AAABABABBBBBB".chars().map(|one| if one == 'A' { ("a", 0) } else { ("b", 3) }),
    );
    let of = |kind: fn(&Change) -> bool| {
        told.iter().filter(|(_, change)| kind(change)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(|change| matches!(change, Change::Deployed(_))), [deployed(4, "a", "b")]);
    assert_eq!(of(|change| matches!(change, Change::Restarted(_))), [(4, restarted(3 * MINUTE))]);
    assert_eq!(service.about.revision.as_deref(), Some("b"));
}

fn revisions(service: &mut Service, text: &str) -> Vec<(i64, Change)> {
    let mut told = Vec::new();
    for revision in text.chars() {
        let said = Introduction { uptime: None, ..says(&revision.to_string(), 0) };
        told.extend(meet(service, said).into_iter().map(|change| (service.asked / MINUTE, change)));
    }
    told
}

#[test]
fn a_deploy_that_is_taken_back_is_told_when_what_ran_before_runs_alone() {
    let mut service = Service::default();
    let told = revisions(&mut service, "AAABBBBAAAAA");
    let mut back = deployed(10, "B", "A");
    // It is told then, and began before.
    if let (_, Change::Deployed(deploy)) = &mut back {
        deploy.at = 8 * MINUTE;
    }
    assert_eq!(told, [deployed(4, "A", "B"), back]);
    assert_eq!(service.about.revision.as_deref(), Some("A"));
    // What is new is told at once, all the same.
    assert_eq!(revisions(&mut service, "C"), [deployed(13, "A", "C")]);
}

#[test]
fn revisions_that_run_beside_each_other_for_good_are_not_told_again_and_again() {
    for alternating in
        ["AB", "AAB", "AAAB", "AAABBB", "ABAABBBABBABAAABABB", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB", "ABC"]
    {
        let mut service = Service::default();
        let told = revisions(&mut service, &alternating.repeat(60));
        assert!(told.len() <= 5, "{alternating}: {told:?}");
    }
    // One of them is gone: what is left is told in the end.
    let mut service = Service::default();
    revisions(&mut service, &"AB".repeat(60));
    revisions(&mut service, &"A".repeat(30));
    assert_eq!(service.about.revision.as_deref(), Some("A"));
}

#[test]
fn what_runs_beside_something_else_is_known_across_a_restart_of_the_monitor() {
    let mut service = Service { asked: 100 * MINUTE, ..Service::default() };
    let two = || [("b", 50), ("a", 10)].into_iter().cycle();
    assert_eq!(readings(&mut service, two().take(9)).len(), 1);
    let mut again: Service = serde_json::from_str(&serde_json::to_string(&service).unwrap()).unwrap();
    assert_eq!(readings(&mut again, two().skip(1).take(9)), []);
}

#[test]
fn memory_is_judged_of_one_process_at_a_time() {
    let mut service = Service { asked: 600 * MINUTE, ..Service::default() };
    let mut read = |began: i64, used_mb: u64| {
        let uptime = u64::try_from((service.asked + MINUTE) / 1000 - began * 60).unwrap();
        let said = Introduction { memory_used_mb: Some(used_mb), ..says("a", uptime) };
        meet(&mut service, said);
        (service.memory.samples().len(), service.memory_since())
    };
    for minute in 0..10 {
        assert_eq!(read(100, 500 + minute).0, minute as usize + 1);
    }
    // Two in turns would look like anything.
    for _ in 0..20 {
        assert_eq!(read(200, 100).0, 1);
        assert_eq!(read(100, 900).0, 1);
    }
    assert_eq!(read(200, 100), (1, Some(650 * MINUTE)));
    assert_eq!(read(200, 100), (2, Some(650 * MINUTE)));
}

#[test]
fn words_for_an_uptime_are_as_exact_as_they_are() {
    let mut service = Service { asked: 600 * MINUTE, ..Service::default() };
    let mut hours = |hours: u64| {
        let unit = Duration::from_hours(1);
        let uptime = unit * u32::try_from(hours).unwrap();
        let said = Introduction { uptime: Some(uptime), uptime_unit: unit, ..says("a", 0) };
        meet(&mut service, said).len()
    };
    let told: usize = (0..600).map(|minute| hours(3 + (minute + 30) / 60)).sum();
    assert_eq!(told, 0, "it has not been restarted");
    assert_eq!(hours(0), 1);
    assert_eq!((hours(0), hours(0)), (0, 0));
}

#[test]
fn a_machine_that_slept_or_an_answer_that_was_kept_is_no_restart() {
    let mut service = Service { asked: 600 * MINUTE, ..Service::default() };
    assert_eq!(readings(&mut service, [("a", 100), ("a", 100), ("a", 130), ("a", 130), ("a", 130)]), []);
    let kept = (0..50).flat_map(|_| meet(&mut service, says("a", 31_000))).count();
    assert_eq!(kept, 0);
}

#[test]
fn a_restart_is_seen_across_a_restart_of_the_monitor() {
    let mut service = Service::default();
    meet(&mut service, says("aaaaaaa", 1_000_000));
    let kept = serde_json::to_string(&service).unwrap();
    let mut again: Service = serde_json::from_str(&kept).unwrap();
    assert_eq!(again.light, Some(Light::Green));
    assert_eq!(meet(&mut again.clone(), says("aaaaaaa", 1_000_060)), []);
    assert!(matches!(meet(&mut again, says("aaaaaaa", 30))[..], [Change::Restarted(_)]));
}

proptest! {
    #[test]
    fn outages_begin_and_end_in_turns_and_are_there_while_the_light_is_not_green(readings in "[GARx?]{0,60}") {
        let mut service = Service::default();
        for sight in lights(&readings) {
            let was_out = service.outage.is_some();
            let (_, changes) = observe(&mut service, [sight]);
            let is_out = service.outage.is_some();
            prop_assert_eq!(is_out, service.light.is_some_and(|light| light != Light::Green));
            prop_assert_eq!(changes.contains(&Change::OutageBegan), !was_out && is_out);
            prop_assert_eq!(changes.iter().any(|change| matches!(change, Change::OutageEnded(_))), was_out && !is_out);
        }
    }
}
