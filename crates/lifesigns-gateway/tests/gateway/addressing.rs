//! Which API gets a request, and what it sees of the path.

use lifesigns_gateway::Route;

use crate::support::{Running, Upstream, route};

fn under(name: &str, prefix: &str, upstream: &Upstream) -> Route {
    Route { prefix: prefix.to_owned(), ..route(name, upstream.address) }
}

#[test]
fn the_longest_prefix_by_whole_segments_wins() {
    let (users, admins, rest) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let gateway = Running::with(
        vec![
            under("rest", "/", &rest),
            under("users", "/users", &users),
            under("admins", "/users/admins/", &admins),
        ],
        |_| {},
    );
    let mut client = gateway.connect();
    for (target, upstream, seen) in [
        ("/users", &users, "/"),
        ("/users/", &users, "/"),
        ("/users?a=1", &users, "/?a=1"),
        ("/users/1?a=/users", &users, "/1?a=/users"),
        ("/users2", &rest, "/users2"),
        ("/user", &rest, "/user"),
        ("/", &rest, "/"),
        ("/users/admins", &admins, "/"),
        ("/users/admins/7", &admins, "/7"),
        ("/users/adminsx", &users, "/adminsx"),
    ] {
        assert_eq!(client.get(target).status(), 200, "{target}");
        assert_eq!(
            upstream.seen().last().map(|request| request.target().to_owned()).as_deref(),
            Some(seen),
            "{target}"
        );
    }
}

#[test]
fn the_prefix_that_was_taken_off_is_told() {
    let users = Upstream::ok();
    let gateway = Running::with(vec![under("users", "/users", &users)], |_| {});
    gateway.connect().get("/users/1");
    assert_eq!(users.only_seen().get("x-forwarded-prefix"), Some("/users"));
}

#[test]
fn a_prefix_can_stay() {
    let users = Upstream::ok();
    let gateway =
        Running::with(vec![Route { strip_prefix: false, ..under("users", "/users", &users) }], |_| {});
    gateway.connect().get("/users/1?a=1");
    let request = users.only_seen();
    assert_eq!((request.target(), request.get("x-forwarded-prefix")), ("/users/1?a=1", None));
}

#[test]
fn no_spelling_of_a_path_leads_out_of_its_api() {
    let (users, rest) = (Upstream::ok(), Upstream::ok());
    let gateway =
        Running::with(vec![under("users", "/users", &users), under("rest", "/rest", &rest)], |_| {});
    let mut client = gateway.connect();
    for (target, seen) in [
        ("//users/../users/1", "/1"),
        ("/%75sers/1", "/1"),
        ("/./users/1", "/1"),
        ("/rest/../users/1", "/1"),
        ("/users/../users/1", "/1"),
        // Within the API a path is left as it was written.
        ("/users/a%2Fb", "/a%2Fb"),
        ("/users/a%20b//c/", "/a%20b//c/"),
        ("/users/a/../b", "/a/../b"),
        // What has to be written anew is written in full.
        ("//users/a%20b/%C3%A9", "/a%20b/%C3%A9"),
        ("//users/50%25?x=%20", "/50%25?x=%20"),
    ] {
        assert_eq!(client.get(target).status(), 200, "{target}");
        assert_eq!(
            users.seen().last().map(|request| request.target().to_owned()).as_deref(),
            Some(seen),
            "{target}"
        );
    }
    for target in ["/users/../rest/1", "/users/%2e%2e/rest/1", "/users/..%2frest/1"] {
        assert_eq!(client.get(target).status(), 200, "{target}");
        assert_eq!(rest.seen().pop().unwrap().target(), "/1", "{target}");
    }
    assert_eq!(client.get("/users/../admin").status(), 404);
    assert_eq!(client.get("/elsewhere").status(), 404);
}

#[test]
fn with_one_api_the_path_is_left_alone() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for target in ["//a//b/../c/", "/%61?%62", "/a%2Fb", "/a;v=1/b", "/?", "/a?b?c"] {
        assert_eq!(client.get(target).status(), 200);
        assert_eq!(upstream.seen().pop().unwrap().target(), target);
    }
}

#[test]
fn hosts_are_told_apart_with_and_without_port_in_any_case() {
    let (a, with_port, rest) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let of_host = |name: &str, host: &str, upstream: &Upstream| Route {
        host: Some(host.to_owned()),
        ..route(name, upstream.address)
    };
    let gateway = Running::with(
        vec![
            route("rest", rest.address),
            of_host("a", "A.example.com", &a),
            of_host("b", "a.example.com:8443", &with_port),
        ],
        |_| {},
    );
    let mut client = gateway.connect();
    for (host, upstream) in [
        ("a.example.com", &a),
        ("A.EXAMPLE.COM:80", &a),
        ("a.example.com.", &a),
        ("a.example.com.:80", &a),
        ("a.example.com.:8443", &with_port),
        ("a.example.com:8443", &with_port),
        ("b.example.com", &rest),
        ("xa.example.com", &rest),
        ("[::1]:80", &rest),
    ] {
        let before = upstream.seen().len();
        assert_eq!(client.exchange(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status(), 200);
        assert_eq!(upstream.seen().len(), before + 1, "{host}");
    }
    client.exchange("GET http://a.example.com/ HTTP/1.1\r\nHost: ignored\r\n\r\n");
    assert_eq!(a.seen().len(), 5);
}

#[test]
fn the_upstream_can_have_its_own_host_and_base() {
    let upstream = Upstream::ok();
    let route = Route {
        preserve_host: false,
        upstream: format!("http://{}/v1/", upstream.address).parse().unwrap(),
        ..under("users", "/users", &upstream)
    };
    let gateway = Running::with(vec![route], |_| {});
    gateway.connect().get("/users/1?a=1");
    let request = upstream.only_seen();
    assert_eq!(request.target(), "/v1/1?a=1");
    assert_eq!(request.get("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(request.get("x-forwarded-host"), Some("api.example.com"));
}

#[test]
fn no_spelling_of_a_path_leads_out_of_the_base() {
    let upstream = Upstream::ok();
    let based = |route: Route| Route {
        upstream: format!("http://{}/v1", upstream.address).parse().unwrap(),
        ..route
    };
    let gateway = Running::with(vec![based(route("rest", upstream.address))], |_| {});
    let mounted = Running::with(vec![based(under("users", "/users", &upstream))], |_| {});
    let check = |gateway: &Running, target: &str, seen: &str| {
        assert_eq!(gateway.connect().get(target).status(), 200, "{target}");
        assert_eq!(upstream.seen().pop().unwrap().target(), seen, "{target}");
    };
    for (target, seen) in [
        ("/../admin", "/v1/admin"),
        ("/%2e%2e/admin", "/v1/admin"),
        ("/.%2E/admin?a=/..", "/v1/admin?a=/.."),
        ("/..%2fadmin", "/v1/admin"),
        ("/%2e%2e%2fadmin", "/v1/admin"),
        ("/..", "/v1/"),
        ("/a/../../admin", "/v1/admin"),
        ("/a//../../admin", "/v1/admin"),
        ("/./../admin", "/v1/admin"),
        // Two segments for a server that decodes before it splits, one for another.
        ("/a%2fb/../../admin", "/v1/admin"),
        // What stays below the base is left as it was written.
        ("/a/../b/", "/v1/a/../b/"),
        ("/a%2Fb//c/", "/v1/a%2Fb//c/"),
        ("/a..b/...", "/v1/a..b/..."),
        ("/", "/v1/"),
    ] {
        check(&gateway, target, seen);
    }
    for (target, seen) in [
        ("/users/a%2fb/../../admin", "/v1/admin"),
        ("/users/../users/1", "/v1/1"),
        ("/users/a/../b", "/v1/a/../b"),
    ] {
        check(&mounted, target, seen);
    }
}

#[test]
fn a_route_to_an_unknown_api_is_refused_at_once() {
    let lifesigns =
        lifesigns::Lifesigns::builder("gateway").api(lifesigns::ApiOptions::new("polls")).start().unwrap();
    let config = |routes| lifesigns_gateway::Config::new(([127, 0, 0, 1], 0).into(), routes);
    let refused = |routes| {
        let error = lifesigns_gateway::Gateway::bind(config(routes), lifesigns.clone()).err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        error.to_string()
    };
    let route = route("pols", ([127, 0, 0, 1], 9).into());
    assert!(refused(vec![route.clone()]).contains("\"pols\""));
    assert!(refused(vec![]).contains("no API"));
    assert!(
        refused(vec![Route { api: "polls".to_owned(), prefix: "users".to_owned(), ..route }])
            .contains("begin with /")
    );
}

#[test]
fn an_upstream_that_is_the_gateway_itself_is_refused_at_once() {
    let lifesigns =
        lifesigns::Lifesigns::builder("gateway").api(lifesigns::ApiOptions::new("polls")).start().unwrap();
    let bound = |host: &str| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let route = Route::new("polls", format!("http://{host}:{}", free.port()).parse().unwrap());
        lifesigns_gateway::Gateway::bind(lifesigns_gateway::Config::new(free, vec![route]), lifesigns.clone())
    };
    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        let error = bound(host).err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("\"polls\""), "{error}");
    }
    assert!(bound("127.0.0.2").is_ok());
}
