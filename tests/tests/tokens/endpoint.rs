//! Where apps are given tokens for their secrets.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lifesigns_tests::client::Request;
use lifesigns_tests::issuer::secret;
use lifesigns_tests::program;
use serde_json::json;

use super::support::{App, BASIC, DETAILS, FORM, INVALID, UNLIMITED, World, form};

#[test]
fn the_token_endpoint_answers_as_the_standard_says() {
    let app = App::reports();
    let world = World::start(&format!("{UNLIMITED}[oauth]\nlifetime_minutes = 1\n{}", app.lines));
    let (id, secret) = (app.id.as_str(), app.secret.as_str());
    let grant = "grant_type=client_credentials";
    let credentials = format!("{grant}&client_id={id}&client_secret={secret}");
    world.hide(secret);
    world.hide(&app.basic()["Basic ".len()..]);
    let basic = |body: &str| form(body).header("Authorization", &app.basic());
    for (what, request) in [
        ("in the body", form(&credentials)),
        ("in the header", basic(grant)),
        ("in the header, with the id in the body", basic(&format!("{grant}&client_id={id}"))),
        ("with a scope", form(&format!("{credentials}&scope=analytics%3Aread"))),
        ("with what is not known", form(&format!("{credentials}&resource=x&state="))),
        (
            "in capitals",
            Request::new("POST", "//oauth2/./token")
                .header("Content-Type", &FORM.to_uppercase())
                .body(credentials.clone()),
        ),
    ] {
        let answer = world.ask(&request);
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let body = answer.json();
        let told = (&body["token_type"], &body["expires_in"], &body["scope"]);
        assert_eq!(told, (&json!("Bearer"), &json!(60), &json!("analytics:read")));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("pragma"), Some("no-cache"));
        world.check(what, DETAILS, body["access_token"].as_str().unwrap(), 200, None);
    }
    let wrong = STANDARD.encode(format!("{id}:wr0ng-s3cret"));
    let refused = [
        ("nothing", form(""), 400, "invalid_request"),
        ("no grant type", basic("scope=analytics:read"), 400, "invalid_request"),
        ("no form", basic(grant).header("Content-Type", "application/json"), 400, "invalid_request"),
        (
            "JSON",
            Request::post_json("/oauth2/token", &json!({"grant_type": "client_credentials"})),
            400,
            "invalid_request",
        ),
        ("twice the same", form(&format!("{credentials}&{grant}")), 400, "invalid_request"),
        ("two scopes", form(&format!("{credentials}&scope=a&scope=b")), 400, "invalid_request"),
        ("two ways", basic(&credentials), 400, "invalid_request"),
        ("two ids", basic(&format!("{grant}&client_id=other")), 400, "invalid_request"),
        ("two headers", basic(grant).header("Authorization", &app.basic()), 400, "invalid_request"),
        ("no text", form(&format!("{credentials}&a=%FF")), 400, "invalid_request"),
        (
            "password",
            form(&credentials.replace("client_credentials", "password")),
            400,
            "unsupported_grant_type",
        ),
        ("code", basic("grant_type=authorization_code&code=x"), 400, "unsupported_grant_type"),
        ("refresh", basic("grant_type=refresh_token&refresh_token=x"), 400, "unsupported_grant_type"),
        ("wrong scope", form(&format!("{credentials}&scope=health:write")), 400, "invalid_scope"),
        ("no such scope", form(&format!("{credentials}&scope=all")), 400, "invalid_scope"),
        ("no credentials", form(grant), 401, "invalid_client"),
        ("no secret", form(&format!("{grant}&client_id={id}")), 401, "invalid_client"),
        ("wrong secret", form(&credentials.replace(secret, "wr0ng-s3cret")), 401, "invalid_client"),
        (
            "the hash",
            form(&format!("{grant}&client_id={id}&client_secret={}", app.hash)),
            401,
            "invalid_client",
        ),
        ("no such app", form(&credentials.replace(id, "nobody")), 401, "invalid_client"),
        (
            "wrong secret in the header",
            form(grant).header("Authorization", &format!("Basic {wrong}")),
            401,
            "invalid_client",
        ),
        ("no base64", form(grant).header("Authorization", "Basic !!!"), 401, "invalid_client"),
        ("a bearer token", form(grant).bearer(secret), 401, "invalid_client"),
    ];
    for (what, request, status, error) in &refused {
        let answer = world.ask(request);
        let body = answer.json();
        assert_eq!(
            (answer.status, body["error"].as_str()),
            (*status, Some(*error)),
            "{what}: {}",
            answer.text()
        );
        let challenge = (*status == 401).then_some(BASIC);
        assert_eq!(answer.header("www-authenticate"), challenge, "{what}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(world.issue(id, "wr0ng-s3cret", "").body, world.issue("nobody", secret, "").body);
    let in_query =
        Request::new("POST", &format!("/oauth2/token?{credentials}")).header("Content-Type", FORM).body("");
    assert_eq!(world.ask(&in_query).status, 400);
    let got = world.ask(&Request::get("/oauth2/token"));
    assert_eq!((got.status, got.header("allow")), (405, Some("POST, OPTIONS")));
    let long = world.ask(&form(&format!("{credentials}&a={}", "x".repeat(9000))));
    assert_eq!((long.status, long.header("connection")), (413, Some("close")));
    world.tells_nothing();
}

#[test]
fn without_apps_the_token_endpoint_is_the_apis_own() {
    let world = World::start("");
    assert_eq!(world.ask(&form("grant_type=client_credentials")).status, 404);
    assert_eq!(world.upstream.requests_for("/oauth2/token"), 1);
}

#[test]
fn whoever_guesses_has_to_wait() {
    let (app, other) = (App::reports(), App::new("charts", &["analytics:read"], ""));
    let config = format!("[access]\nfailed_attempts_per_minute = 3\n{}{}", app.lines, other.lines);
    let world = World::start(&config);
    let good = world.token(&app);
    for number in 0..3 {
        world.check("a guess", DETAILS, &format!("ls_guess_{number}"), 401, Some(INVALID));
    }
    let answer = world.with_token(DETAILS, "ls_guess_of_a_token");
    assert_eq!((answer.status, answer.header("www-authenticate")), (429, None));
    assert!(
        answer.header("retry-after").unwrap().parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds))
    );
    assert_eq!(answer.json()["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    world.check("a good token from the same address", DETAILS, &good, 200, None);

    for _ in 0..3 {
        assert_eq!(world.issue("reports", "a-wrong-secret", "").status, 401);
    }
    for (id, secret) in [("reports", &app.secret), ("charts", &other.secret), ("nobody", &secret())] {
        let answer = world.issue(id, secret, "");
        assert_eq!(answer.status, 429, "{id}: {}", answer.text());
        assert!(answer.header("retry-after").is_some());
    }
    world.check("tokens that there are stay good", DETAILS, &good, 200, None);
    world.tells_nothing();
}

#[test]
fn the_hash_of_a_secret_is_made_of_one_line() {
    let hash = |input: &str| {
        let mut command = std::process::Command::new(program::binary());
        command.args(["token", "hash"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, printed, _) = hash("an 0ld s3cret\nand another line\n");
    assert_eq!(code, Some(0));
    let app = App {
        id: "old".to_owned(),
        secret: "an 0ld s3cret".to_owned(),
        lines: format!(
            "[[app]]\nclient_id = \"old\"\nsecret_hash = \"{}\"\nscopes = [\"analytics:read\"]\n",
            printed.trim()
        ),
        hash: printed.trim().to_owned(),
    };
    let world = World::start(&app.lines);
    let answer = world.ask(&form("grant_type=client_credentials").header("Authorization", &app.basic()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    for input in ["", "\n", &"x".repeat(5000)] {
        let (code, stdout, stderr) = hash(input);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(!stderr.contains("xxx"), "{stderr}");
    }
}

/// An app that is not there takes as long as a wrong secret: neither is answered before a hash was made.
#[test]
fn the_time_does_not_tell_whether_there_is_such_an_app() {
    let app = App::reports();
    let world = World::start(&format!("{UNLIMITED}{}", app.lines));
    let fastest = |id: &str| {
        let times = (0..8).map(|_| {
            let began = Instant::now();
            assert_eq!(world.issue(id, "a-wrong-secret", "").status, 401);
            began.elapsed()
        });
        times.min().unwrap()
    };
    let (known, unknown) = (fastest("reports"), fastest("nobody"));
    let nothing = (0..8).map(|_| {
        let began = Instant::now();
        assert_eq!(world.ask(&form("grant_type=client_credentials")).status, 401);
        began.elapsed()
    });
    let nothing = nothing.min().unwrap();
    assert!(unknown > nothing * 3, "{known:?} {unknown:?} {nothing:?}");
    assert!(unknown * 3 > known && known * 3 > unknown, "{known:?} {unknown:?}");
}
