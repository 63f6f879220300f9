//! `/livez`, `/readyz` and `/startupz` as orchestrators and people ask them.

use http::StatusCode;
use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
use lifesigns::model::light::Light;

use super::support::{OPS, ask, builder, failing, get_from, passing, started, until};

#[tokio::test]
async fn a_critical_check_fails_readiness_and_says_so_line_by_line() {
    let (lifesigns, app) = started(builder().check(passing("queue")).check(failing("db").critical()));
    let expected = "[+]startup ok\n[+]shutdown ok\n[+]collector ok\n[+]scheduler ok\n[+]traffic ok\n[+]queue ok\n\
                    [-]db failed: reason withheld\nreadyz check failed\n";
    for path in ["/readyz", "/readyz?verbose", "/readyz?verbose=true"] {
        let answer = get_from(&app, path).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, expected),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("retry-after"), "30");
        let head = ask(&app, "HEAD", path, &[]).await;
        assert_eq!((head.status, head.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "30"));
    }
    let told = ask(&app, "GET", "/readyz", &OPS).await.text();
    assert!(told.contains("[-]db failed: fails: cannot be reached (canary at 10.1.2.3:5432)\n"), "{told}");
    assert_eq!(lifesigns.own().snapshot().verdict.light, Light::Red);
    for path in ["/livez", "/startupz"] {
        let answer = get_from(&app, path).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "ok"), "{path}");
        assert_eq!(answer.header("retry-after"), "");
    }
    assert_eq!(get_from(&app, "/startupz?verbose").await.text(), "[+]startup ok\nstartupz check passed\n");
}

#[tokio::test]
async fn checks_can_be_left_out_one_by_one() {
    let (_lifesigns, app) =
        started(builder().check(failing("db one").critical()).check(failing("mq").critical()));
    let check = async |query: &str, status: u16, lines: &[&str]| {
        let answer = get_from(&app, &format!("/readyz?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
        for line in lines {
            assert!(answer.text().lines().any(|found| found == *line), "{query}: {}", answer.text());
        }
    };
    check(
        "exclude=mq",
        503,
        &["[-]db one failed: reason withheld", "[+]mq excluded: ok", "readyz check failed"],
    )
    .await;
    check("exclude=db+one&exclude=mq", 200, &["ok"]).await;
    check("exclude=db%20one&exclude=mq", 200, &["ok"]).await;
    check("verbose&exclude=db+one&exclude=mq", 200, &["[+]db one excluded: ok", "readyz check passed"]).await;
    check("exclude=db+one,mq", 503, &["warn: there is no check db one,mq to exclude"]).await;
    check("exclude=%0Ax", 503, &["readyz check failed"]).await;
    check("exclude", 503, &["[-]mq failed: reason withheld"]).await;
}

#[tokio::test]
async fn a_check_that_is_not_critical_or_spares_readiness_leaves_the_process_ready() {
    let checks = builder().check(failing("mail")).check(failing("report").critical().spares_readiness());
    let (lifesigns, app) = started(checks);
    assert_eq!(lifesigns.own().snapshot().verdict.light, Light::Red, "callers are told all the same");
    let answer = get_from(&app, "/readyz").await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "ok"));
    let lines = get_from(&app, "/readyz?verbose").await.text();
    assert!(
        lines.contains("[+]mail failing, not counted: ok\n[+]report failing, not counted: ok\n"),
        "{lines}"
    );
    assert_eq!(get_from(&app, "/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_what_belongs_to_this_process_and_is_told_to_fails_liveness() {
    let own = failing("lock").critical().of_this_process().fails_liveness();
    let (_lifesigns, app) = started(builder().check(failing("db").critical()).check(own));
    let answer = get_from(&app, "/livez").await;
    let expected = "[+]collector ok\n[+]scheduler ok\n[-]lock failed: reason withheld\nlivez check failed\n";
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::SERVICE_UNAVAILABLE, expected));
    assert_eq!(answer.header("retry-after"), "30");
    assert_eq!(get_from(&app, "/livez?exclude=lock").await.status, StatusCode::OK);
    let told = ask(&app, "GET", "/livez?verbose", &OPS).await.text();
    assert!(told.contains("[-]lock failed: fails: cannot be reached (canary at 10.1.2.3:5432)\n"), "{told}");
    let wired_wrongly = builder().check(failing("db").fails_liveness()).start().unwrap_err();
    assert!(
        wired_wrongly.to_string().contains("the check db: checks something that several processes share")
    );
}

#[tokio::test]
async fn a_lesser_check_of_this_process_may_fail_liveness_too() {
    let own = failing("cache").of_this_process().fails_liveness();
    let (lifesigns, app) = started(builder().check(own));
    assert_eq!(lifesigns.own().snapshot().verdict.light, Light::Amber);
    assert_eq!(get_from(&app, "/livez").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get_from(&app, "/readyz").await.status, StatusCode::OK);
}

/// Checks that have not said anything yet fail nothing: a rollout does not wait for what is not known to be bad.
#[tokio::test]
async fn checks_that_have_not_passed_yet_fail_no_probe() {
    let hangs = lifesigns::Check::new("db", async || std::future::pending::<()>().await).critical();
    let lifesigns = builder().check(hangs).start().unwrap();
    let app = super::support::app(&lifesigns);
    until(&lifesigns.own(), |snapshot| snapshot.checks.len() == 1);
    assert_eq!(lifesigns.own().snapshot().verdict.light, Light::Amber);
    for path in ["/readyz", "/livez", "/startupz"] {
        assert_eq!(get_from(&app, path).await.text(), "ok", "{path}");
    }
}

/// The requests that the kubelet sends, and `kubectl get --raw '/readyz?verbose'`.
#[tokio::test]
async fn kubernetes_asks_and_understands() {
    let (_lifesigns, app) = started(builder().check(passing("db").critical()));
    let kubelet = [(USER_AGENT, "kube-probe/1.33"), (ACCEPT, "*/*")];
    for path in ["/livez", "/readyz", "/startupz"] {
        let answer = ask(&app, "GET", path, &kubelet).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "ok"), "{path}");
    }
    let kubectl =
        [(USER_AGENT, "kubectl/v1.33.1"), (ACCEPT, "application/json, */*"), (ACCEPT_ENCODING, "gzip")];
    let answer = ask(&app, "GET", "/readyz?verbose", &kubectl).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (StatusCode::OK, "gzip"));
    let plain = ask(&app, "GET", "/readyz?verbose", &kubectl[..2]).await.text();
    assert!(plain.ends_with("[+]db ok\nreadyz check passed\n"), "{plain}");
    assert!(plain.lines().all(|line| line.starts_with("[+]") || line == "readyz check passed"), "{plain}");
}
