//! An outage of many services at once, with a monitor that is killed in the middle of it.

mod disk;

use lifesigns_tests::mail::{MailServer, Setup};
use lifesigns_tests::service::Service;
use lifesigns_tests::sink::{Reply, Sink};
use lifesigns_tests::wait;
use serde_json::Value;

use super::watch::{Monitor, configuration, out, well};

const ALL: usize = 300;
const OUT: usize = 200;

fn kinds(sink: &Sink) -> Vec<String> {
    sink.received().iter().map(|message| message.json()["kind"].as_str().unwrap().to_owned()).collect()
}

fn names(message: &Value) -> Vec<String> {
    let services = message["services"].as_array().unwrap();
    let mut names: Vec<String> =
        services.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn two_hundred_of_three_hundred_are_one_message_and_one_at_the_end() {
    let service = Service::start([]);
    let fleet: Vec<String> = (0..ALL).map(|number| format!("service-{number:03}")).collect();
    for name in &fleet {
        service.says(&format!("/{name}/status"), well(name));
    }
    let (sink, mails) = (Sink::start(), MailServer::start(&Setup::default()));
    let alerts = format!(
        "\n[[alert]]\nname = \"hook\"\ngroup_wait_seconds = 6\n[alert.webhook]\nurl = \"{}\"\n\
         \n[[alert]]\nname = \"mail\"\ngroup_wait_seconds = 6\n[alert.email]\nhost = \"127.0.0.1\"\nport = {}\n\
         encryption = \"none\"\nfrom = \"monitor@example.com\"\nto = [\"ops@example.com\"]\n",
        sink.url("/hook"),
        mails.address().port(),
    );
    let names_of_all: Vec<&str> = fleet.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &names_of_all, &alerts));
    let counts =
        |monitor: &Monitor, light: &str| monitor.ask("/api/services")["counts"][light].as_u64().unwrap();
    let wait_for = |monitor: &Monitor, light: &str, count: usize| {
        let explain = || format!("{}\n{}", monitor.ask("/api/services")["counts"], monitor.program.stderr());
        wait::until_or(explain, || (counts(monitor, light) == count as u64).then_some(()));
    };
    wait_for(&monitor, "GREEN", ALL);
    for name in &fleet[..OUT] {
        service.says(&format!("/{name}/status"), out(name));
    }
    wait_for(&monitor, "RED", OUT);

    // Killed while it waits for more of them, …
    let monitor = monitor.killed_and_started();
    wait::until_or(
        || format!("no message: {:?}\n{}", kinds(&sink), monitor.program.stderr()),
        || (sink.received().len() == 1 && mails.mails().len() == 1).then_some(()),
    );
    let opened = sink.received()[0].json();
    assert_eq!(opened["kind"], "opened");
    assert_eq!(names(&opened), fleet[..OUT]);
    let mail = &mails.mails()[0];
    assert!(fleet[..OUT].iter().all(|name| mail.text.contains(name)), "{}", mail.text);
    assert!(!mail.text.contains(&fleet[OUT]));
    wait::until("the message to be known as delivered", || {
        (monitor.events("delivery").len() == 2).then_some(())
    });

    // … and again while everybody has been told.
    let monitor = monitor.killed_and_started();
    wait_for(&monitor, "RED", OUT);
    for name in &fleet[..OUT] {
        service.says(&format!("/{name}/status"), well(name));
    }
    wait_for(&monitor, "GREEN", ALL);
    wait::until_or(
        || format!("no end: {:?}\n{}", kinds(&sink), monitor.program.stderr()),
        || (sink.received().len() == 2 && mails.mails().len() == 2).then_some(()),
    );
    wait::until("the end to be known as delivered", || (monitor.events("delivery").len() == 4).then_some(()));
    let monitor = monitor.killed_and_started();
    wait_for(&monitor, "GREEN", ALL);
    let resolved = sink.received()[1].json();
    assert_eq!(resolved["kind"], "resolved");
    assert_eq!(names(&resolved), fleet[..OUT]);
    assert_eq!(resolved["incident"], opened["incident"]);
    assert_eq!(monitor.ask("/api/incidents")["open"].as_array().unwrap().len(), 0);
    // Whatever else would be sent would be sent before something new is.
    service.says(&format!("/{}/status", fleet[0]), out(&fleet[0]));
    wait::until("the next message", || (sink.received().len() >= 3).then_some(()));
    assert_eq!(kinds(&sink), ["opened", "resolved", "opened"]);
    assert_eq!(names(&sink.received()[2].json()), fleet[..1]);
    let keys: std::collections::HashSet<String> =
        sink.received().iter().map(|message| message.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 3);
}

#[test]
fn a_message_that_was_under_way_at_a_kill_is_sent_again_to_the_last_byte() {
    let service = Service::start([("/shop/status", well("shop")), ("/stock/status", well("stock"))]);
    let sink = Sink::start();
    let alert = format!(
        "\n[[alert]]\nname = \"hook\"\ngroup_wait_seconds = 0\n[alert.webhook]\nurl = \"{}\"\n",
        sink.url("/hook")
    );
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["shop", "stock"], &alert));
    for name in ["shop", "stock"] {
        monitor.wait_for_light(name, "GREEN");
    }
    let arrived = |monitor: &Monitor, count: usize| {
        let explain = || format!("{:?}\n{}", kinds(&sink), monitor.program.stderr());
        wait::until_or(explain, || (sink.received().len() == count).then_some(()));
    };
    let is_sent_again = |monitor: &Monitor, number: usize| {
        arrived(monitor, number + 2);
        let [first, again] = &sink.received()[number..] else { panic!("{:?}", kinds(&sink)) };
        assert_eq!(first.header("idempotency-key"), again.header("idempotency-key"));
        assert_eq!(first.body, again.body, "{}\n{}", first.json(), again.json());
        let count = number / 2 + 1;
        wait::until("it to be known as delivered", || {
            (monitor.events("delivery").len() == count).then_some(())
        });
    };
    // Taken, and never answered: whoever is killed then cannot know that it has arrived.
    sink.reply(Reply::Silence);
    service.says("/shop/status", out("shop"));
    arrived(&monitor, 1);
    // What happens meanwhile is not in what has been decided.
    service.says("/stock/status", out("stock"));
    monitor.wait_for_light("stock", "RED");
    let monitor = monitor.killed_and_started();
    is_sent_again(&monitor, 0);
    sink.reply(Reply::Silence);
    for name in ["shop", "stock"] {
        service.says(&format!("/{name}/status"), well(name));
    }
    arrived(&monitor, 3);
    let monitor = monitor.killed_and_started();
    is_sent_again(&monitor, 2);
    assert_eq!(kinds(&sink), ["opened", "opened", "resolved", "resolved"]);
}
