//! Bearer tokens, good and bad, of an issuer elsewhere and of apps.

use lifesigns_tests::client::{Connection, Request};
use lifesigns_tests::issuer::{Key, KeyServer, Publishes, part, parts, read_part, unsigned, with_secret};
use lifesigns_tests::program;
use serde_json::{Value, json};

use super::support::{
    App, DETAILS, EVENTS, FORM, INVALID, ISSUER, NOTHING, PLACE, REQUEST, SCOPE, UNLIMITED, World, claims,
    issuer_lines, now, with,
};

#[test]
fn tokens_of_an_issuer_elsewhere() {
    let (key, other, ec) = (Key::ed("a"), Key::ed("a"), Key::ec("b"));
    let server = KeyServer::start(Publishes::of(&[&key, &ec]));
    let world = World::start(&format!("{UNLIMITED}{}", issuer_lines(&server)));
    let (claims, header) = (claims(), key.header());
    let signed = |name: &str, value: Value| key.token(&with(claims.clone(), name, value));
    let headed = |name: &str, value: Value| key.token_with(&with(header.clone(), name, value), &claims);
    let good = key.token(&claims);
    let [head, body, signature] = parts(&good);
    let hs256 = with(header.clone(), "alg", json!("HS256"));
    let none = with(header.clone(), "alg", json!("none"));

    world.check("a good token", DETAILS, &good, 200, None);
    world.check("a good token of another kind of key", DETAILS, &ec.token(&claims), 200, None);
    world.check("a good token that expires", DETAILS, &signed("exp", json!(now() - 10)), 200, None);
    let asked = server.asked();
    let refused = [
        ("expired", signed("exp", json!(now() - 60))),
        ("without an end", signed("exp", Value::Null)),
        ("not yet valid", signed("nbf", json!(now() + 300))),
        ("from the future", signed("iat", json!(now() + 300))),
        ("other audience", signed("aud", json!("other"))),
        ("no audience", signed("aud", Value::Null)),
        ("other issuer", signed("iss", json!("https://other.example.com/"))),
        ("issuer not letter for letter", signed("iss", json!("https://login.example.com"))),
        ("several issuers", signed("iss", json!([ISSUER]))),
        ("no issuer", signed("iss", Value::Null)),
        ("alg none", unsigned(&none, &claims)),
        ("alg None", unsigned(&with(none.clone(), "alg", json!("None")), &claims)),
        ("alg none, with a signature", format!("{}.{body}.{signature}", part(&none))),
        ("HS256 with the public key", with_secret(&hs256, &claims, &key.public())),
        ("HS256 with the public key as text", with_secret(&hs256, &claims, key.jwk().to_string().as_bytes())),
        ("HS256 with nothing", with_secret(&hs256, &claims, b"")),
        ("HMAC called EdDSA", with_secret(&header, &claims, &key.public())),
        ("swapped key", other.token(&claims)),
        (
            "swapped key with its own JWK",
            other.token_with(&with(header.clone(), "jwk", other.jwk()), &claims),
        ),
        (
            "swapped key with a URL",
            other.token_with(&with(header.clone(), "jku", json!(server.url())), &claims),
        ),
        ("key of another kind", ec.token_with(&header, &claims)),
        ("key for another algorithm", headed("alg", json!("ES256"))),
        ("critical extensions", headed("crit", json!(["b64"]))),
        ("another type", headed("typ", json!("logout+jwt"))),
        ("no signature", format!("{head}.{body}.")),
        ("no third part", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        (
            "changed claims",
            format!("{head}.{}.{signature}", part(&with(claims.clone(), "exp", json!(now() + 999)))),
        ),
        ("changed signature", format!("{head}.{body}.{}", signature.chars().rev().collect::<String>())),
        ("dots", "..".to_owned()),
        ("no JWT", "ls_0000000000000000000000000000000000000000".to_owned()),
        ("long", format!("{head}.{}.{signature}", "A".repeat(20_000))),
    ];
    for (what, token) in &refused {
        world.check(what, DETAILS, token, 401, Some(INVALID));
        world.check(what, EVENTS, token, 401, Some(INVALID));
    }
    assert_eq!(server.asked(), asked, "nothing in these tokens makes anybody ask");

    world.check("no scope", DETAILS, &signed("scope", Value::Null), 403, Some(SCOPE));
    world.check("wrong scope", DETAILS, &signed("scope", json!("details openid")), 403, Some(SCOPE));
    world.check(
        "scope of another resource",
        "/metrics",
        &good,
        403,
        Some(&SCOPE.replace("analytics", "metrics")),
    );
    world.check("the place that it opens", EVENTS, &good, 200, None);
    world.check("wrong organization", EVENTS, &signed("org", json!("other")), 403, Some(PLACE));
    world.check("no organization", EVENTS, &signed("org", Value::Null), 403, Some(PLACE));
    world.check("wrong environment", EVENTS, &signed("env", json!("live")), 403, Some(PLACE));
    world.check("odd environment", EVENTS, &signed("env", json!({"test": true})), 403, Some(PLACE));
    world.check(
        "organization that it does not open",
        &EVENTS.replace("acme", "other"),
        &good,
        403,
        Some(PLACE),
    );
    world.check("environment that is not here", &EVENTS.replace("test", "live"), &good, 404, None);

    let unknown = Key::ed("new").token(&claims);
    world.check("unknown kid", DETAILS, &unknown, 401, Some(INVALID));
    world.check("unknown kid, again", DETAILS, &unknown, 401, Some(INVALID));
    assert_eq!(server.asked(), asked + 1, "the keys were looked at once more");
    world.check("still good", DETAILS, &good, 200, None);
    world.tells_nothing();
}

#[test]
fn tokens_of_an_app() {
    let app =
        App::new("reports", &["analytics:read", "health:details"], "organizations = [\"acme\", \"other\"]");
    let elsewhere = App::new("elsewhere", &["analytics:read"], "environments = [\"live\"]");
    let idle = App::new("idle", &["health:details"], "");
    let pem = String::from_utf8(program::run(&["token", "key"]).stdout).unwrap();
    let config = format!(
        "{UNLIMITED}[oauth]\nissuer = \"https://status.example.com\"\nsigning_keys_file = \"keys.pem\"\n{}{}{}",
        app.lines, elsewhere.lines, idle.lines
    );
    let world = World::start_with(&config, &[("keys.pem", &pem)]);
    world.hide(pem.lines().nth(1).unwrap());
    let good = world.token(&app);
    let [head, body, signature] = parts(&good);
    let (header, claims) = (read_part(&head), read_part(&body));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://status.example.com"), &json!("lifesigns")));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 600);

    // The same key signs what this process would never sign.
    let key = Key::ed_of_pem(header["kid"].as_str().unwrap(), &pem);
    let other = Key::ed(header["kid"].as_str().unwrap());
    let signed = |name: &str, value: Value| key.token_with(&header, &with(claims.clone(), name, value));
    let headed = |name: &str, value: Value| key.token_with(&with(header.clone(), name, value), &claims);
    world.check("a good token", DETAILS, &good, 200, None);
    world.check("the same, signed again", DETAILS, &key.token_with(&header, &claims), 200, None);
    let refused = [
        ("expired", signed("exp", json!(now() - 1))),
        ("ends now", signed("exp", json!(now()))),
        ("not yet valid", signed("iat", json!(now() + 300))),
        ("without an end", signed("exp", Value::Null)),
        ("other audience", signed("aud", json!("other"))),
        ("other issuer", signed("iss", json!("lifesigns"))),
        ("no app", signed("client_id", json!("nobody"))),
        ("alg none", unsigned(&with(header.clone(), "alg", json!("none")), &claims)),
        (
            "HS256 with the public key",
            with_secret(&with(header.clone(), "alg", json!("HS256")), &claims, &key.public()),
        ),
        (
            "HS256 with the secret",
            with_secret(&with(header.clone(), "alg", json!("HS256")), &claims, app.secret.as_bytes()),
        ),
        ("swapped key", other.token_with(&header, &claims)),
        ("unknown kid", headed("kid", json!("x"))),
        ("no kid", headed("kid", Value::Null)),
        ("another type", headed("typ", json!("JWT"))),
        ("critical extensions", headed("crit", json!(["exp"]))),
        (
            "changed claims",
            format!("{head}.{}.{signature}", part(&with(claims.clone(), "client_id", json!("idle")))),
        ),
        ("the secret itself", app.secret.clone()),
    ];
    for (what, token) in &refused {
        world.check(what, DETAILS, token, 401, Some(INVALID));
    }
    world.check("the hash, which has commas", DETAILS, &app.hash, 400, Some(REQUEST));
    world.check("wrong scope", DETAILS, &world.token(&idle), 403, Some(SCOPE));
    let narrow = world.issue(&app.id, &app.secret, "&scope=health:details").json();
    assert_eq!(narrow["scope"], "health:details");
    world.check("narrowed scope", DETAILS, narrow["access_token"].as_str().unwrap(), 403, Some(SCOPE));
    let wide = signed("scope", json!("analytics:read health:write metrics:read"));
    let metrics = SCOPE.replace("analytics", "metrics");
    world.check("scope that the app does not have", "/metrics", &wide, 403, Some(&metrics));
    world.check("organization of the app", EVENTS, &good, 200, None);
    world.check("organization elsewhere", &EVENTS.replace("acme", "other"), &good, 404, None);
    world.check("another organization", &EVENTS.replace("acme", "third"), &good, 403, Some(PLACE));
    world.check("another environment", EVENTS, &world.token(&elsewhere), 403, Some(PLACE));
    world.tells_nothing();
}

#[test]
fn a_token_is_in_one_header_and_nowhere_else() {
    let app = App::reports();
    let world = World::start(&format!("{UNLIMITED}{}", app.lines));
    let token = world.token(&app);
    world.check("in the header", DETAILS, &token, 200, None);
    let bearer = format!("Bearer {token}");
    let check = |what: &str, request: Request, status: u16, challenge: &str| {
        let answer = world.ask(&request);
        let found = (answer.status, answer.header("www-authenticate"));
        assert_eq!(found, (status, Some(challenge)), "{what}: {}", answer.text());
    };
    let get = || Request::get(DETAILS);
    check("nothing", get(), 401, NOTHING);
    check("twice", get().bearer(&token).bearer(&token), 400, REQUEST);
    check("twice, one of them wrong", get().bearer(&token).bearer("x"), 400, REQUEST);
    check("a list", get().header("Authorization", &format!("{bearer}, {bearer}")), 400, REQUEST);
    check("without a token", get().header("Authorization", "Bearer"), 400, REQUEST);
    check("with a space", get().header("Authorization", &format!("{bearer} x")), 400, REQUEST);
    check("another scheme", get().header("Authorization", &format!("Token {token}")), 401, NOTHING);
    check("without a scheme", get().header("Authorization", &token), 401, NOTHING);
    check("in another header", get().header("X-Authorization", &bearer), 401, NOTHING);
    check("in a cookie", get().header("Cookie", &format!("access_token={token}")), 401, NOTHING);
    check("in the query", Request::get(&format!("{DETAILS}?access_token={token}")), 401, NOTHING);
    let query = EVENTS.replace("events", "query");
    let in_body = format!("access_token={token}");
    let in_form = Request::new("POST", &query).header("Content-Type", FORM).body(in_body.clone());
    check("in a form", in_form, 401, NOTHING);
    let in_both = Request::new("POST", &query).header("Content-Type", FORM).bearer("x").body(in_body);
    check("in a form, beside a wrong one", in_both, 401, INVALID);
    world.tells_nothing();
}

#[test]
fn garbage_of_all_kinds_is_refused_and_harms_nobody() {
    let app = App::reports();
    let server = KeyServer::start(Publishes::of(&[&Key::ed("a")]));
    let world = World::start(&format!("{UNLIMITED}{}{}", app.lines, issuer_lines(&server)));
    let good = world.token(&app);
    // Numbers that look random and are the same each time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..300 {
        let mut bytes = if round % 2 == 0 { good.clone().into_bytes() } else { Vec::new() };
        for _ in 0..=random() % 40 {
            let byte = (random() % 256) as u8;
            match random() % 3 {
                0 if !bytes.is_empty() => {
                    let at = random() as usize % bytes.len();
                    bytes[at] = byte;
                }
                1 if !bytes.is_empty() => drop(bytes.remove(random() as usize % bytes.len())),
                _ => bytes.insert(random() as usize % (bytes.len() + 1), byte),
            }
        }
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
        let path = if round % 3 == 0 { "/oauth2/token" } else { DETAILS };
        let method = if round % 3 == 0 { "POST" } else { "GET" };
        let scheme = ["Bearer ", "Basic ", ""][round % 3];
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n").into_bytes();
        request.extend(format!("Content-Length: {}\r\nAuthorization: {scheme}", bytes.len()).bytes());
        request.extend(bytes.iter().chain(b"\r\nConnection: close\r\n\r\n").chain(&bytes));
        let mut connection = Connection::open(world.address).unwrap();
        connection.send(&request).unwrap();
        let answer = connection.receive(method).unwrap();
        assert!(
            matches!(answer.status, 400 | 401),
            "{}: {:?}",
            answer.status,
            String::from_utf8_lossy(&request)
        );
    }
    world.check("the good one", DETAILS, &good, 200, None);
    world.tells_nothing();
}
