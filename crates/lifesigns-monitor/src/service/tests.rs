use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;

fn answered(light: Light) -> Sight {
    Sight::Answered(Answered {
        light,
        why: if light == Light::Green { String::new() } else { format!("is {light}") },
        dialect: None,
        code: 200,
        latency: Duration::from_millis(3),
        parts: None,
        excerpt: None,
        retry_after: None,
        address: "127.0.0.1".to_owned(),
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
    assert_eq!(meet(&mut service, says("aaaaaaa", 158)), []);
    assert_eq!(meet(&mut service, says("aaaaaaa", 10)), [Change::Restarted(4 * MINUTE - 10_000)]);
    let changes = meet(&mut service, says("bbbbbbb", 5));
    let deploy = Deploy { at: 5 * MINUTE, from: "aaaaaaa".to_owned(), to: "bbbbbbb".to_owned() };
    assert_eq!(changes, [Change::Restarted(5 * MINUTE - 5_000), Change::Deployed(deploy)]);
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
