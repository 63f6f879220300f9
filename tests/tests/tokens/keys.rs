//! Keys that come and go, and with them what they have signed.

use std::time::{Duration, Instant};

use lifesigns_tests::issuer::{Key, KeyServer, Publishes, unsigned};
use lifesigns_tests::{program, wait};
use serde_json::json;

use super::support::{App, DETAILS, INVALID, UNLIMITED, World, claims, issuer_lines, with};

#[test]
fn a_token_ends_with_the_key_that_signed_it() {
    let app = App::reports();
    let keys: Vec<String> =
        (0..2).map(|_| String::from_utf8(program::run(&["token", "key"]).stdout).unwrap()).collect();
    let config = format!("{UNLIMITED}[oauth]\nsigning_keys_file = \"keys.pem\"\n{}", app.lines);
    let start = |pem: &str| World::start_with(&config, &[("keys.pem", pem)]);

    let first = start(&keys[0]);
    let token = first.token(&app);
    first.check("signed here", DETAILS, &token, 200, None);
    start(&keys[0]).check("by another process with the key", DETAILS, &token, 200, None);
    let both = start(&[keys[1].as_str(), &keys[0]].concat());
    both.check("the key does not sign any more", DETAILS, &token, 200, None);
    let newer = both.token(&app);
    let second = start(&keys[1]);
    second.check("replayed after the key was taken out", DETAILS, &token, 401, Some(INVALID));
    second.check("signed by the new key", DETAILS, &newer, 200, None);
    second.tells_nothing();

    // Keys that are made in memory end with their process.
    let config = format!("{UNLIMITED}{}", app.lines);
    let (one, other) = (World::start(&config), World::start(&config));
    let token = one.token(&app);
    one.check("signed here", DETAILS, &token, 200, None);
    other.check("signed elsewhere", DETAILS, &token, 401, Some(INVALID));
    drop(one);
    World::start(&config).check("replayed after a restart", DETAILS, &token, 401, Some(INVALID));
}

#[test]
fn keys_that_cannot_be_had_let_nobody_in() {
    let key = Key::ec("a");
    let huge = format!("{{\"keys\":[{}]}}{}", key.jwk(), " ".repeat(1 << 20));
    for (what, publishes) in [
        ("hangs", Publishes::Nothing),
        ("is huge", Publishes::answer("200 OK", &huge)),
        ("is malformed", Publishes::answer("200 OK", "{\"keys\":[{]}")),
        ("is no JSON", Publishes::answer("200 OK", "<html></html>")),
        ("has no keys", Publishes::answer("200 OK", "{\"keys\":[]}")),
        (
            "has only secrets",
            Publishes::answer("200 OK", "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"c2VjcmV0\"}]}"),
        ),
        ("fails", Publishes::answer("500 Internal Server Error", "")),
        ("leads elsewhere", Publishes::answer("302 Found", "")),
        ("breaks off", Publishes::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec())),
    ] {
        let server = KeyServer::start(publishes);
        let world = World::start(&format!("{UNLIMITED}{}", issuer_lines(&server)));
        let began = Instant::now();
        let answer = world.with_token(DETAILS, &key.token(&claims()));
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("5")),
            "{what}: {}",
            answer.text()
        );
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?}", began.elapsed());
        world.check("garbage", DETAILS, "a.b.c", 401, Some(INVALID));
        let none = unsigned(&with(key.header(), "alg", json!("none")), &claims());
        world.check("alg none", DETAILS, &none, 401, Some(INVALID));
        // A probe is not held up by it.
        let began = Instant::now();
        assert_eq!(world.with_token("/livez?verbose", &key.token(&claims())).status, 200);
        assert!(began.elapsed() < Duration::from_secs(2), "{what}: {:?}", began.elapsed());
        let said = || world.program.stderr().contains("the keys of the issuer cannot be fetched");
        wait::until("a line in the log", || said().then_some(()));
        world.tells_nothing();
    }
}

#[test]
fn keys_of_an_issuer_that_take_turns_or_go_away() {
    let (old, new) = (Key::ed("old"), Key::ed("new"));
    let server = KeyServer::start(Publishes::of(&[&old]));
    let world = World::start(&format!("{UNLIMITED}{}", issuer_lines(&server)));
    let (by_old, by_new) = (old.token(&claims()), new.token(&claims()));
    world.check("the key there is", DETAILS, &by_old, 200, None);
    server.now(Publishes::of(&[&new]));
    world.check("a new key is looked for", DETAILS, &by_new, 200, None);
    world.check("replayed after its key was taken out", DETAILS, &by_old, 401, Some(INVALID));
    server.now(Publishes::answer("503 Service Unavailable", ""));
    world.check("the last good keys are used", DETAILS, &by_new, 200, None);
    drop(server);
    world.check("also while nobody is there", DETAILS, &by_new, 200, None);
    world.tells_nothing();
}
