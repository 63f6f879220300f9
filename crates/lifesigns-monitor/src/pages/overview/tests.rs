use std::collections::BTreeMap;

use super::super::tests::{HOSTILE, NOW, assert_inert, view};
use super::super::{Page, Place, Settings};
use super::*;
use crate::alerts::Affected;
use crate::alerts::incidents::Member;
use crate::recent::Minute;
use crate::service::{Letter, Outage};

fn made(views: Vec<ServiceView>, wanted: &Wanted, incidents: &[Incident]) -> String {
    let shown = Shown::of(views.into_iter(), wanted, incidents, NOW);
    let settings = Settings { title: "Acme".to_owned(), ..Settings::default() };
    let mut page = Page::new(&settings, &shown.counts.to_string(), shown.worst(), Place::Overview);
    page.search = search(&shown, wanted);
    page.html(&body(&shown, wanted))
}

fn wanted(text: &str) -> Wanted {
    Wanted::from(&Query::new(Some(text)))
}

fn red(name: &str) -> ServiceView {
    let why = "connection refused (part database)".to_owned();
    let outage = Outage {
        began: NOW - 300_000,
        worst: Letter::R,
        cause: why.clone(),
        failing: Some("database".to_owned()),
        excerpt: None,
    };
    let deploy = Deploy {
        at: NOW - 600_000,
        from: "2963648f0b1a2c3d4e5f60718293a4b5c6d7e8f9".to_owned(),
        to: "81c5dc1e0b1a2c3d4e5f60718293a4b5c6d7e8f9".to_owned(),
    };
    let (light, since) = (Some(Light::Red), NOW - 300_000);
    ServiceView { since, why, outage: Some(outage), deploy: Some(deploy), code: 503, ..view(name, light) }
}

fn cascade(names: &[&str]) -> Incident {
    let members = names.iter().map(|name| Member {
        affected: Affected {
            name: (*name).to_owned(),
            environment: None,
            light: Letter::R,
            now: None,
            began: NOW - 300_000,
            ended: None,
            cause: "connection refused".to_owned(),
            failing: None,
            excerpt: None,
            deploy: None,
        },
        joined: NOW - 290_000,
        turned: 0,
        traits: vec!["host db-3".to_owned()],
    });
    Incident {
        id: format!("{}-{}", NOW - 300_000, names[0]),
        began: NOW - 300_000,
        joined: NOW - 290_000,
        members: members.collect(),
        before: None,
        told: BTreeMap::new(),
        acknowledged: None,
    }
}

#[test]
fn what_is_not_green_comes_first_and_then_the_fleet() {
    let staging =
        ServiceView { environment: Some("staging".to_owned()), ..view("polls", Some(Light::Green)) };
    let views =
        vec![view("identity", Some(Light::Green)), red("ledger"), staging, view("mail", None), red("stock")];
    let shown = Shown::of(views.into_iter(), &Wanted::default(), &[cascade(&["ledger", "stock"])], NOW);
    insta::assert_snapshot!(
        body(&shown, &Wanted::default()).replace("<section", "\n<section").replace("<li", "\n<li")
    );
    insta::assert_snapshot!("search", search(&shown, &Wanted::default()));
}

#[test]
fn a_leak_and_a_maintenance_are_marked_in_words() {
    let maintenance = crate::alerts::rules::Maintenance {
        services: Vec::new(),
        from: NOW - 1,
        to: NOW + 3_600_000,
        reason: format!("the disks are changed {HOSTILE}"),
    };
    let leaks = crate::Leak { mb_per_hour: 12.0, time_to_limit: None };
    let leaking = ServiceView { leak: Some(leaks), ..view("leaking", Some(Light::Green)) };
    let moved = ServiceView { maintenance: Some(maintenance), ..red("moved") };
    let page = made(vec![leaking, moved, view("well", Some(Light::Green))], &Wanted::default(), &[]);
    assert_eq!(page.matches("<em>leak suspected</em> · 1.2.3").count(), 1, "{page}");
    assert_eq!(page.matches("<em>maintenance</em> · 1.2.3").count(), 1, "{page}");
    assert!(page.contains("<dt>Maintenance</dt><dd>the disks are changed"), "{page}");
    assert_inert(&page);
}

#[test]
fn a_fleet_without_services_says_so() {
    assert!(made(Vec::new(), &Wanted::default(), &[]).contains("<h1>No service is watched yet</h1>"));
    assert!(
        made(vec![view("a", Some(Light::Green))], &Wanted::default(), &[])
            .contains("<h1>The service is green</h1>")
    );
}

#[test]
fn one_may_look_for_a_part_of_the_fleet() {
    let views = || {
        let elsewhere =
            ServiceView { environment: Some("Staging & more".to_owned()), ..view("polls-2", None) };
        vec![view("polls", Some(Light::Green)), view("mail", Some(Light::Amber)), elsewhere]
    };
    let check = |query: &str, expected: &[&str]| {
        let page = made(views(), &wanted(query), &[]);
        let found: Vec<&str> = ["polls", "mail", "polls-2"]
            .into_iter()
            .filter(|name| page.contains(&format!("/services/{name}>")))
            .collect();
        assert_eq!(found, expected, "{query}");
        assert!(
            page.contains("1 of 3 services") || page.contains("2 of 3 services"),
            "all are counted: {query}"
        );
    };
    check("q=POLLS", &["polls", "polls-2"]);
    check("q=+mail+", &["mail"]);
    check("environment=Staging+%26+more", &["polls-2"]);
    check("light=not-known", &["polls-2"]);
    check("light=green&q=polls", &["polls"]);
    check("q=nobody", &[]);
    check("from=1", &["mail", "polls-2"]);
    check("from=x&unknown=1", &["polls", "mail", "polls-2"]);
}

#[test]
fn more_tiles_than_a_page_holds_are_on_the_next() {
    let views =
        |count: usize| (0..count).map(|index| view(&format!("s-{index}"), Some(Light::Green))).collect();
    let first = made(views(MOST_TILES + 1), &Wanted::default(), &[]);
    assert!(first.contains("<a href=\"/?from=1000\" rel=\"next\">"));
    assert!(!first.contains("/services/s-1000>"));
    let second = made(views(MOST_TILES + 1), &wanted("from=1000"), &[]);
    assert!(
        second.contains("/services/s-1000>") && second.contains("<a href=\"/\" rel=\"prev\">"),
        "{second}"
    );
    assert!(!made(views(MOST_TILES), &Wanted::default(), &[]).contains("rel=\"next\""));
}

#[test]
fn a_great_cascade_is_one_banner_and_a_few_cards() {
    let names: Vec<String> = (0..200).map(|index| format!("s-{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut views: Vec<ServiceView> = names.iter().map(|name| red(name)).collect();
    views.push(ServiceView { since: 1, ..red("alone") });
    let page = made(views, &Wanted::default(), &[cascade(&names)]);
    assert_eq!(page.matches("class=\"card r\"").count(), MOST_CARDS);
    assert!(page.contains("Cascade: 200 services together") && page.contains("and 187 more"), "{page}");
    let first_card = page.split("class=\"card r\"").nth(1).unwrap();
    assert!(
        first_card.contains("/services/alone"),
        "whom the banner does not name comes first: {first_card}"
    );
    assert!(page.contains("177 more services not green"), "{page}");
}

#[test]
fn whatever_services_say_is_inert() {
    let mut hostile = red("polls");
    hostile.name = HOSTILE.into();
    hostile.why = HOSTILE.to_owned();
    hostile.environment = Some(HOSTILE.to_owned());
    hostile.about.version = Some(HOSTILE.to_owned());
    hostile.deploy = Some(Deploy { at: NOW, from: HOSTILE.to_owned(), to: HOSTILE.to_owned() });
    hostile.outage.as_mut().unwrap().failing = Some(HOSTILE.to_owned());
    let mut incident = cascade(&[HOSTILE, "other"]);
    incident.members[0].affected.cause = HOSTILE.to_owned();
    incident.members.iter_mut().for_each(|member| member.traits = vec![HOSTILE.to_owned()]);
    let query = format!("q={0}&environment={0}&light={0}", url(HOSTILE));
    for wanted in [Wanted::default(), wanted(&query)] {
        assert_inert(&made(vec![hostile.clone(), view("plain", None)], &wanted, &[incident.clone()]));
    }
}

#[test]
fn a_thousand_services_are_sent_in_200_kilobytes() {
    let kinds = ["checkout-api", "catalogue-search", "recommendations", "identity-provider", "ledger-writer"];
    let mut incident_names = Vec::new();
    let mut views = Vec::new();
    for index in 0..1_000_usize {
        let name = format!("{}-eu-{index:03}", kinds[index % kinds.len()]);
        let mut one = match index % 40 {
            7 => red(&name),
            23 => {
                ServiceView { why: "answers slowly: p95 1.2 s".to_owned(), ..view(&name, Some(Light::Amber)) }
            }
            _ => view(&name, Some(Light::Green)),
        };
        if index % 40 == 7 {
            incident_names.push(name);
        }
        one.environment = Some(if index % 5 == 0 { "staging" } else { "production" }.to_owned());
        one.about.version = Some(format!("{}.{}.{}", index % 7, index % 31, index % 13));
        one.latency_us = Some(900 + 791 * (index as u32 % 500));
        one.about.memory_used_mb = Some(80 + index as u64);
        // An hour is seldom without anything.
        for (minute, one) in one.minutes.iter_mut().enumerate() {
            let light = if (minute * 7 + index * 13) % 150 == 0 { Light::Amber } else { Light::Green };
            *one = Some(Minute { minute: minute as i64, light: Some(light), latency_us: None });
        }
        if index % 9 == 0 {
            one.minutes[index % 60] = None;
            one.minutes[(index + 20) % 60].as_mut().unwrap().light = Some(Light::Red);
        }
        views.push(one);
    }
    let names: Vec<&str> = incident_names.iter().map(String::as_str).collect();
    let page = made(views, &Wanted::default(), &[cascade(&names)]);
    assert_eq!(page.matches("><a href=/services/").count(), 1_000);
    assert!(page.len() <= 200_000, "{} bytes", page.len());
    assert!(page.len() > 120_000, "a page that shows less would be too easy: {} bytes", page.len());
}
