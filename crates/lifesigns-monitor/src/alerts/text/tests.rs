use proptest::prelude::*;

use super::*;

/// 2026-03-16T18:00:00Z.
const BEGAN: i64 = 1_773_684_000_000;

fn affected(name: &str) -> Affected {
    Affected {
        name: name.to_owned(),
        environment: None,
        light: Letter::R,
        now: None,
        began: BEGAN,
        ended: None,
        cause: "connection refused".to_owned(),
        failing: None,
        excerpt: None,
        deploy: None,
    }
}

fn message(kind: MessageKind, services: Vec<Affected>) -> Message {
    Message {
        id: "1/ops/0".to_owned(),
        first: None,
        incident: "1".to_owned(),
        kind,
        light: Letter::R,
        now: None,
        is_better: false,
        began: BEGAN,
        at: BEGAN + 245_000,
        services,
        shared: Vec::new(),
        endangered: Vec::new(),
        link: None,
    }
}

#[test]
fn titles_say_what_has_happened() {
    let many = |count: usize| (0..count).map(|number| affected(&format!("service-{number}"))).collect();
    let check = |kind, services: Vec<Affected>, expected: &str| {
        assert_eq!(title(&message(kind, services)), expected);
    };
    check(MessageKind::Opened, many(1), "RED: service-0");
    check(MessageKind::Opened, many(200), "RED: service-0 and 199 more");
    check(MessageKind::Updated, many(3), "RED, and more of them: service-0 and 2 more");
    check(MessageKind::Reminder, many(1), "Still RED after 4 min: service-0");
    check(MessageKind::Resolved, many(2), "Over after 4 min: service-0 and 1 more");
    check(MessageKind::Opened, many(0), "RED: no service");
    let mut services: Vec<Affected> = many(2);
    services[0].ended = Some(BEGAN + 1);
    check(MessageKind::Reminder, services.clone(), "Still RED after 4 min: service-1");
    let better = Message { is_better: true, ..message(MessageKind::Updated, services) };
    assert_eq!(title(&better), "RED, but 1 of 2 is green again: service-1");
    check(
        MessageKind::Opened,
        vec![affected("a\nBcc: b\u{1b}[31m\u{202e}")],
        "RED: a\\nBcc: b\\u{1b}[31m\\u{202e}",
    );
}

#[test]
fn a_body_says_all_that_is_known() {
    let first = Affected {
        environment: Some("production".to_owned()),
        failing: Some("db".to_owned()),
        excerpt: Some("{\"status\":\"DOWN\",\r\n \"db\":\"\u{1b}[2J\"}\n".to_owned()),
        deploy: Some(Deploy { at: BEGAN - 180_000, from: "1a2b3c4".to_owned(), to: "5d6e7f8".to_owned() }),
        ..affected("orders")
    };
    let second =
        Affected { began: BEGAN + 4_000, light: Letter::A, cause: String::new(), ..affected("cart") };
    let opened = Message {
        shared: vec!["host 10.0.0.7".to_owned(), "dependency db".to_owned()],
        endangered: vec!["web".to_owned(), "app".to_owned()],
        link: Some("https://monitor.example/incidents/1".to_owned()),
        ..message(MessageKind::Opened, vec![first, second])
    };
    let expected = "\
RED since 2026-03-16 18:00:00 UTC, for 4 min by now (2026-03-16 18:04:05 UTC).

First: orders (production)
Cause: connection refused
Failing check: db
Last deploy: 3 min before, at 2026-03-16 17:57:00 UTC: from 1a2b3c4 to 5d6e7f8
Answer:
    {\"status\":\"DOWN\",
     \"db\":\"\\u{1b}[2J\"}

They share: host 10.0.0.7, dependency db

All 2:
- orders (production), RED from 2026-03-16 18:00:00 UTC: connection refused
- cart, AMBER from 2026-03-16 18:00:04 UTC

Well, but depending on them (2):
web, app

https://monitor.example/incidents/1
";
    assert_eq!(body(&opened), expected);
}

#[test]
fn what_is_better_than_it_was_says_both() {
    let better = Affected { now: Some(Letter::A), ..affected("orders") };
    let reminder =
        |kind| Message { now: Some(Letter::A), ..message(kind, vec![better.clone(), affected("cart")]) };
    let check = |kind, expected: &str| assert_eq!(title(&reminder(kind)), expected);
    check(MessageKind::Opened, "AMBER, at worst RED: orders and 1 more");
    check(MessageKind::Updated, "AMBER, at worst RED, and more of them: orders and 1 more");
    check(MessageKind::Reminder, "Still AMBER, at worst RED, after 4 min: orders and 1 more");
    let text = body(&reminder(MessageKind::Reminder));
    let expected = [
        "AMBER, at worst RED. Not green since 2026-03-16 18:00:00 UTC, for 4 min by now (2026-03-16 18:04:05 UTC).",
        "- orders, AMBER, at worst RED from 2026-03-16 18:00:00 UTC: connection refused",
        "- cart, RED from 2026-03-16 18:00:00 UTC: connection refused",
    ];
    for line in expected {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
}

#[test]
fn a_body_that_ends_an_incident_says_how_long_it_was() {
    let over = Affected { ended: Some(BEGAN + 245_000), ..affected("orders") };
    let expected = "\
It is over since 2026-03-16 18:04:05 UTC. It was RED from 2026-03-16 18:00:00 UTC on, for 4 min.

Service: orders
Cause: connection refused
";
    assert_eq!(body(&message(MessageKind::Resolved, vec![over])), expected);
}

#[test]
fn all_names_are_told_however_many_there_are() {
    let names: Vec<String> = (0..200).map(|number| format!("service-{number:03}")).collect();
    let services = names.iter().map(|name| affected(name)).collect();
    let text = body(&message(MessageKind::Opened, services));
    let (_, list) = text.split_once("All 200:\n").unwrap();
    let told: Vec<&str> = list.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty()).collect();
    assert_eq!(told, names);
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH + 1), "{text}");
}

#[test]
fn what_is_longer_than_people_read_is_cut() {
    let long = "x".repeat(100_000);
    let giant = Affected {
        environment: Some(long.clone()),
        failing: Some(long.clone()),
        excerpt: Some(long.clone()),
        cause: long.clone(),
        deploy: Some(Deploy { at: BEGAN, from: long.clone(), to: long.clone() }),
        ..affected(&long)
    };
    let giant = Message {
        shared: vec![long.clone(); 1_000],
        link: Some(long.clone()),
        endangered: vec!["web".to_owned(); 20_000],
        ..message(MessageKind::Opened, vec![giant; 2])
    };
    let text = body(&giant);
    assert!(text.contains("and 15000 more") && text.contains("and 980 more"));
    assert!(text.len() < 60_000, "{}", text.len());
    assert!(title(&giant).len() < 200);
}

#[test]
fn lengths_of_time_are_in_their_largest_units() {
    let check = |seconds: i64, expected: &str| assert_eq!(span(seconds * 1_000), expected);
    check(-5, "0 s");
    check(59, "59 s");
    check(245, "4 min");
    check(7_200, "2 h");
    check(7_260, "2 h 1 min");
    check(90_000, "1 d 1 h");
    check(864_000, "10 d");
    assert_eq!(time(i64::MAX), "9223372036854775807 ms since 1970");
}

proptest! {
    #[test]
    fn nothing_steers_a_terminal(text: String, longest in 0_usize..50) {
        let line = visible(&text, longest);
        prop_assert!(!line.chars().any(|character| character.is_control() || is_invisible(character)));
        let lines = visible_lines(&text, longest);
        prop_assert!(!lines.chars().any(|character| character != '\n' && character.is_control()));
    }
}
