//! `[monitor]`, `[[service]]`, `[[alert]]` and `[[maintenance]]`.

use std::time::Duration;

use lifesigns_monitor::service::Letter;

use super::*;
use crate::config::reference::Section;
use crate::config::reference::monitor::{ALERT, MAINTENANCE, MONITOR, SERVICE, channels};
use crate::config::validated::Monitor;

const ONE_SERVICE: &str = "[[service]]\nname = \"a\"\nurl = \"http://a/health\"\n";

/// Files and variables that the examples name.
pub(super) fn surroundings() -> Pretended {
    let url = "https://hooks.example.com/K4n4rie";
    let variables = [
        ("WEBHOOK_URL", url),
        ("SLACK_WEBHOOK", url),
        ("WEBHOOK_TOKEN", "s3cret"),
        ("WEBHOOK_SECRET", "s3cret"),
        ("PAGERDUTY_KEY", "s3cret"),
        ("MAIL_PASSWORD", "s3cret"),
        ("PAGER_TOKEN", "s3cret"),
        ("ORDERS_AUTHORIZATION", "Bearer s3cret"),
    ];
    Pretended::variables(&variables)
        .file("/run/secrets/orders-authorization", "Bearer s3cret\n")
        .file("/run/secrets/webhook", &format!("{url}\n"))
        .file("/run/secrets/slack", &format!("{url}\n"))
        .file("/run/secrets/webhook-headers", "x-key: s3cret\n\nx-other: s3cret\n")
        .file("/run/secrets/webhook-token", "s3cret\n")
        .file("/run/secrets/webhook-secret", "s3cret\n")
        .file("/run/secrets/pagerduty", "s3cret\n")
        .file("/run/secrets/mail", "s3cret\n")
        .file("/etc/lifesigns/outage.json.j2", "{\"text\": {{ title }}}")
}

fn read_monitor(text: &str) -> Monitor {
    let settings = read_in(text, &surroundings());
    let settings =
        settings.unwrap_or_else(|faults| panic!("{text}\n{}", Printer::plain().faults_text(&faults)));
    settings.monitor.unwrap_or_else(|| panic!("{text} names a service"))
}

/// What a table cannot do without, besides this key.
fn required(table: &str, key: &str) -> String {
    let lines: &[(&str, &[&str])] = match table {
        "[[service]]" => &[("name = \"z\"", &["name"]), ("url = \"http://z/health\"", &["url"])],
        "[[alert]]" => &[("name = \"z\"", &["name"])],
        "[[maintenance]]" => {
            &[("from = 2026-03-16T21:00:00Z", &["from"]), ("to = 2026-03-17T00:00:00Z", &["to"])]
        }
        "[alert.webhook]" | "[alert.slack]" => {
            &[("url_env = \"WEBHOOK_URL\"", &["url_env", "url_file", "url"])]
        }
        "[alert.pagerduty]" => {
            &[("routing_key_env = \"PAGERDUTY_KEY\"", &["routing_key_env", "routing_key_file"])]
        }
        "[alert.email]" => &[
            ("host = \"mail.example.com\"", &["host"]),
            ("from = \"monitor@example.com\"", &["from"]),
            ("to = [\"ops@example.com\"]", &["to"]),
        ],
        "[alert.command]" => &[("program = \"/usr/bin/true\"", &["program"])],
        _ => &[],
    };
    let mut text = String::new();
    for (line, keys) in lines {
        if !keys.contains(&key) {
            let _ = writeln!(text, "{line}");
        }
    }
    if key == "user" {
        text.push_str("password_env = \"MAIL_PASSWORD\"\n");
    } else if key.starts_with("password") {
        text.push_str("user = \"monitor\"\n");
    } else if key == "content_type" {
        text.push_str("template_file = \"outage.json.j2\"\n");
    }
    text
}

/// A file with this line in that table.
fn with_line(section: &Section, key: &str, line: &str) -> String {
    let header = section.header;
    let required = required(header, key);
    let services = "[[service]]\nname = \"stock\"\nurl = \"http://s/\"\n\
                    [[service]]\nname = \"orders-db\"\nurl = \"http://d/\"\n";
    let table = match header {
        "[[alert]]" => format!("[[alert]]\n{line}\n{required}[alert.command]\nprogram = \"/usr/bin/true\"\n"),
        header if header.starts_with("[alert.") => {
            format!("[[alert]]\nname = \"z\"\n{header}\n{line}\n{required}")
        }
        header => format!("{header}\n{line}\n{required}"),
    };
    format!("{services}{table}")
}

fn all_sections() -> impl Iterator<Item = &'static Section> {
    [&MONITOR, &SERVICE, &ALERT, &MAINTENANCE].into_iter().chain(channels().map(|(_, section)| section))
}

#[test]
fn every_documented_example_of_a_monitor_is_right() {
    for section in all_sections() {
        for key in section.keys {
            let Some(example) = key.written_example() else { continue };
            // An authority's file is read when a channel is made, from the machine that the test runs on.
            if key.name != "ca_file" {
                read_monitor(&with_line(section, key.name, &format!("{} = {example}", key.name)));
            }
        }
    }
}

#[test]
fn documented_defaults_of_a_monitor_are_the_defaults() {
    for section in all_sections() {
        let left_out = format!("{:#?}", read_monitor(&with_line(section, "", "")));
        for key in section.keys {
            let Some(default) = key.written_default() else { continue };
            let written = read_monitor(&with_line(section, "", &format!("{} = {default}", key.name)));
            let written = format!("{written:#?}").replace("/etc/lifesigns/lifesigns-", "lifesigns-");
            assert_eq!(written, left_out, "{} {}", section.header, key.name);
        }
    }
}

#[test]
fn a_monitor_is_as_it_was_written() {
    let text = include_str!("../../../../../examples/monitor.toml");
    let settings = read_in(text, &surroundings()).unwrap();
    assert!(settings.apis.is_empty());
    let monitor = settings.monitor.unwrap();
    assert_eq!((monitor.listen.port(), monitor.is_open), (8090, false));
    assert_eq!(monitor.data.as_deref(), Some(Path::new("/etc/lifesigns/monitor.db")));
    let [shop, orders, _] = &monitor.options.targets[..] else { panic!("{:?}", monitor.options.targets) };
    assert_eq!((&*shop.name, shop.is_public, shop.interval), ("shop", true, Duration::from_secs(30)));
    assert_eq!((orders.interval, orders.deadline), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!(orders.dialect.unwrap().name(), "actuator");
    assert_eq!(shop.depends_on, std::slice::from_ref(&orders.name));
    let [(duty, _), (team, channel)] = &monitor.options.routes[..] else { panic!("{:?}", monitor.options) };
    assert_eq!((duty.light, duty.environments.len(), duty.remind), (Letter::R, 1, Some(4 * 3_600_000)));
    assert_eq!((team.light, team.after, team.remind, team.quiet.len()), (Letter::A, 300_000, None, 3));
    assert!(channel.receiver().contains("mail.example.com"), "{}", channel.receiver());
    assert_eq!(monitor.options.maintenance[0].reason, "new disks");
}

#[test]
fn what_a_service_leaves_out_is_as_for_all() {
    let monitor = read_monitor(&format!(
        "[monitor]\ninterval_seconds = 40\ndeadline_seconds = 20\nfailures = 3\nrecoveries = 4\n\
         {ONE_SERVICE}[[service]]\nname = \"b\"\nurl = \"http://b\"\ninterval_seconds = 5\nfailures = 1\n\
         authorization_env = \"ORDERS_AUTHORIZATION\"\n"
    ));
    let seconds = Duration::from_secs;
    let [a, b] = &monitor.options.targets[..] else { panic!("{monitor:?}") };
    assert_eq!((a.interval, a.deadline), (seconds(40), seconds(20)));
    // An answer is waited for until the next time to ask, at most.
    assert_eq!((b.interval, b.deadline), (seconds(5), seconds(5)));
    assert_eq!((a.patience.failures, b.patience.failures, b.patience.recoveries), (3, 1, 4));
    assert_eq!(b.authorization.as_ref().unwrap(), "Bearer s3cret");
    assert!(!format!("{b:?}").contains("s3cret"));
}

#[test]
fn a_monitor_is_open_where_it_is_out_of_reach_and_nobody_is_let_in() {
    let token = format!(
        "[[token]]\nname = \"a\"\nhash = \"{}\"\nscopes = [\"fleet:read\"]\n",
        lifesigns::TokenHash::of("x")
    );
    let check = |more: &str, is_open: bool| {
        let text = format!("{more}{ONE_SERVICE}");
        assert_eq!(read_monitor(&text).is_open, is_open, "{text}");
    };
    check("", true);
    check("[monitor]\nlisten = \"[::1]:1\"\n", true);
    check("[monitor]\nlisten = \"0.0.0.0:1\"\n", false);
    check("[monitor]\nuser_header = \"X-User\"\n", false);
    check(&token, false);
}

#[test]
fn there_is_a_monitor_where_there_is_something_to_watch() {
    let alert = "[[alert]]\nname = \"a\"\n[alert.command]\nprogram = \"/usr/bin/true\"\n";
    let settings = read(&format!("[monitor]\nlisten = \"127.0.0.1:1\"\n{alert}{ONE_API}")).unwrap();
    assert!(settings.monitor.is_none() && settings.apis.len() == 1);
    let both = read(&format!("{ONE_SERVICE}{alert}{ONE_API}")).unwrap();
    assert!(both.monitor.is_some() && both.apis.len() == 1);
    let faults = told(read(alert));
    assert!(faults.contains("no API to stand in front of, and no service to watch"), "{faults}");
}

#[test]
fn flags_and_variables_stand_over_the_file() {
    let file = format!("[monitor]\nlisten = \"127.0.0.1:1\"\ninterval_seconds = 7\n{ONE_SERVICE}");
    let variables = [("LIFESIGNS_MONITOR_LISTEN", "127.0.0.1:2"), ("LIFESIGNS_MONITOR_INTERVAL", "8")];
    let surroundings = Pretended::variables(&variables);
    let monitor = read_in(&file, &surroundings).unwrap().monitor.unwrap();
    assert_eq!((monitor.listen.port(), monitor.options.targets[0].interval.as_secs()), (2, 8));
    let path: &[tree::Step] =
        &[tree::Step { key: "monitor", list: false }, tree::Step { key: "interval_seconds", list: false }];
    let flags = |value| [Flag { name: "--interval", path, value: Some(value) }];
    let services = [("a".to_owned(), "http://a/".to_owned())];
    let settings = from_services(&services, &flags("9"), &surroundings).unwrap();
    let monitor = settings.monitor.unwrap();
    assert_eq!((monitor.listen.port(), monitor.options.targets[0].interval.as_secs()), (2, 9));
    for wrong in ["0", "nine", "-1", "99999999999999999999"] {
        let faults = told(from_services(&services, &flags(wrong), &surroundings));
        assert!(faults.starts_with("--interval: error: `interval_seconds` must be from 1"), "{faults}");
    }
}

#[test]
fn services_that_make_no_sense_are_told() {
    insta::assert_snapshot!(told(read(
        "[monitor]\nlisten = \":8090\"\nagent_listen = \"x\"\nlink = \"https://a/?b\"\nuser_header = \"a b\"\n\
         interval_seconds = 5\ndeadline_seconds = 6\nreferences = [\"192.0.2.1\", \"192.0.2.1:53\", \"a:b\"]\n\
         [[service]]\n\
         [[service]]\nname = \"a b\"\nurl = \"shop.example.com\"\n\
         [[service]]\nname = \"orders\"\nurl = \"http://app:s3cret@a/\"\n\
         [[service]]\nname = \"orders\"\nurl = \"ftp://a/\"\ndialect = \"actuater\"\ndepends_on = [\"order\", \"orders\"]\n\
         [[service]]\nname = \"stock\"\nurl = \"http://a/\"\ninterval_seconds = 10\ndeadline_seconds = 11\n\
         authorization_env = \"UNSET\"\n\
         [[service]]\nname = \"shop\"\nurl = \"http://a/\"\nauthorization_env = \"A\"\nauthorization_file = \"/b\"\n"
    )));
}

#[test]
fn dependencies_do_not_lead_in_a_circle() {
    let service = |name: &str, needs: &str| {
        format!("[[service]]\nname = \"{name}\"\nurl = \"http://{name}/\"\ndepends_on = [{needs}]\n")
    };
    let check = |services: &[(&str, &str)], expected: Option<&str>| {
        let text: String = services.iter().map(|(name, needs)| service(name, needs)).collect();
        let settings = read(&text);
        match expected {
            None => assert!(settings.is_ok(), "{text}{}", told(settings)),
            Some(circle) => {
                let faults = told(settings);
                assert!(faults.contains(&format!("`depends_on` leads in a circle: {circle}\n")), "{faults}");
            }
        }
    };
    check(&[("a", "\"b\", \"c\""), ("b", "\"d\""), ("c", "\"d\""), ("d", "")], None);
    check(&[("a", "\"a\"")], Some("`a` needs `a`"));
    check(&[("a", "\"b\""), ("b", "\"a\"")], Some("`a` needs `b` needs `a`"));
    check(&[("a", "\"b\""), ("b", "\"c\""), ("c", "\"b\"")], Some("`b` needs `c` needs `b`"));
    // As long as a chain may be.
    let names: Vec<String> = (0..=20_000).map(|number| format!("s{number}")).collect();
    let chain: String = names.windows(2).map(|pair| service(&pair[0], &format!("\"{}\"", pair[1]))).collect();
    assert!(read(&format!("{chain}{}", service(&names[20_000], ""))).is_ok());
    assert!(told(read(&format!("{chain}{}", service(&names[20_000], "\"s0\"")))).contains("in a circle"));
}

#[test]
fn alerts_that_make_no_sense_are_told() {
    let text = format!(
        "{ONE_SERVICE}\
         [[alert]]\n\
         [[alert]]\nname = \"b\"\nservices = [\"a*\", \"z*\", \"aa\"]\nlight = \"orange\"\nquiet = [\"22-7\", \"22:00-07:00\"]\n\
         [alert.slack]\n\
         [[alert]]\nname = \"b\"\n[alert.command]\nprogram = \"/usr/bin/true\"\n[alert.email]\nhost = \"a\"\n\
         [[alert]]\nname = \"c\"\n[alert.webhook]\nurl = \"http://a/\"\ntemplate_file = \"bad.j2\"\n\
         [[alert]]\nname = \"d\"\n[alert.webhook]\nurl = \"hooks\"\n\
         [[alert]]\nname = \"e\"\n[alert.webhook]\nurl = \"http://a/\"\nurl_env = \"WEBHOOK_URL\"\nheaders = [\"x\"]\n\
         [[alert]]\nname = \"f\"\n[alert.email]\nhost = \"mail\"\nfrom = \"nobody\"\nto = [\"a@example.com\"]\n\
         [[alert]]\nname = \"g\"\n[alert.email]\nhost = \"mail\"\nfrom = \"a@example.com\"\nto = [\"a@example.com\"]\n\
         user = \"a\"\npassword_env = \"MAIL_PASSWORD\"\nencryption = \"none\"\n\
         [[alert]]\nname = \"h\"\n[alert.pagerduty]\nrouting_key_env = \"UNSET\"\n\
         [[maintenance]]\nfrom = 2026-03-16T22:00:00Z\nto = 2026-03-16T21:00:00Z\nservices = [\"b\"]\n\
         [[maintenance]]\nreason = \"none\"\n"
    );
    let surroundings = surroundings().file("/etc/lifesigns/bad.j2", "{\"text\": {{ titel }}}");
    insta::assert_snapshot!(told(read_in(&text, &surroundings)));
}

#[test]
fn services_that_are_not_there_are_told_with_the_nearest_that_is() {
    let orders = "[[service]]\nname = \"orders\"\nurl = \"http://a/\"\n";
    let check = |more: &str, key: &str| {
        let faults = told(read(&format!("{orders}{more}")));
        assert!(faults.contains(&format!("`{key}` does not know `order`\n")), "{faults}");
        assert!(faults.contains("hint: did you mean `orders`?\n"), "{faults}");
    };
    check("[[service]]\nname = \"shop\"\nurl = \"http://b/\"\ndepends_on = [\"order\"]\n", "depends_on");
    check(
        "[[maintenance]]\nfrom = 2026-03-16T22:00:00Z\nto = 2026-03-16T23:00:00Z\nservices = [\"order\"]\n",
        "services",
    );
    let command = "[alert.command]\nprogram = \"/usr/bin/true\"\n";
    check(&format!("[[alert]]\nname = \"a\"\nservices = [\"orders\", \"order\"]\n{command}"), "services");
}

#[test]
fn listeners_of_one_process_are_apart() {
    let check = |text: &str, expected: Option<&str>| {
        let settings = read(&format!("{text}{ONE_SERVICE}"));
        match expected {
            None => assert!(settings.is_ok(), "{text}{}", told(settings)),
            Some(told_of) => {
                let faults = told(settings);
                assert!(faults.contains(told_of), "{faults}");
            }
        }
    };
    let at = |gateway: u16, monitor: u16, agents: u16| {
        format!(
            "[gateway]\nlisten = \"127.0.0.1:{gateway}\"\n\
             [monitor]\nlisten = \"127.0.0.1:{monitor}\"\nagent_listen = \"127.0.0.1:{agents}\"\n"
        )
    };
    check(&format!("{}{ONE_API}", at(1, 2, 3)), None);
    check(&format!("{}{ONE_API}", at(0, 0, 0)), None);
    check(&format!("{}{ONE_API}", at(1, 1, 3)), Some("same address as `listen` of `[gateway]`"));
    check(&format!("{}{ONE_API}", at(1, 2, 1)), Some("same address as `listen` of `[gateway]`"));
    check(&at(1, 2, 2), Some("same address as `listen` of `[monitor]`"));
    // Nothing listens for APIs that are not there.
    check(&at(1, 1, 3), None);
}

#[test]
fn addresses_of_webhooks_are_not_told() {
    // People will write them where they must not stand.
    let text = format!(
        "{ONE_SERVICE}[[alert]]\nname = \"a\"\n[alert.slack]\nurl = \"https://hooks.slack.com/services/T0/B0/K4n4rie\"\n"
    );
    let faults = told(read(&text));
    assert!(faults.contains("`[alert.slack]` has no key `url`") && !faults.contains("K4n4rie"), "{faults}");
}
