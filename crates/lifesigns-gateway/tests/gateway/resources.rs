//! Health resources in front of the APIs.

use lifesigns_gateway::Route;
use lifesigns_model::exchange::FailedBy;

use crate::support::{Client, QUERY_TOKEN, Running, Upstream, route};

#[test]
fn a_resource_wins_over_the_upstream_in_every_spelling() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for target in ["/livez", "//livez", "/%6civez", "/./livez", "/a/../livez", "/livez/", "/livez?verbose"] {
        assert_eq!(client.get(target).status(), 200, "{target}");
    }
    assert_eq!(upstream.seen(), []);
    assert_eq!(client.get("/livezz").text(), "ok");
    let counted: Vec<_> = gateway.counted(1).into_keys().collect();
    assert_eq!(counted, [("polls".to_owned(), "/livezz".to_owned(), 200, FailedBy::Nobody)]);
}

#[test]
fn each_api_has_its_resources_at_its_own_base() {
    let (users, polls) = (Upstream::ok(), Upstream::ok());
    let gateway = Running::with(
        vec![
            Route { prefix: "/users".to_owned(), ..route("users", users.address) },
            Route { prefix: "/v1/polls".to_owned(), ..route("polls", polls.address) },
        ],
        |config| config.admin = Some(([127, 0, 0, 1], 0).into()),
    );
    let mut public = gateway.connect();
    for target in ["/livez", "/users/livez", "/v1/polls/livez", "/v1/polls/../polls//livez"] {
        assert_eq!(public.get(target).status(), 200, "{target}");
    }
    assert_eq!(public.get("/polls/livez").status(), 404, "that is no base of an API");
    let mut operator = Client::to(gateway.admin.unwrap());
    for target in ["/livez", "/users/livez", "/v1/polls/livez", "/polls/livez"] {
        assert_eq!(operator.get(target).status(), 200, "{target}");
    }
    assert_eq!(operator.get("/users/1").status(), 404, "operators do not get through to an API");
    assert_eq!((users.seen(), polls.seen()), (vec![], vec![]));
}

#[test]
fn operators_find_an_api_by_its_name_first_and_never_by_a_path_of_several() {
    let upstream = Upstream::ok();
    let under = |name: &str, host: Option<&str>, prefix: &str| Route {
        host: host.map(str::to_owned),
        prefix: prefix.to_owned(),
        ..route(name, upstream.address)
    };
    let gateway = Running::with(
        vec![
            under("users", None, "/polls"),
            under("polls", None, "/votes"),
            under("inner", None, "/votes/inside"),
            under("here", Some("here.example.com"), "/same"),
            under("there", Some("there.example.com"), "/same"),
        ],
        |config| config.admin = Some(([127, 0, 0, 1], 0).into()),
    );
    let mut operator = Client::to(gateway.admin.unwrap());
    let mut api_at = |path: &str| {
        let answer = operator.get(&format!("{path}/status"));
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        answer["service"].as_str().map(str::to_owned)
    };
    for (path, api) in [
        ("/polls", Some("polls")),
        ("/users", Some("users")),
        ("/votes", Some("polls")),
        ("/votes/inside", Some("inner")),
        ("/here", Some("here")),
        ("/there", Some("there")),
        ("/same", None),
    ] {
        assert_eq!(api_at(path).as_deref(), api, "{path}");
    }
}

#[test]
fn limits_count_by_the_forwarded_address_only_where_it_is_trusted() {
    let upstream = Upstream::ok();
    for (trust_forwarded, other) in [(true, 401), (false, 429)] {
        let gateway = Running::with(vec![route("polls", upstream.address)], |config| {
            config.trust_forwarded = trust_forwarded;
        });
        let mut client = gateway.connect();
        let mut asks_for = |address: &str| {
            let head = "GET /health/details HTTP/1.1\r\nhost: a\r\n";
            client.exchange(&format!("{head}x-forwarded-for: 198.51.100.7, {address}\r\n\r\n")).status()
        };
        // The default limit is 120 a minute, and a full minute may pass in between.
        let refused = (0..241).find(|_| asks_for("192.0.2.1") == 429);
        assert!(refused.is_some(), "trust: {trust_forwarded}");
        assert_eq!(asks_for("192.0.2.2"), other, "trust: {trust_forwarded}");
    }
}

#[test]
fn metrics_are_there_for_operators() {
    let upstream = Upstream::ok();
    let gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.admin = Some(([127, 0, 0, 1], 0).into());
    });
    assert_eq!(Client::to(gateway.admin.unwrap()).get("/metrics").status(), 200);
    assert_eq!(upstream.seen(), []);
}

#[test]
fn a_body_that_says_it_is_too_long_is_not_waited_for() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    for expectation in ["", "Expect: 100-continue\r\n"] {
        let ask = |length: u32| {
            let mut client = gateway.connect();
            client.send(&format!(
                "POST /analytics/1.0/o/environments/e/query HTTP/1.1\r\nHost: a\r\n\
                 Authorization: Bearer {QUERY_TOKEN}\r\nContent-Length: {length}\r\n{expectation}\r\n"
            ));
            client
        };
        let mut client = ask(65_537);
        let answer = client.response();
        assert_eq!(answer.status(), 413, "{expectation:?}");
        assert_eq!(answer.get("connection"), Some("close"), "{expectation:?}");
        assert!(client.is_closed(), "{expectation:?}");
        let mut client = ask(65_536);
        if !expectation.is_empty() {
            assert_eq!(client.response().status(), 100);
        }
        client.send_bytes(&vec![b'x'; 65_536]);
        assert_eq!(client.response().status(), 400, "{expectation:?}");
    }
}
