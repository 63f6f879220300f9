//! What `deploy/` has for Prometheus and Grafana: a real Prometheus scrapes a gateway, loads the rules, and answers
//! whatever the dashboard asks it.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use lifesigns_tests::client::{Connection, Request, get};
use lifesigns_tests::program::{Program, free_address, workspace};
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::Value;

const TOKEN: &str = "ls_example";
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";

/// The trace of all requests.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Labels that targets bring along.
const TARGET_LABELS: [&str; 3] = ["instance", "job", "pod"];

/// A gateway whose API fails so much that its light is red, with an objective, and with one check that passes and one
/// that does not.
struct World {
    _program: Program,
    address: SocketAddr,
    admin: SocketAddr,
    _upstream: Upstream,
}

impl World {
    fn start(folder: &Path) -> World {
        let upstream = Upstream::start();
        let file = folder.join("lifesigns.toml");
        let text = format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n[store]\npath = \"figures.db\"\n\
             [verdict]\nwindow_seconds = 20\nminimum_exchanges = 5\n\
             [[token]]\nname = \"prometheus\"\nhash = \"{TOKEN_HASH}\"\nscopes = [\"metrics:read\"]\n\
             [[api]]\nname = \"polls\"\nupstream = \"http://{address}\"\n[api.objective]\ngood_share = 0.99\n\
             [[check]]\nname = \"upstream\"\ninterval_seconds = 1\n[check.tcp]\naddress = \"{address}\"\n\
             [[check]]\nname = \"leftover\"\ninterval_seconds = 1\nfailure_threshold = 1\n\
             [check.file]\npath = \"nowhere\"\n",
            address = upstream.address()
        );
        fs::write(&file, text).unwrap();
        let program = Program::start(&["run", "--config", file.to_str().unwrap()]);
        let (address, admin) = (program.listening("gateway"), program.listening("admin"));
        World { _program: program, address, admin, _upstream: upstream }
    }

    /// Some requests of each sort, most of which fail.
    fn send(&self) {
        let mut connection = Connection::open(self.address).unwrap();
        for (path, status, times) in
            [("/status/200", 200, 1), ("/status/404", 404, 1), ("/slow/10", 200, 1), ("/status/500", 500, 5)]
        {
            for _ in 0..times {
                let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
                let request = Request::get(path).header("traceparent", &traceparent);
                assert_eq!(connection.exchange(&request).unwrap().status, status, "{path}");
            }
        }
    }
}

/// Debian's Prometheus, set up as the example is. Killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Prometheus {
    fn start(folder: &Path, target: SocketAddr) -> Prometheus {
        copy_example(folder);
        let config = folder.join("prometheus.yml");
        let mut text = fs::read_to_string(&config).unwrap();
        for (example, here) in [("127.0.0.1:8080", target.to_string()), ("15s", "1s".to_owned())] {
            assert!(text.contains(example), "{example} is not in the example any more");
            text = text.replace(example, &here);
        }
        fs::write(&config, text).unwrap();
        let address = free_address();
        let log = folder.join("prometheus.log");
        let output = File::create(&log).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("series").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus: {error}"));
        let prometheus = Prometheus { child, address, log };
        wait::until_or(
            || prometheus.output(),
            || {
                let answer = Request::get("/-/ready").try_send(address).ok()?;
                (answer.status == 200).then_some(())
            },
        );
        prometheus
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The labels of the series that an expression gives now.
    fn query(&self, expression: &str) -> Vec<BTreeMap<String, String>> {
        let mut body = "query=".to_owned();
        for byte in expression.bytes() {
            write!(body, "%{byte:02X}").unwrap();
        }
        let answer = Request::new("POST", "/api/v1/query")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
            .send(self.address)
            .json();
        assert_eq!(answer["status"], "success", "{expression}\n{answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        series.iter().map(|series| serde_json::from_value(series["metric"].clone()).unwrap()).collect()
    }

    /// The traces that Prometheus knows of a histogram.
    fn traces(&self, histogram: &str) -> BTreeSet<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let question =
            format!("/api/v1/query_exemplars?query={histogram}_bucket&start={}&end={}", now - 600, now + 60);
        let answer = get(self.address, &question).json();
        let series = answer["data"].as_array().unwrap().iter();
        let exemplars = series.flat_map(|series| series["exemplars"].as_array().unwrap());
        exemplars.map(|exemplar| exemplar["labels"]["trace_id"].as_str().unwrap().to_owned()).collect()
    }

    fn rules(&self) -> Vec<Value> {
        let answer = get(self.address, "/api/v1/rules").json();
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example and what belongs to it, with a token.
fn copy_example(folder: &Path) {
    for name in ["prometheus.yml", "lifesigns.rules.yml", "lifesigns.rules.test.yml"] {
        fs::copy(workspace().join("deploy/prometheus").join(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("lifesigns.token"), format!("{TOKEN}\n")).unwrap();
}

/// One question that the dashboard asks.
struct Panel {
    title: String,
    expression: String,
    legend: String,
}

/// The dashboard with its variables replaced.
struct Dashboard {
    panels: Vec<Panel>,
    /// What fills its variables.
    variables: Vec<String>,
    annotations: Vec<String>,
}

impl Dashboard {
    fn read() -> Dashboard {
        let text = fs::read_to_string(workspace().join("deploy/grafana/lifesigns.json")).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let list = |of: &Value| of.as_array().unwrap().clone();
        let expression = |of: &Value| replaced(of["expr"].as_str().unwrap());
        let mut panels = Vec::new();
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard["panels"]) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels with the id {}", panel["id"]);
            if panel["type"] == "row" {
                continue;
            }
            let title = panel["title"].as_str().unwrap();
            let targets = list(&panel["targets"]);
            assert!(!targets.is_empty(), "{title}: nothing is asked");
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
                let legend = target["legendFormat"].as_str().unwrap().to_owned();
                panels.push(Panel { title: title.to_owned(), expression: expression(&target), legend });
            }
        }
        let mut variables = Vec::new();
        for variable in list(&dashboard["templating"]["list"]) {
            if variable["type"] == "query" {
                let query = variable["query"]["query"].as_str().unwrap();
                assert_eq!(variable["definition"], query);
                let (selector, label) = query
                    .strip_prefix("label_values(")
                    .and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", "))
                    .unwrap_or_else(|| panic!("not label_values(SELECTOR, LABEL): {query}"));
                variables.push(replaced(&format!("count by ({label}) ({selector})")));
            }
        }
        let annotations = list(&dashboard["annotations"]["list"]).iter().map(expression).collect();
        Dashboard { panels, variables, annotations }
    }
}

/// With all that Grafana would put in.
fn replaced(expression: &str) -> String {
    let replaced = [("$__rate_interval", "30s"), ("$__range", "1m"), ("$job", ".*"), ("$api", ".*")]
        .iter()
        .fold(expression.to_owned(), |text, (variable, value)| text.replace(variable, value));
    assert!(!replaced.contains('$'), "a variable that is none: {replaced}");
    replaced
}

/// The labels that a legend names as `{{label}}`.
fn labels_of_legend(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).map(|rest| rest.split_once("}}").unwrap().0)
}

/// Names of metrics and of labels.
#[derive(Debug, Default, Eq, PartialEq)]
struct Names {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Names {
    /// Those in an expression of `PromQL`, or in a line of the text format.
    fn collect(&mut self, expression: &str) {
        // With what aggregates, where it stands before `by (…)` or `without (…)`.
        const KEYWORDS: [&str; 11] =
            ["and", "bool", "count", "inf", "max", "min", "nan", "offset", "or", "sum", "unless"];
        const BEFORE_LABELS: [&str; 6] = ["by", "group_left", "group_right", "ignoring", "on", "without"];
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
        let bytes = expression.as_bytes();
        let end_of = |start: usize, is_in: &dyn Fn(u8) -> bool| {
            bytes[start..].iter().position(|byte| !is_in(*byte)).map_or(bytes.len(), |length| start + length)
        };
        let (mut place, mut are_labels, mut labels_follow) = (0, false, false);
        while place < bytes.len() {
            let start = place;
            place += 1;
            match bytes[start] {
                b'"' => {
                    while bytes[place] != b'"' {
                        place += if bytes[place] == b'\\' { 2 } else { 1 };
                    }
                    place += 1;
                }
                b'[' => place = end_of(place, &|byte| byte != b']'),
                b'{' => are_labels = true,
                b'(' => are_labels = std::mem::take(&mut labels_follow),
                b'}' | b')' => are_labels = false,
                b'0'..=b'9' => place = end_of(place, &|byte| is_part(byte) || byte == b'.'),
                byte if is_part(byte) => {
                    place = end_of(place, &is_part);
                    let name = &expression[start..place];
                    let next = bytes.get(end_of(place, &|byte| byte.is_ascii_whitespace()));
                    if BEFORE_LABELS.contains(&name) {
                        labels_follow = true;
                    } else if are_labels {
                        self.labels.insert(name.to_owned());
                    } else if next != Some(&b'(') && !KEYWORDS.contains(&&*name.to_ascii_lowercase()) {
                        self.metrics.insert(name.to_owned());
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn expressions_are_taken_apart() {
    let mut names = Names::default();
    names.collect(
        "sum without (a, b) (rate(c_total{d=~\"e|(f\\\"\", g!=\"\"}[5m])) > bool 20 / 3e2 or 0 * x:y:rate5m and on (h) NaN",
    );
    names.collect("topk(10, max by (i) (c_bucket offset 1h)) unless time() - l");
    names.collect("m{n=\"[o{\",le=\"+Inf\"} +Inf");
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names.metrics, set(&["c_bucket", "c_total", "l", "m", "x:y:rate5m"]));
    assert_eq!(names.labels, set(&["a", "b", "d", "g", "h", "i", "le", "n"]));
}

#[test]
fn promtool_takes_the_example_and_the_rules_and_their_tests_pass() {
    let folder = tempfile::tempdir().unwrap();
    copy_example(folder.path());
    for arguments in [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "lifesigns.rules.yml"],
        ["test", "rules", "lifesigns.rules.test.yml"],
    ] {
        let output = Command::new("promtool").args(arguments).current_dir(&folder).output();
        let output = output.unwrap_or_else(|error| panic!("promtool: {error}"));
        let said = [&*output.stdout, b"\n", &output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&said));
    }
    // Every alert has its test.
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let tests = text("lifesigns.rules.test.yml");
    let alerts = text("lifesigns.rules.yml");
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}

#[test]
fn prometheus_evaluates_every_rule_and_answers_every_question_of_the_dashboard() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let prometheus = Prometheus::start(folder.path(), world.address);
    let dashboard = Dashboard::read();

    // Every panel has something to show, and its legend names labels that are there.
    let missing = RefCell::new(Vec::new());
    wait::until_or(
        || format!("without series: {:#?}\n{}", missing.borrow(), prometheus.output()),
        || {
            world.send();
            let mut without_series = Vec::new();
            for panel in &dashboard.panels {
                let series = prometheus.query(&panel.expression);
                for label in labels_of_legend(&panel.legend) {
                    for labels in &series {
                        assert!(labels.contains_key(label), "{}: no {label} in {labels:?}", panel.title);
                    }
                }
                if series.is_empty() {
                    without_series.push(format!("{}: {}", panel.title, panel.expression));
                }
            }
            missing.replace(without_series);
            missing.borrow().is_empty().then_some(())
        },
    );
    for variable in &dashboard.variables {
        assert!(!prometheus.query(variable).is_empty(), "{variable}");
    }
    for annotation in &dashboard.annotations {
        prometheus.query(annotation);
    }

    // Every rule can be evaluated, every recording rule records something, and those alerts are up that have a reason.
    let expected = BTreeSet::from([
        "LifesignsCheckFailing",
        "LifesignsErrorBudgetBurnFast",
        "LifesignsErrorBudgetBurnSlow",
        "LifesignsErrorBudgetSpent",
        "LifesignsErrorShareHigh",
        "LifesignsLightRed",
    ]);
    let explain = || format!("waited for {expected:?}:\n{:#?}", prometheus.rules());
    let rules = wait::until_or(explain, || {
        world.send();
        let rules = prometheus.rules();
        let active = rules.iter().filter(|rule| matches!(rule["state"].as_str(), Some("pending" | "firing")));
        let active: BTreeSet<&str> = active.map(|rule| rule["name"].as_str().unwrap()).collect();
        let are_evaluated = rules.iter().all(|rule| rule["health"] != "unknown");
        (are_evaluated && active == expected).then_some(rules)
    });
    let mut recorded = BTreeSet::new();
    for rule in &rules {
        let name = rule["name"].as_str().unwrap();
        assert_eq!(rule["health"], "ok", "{name}: {rule:#}");
        if rule["type"] == "recording" {
            assert!(!prometheus.query(name).is_empty(), "{name} records nothing");
            recorded.insert(name.to_owned());
        }
        for alert in rule["alerts"].as_array().into_iter().flatten() {
            let annotations = alert["annotations"].to_string();
            assert!(!annotations.contains("<error") && !annotations.contains("<no value>"), "{annotations}");
        }
    }
    assert!(!recorded.is_empty());

    // From a bucket of a histogram one gets to a trace.
    let expected = BTreeSet::from([TRACE.to_owned()]);
    assert_eq!(prometheus.traces("http_server_request_duration_seconds"), expected);

    // Every metric and label that is named is one that the gateway has, or Prometheus itself.
    let mut known = Names { metrics: recorded, labels: BTreeSet::new() };
    for line in get(world.admin, "/metrics").text().lines().filter(|line| !line.starts_with('#')) {
        known.collect(line);
    }
    known.metrics.insert("up".to_owned());
    known.labels.extend(TARGET_LABELS.map(str::to_owned));
    let mut named = Names::default();
    let panels = dashboard.panels.iter().map(|panel| &*panel.expression);
    let questions = dashboard.variables.iter().chain(&dashboard.annotations).map(|question| &**question);
    for expression in panels.chain(questions).chain(rules.iter().map(|rule| rule["query"].as_str().unwrap()))
    {
        named.collect(expression);
    }
    let unknown = |named: &BTreeSet<String>, known: &BTreeSet<String>| -> Vec<String> {
        named.difference(known).cloned().collect()
    };
    assert_eq!(unknown(&named.metrics, &known.metrics), [""; 0], "metrics that the gateway does not have");
    assert_eq!(unknown(&named.labels, &known.labels), [""; 0], "labels that the gateway does not have");
}
