//! `[[check]]` and `[[api.route_group]]`.

use std::fmt::Write as _;

use lifesigns_model::verdict::Thresholds;

use super::*;
use crate::config::reference::checks::{CHECK, kinds};

/// What a table of this kind cannot do without.
fn required(kind: &str) -> &'static [(&'static str, &'static str)] {
    match kind {
        "http" => &[("url", "\"http://127.0.0.1:1/health\"")],
        "tcp" => &[("address", "\"127.0.0.1:25\"")],
        "certificate" => &[("address", "\"127.0.0.1:443\"")],
        "dns" => &[("name", "\"db.example.com\"")],
        "postgres" => &[("url", "\"postgres://app@db/orders\""), ("password_env", "\"DB_PASSWORD\"")],
        "mysql" => &[("url", "\"mysql://app@db/orders\""), ("password_env", "\"DB_PASSWORD\"")],
        "redis" => &[("url", "\"redis://cache\""), ("password_env", "\"DB_PASSWORD\"")],
        "amqp" => &[("url", "\"amqp://app@broker\""), ("password_env", "\"DB_PASSWORD\"")],
        "nats" => &[("url", "\"nats://app@broker\""), ("password_env", "\"DB_PASSWORD\"")],
        "mqtt" => &[("url", "\"mqtt://app@broker\""), ("password_env", "\"DB_PASSWORD\"")],
        "clickhouse" => &[("url", "\"http://app@store:8123\""), ("password_env", "\"DB_PASSWORD\"")],
        "sqlite" | "disk" | "file" => &[("path", "\"/var/lib/app\"")],
        "command" => &[("program", "\"/usr/bin/true\"")],
        _ => &[],
    }
}

/// A file with one check of this kind and this line in its table.
fn with_line(kind: &str, name: &str, value: &str) -> String {
    let mut text = format!("{ONE_API}[[check]]\nname = \"a\"\n[check.{kind}]\n");
    for (key, given) in required(kind) {
        // A certificate is in a file or on a server, a password in a file or in the environment.
        let is_replaced = *key == name
            || (name == "file" && kind == "certificate")
            || (name == "password_file" && *key == "password_env");
        if !is_replaced {
            let _ = writeln!(text, "{key} = {given}");
        }
    }
    if !name.is_empty() {
        let _ = writeln!(text, "{name} = {value}");
    }
    text
}

fn surroundings() -> Pretended {
    let secrets = [("DB_PASSWORD", "s3cret"), ("PAYMENTS_TOKEN", "s3cret"), ("QUEUE_TOKEN", "s3cret")];
    Pretended::variables(&secrets)
        .file("/run/secrets/db", "s3cret\n")
        .file("/run/secrets/payments", "s3cret\n")
}

fn read_check(text: &str) -> Settings {
    read_in(text, &surroundings())
        .unwrap_or_else(|faults| panic!("{text}\n{}", Printer::plain().faults_text(&faults)))
}

#[test]
fn every_documented_example_of_a_check_is_right() {
    for (kind, section) in kinds() {
        for key in section.keys {
            // An authority's file is read when the check is set up, from the machine that the test runs on.
            if key.name != "ca_file" {
                let example = key.written_example().unwrap();
                let settings = read_check(&with_line(kind, key.name, &example));
                assert_eq!(settings.checks.len(), 1);
            }
        }
    }
    for key in CHECK.keys {
        let Some(example) = key.written_example() else { continue };
        let (name, line) = match key.name {
            "name" => (String::new(), format!("name = {example}")),
            "apis" => ("name = \"a\"".to_owned(), "apis = [\"lifesigns\"]".to_owned()),
            _ => ("name = \"a\"".to_owned(), format!("{} = {example}", key.name)),
        };
        read_check(&format!("{ONE_API}[[check]]\n{name}\n{line}\n[check.tcp]\naddress = \"127.0.0.1:25\"\n"));
    }
}

#[test]
fn documented_defaults_of_checks_are_the_defaults() {
    for (kind, section) in kinds() {
        let left_out = format!("{:#?}", read_check(&with_line(kind, "", "")).checks);
        for key in section.keys {
            let Some(default) = key.written_default() else { continue };
            let written = format!("{:#?}", read_check(&with_line(kind, key.name, &default)).checks);
            assert_eq!(written, left_out, "{kind} {}", key.name);
        }
    }
    let tcp = |line: &str| {
        read_check(&format!(
            "{ONE_API}[[check]]\nname = \"a\"\n{line}\n[check.tcp]\naddress = \"127.0.0.1:25\"\n"
        ))
    };
    for key in CHECK.keys {
        let Some(default) = key.written_default() else { continue };
        let written = tcp(&format!("{} = {default}", key.name));
        assert_eq!(written.checks[0].check.policy(), tcp("").checks[0].check.policy(), "{}", key.name);
    }
}

#[test]
fn a_check_is_wired_as_it_was_written() {
    let settings = read_check(&format!(
        "{ONE_API}[[check]]\nname = \"db\"\napis = [\"lifesigns\"]\ncritical = true\ninterval_seconds = 7\n\
         timeout_seconds = 2\nfailure_threshold = 4\nrecovery_threshold = 1\ngrace_seconds = 30\n\
         fails_readiness = false\naffected_endpoints = [\"/orders\"]\n\
         [check.postgres]\nurl = \"postgres://app@db/orders\"\npassword_env = \"DB_PASSWORD\"\n\
         [[check]]\nname = \"disk\"\nfails_liveness = true\n[check.disk]\npath = \"/\"\n"
    ));
    let [db, disk] = &settings.checks[..] else { panic!("{:?}", settings.checks) };
    assert_eq!(db.apis.as_deref(), Some(&["lifesigns".to_owned()][..]));
    let seconds = std::time::Duration::from_secs;
    let policy = db.check.policy();
    assert_eq!((policy.interval, policy.timeout, policy.grace), (seconds(7), seconds(2), seconds(30)));
    assert_eq!((policy.failure_threshold, policy.recovery_threshold), (4, 1));
    assert!(policy.critical && policy.shared && !policy.fails_readiness && !policy.fails_liveness);
    assert_eq!(db.check.affected_endpoints(), ["/orders"]);
    assert!(disk.check.policy().fails_liveness && !disk.check.policy().shared && disk.apis.is_none());
}

#[test]
fn bad_checks_are_told() {
    insta::assert_snapshot!(told(read_in(
        &format!(
            "{ONE_API}[[check]]\n[check.tcp]\naddress = \"127.0.0.1:25\"\n\
             [[check]]\nname = \"nothing\"\n\
             [[check]]\nname = \"two\"\n[check.tcp]\naddress = \"127.0.0.1:25\"\n[check.memory]\n\
             [[check]]\nname = \"restarts-all\"\nfails_liveness = true\n[check.redis]\nurl = \"redis://cache\"\n\
             [[check]]\nname = \"readyz,traffic\"\n[check.memory]\n\
             [[check]]\nname = \"bad-url\"\n[check.postgres]\nurl = \"postgres://app:s3cret@\"\n\
             [[check]]\nname = \"no-secret\"\n[check.mysql]\nurl = \"mysql://app@db\"\npassword_env = \"NOT_SET\"\n\
             [[check]]\nname = \"no-port\"\n[check.tcp]\naddress = \"mail\"\n\
             [[check]]\nname = \"codes\"\n[check.http]\nurl = \"http://a\"\nstatus = [\"2xx\"]\n\
             [[check]]\nname = \"word\"\n[check.http]\nurl = \"http://a\"\nhealth = \"actuators\"\n"
        ),
        &surroundings()
    )));
    insta::assert_snapshot!(told(read_in(
        &format!(
            "{ONE_API}[[check]]\nname = \"a\"\napis = [\"lifesign\"]\n[check.memory]\n[[check]]\nname = \"a\"\n[check.memory]\n"
        ),
        &surroundings()
    )));
}

#[test]
fn what_a_check_finds_wrong_is_told_where_it_stands() {
    let check = |kind: &str, lines: &str, line: usize, expected: &str| {
        let text = format!("{ONE_API}[[check]]\nname = \"a\"\n[check.{kind}]\n{lines}\n");
        let told = told(read_in(&text, &surroundings()));
        // The table's header is the fifth line.
        let first = format!("lifesigns.toml:{}:", line + 5);
        assert!(told.starts_with(&first) && told.contains(expected), "{text}{told}");
    };
    let disk = "path = \"/\"\nwarn_free_percent = 1\nfail_free_percent = 2";
    check("disk", disk, 2, "`warn_free_percent` is less than `fail_free_percent`");
    check("disk", "path = \"/\"\nfail_free_percent = 50", 2, "`warn_free_percent` is less");
    let megabytes = "path = \"/\"\nwarn_free_mb = 1\nfail_free_mb = 2";
    check("disk", megabytes, 2, "`warn_free_mb` is less than `fail_free_mb`");
    check("memory", "warn_percent = 99", 1, "`warn_percent` is more than `fail_percent`");
    check("memory", "fail_percent = 9", 1, "`warn_percent` is more than `fail_percent`");
    check("certificate", "fail_days = 30\naddress = \"a:1\"", 1, "`warn_days` is less than `fail_days`");
    check("certificate", "warn_days = 30\naddress = \"a\"", 2, "has no port");
    check("certificate", "address = \"a:1\"\nserver_name = \"a b\"", 2, "is no name of a server");
    check("dns", "expect = \"x\"\nname = \"a\"", 1, "is not what a record of type A holds");
    check("dns", "expect = \"192.0.2.7\"\nname = \"a..b\"", 2, "with single dots between them");
    check("dns", "name = \"a\"\nserver = \"x\"", 2, "is no address");
    check("http", "url = \"http://a\"\nmethod = \"A B\"", 2, "`method`");
    check("http", "url = \"http://a\"\nstatus = [\"100-150\"]", 2, "`status`");
    let twice = "url = \"redis://:a@cache\"\npassword_env = \"DB_PASSWORD\"";
    check("redis", twice, 2, "`password_env` is given, and the URL has one too");
    let command = "program = \"/bin/true\"\n";
    check("command", &format!("{command}environment = [\"=x\"]"), 2, "write \"NAME=value\"");
}

#[test]
fn every_name_that_no_api_bears_is_told_beside_other_faults() {
    let mut text = "[[api]]\nname = \"polls\"\nupstream = \"ftp://127.0.0.1\"\n".to_owned();
    for (name, api) in [("a", "polls"), ("b", "pols"), ("c", "colour")] {
        let _ = write!(text, "[[check]]\nname = \"{name}\"\napis = [\"{api}\"]\n[check.memory]\n");
    }
    let faults = read(&text).unwrap_err().list;
    let messages: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
    let expected = [
        "`upstream` does not begin with http://",
        "`apis` does not know `pols`",
        "`apis` does not know `colour`",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn groups_of_routes_are_judged_as_the_api_unless_they_say_otherwise() {
    let settings = read(&format!(
        "{ONE_API}[api.verdict]\namber_failed_share = 0.1\n\
         [[api.route_group]]\nname = \"checkout\"\nroutes = [\"/orders/*\"]\ncritical = true\n\
         [api.route_group.verdict]\nminimum_exchanges = 5\n\
         [[api.route_group]]\nname = \"search\"\nroutes = [\"/search\"]\n"
    ))
    .unwrap();
    let [checkout, search] = &settings.apis[0].groups[..] else { panic!("{:?}", settings.apis[0].groups) };
    let thresholds = Thresholds { amber_failed_share: 0.1, ..Thresholds::default() };
    assert_eq!(checkout.thresholds, Thresholds { minimum_exchanges: 5, ..thresholds });
    assert_eq!(search.thresholds, thresholds);
    assert_eq!((checkout.critical, search.critical), (true, false));
    insta::assert_snapshot!(told(read(&format!(
        "{ONE_API}[[api.route_group]]\nname = \"empty\"\n[[api.route_group]]\nroutes = [\"orders\"]\n\
         [api.route_group.verdict]\nretry_after_seconds = 5\n"
    ))));
}
