//! Health resources in front of the APIs.

use lifesigns_gateway::Route;
use lifesigns_model::exchange::FailedBy;

use crate::support::{Client, Running, Upstream, route};

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
fn metrics_are_there_for_operators() {
    let upstream = Upstream::ok();
    let gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.admin = Some(([127, 0, 0, 1], 0).into());
    });
    assert_eq!(Client::to(gateway.admin.unwrap()).get("/metrics").status(), 200);
    assert_eq!(upstream.seen(), []);
}
