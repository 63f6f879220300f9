use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::Request;
use lifesigns_model::history::{Entry, Event, EventKind, HistoryStore, Reading};
use lifesigns_model::store::Note;
use lifesigns_store::history::{HistoryRetention, MemoryHistory};
use serde_json::{Value, json};
use tower::ServiceExt;
use url::Url;

use super::*;
use crate::breaker::Breaker;
use crate::recent::Minute;
use crate::service::About;
use crate::view::ServiceView;
use crate::{Options, Target};

/// 2026-11-22T01:00:00Z.
pub(super) const NOW: i64 = 1_795_309_200_000;

/// What would run, break out of an attribute or turn the text round if it were not escaped.
pub(super) const HOSTILE: &str =
    "\"><script>alert(1)</script><img src=x onerror=alert(1)>' onclick=alert(1) &lt;\u{202e}\0";

/// The page has no tag and no attribute from [`HOSTILE`].
pub(super) fn assert_inert(page: &str) {
    for bad in ["<script>", "<img", "' onclick", "\" onclick", "\u{202e}", "\0"] {
        assert!(!page.contains(bad), "{bad:?} in {page}");
    }
    // The attributes of all tags, without what is quoted, are ours.
    for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
        let bare: String = tag.split('"').step_by(2).collect();
        assert!(!bare.contains("onerror=") && !bare.contains("onclick="), "{tag}");
    }
}

/// A service that is as it is since an hour, of which all minutes are known.
pub(super) fn view(name: &str, light: Option<Light>) -> ServiceView {
    let minute =
        |index: usize| Minute { minute: index as i64, light: Some(Light::Green), latency_us: Some(12_000) };
    ServiceView {
        name: name.into(),
        url: Url::parse("http://user:secret@10.0.0.7:8080/health?key=secret").unwrap(),
        environment: Some("production".to_owned()),
        light,
        since: NOW - 3_600_000,
        why: String::new(),
        outage: None,
        maintenance: None,
        is_flapping: false,
        code: 200,
        latency_us: Some(12_345),
        asked: NOW - 20_000,
        next: NOW + 40_000,
        about: About { version: Some("1.2.3".to_owned()), memory_used_mb: Some(214), ..About::default() },
        parts: Vec::new(),
        deploy: None,
        process_began: None,
        certificate_expires: None,
        leak: None,
        memory: Vec::new(),
        traffic: None,
        minutes: std::array::from_fn(|index| Some(minute(index))),
        breaker: Breaker::of(light, false, "", NOW, NOW),
        depends_on: Vec::new(),
        is_public: false,
        interval: Duration::from_mins(1),
        hold: 180,
    }
}

/// A fleet of a public and a secret service, both of which were out together.
struct World {
    fleet: Fleet,
    now: i64,
}

impl World {
    fn new() -> World {
        let store: Arc<dyn HistoryStore> = Arc::new(MemoryHistory::new(HistoryRetention::default()));
        let now = jiff::Timestamp::now().as_millisecond();
        let began = now - 3_600_000;
        let id = format!("{began}-secret");
        let detail = json!({"light": "R", "cause": "connection refused by 10.0.0.7 & <others>", "incident": id, "failing": "database"});
        let outage = |name: &str, length: i64| {
            event(
                EventKind::Outage,
                &format!("{began}-{name}"),
                Some(name),
                (began, Some(began + length)),
                &detail,
            )
        };
        let services = json!({"light": "R", "services": ["secret", "polls"], "cause": "refused <b>", "shared": ["host db-3"]});
        let sent = json!({"route": "on call", "incident": id, "kind": "opened"});
        let mut entries = vec![
            outage("secret", 900_000),
            outage("polls", 600_000),
            event(EventKind::Incident, &id, None, (began, Some(began + 900_000)), &services),
            event(EventKind::Delivery, &format!("{id}/on call/0"), None, (began, Some(began)), &sent),
            event(EventKind::Restart, "r", Some("polls"), (began, Some(began)), &json!({})),
        ];
        for name in ["polls", "secret"] {
            let service =
                json!({"light": "G", "since": now - 1000, "asked": now, "code": 200, "latency_us": 1200});
            let note =
                Note { topic: "service".into(), key: name.into(), text: Some(service.to_string().into()) };
            entries.push(Entry::Note(note));
            entries.extend((0..120).map(|minute| {
                let at = now / 1000 - minute * 60;
                let light = Some(if minute == 50 { Light::Red } else { Light::Green });
                Entry::Reading(
                    name.into(),
                    Reading { at, light, code: 200, latency_us: Some(1200), memory_mb: Some(100) },
                )
            }));
        }
        store.append(entries).unwrap();
        let target = |name: &str| Target::new(name, Url::parse("http://10.0.0.7:8080/health").unwrap());
        let targets = vec![Target { is_public: true, ..target("polls") }, target("secret")];
        let fleet = Fleet::open(Options { targets, ..Options::default() }, store).unwrap();
        World { fleet, now }
    }

    fn routers(&self) -> Router {
        let link = Some("https://status.example/".to_owned());
        let settings = Settings { title: "Acme <&>".to_owned(), link, has_login: true };
        router(self.fleet.clone(), settings.clone()).merge(public_router(self.fleet.clone(), settings))
    }

    async fn ask(&self, path: &str, sees_all: bool) -> (Response, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.send(request, Reader { sees_all, may_write: false }).await
    }

    async fn send(&self, mut request: Request<Body>, reader: Reader) -> (Response, String) {
        request.extensions_mut().insert(reader);
        let writers = writers(self.fleet.clone(), Settings::default());
        let answer = self.routers().merge(writers).oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        (Response::from_parts(head, Body::empty()), body)
    }
}

fn event(
    kind: EventKind,
    key: &str,
    service: Option<&str>,
    time: (i64, Option<i64>),
    detail: &Value,
) -> Entry {
    let (began, ended) = time;
    let (key, service, detail) = (key.into(), service.map(Into::into), detail.to_string().into());
    Entry::Event(Event { kind, key, service, began, ended, detail })
}

#[tokio::test]
async fn every_page_is_strict_and_its_own() {
    let world = World::new();
    let incident = format!("/incidents/{}-secret", world.now - 3_600_000);
    for (path, status) in [
        ("/", 200),
        ("/services/polls", 200),
        ("/services/polls?span=1y", 200),
        ("/services/nobody", 404),
        ("/incidents", 200),
        (&*incident, 200),
        ("/incidents/nothing", 404),
        ("/incidents/123-nobody", 404),
        ("/public", 200),
    ] {
        let (head, body) = world.ask(path, true).await;
        assert_eq!(head.status(), status, "{path}: {body}");
        let header = |name: &str| head.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(header("content-security-policy"), POLICY);
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(body.matches("<h1").count(), 1, "{path}");
        assert_eq!(body.matches("<main").count(), 1, "{path}");
        assert!(body.contains("Acme &lt;&amp;&gt;</title>"), "{path}");
        assert!(!body.contains(" style="), "no style that the policy would refuse: {path}");
        assert!(!body.contains("src=\"http") && !body.contains("href=\"http"), "nothing of others: {path}");
    }
}

#[tokio::test]
async fn a_page_of_a_service_tells_its_past() {
    let world = World::new();
    let (_, body) = world.ask("/services/polls", true).await;
    assert!(body.contains("connection refused by 10.0.0.7 &amp; &lt;others&gt;"), "{body}");
    assert!(body.contains("class=\"mark restart\"") && body.contains("<b>Restart</b>"), "{body}");
    assert!(body.contains("<th scope=\"row\">24 hours</th><td>99.1"), "{body}");
    assert_eq!(body.matches("<g><title>").count(), 90, "a bar for each day");
    let incident = format!("/incidents/{}-secret", world.now - 3_600_000);
    assert!(body.contains(&incident), "{body}");
    let (_, body) = world.ask(&incident, true).await;
    assert!(body.contains("Incident: secret and 1 other") && body.contains("/services/polls"), "{body}");
    assert!(body.contains("<b>on call</b>") && body.contains("host db-3"), "{body}");
    let (_, body) = world.ask("/incidents", true).await;
    assert!(body.contains("refused &lt;b&gt;") && body.contains(&incident), "{body}");
}

#[tokio::test]
async fn strangers_see_public_services_and_no_cause() {
    let world = World::new();
    let (_, page) = world.ask("/public", false).await;
    let (_, feed) = world.ask("/incidents.atom", false).await;
    for text in [&page, &feed] {
        assert!(text.contains("polls"), "{text}");
        for internal in ["secret", "refused", "10.0.0.7", "database", "1200", "/services/", "on call"] {
            assert!(!text.contains(internal), "{internal} in {text}");
        }
    }
    assert_eq!(page.matches("<g><title>").count(), 90);
    assert!(page.contains("for 10 min"), "its own outage and not that of all: {page}");
    assert_eq!(world.ask("/badges/secret.svg", false).await.0.status(), 404);
    assert_eq!(world.ask("/badges/secret.svg", true).await.0.status(), 200);
    let (_, feed) = world.ask("/incidents.atom", true).await;
    assert!(feed.contains("secret and polls") && feed.contains("refused &lt;b&gt;"), "{feed}");
}

#[tokio::test]
async fn the_feed_is_atom() {
    let world = World::new();
    for sees_all in [false, true] {
        let (head, feed) = world.ask("/incidents.atom", sees_all).await;
        assert_eq!(head.headers()["content-type"], "application/atom+xml; charset=utf-8");
        let document = roxmltree::Document::parse(&feed).unwrap();
        let root = document.root_element();
        let child = |node: roxmltree::Node<'_, '_>, name: &str| {
            let found: Vec<String> = node
                .children()
                .filter(|one| one.has_tag_name(("http://www.w3.org/2005/Atom", name)))
                .map(|one| one.text().unwrap_or_default().to_owned())
                .collect();
            assert_eq!(found.len(), 1, "one {name}: {feed}");
            found[0].clone()
        };
        assert!(root.has_tag_name(("http://www.w3.org/2005/Atom", "feed")));
        assert_eq!(child(root, "title"), "Acme <&>: incidents");
        let entries: Vec<_> = root.children().filter(|one| one.tag_name().name() == "entry").collect();
        assert_eq!(entries.len(), 1);
        for node in [root, entries[0]] {
            assert!(child(node, "id").starts_with("urn:uuid:"));
            child(node, "updated").parse::<jiff::Timestamp>().unwrap();
        }
        assert_ne!(child(root, "id"), child(entries[0], "id"));
        let links = entries[0].children().filter(|one| one.tag_name().name() == "link");
        let links: Vec<&str> = links.filter_map(|one| one.attribute("href")).collect();
        let id = format!("https://status.example/incidents/{}-secret", world.now - 3_600_000);
        assert_eq!(links, [if sees_all { &id } else { "https://status.example/public" }]);
    }
}

#[tokio::test]
async fn a_badge_is_a_picture_with_words() {
    let world = World::new();
    let check = async |path: &str, label: &str| {
        let (head, svg) = world.ask(path, false).await;
        assert_eq!(head.headers()["content-type"], "image/svg+xml; charset=utf-8", "{svg}");
        assert_eq!(head.headers()["cache-control"], "public, max-age=60");
        let document = roxmltree::Document::parse(&svg).unwrap();
        assert!(document.root_element().attribute("aria-label").unwrap().starts_with(label), "{svg}");
        let texts: Vec<_> = document.descendants().filter(|one| one.tag_name().name() == "text").collect();
        assert_eq!(texts.len(), 2, "{svg}");
    };
    check("/badges/polls.svg", "polls: green").await;
    check("/badges/polls.svg?what=uptime&period=24h", "polls 24h: 99.1").await;
    check("/badges/polls.svg?what=uptime&period=nonsense", "polls 30d: 99.1").await;
    for path in ["/badges/polls", "/badges/nobody.svg", "/badges/.svg"] {
        assert_eq!(world.ask(path, true).await.0.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn assets_are_fetched_once() {
    let world = World::new();
    let (_, page) = world.ask("/", true).await;
    let paths: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(paths.len(), 3, "{page}");
    for path in paths {
        let (head, body) = world.ask(path, false).await;
        assert_eq!(head.status(), 200, "{path}");
        assert!(head.headers()["cache-control"].to_str().unwrap().ends_with("immutable"));
        assert!(
            !body.contains("http:") || body.contains("http://www.w3.org/"),
            "nothing of others in {path}"
        );
        let tag = head.headers()["etag"].clone();
        let request = Request::get(path).header("If-None-Match", tag).body(Body::empty()).unwrap();
        assert_eq!(world.routers().oneshot(request).await.unwrap().status(), 304);
    }
    assert_eq!(world.ask("/assets/style.css", false).await.0.status(), 404);
}

#[tokio::test]
async fn the_number_of_those_who_listen_is_bounded() {
    let world = World::new();
    let routers = world.routers();
    let ask = || routers.clone().oneshot(Request::get("/events").body(Body::empty()).unwrap());
    let mut listeners = Vec::new();
    for _ in 0..live::MOST_LISTENERS {
        let answer = ask().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        listeners.push(answer);
    }
    let refused = ask().await.unwrap();
    assert_eq!(
        (refused.status(), refused.headers()["retry-after"].to_str().unwrap()),
        (StatusCode::SERVICE_UNAVAILABLE, "60")
    );
    listeners.pop();
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
}

#[test]
fn whatever_services_say_is_inert_on_their_pages() {
    let store = MemoryHistory::new(HistoryRetention::default());
    let detail = json!({
        "light": "R", "cause": HOSTILE, "failing": HOSTILE, "excerpt": HOSTILE, "incident": HOSTILE, "from": HOSTILE, "to": HOSTILE,
    });
    let time = (NOW - 60_000, None);
    let kinds = [EventKind::Outage, EventKind::Deploy];
    store.append(kinds.map(|kind| event(kind, "1", Some("polls"), time, &detail)).to_vec()).unwrap();
    let mut hostile = view("polls", Some(Light::Red));
    hostile.why = HOSTILE.to_owned();
    hostile.environment = Some(HOSTILE.to_owned());
    hostile.parts = vec![(HOSTILE.to_owned(), crate::service::Letter::R)];
    hostile.depends_on = vec![HOSTILE.into()];
    let text = || Some(HOSTILE.to_owned());
    hostile.about = About { repo: text(), revision: text(), version: text(), ..About::default() };
    let past = past::Past::read(&store, &hostile, past::Window::Day, NOW).unwrap();
    assert_eq!((past.outages.len(), past.marks.len()), (1, 1));
    let page = service::body(&hostile, &past, &|_| None, NOW);
    assert_inert(&page);
    assert!(!page.contains("secret"), "neither the password nor the query of its URL: {page}");
}

#[test]
fn a_page_of_a_service_without_a_past() {
    let store = MemoryHistory::new(HistoryRetention::default());
    let mut one = view("polls", Some(Light::Green));
    one.about.repo = Some("acme/polls".to_owned());
    one.about.revision = Some("2963648f0b1a2c3d4e5f60718293a4b5c6d7e8f9".to_owned());
    one.certificate_expires = Some(NOW + 86_400_000);
    one.leak = Some(crate::view::Leak { mb_per_hour: 5.25, time_to_limit: Some(7_200_000) });
    let past = past::Past::read(&store, &one, past::Window::Day, NOW).unwrap();
    let page = service::body(&one, &past, &|_| None, NOW);
    // The bars of days and the chart are tested on their own.
    let shown = page.split_once("<div class=\"split\">").unwrap().0.replace("<div", "\n<div");
    insta::assert_snapshot!(shown);
    assert!(page.contains("<td>–</td><td>–</td><td>–</td><td>100 %</td>"), "nothing known is not up: {page}");
}

#[tokio::test]
async fn an_incident_is_taken_up_by_a_form() {
    let world = World::new();
    let began = world.now - 60_000;
    let service = json!({
        "light": "R", "since": began, "asked": world.now,
        "outage": {"began": began, "worst": "R", "cause": "refused", "failing": null, "excerpt": null},
    });
    let note = Note { topic: "service".into(), key: "polls".into(), text: Some(service.to_string().into()) };
    world.fleet.store().append(vec![Entry::Note(note)]).unwrap();
    let target = Target::new("polls", Url::parse("http://10.0.0.7:8080/health").unwrap());
    let options = Options { targets: vec![target], ..Options::default() };
    let world = World { fleet: Fleet::open(options, Arc::clone(&world.fleet.inner.store)).unwrap(), ..world };
    let path = format!("/incidents/{began}-polls");
    let form = format!("<form class=\"take\" method=\"post\" action=\"{path}/acknowledgement\">");
    let writer = Reader { sees_all: true, may_write: true };
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    for page in ["/incidents", &path] {
        let (_, body) = world.send(get(page), writer).await;
        assert_eq!(body.matches(&form).count(), 1, "{page}: {body}");
        assert!(!world.ask(page, true).await.1.contains("<form class=\"take\""), "{page}");
    }
    let post = |path: &str, by: &'static str| {
        Request::post(format!("{path}/acknowledgement")).body(Body::from(by)).unwrap()
    };
    for (path, by, status) in
        [(&*path, "", 400), (&path, "by=+&name=kim", 400), ("/incidents/1-x", "by=kim", 404)]
    {
        assert_eq!(world.send(post(path, by), writer).await.0.status(), status, "{path} {by}");
        assert_eq!(world.fleet.incidents()[0].acknowledged, None);
    }
    let (answer, _) = world.send(post(&path, "by=kim+%3Cb%3E"), writer).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], *path);
    assert_eq!(world.fleet.incidents()[0].acknowledged.as_ref().unwrap().by, "kim <b>");
    for page in ["/incidents", &path] {
        let (_, body) = world.send(get(page), writer).await;
        assert!(body.contains("kim &lt;b&gt;") && !body.contains("class=\"take\""), "{page}: {body}");
    }
}

#[tokio::test]
async fn the_reason_of_a_maintenance_was_told_nowhere() {
    let World { fleet, now } = World::new();
    let target = |name: &str| Target::new(name, Url::parse("http://10.0.0.7:8080/health").unwrap());
    let maintenance = crate::alerts::rules::Maintenance {
        services: vec![crate::alerts::rules::Pattern::new("polls")],
        from: now - 60_000,
        to: now + 3_600_000,
        reason: "disks <are> changed".to_owned(),
    };
    let targets = vec![target("polls"), target("secret")];
    let options = Options { targets, maintenance: vec![maintenance], ..Options::default() };
    let fleet = Fleet::open(options, Arc::clone(&fleet.inner.store)).unwrap();
    let world = World { fleet, now };
    let said = "<strong>Under maintenance:</strong> disks &lt;are&gt; changed";
    assert!(world.ask("/services/polls", true).await.1.contains(said));
    assert!(!world.ask("/services/secret", true).await.1.contains("Under maintenance"));
    assert_eq!(world.ask("/", true).await.1.matches("<em>maintenance</em>").count(), 1);
    let api = crate::resources::operators(&world.fleet);
    let answer = api.oneshot(Request::get("/api/services/polls").body(Body::empty()).unwrap()).await.unwrap();
    let body: Value =
        serde_json::from_slice(&to_bytes(answer.into_body(), usize::MAX).await.unwrap()).unwrap();
    assert_eq!(body["maintenance"]["reason"], "disks <are> changed");
}
