//! `lifesigns check` and `whois` tell how services are and who they are, in whatever dialect they say it.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;

use lifesigns_tests::program::{Program, binary, free_address};
use lifesigns_tests::service::{Reply, Service};
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::{Value, json};

fn lifesigns(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.output().unwrap()
}

fn check(arguments: &[&str]) -> Output {
    lifesigns(&[&["check"], arguments].concat())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What is found, as JSON; and whether all of it is green.
fn found(arguments: &[&str]) -> (Vec<Value>, bool) {
    let output = check(&[arguments, &["--json"]].concat());
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    (serde_json::from_slice(&output.stdout).unwrap(), code == Some(0))
}

#[test]
fn every_dialect_is_understood() {
    let health_json = r#"{"status":"warn","serviceId":"queue","checks":{"depth":[{"status":"warn"}]}}"#;
    let actuator = r#"{"status":"DOWN","components":{"db":{"status":"DOWN"},"disk":{"status":"UP"}}}"#;
    let micro = r#"{"status":"UP","checks":[{"name":"db","status":"UP"}]}"#;
    let xabaril = r#"{"status":"Degraded","entries":{"redis":{"status":"Degraded"}}}"#;
    let red = r#"{"summary":{"status":"RED"}}"#;
    let service = Service::start([
        ("/1", Reply::json(200, r#"{"status":"OK","version":"1.2.0"}"#)),
        ("/2", Reply::json(200, r#"{"status":"healthy","uptime":90,"memory":{"used":12,"total":64}}"#)),
        ("/3", Reply::json(503, r#"{"summary":{"status":"AMBER"}}"#).with("Retry-After", "30")),
        ("/4", Reply::json(500, red)),
        ("/5", Reply::new(200, "application/health+json", health_json)),
        ("/6", Reply::json(503, actuator)),
        ("/7", Reply::json(200, micro)),
        ("/8", Reply::json(200, xabaril)),
        ("/9", Reply::new(200, "text/plain", "Healthy\n")),
        ("/10", Reply::new(204, "text/plain", "")),
        ("/11", Reply::new(502, "text/html", "<h1>Bad Gateway</h1>")),
        // A code that lies.
        ("/12", Reply::json(200, actuator)),
        ("/13", Reply::json(200, r#"{"status":"ok","repo":"abc/api","revision":"2963648c0ffee"}"#)),
    ]);
    let urls: Vec<String> = (1..=13).map(|number| service.url(&format!("/{number}"))).collect();
    let (services, is_well) = found(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!is_well);
    let said: Vec<(&str, u64, &str)> = services
        .iter()
        .map(|one| {
            (one["light"].as_str().unwrap(), one["code"].as_u64().unwrap(), one["dialect"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("GREEN", 200, "health"),
        ("GREEN", 200, "status"),
        ("AMBER", 503, "traffic-light"),
        ("RED", 500, "traffic-light"),
        ("AMBER", 200, "health+json"),
        ("RED", 503, "actuator"),
        ("GREEN", 200, "microprofile"),
        ("AMBER", 200, "xabaril"),
        ("GREEN", 200, "word"),
        ("GREEN", 204, "code"),
        ("RED", 502, "code"),
        ("RED", 200, "actuator"),
        ("GREEN", 200, "health+json"),
    ];
    assert_eq!(said, expected);
    assert_eq!(services[0]["version"], "1.2.0");
    assert_eq!((&services[1]["uptime_seconds"], &services[1]["memory_used_mb"]), (&json!(90), &json!(12)));
    assert_eq!(services[2]["retry_after_seconds"], 30);
    assert_eq!(services[4]["service"], "queue");
    assert_eq!(services[5]["not_green"], json!([{"name": "db", "light": "RED"}]));
    assert_eq!(
        (&services[12]["repo"], &services[12]["revision"]),
        (&json!("abc/api"), &json!("2963648c0ffee"))
    );
    let of_place = &[&*urls[11], "--dialect", "code"];
    assert!(found(of_place).1, "its code alone is good");
}

#[test]
fn a_service_of_lifesigns_is_told_whole_whichever_resource_is_asked() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let (_gateway, address) = Program::gateway(upstream.address(), folder.path(), &["--name", "polls"]);
    let base = format!("http://{address}");
    wait::until("the gateway is green", || found(&[&base]).1.then_some(()));
    for path in ["", "/", "/health/status", "/health", "/status"] {
        let (services, is_well) = found(&[&format!("{base}{path}")]);
        assert!(is_well, "{path}: {services:?}");
        let one = &services[0];
        assert_eq!((&one["service"], &one["light"]), (&json!("polls"), &json!("GREEN")), "{path}: {one}");
        assert!(one["memory_used_mb"].as_u64().unwrap() <= one["memory_total_mb"].as_u64().unwrap());
        assert!(one["uptime_seconds"].is_u64() && one["latency_ms"].is_number(), "{path}: {one}");
    }
    let output = lifesigns(&["whois", &base]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for line in ["service      polls\n", "light        GREEN\n", &format!("address      {address}\n")] {
        assert!(said.contains(line), "`{line}` is not in: {said}");
    }
}

#[test]
fn a_url_without_a_path_is_asked_until_an_answer_can_be_read() {
    let up = || Reply::json(200, r#"{"status":"UP"}"#);
    let spring = Service::start([("/status", Reply::new(405, "text/plain", "")), ("/actuator/health", up())]);
    let (services, is_well) = found(&[&spring.url("")]);
    assert!(is_well, "{services:?}");
    assert_eq!(services[0]["url"], spring.url("/actuator/health"));
    assert_eq!(spring.heard(), ["/health/status", "/health", "/status", "/actuator/health"]);

    let page = || Reply::new(200, "text/html", "<html>a page for every path</html>");
    let pages =
        Service::start([("/health/status", page()), ("/healthz", Reply::new(200, "text/plain", "ok"))]);
    assert_eq!(found(&[&pages.url("")]).0[0]["url"], pages.url("/healthz"));

    let nothing = Service::start([]);
    let (services, _) = found(&[&nothing.url("")]);
    assert_eq!(services[0]["light"], "RED");
    assert!(services[0]["message"].as_str().unwrap().contains("name the path"), "{services:?}");
    let site = Service::start([("/", page())]);
    assert_eq!(found(&[&site.url("")]).0[0]["url"], site.url("/"));

    let moved =
        Service::start([("/health", Reply::new(301, "text/plain", "").with("Location", spring.url("/x")))]);
    let (services, _) = found(&[&moved.url("/health")]);
    let message = services[0]["message"].as_str().unwrap();
    assert!(message.contains(&format!("leads to `{}`", spring.url("/x"))), "{message}");
    assert!(!spring.heard().contains(&"/x".to_owned()));
}

#[test]
fn the_hung_the_gone_and_the_nonsensical_delay_nobody_and_are_told() {
    let good = Service::start([("/health", Reply::json(200, r#"{"status":"OK"}"#))]);
    let hung = Service::start([("/health", Reply::Hangs)]);
    let odd = Service::start([
        ("/page", Reply::new(200, "text/html", "<html>")),
        ("/long", Reply::new(200, "text/plain", vec![b' '; 2_000_000])),
        ("/locked", Reply::new(403, "text/plain", "no")),
        ("/moved", Reply::json(302, r#"{"status":"OK"}"#).with("Location", "http://169.254.169.254/")),
    ]);
    let gone = format!("http://{}/health", free_address());
    let urls = [
        good.url("/health"),
        hung.url("/health"),
        gone,
        odd.url("/page"),
        odd.url("/long"),
        odd.url("/locked"),
        odd.url("/moved"),
    ];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (services, is_well) = found(&[&urls[..], &["--timeout", "300ms"]].concat());
    assert!(!is_well);
    let expected = [
        (json!("GREEN"), Value::Null, ""),
        (Value::Null, json!("timed_out"), "does not answer within 0.3 s"),
        (Value::Null, json!("unreachable"), "refused"),
        (json!("GREEN"), Value::Null, ""),
        (json!("AMBER"), Value::Null, "too long"),
        (json!("RED"), Value::Null, "credentials"),
        (json!("RED"), Value::Null, "leads to `http://169.254.169.254/`"),
    ];
    for (one, (light, kind, words)) in services.iter().zip(expected) {
        let message = one["message"].as_str().unwrap_or_default();
        assert_eq!((&one["light"], &one["failure"]), (&light, &kind), "{message}");
        assert!(message.contains(words), "`{words}` is not in: {message}");
    }
}

#[test]
fn as_many_are_asked_at_a_time_as_there_are_files_for() {
    let service = Service::start([("/health", Reply::json(200, r#"{"status":"OK"}"#))]);
    let url = service.url("/health");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 64 && exec \"$0\" check --json \"$@\"", binary().to_str().unwrap()]);
    let output = command.args(vec![&url; 500]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn people_see_a_line_for_each_and_why_it_is_not_green() {
    let body = r#"{"status":"OK","service":"shop","version":"1.2.0","revision":"2963648c0ffee002963648"}"#;
    let service = Service::start([
        ("/shop", Reply::json(200, body)),
        ("/cart", Reply::json(503, r#"{"summary":{"status":"AMBER"}}"#).with("Retry-After", "30")),
    ]);
    let (shop, cart) = (service.url("/shop"), service.url("/cart"));
    let gone = format!("http://{}/", free_address());
    let output = check(&[&shop, &cart, &gone]);
    let (code, said) = (output.status.code(), text(&output.stdout));
    assert_eq!((code, text(&output.stderr)), (Some(1), ""));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("  service") && lines[0].ends_with("revision"), "{said}");
    assert!(lines[1].starts_with("✓ shop ") && lines[1].ends_with("1.2.0    2963648c0ffe…"), "{said}");
    assert!(lines[2].starts_with(&format!("! {cart} ")) && lines[2].contains("AMBER   503"), "{said}");
    let why =
        format!("    {cart} answers 503, which means AMBER as `traffic-light`; it asks for 30 s of patience");
    assert_eq!(lines[3], why);
    assert!(lines[4].starts_with(&format!("✗ {gone} ")), "{said}");
    assert!(lines[5].starts_with(&format!("    {gone} cannot be reached: ")), "{said}");

    let output = check(&["--quiet", &shop]);
    assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(0), "", ""));
    let output = check(&["-q", &shop, &cart]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(1), 1));
    assert!(text(&output.stdout).starts_with(&format!("! {cart} answers 503")), "{:?}", output.stdout);
}

const HOSTILE: &str = "{\"status\":\"DOWN\",\"service\":\"\\u001b[2J<script>alert(1)</script>&\\u202e\\n\",\
                       \"components\":{\"\\u001b]0;x\\u0007<b>\\\"'\":{\"status\":\"DOWN\"}}}";

#[test]
fn what_a_service_says_steers_neither_terminal_nor_reader() {
    let service = Service::start([
        ("/health", Reply::json(503, HOSTILE)),
        ("/loop", Reply::new(302, "text/plain", "").with("Location", "http://a.example/\u{1b}[2J")),
    ]);
    let (url, lying) = (service.url("/health"), service.url("/loop"));
    for form in
        [&["check"][..], &["check", "--quiet"], &["check", "--json"], &["check", "--junit"], &["whois"]]
    {
        for url in [&url, &lying] {
            let output = lifesigns(&[form, &[url.as_str()]].concat());
            for bytes in [&output.stdout, &output.stderr] {
                let said = text(bytes);
                let steers = |one: char| (one.is_control() && one != '\n') || one == '\u{202e}';
                assert!(!said.contains(steers), "{form:?}: {said:?}");
            }
        }
    }
    let output = check(&["--junit", &url]);
    assert!(!text(&output.stdout).contains("<script>"));
    let (services, _) = found(&[&url]);
    assert_eq!(services[0]["service"], "\u{1b}[2J<script>alert(1)</script>&\u{202e}");
}

#[test]
fn a_report_for_ci_is_well_formed() {
    let service = Service::start([
        ("/good", Reply::json(200, r#"{"status":"OK","service":"good"}"#)),
        ("/bad", Reply::json(503, HOSTILE)),
    ]);
    let gone = format!("http://{}/", free_address());
    let output = check(&["--junit", &service.url("/good"), &service.url("/bad"), &gone]);
    assert_eq!(output.status.code(), Some(1));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.xml");
    fs::write(&file, &output.stdout).unwrap();
    let reader = "import json, sys, xml.etree.ElementTree as tree\n\
                  root = tree.parse(sys.argv[1]).getroot()\n\
                  suite = root[0]\n\
                  print(json.dumps([root.tag, suite.attrib['tests'], suite.attrib['failures'], suite.attrib['errors'],\n\
                  [[case.attrib['name'], [child.tag for child in case]] for case in suite]]))";
    let read = Command::new("/usr/bin/python3").args(["-c", reader]).arg(&file).output().unwrap();
    assert!(read.status.success(), "{}", text(&read.stderr));
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    let bad = "\\u{1b}[2J<script>alert(1)</script>&\\u{202e}";
    let cases = json!([["good", []], [bad, ["failure"]], [gone, ["error"]]]);
    assert_eq!(read, json!(["testsuites", "3", "1", "1", cases]));
}

#[test]
fn a_file_names_the_services() {
    let service = Service::start([
        ("/health", Reply::json(200, r#"{"status":"OK","service":"what it says"}"#)),
        ("/light", Reply::new(503, "text/plain", "")),
        ("/hung", Reply::Hangs),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.toml");
    let path = file.to_str().unwrap();
    let table = |name: &str, place: &str, more: &str| {
        format!("[[service]]\nname = \"{name}\"\nurl = \"{}\"\n{more}\n", service.url(place))
    };
    fs::write(&file, format!("[monitor]\nlisten = \"127.0.0.1:0\"\n{}", table("polls", "/health", "")))
        .unwrap();
    let (services, is_well) = found(&["--config", path]);
    assert!(is_well && services[0]["service"] == "polls", "{services:?}");
    let others = table("light", "/light", "dialect = \"traffic-light\"")
        + &table("hung", "/hung", "deadline_seconds = 1");
    fs::write(&file, others).unwrap();
    let (services, is_well) = found(&["--config", path]);
    assert!(!is_well && services[0]["light"] == "AMBER", "{services:?}");
    assert_eq!(services[1]["message"], "does not answer within 1 s");
    let (services, _) = found(&["--config", path, "--timeout", "200ms"]);
    assert_eq!(services[1]["message"], "does not answer within 0.2 s");

    // What the rest of the file needs may be there for others alone.
    fs::write(folder.path().join("secret"), "Bearer opensesame\n").unwrap();
    let alert = "[[alert]]\nname = \"ops\"\n[alert.slack]\nurl_file = \"/run/secrets/none\"\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        String::from_utf8(head).unwrap()
    });
    let polls = format!("[[service]]\nname = \"polls\"\nurl = \"{url}\"\nauthorization_file = \"secret\"\n");
    fs::write(&file, polls + alert).unwrap();
    let output = check(&["--config", path, "--quiet"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let head = asked.join().unwrap();
    assert!(head.contains("authorization: Bearer opensesame\r\n"), "{head}");
}

#[test]
fn wrong_arguments_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.toml");
    fs::write(&file, "").unwrap();
    let empty = file.to_str().unwrap();
    let fails = |arguments: &[&str], words: &str| {
        let output = check(arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!((output.status.code(), stdout), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(words), "{arguments:?}: {stderr}");
    };
    fails(&[], "<URL>");
    fails(&["localhost:8080"], "write it as `http://localhost:8080`");
    fails(&["http://a/", "--config", empty], "cannot be used with");
    fails(&["--config", empty], "names no service");
    fails(&["--config", "/nonexistent.toml"], "cannot be read");
    fails(&["http://a/", "--timeout", "10"], "write a number and its unit");
    fails(&["http://a/", "--dialect", "latin"], "there is no dialect of this name");
    fails(&["http://a/", "--json", "--junit"], "cannot be used with");
    fails(&["https://a/", "--ca-file", "/nonexistent.pem"], "cannot be read");
    assert_eq!(lifesigns(&["whois"]).status.code(), Some(2));
    assert_eq!(lifesigns(&["whois", "nowhere"]).status.code(), Some(2));
}

#[test]
fn it_is_asked_again_and_again() {
    let service = Service::start([("/health", Reply::json(200, r#"{"status":"OK"}"#))]);
    let url = service.url("/health");
    let mut watching = Program::start(&["check", "--watch", "--interval", "10ms", &url]);
    let seen = |words: &'static str| {
        wait::until(words, || watching.stdout().contains(words).then_some(()));
    };
    seen("GREEN");
    service.says("/health", Reply::json(503, r#"{"status":"UNAVAILABLE"}"#));
    seen("RED");
    service.says("/health", Reply::json(200, r#"{"status":"DEGRADED"}"#));
    seen("AMBER");
    assert!(!watching.stdout().contains('\u{1b}'), "there is no terminal to steer");
    watching.kill();

    let mut lines = Program::start(&["check", "--watch", "--json", "--interval", "10ms", &url]);
    let read = wait::until("three lines of JSON", || {
        let said = lines.stdout();
        let whole: Vec<Value> =
            said.lines().take(3).filter_map(|line| serde_json::from_str(line).ok()).collect();
        (whole.len() == 3).then_some(whole)
    });
    assert!(read.iter().all(|line| line[0]["light"] == "AMBER"), "{read:?}");
    lines.kill();
}

#[test]
fn whoever_says_nothing_of_itself_is_told() {
    let service = Service::start([
        ("/word", Reply::new(200, "text/plain", "ok")),
        (
            "/full",
            Reply::json(
                200,
                r#"{"status":"OK","repo":"abc/api","revision":"2963648c0ffee","uptime":"4 days"}"#,
            ),
        ),
    ]);
    let output = lifesigns(&["whois", &service.url("/word")]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    assert!(text(&output.stderr).contains("says nothing of itself"));
    let output = lifesigns(&["whois", "--json", &service.url("/full")]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said, json!({"repo": "abc/api", "revision": "2963648c0ffee", "uptime": "4 days"}));
    let output = lifesigns(&["whois", &format!("http://{}/", free_address())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("refused"));
}
