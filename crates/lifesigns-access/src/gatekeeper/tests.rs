//! Tokens of issuers elsewhere over real sockets, and apps that prove themselves.

use std::time::Duration;

use lifesigns::Scope;
use lifesigns_tests::issuer::{Key, KeyServer, Publishes, part, parts, secret, unsigned, with_secret};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Algorithm, SecretHash};

const URL: &str = "https://login.example.com/";

fn issuer(server: &KeyServer) -> Issuer {
    Issuer::new("login", URL, &server.url())
        .unwrap()
        .audience("https://status.example.com")
        .scope("analytics:read", Scope::AnalyticsRead)
        .scope("status.details", Scope::HealthDetails)
}

fn gatekeeper(issuer: Issuer) -> Arc<Gatekeeper> {
    Arc::new(Gatekeeper::new(TokenOptions::default(), Vec::new(), vec![issuer]).unwrap())
}

/// A gatekeeper that keeps keys until the end of the test.
fn keeping(issuer: Issuer) -> Arc<Gatekeeper> {
    let gatekeeper = gatekeeper(issuer);
    tokio::spawn(Arc::clone(&gatekeeper).keep_keys());
    gatekeeper
}

/// As those do who serve requests.
async fn check(gatekeeper: &Gatekeeper, token: &str) -> Result<Arc<Grant>, Refusal> {
    let mut checked = gatekeeper.check(token);
    for _ in 0..2 {
        if checked == Err(Refusal::KeyMissing) {
            gatekeeper.look_for_key(token).await;
            checked = gatekeeper.check(token);
        }
    }
    checked
}

fn claims() -> Value {
    let now = get_current_timestamp();
    json!({"iss": URL, "aud": "https://status.example.com", "sub": "user-1", "client_id": "reports",
        "scope": "openid analytics:read", "iat": now, "exp": now + 300})
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_is_taken() {
    let keys = [Key::ed("a"), Key::ec("b"), Key::rsa("c")];
    let server = KeyServer::start(Publishes::of(&[&keys[0], &keys[1], &keys[2]]));
    let gatekeeper = keeping(issuer(&server));
    for key in &keys {
        let grant = check(&gatekeeper, &key.token(&claims())).await.unwrap();
        let expected = Grant {
            name: "login/reports".to_owned(),
            scopes: vec![Scope::AnalyticsRead],
            ..Grant::default()
        };
        assert_eq!(*grant, expected);
    }
    let pss = with(keys[2].header(), "alg", json!("PS256"));
    let token = keys[2].token_with(&pss, &claims());
    assert_eq!(check(&gatekeeper, &token).await.unwrap_err(), Refusal::Unknown);
    let pinned = keeping(issuer(&server).algorithms([Algorithm::Ps256]));
    assert!(check(&pinned, &token).await.is_ok());
    for key in &keys {
        assert_eq!(check(&pinned, &key.token(&claims())).await.unwrap_err(), Refusal::Unknown);
    }
    assert_eq!(server.asked(), 2, "once for each gatekeeper");
}

#[tokio::test]
async fn claims_are_what_they_must_be() {
    let key = Key::ed("a");
    let server = KeyServer::start(Publishes::of(&[&key]));
    let gatekeeper = keeping(issuer(&server));
    let now = get_current_timestamp();
    let good = [
        claims(),
        with(claims(), "aud", json!(["other", "https://status.example.com"])),
        with(claims(), "nbf", json!(now)),
        with(claims(), "nbf", json!(now + 20)),
        with(claims(), "exp", json!(now - 20)),
        with(claims(), "iat", Value::Null),
        with(claims(), "iat", json!(now as f64 + 0.5)),
        with(claims(), "unheard-of", json!({"a": [1]})),
    ];
    for claims in good {
        assert!(check(&gatekeeper, &key.token(&claims)).await.is_ok(), "{claims}");
    }
    let bad = [
        with(claims(), "exp", json!(now - 40)),
        with(claims(), "exp", json!(0)),
        with(claims(), "exp", json!(-1)),
        with(claims(), "exp", json!((now + 300).to_string())),
        with(claims(), "exp", Value::Null),
        with(claims(), "nbf", json!(now + 60)),
        with(claims(), "nbf", json!("tomorrow")),
        with(claims(), "iat", json!(now + 60)),
        with(claims(), "iat", json!("now")),
        with(claims(), "iss", json!([URL])),
        with(claims(), "iss", json!("https://login.example.com")),
        with(claims(), "iss", json!("https://LOGIN.example.com/")),
        with(claims(), "iss", Value::Null),
        with(claims(), "aud", json!("https://status.example.com/")),
        with(claims(), "aud", json!("other")),
        with(claims(), "aud", json!([])),
        with(claims(), "aud", json!({"a": 1})),
        with(claims(), "aud", Value::Null),
        with(claims(), "client_id", json!("a\u{1b}[31m")),
        with(claims(), "client_id", json!("x".repeat(201))),
        json!([]),
        json!("x"),
    ];
    for claims in bad {
        assert_eq!(check(&gatekeeper, &key.token(&claims)).await, Err(Refusal::Unknown), "{claims}");
    }
}

#[tokio::test]
async fn headers_and_signatures_are_what_they_must_be() {
    let (key, other, ec) = (Key::ed("a"), Key::ed("a"), Key::ec("b"));
    let server = KeyServer::start(Publishes::of(&[&key, &ec]));
    let gatekeeper = keeping(issuer(&server));
    let (header, claims) = (key.header(), claims());
    for typ in [json!("JWT"), json!("jwt"), json!("application/at+jwt"), Value::Null] {
        let token = key.token_with(&with(header.clone(), "typ", typ), &claims);
        assert!(check(&gatekeeper, &token).await.is_ok());
    }
    let good = key.token(&claims);
    let [head, body, signature] = parts(&good);
    let secrets =
        [key.public(), key.jwk()["x"].as_str().unwrap().into(), key.jwk().to_string().into(), Vec::new()];
    let mut bad: Vec<String> = secrets
        .iter()
        .flat_map(|secret| {
            let hs256 = with(header.clone(), "alg", json!("HS256"));
            [with_secret(&hs256, &claims, secret), with_secret(&header, &claims, secret)]
        })
        .collect();
    for algorithm in ["none", "None", "NONE", "", "HS256", "RS256", "ES256", "eddsa"] {
        let header = with(header.clone(), "alg", json!(algorithm));
        bad.extend([unsigned(&header, &claims), key.token_with(&header, &claims)]);
    }
    let header_with = |name, value| key.token_with(&with(header.clone(), name, value), &claims);
    bad.extend([
        other.token(&claims),
        ec.token_with(&header, &claims),
        key.token_with(&ec.header(), &claims),
        header_with("crit", json!(["exp"])),
        header_with("crit", json!([])),
        header_with("typ", json!("logout+jwt")),
        header_with("typ", json!("at+jwt; charset=utf-8")),
        header_with("kid", json!(["a"])),
        header_with("alg", json!(["EdDSA"])),
        // Without an id there is one key for the algorithm, and it is not the other one.
        other.token_with(&with(header.clone(), "kid", Value::Null), &claims),
        // A key and addresses from the token itself.
        other.token_with(&with(header.clone(), "jwk", other.jwk()), &claims),
        other.token_with(&with(header.clone(), "jku", json!(server.url())), &claims),
        other.token_with(&with(header.clone(), "x5u", json!(server.url())), &claims),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{head}.{body}.{signature}."),
        format!("{head}.{body}.{signature}.{signature}"),
        format!(
            "{head}.{}.{signature}",
            part(&with(claims.clone(), "scope", json!("analytics:read status.details")))
        ),
        format!("{head}.{body}.{}", &signature[..signature.len() - 4]),
        format!("{head}.{body}.{signature}AAAA"),
        format!("{head}.{body}.{}", "A".repeat(86)),
        format!(".{body}.{signature}"),
        "..".to_owned(),
        "a.b.c".to_owned(),
        String::new(),
        "é.é.é".to_owned(),
    ]);
    let before = server.asked();
    for token in bad {
        assert_eq!(check(&gatekeeper, &token).await, Err(Refusal::Unknown), "{token}");
    }
    assert_eq!(server.asked(), before, "nothing in a token makes anybody ask");
    let long = key.token(&with(claims, "text", json!("x".repeat(LONGEST_TOKEN))));
    assert_eq!(check(&gatekeeper, &long).await, Err(Refusal::Unknown));
}

#[tokio::test]
async fn names_twice_in_a_token_are_refused() {
    let key = Key::ed("a");
    let server = KeyServer::start(Publishes::of(&[&key]));
    let gatekeeper = keeping(issuer(&server));
    let good = key.token(&claims());
    assert!(check(&gatekeeper, &good).await.is_ok());
    let twice = |value: &Value, name: &str, other: Value| {
        let text = value.to_string();
        text.replacen('{', &format!("{{{}:{other},", json!(name)), 1)
    };
    for (name, other) in [("iss", json!("https://other.example.com/")), ("exp", json!(1)), ("iat", json!(1))]
    {
        let body = twice(&claims(), name, other);
        let signed = key.sign(&[part(&key.header()), base64_of(&body)].join("."));
        assert_eq!(check(&gatekeeper, &signed).await, Err(Refusal::Unknown), "{body}");
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn scopes_organizations_and_environments_are_what_claims_and_settings_allow() {
    let key = Key::ed("a");
    let server = KeyServer::start(Publishes::of(&[&key]));
    let gatekeeper = keeping(issuer(&server));
    let scopes = async |name: &str, value: Value| {
        let claims = with(with(claims(), "scope", Value::Null), name, value);
        check(&gatekeeper, &key.token(&claims)).await.map(|grant| grant.scopes.clone())
    };
    let (read, details) = (Scope::AnalyticsRead, Scope::HealthDetails);
    assert_eq!(scopes("scope", json!("analytics:read status.details")).await, Ok(vec![read, details]));
    assert_eq!(scopes("scp", json!(["status.details"])).await, Ok(vec![details]));
    assert_eq!(scopes("scp", json!("status.details other")).await, Ok(vec![details]));
    assert_eq!(scopes("scope", json!(["analytics:read", "analytics:read"])).await, Ok(vec![read]));
    for value in [json!(""), json!("health:details"), json!("ANALYTICS:READ"), json!([]), Value::Null] {
        assert_eq!(scopes("scope", value.clone()).await, Ok(vec![]), "{value}");
    }
    for value in [json!(1), json!([1]), json!({"a": "analytics:read"})] {
        assert_eq!(scopes("scope", value.clone()).await, Err(Refusal::Unknown), "{value}");
    }

    let visible = async |issuer: Issuer, claims: Value| {
        let grant = check(&keeping(issuer), &key.token(&claims)).await.unwrap();
        (grant.organizations.clone(), grant.environments.clone())
    };
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let set = || issuer(&server).organizations(["acme"]).environments(["test", "live"]);
    assert_eq!(visible(set(), claims()).await, (names(&["acme"]), names(&["test", "live"])));
    let claimed = || issuer(&server).organizations_claim("org").environments_claim("https://e/env");
    assert_eq!(visible(claimed(), claims()).await, (names(&[]), names(&[])));
    let saying = with(with(claims(), "org", json!("acme")), "https://e/env", json!(["live", "other"]));
    assert_eq!(visible(claimed(), saying.clone()).await, (names(&["acme"]), names(&["live", "other"])));
    let both = set().organizations_claim("org").environments_claim("https://e/env");
    assert_eq!(visible(both, saying.clone()).await, (names(&["acme"]), names(&["live"])));
    let odd = with(with(saying, "org", json!({"a": 1})), "https://e/env", json!([1]));
    assert_eq!(visible(claimed(), odd).await, (names(&[]), names(&[])));

    let name = async |claims: Value| check(&gatekeeper, &key.token(&claims)).await.unwrap().name.clone();
    let by_azp = with(with(claims(), "client_id", Value::Null), "azp", json!("web"));
    assert_eq!(name(by_azp).await, "login/web");
    let by_sub = with(claims(), "client_id", Value::Null);
    assert_eq!(name(by_sub.clone()).await, "login/user-1");
    assert_eq!(name(with(by_sub, "sub", Value::Null)).await, "login");
}

#[tokio::test]
async fn a_new_key_is_looked_for_once_and_then_not_for_half_a_minute() {
    let (old, new, other) = (Key::ed("old"), Key::ed("new"), Key::ed("other"));
    let server = KeyServer::start(Publishes::of(&[&old]));
    let gatekeeper = keeping(issuer(&server));
    assert!(check(&gatekeeper, &old.token(&claims())).await.is_ok());
    assert_eq!(server.asked(), 1);
    server.now(Publishes::of(&[&new]));
    let token = new.token(&claims());
    let mut together = JoinSet::new();
    for _ in 0..20 {
        let (gatekeeper, token) = (Arc::clone(&gatekeeper), token.clone());
        together.spawn(async move { check(&gatekeeper, &token).await.is_ok() });
    }
    assert!(together.join_all().await.into_iter().all(|ok| ok), "those who ask together wait together");
    assert_eq!(server.asked(), 2);
    assert_eq!(check(&gatekeeper, &old.token(&claims())).await, Err(Refusal::Unknown), "its key is gone");
    server.now(Publishes::of(&[&new, &other]));
    assert_eq!(check(&gatekeeper, &other.token(&claims())).await, Err(Refusal::Unknown), "it is too early");
    assert_eq!(server.asked(), 2);
    assert!(check(&gatekeeper, &token).await.is_ok());
}

#[tokio::test]
async fn without_keys_nothing_can_be_checked_and_nobody_gets_in() {
    let key = Key::ed("a");
    let answers = [
        Publishes::answer("500 Internal Server Error", ""),
        Publishes::answer("200 OK", "<html>"),
        Publishes::answer("200 OK", "{\"keys\":[]}"),
        Publishes::answer("200 OK", &format!("{{\"keys\":[{}]}}{}", key.jwk(), " ".repeat(300_000))),
        Publishes::answer("302 Found", ""),
        Publishes::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"keys\":".to_vec()),
        Publishes::Bytes(b"SSH-2.0-OpenSSH\r\n".to_vec()),
        Publishes::Bytes(Vec::new()),
    ];
    for answer in answers {
        let server = KeyServer::start(answer.clone());
        let gatekeeper = keeping(issuer(&server));
        assert_eq!(check(&gatekeeper, &key.token(&claims())).await, Err(Refusal::Unchecked), "{answer:?}");
        let unsigned = unsigned(&with(key.header(), "alg", json!("none")), &claims());
        assert_eq!(check(&gatekeeper, &unsigned).await, Err(Refusal::Unknown));
    }
    let gone = KeyServer::start(Publishes::Nothing);
    let url = gone.url();
    drop(gone);
    let issuer = Issuer::new("login", URL, &url).unwrap().audience("https://status.example.com");
    assert_eq!(check(&keeping(issuer), &key.token(&claims())).await, Err(Refusal::Unchecked));
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_up_for_long() {
    let key = Key::ed("a");
    let server = KeyServer::start(Publishes::Nothing);
    let gatekeeper = keeping(issuer(&server));
    let began = Instant::now();
    assert_eq!(check(&gatekeeper, &key.token(&claims())).await, Err(Refusal::Unchecked));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_last_good_keys_are_used_for_a_bounded_time() {
    let key = Key::ed("a");
    let server = KeyServer::start(Publishes::of(&[&key]));
    let keep = Duration::from_secs(100);
    let gatekeeper = keeping(issuer(&server).keep(keep).refresh(Duration::from_secs(1)));
    let token = key.token(&claims());
    assert!(check(&gatekeeper, &token).await.is_ok());
    server.now(Publishes::answer("503 Service Unavailable", ""));
    let failed = server.asked();
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.asked() < failed + 2 {
        assert!(Instant::now() < deadline, "the keys are fetched again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(check(&gatekeeper, &token).await.is_ok(), "the issuer is away for a moment");
    let elsewhere = &gatekeeper.elsewhere[0];
    let header = decode_header(&token).unwrap();
    let later = |seconds| {
        elsewhere.check(
            &header,
            &token,
            Instant::now() + Duration::from_secs(seconds),
            get_current_timestamp(),
        )
    };
    assert!(later(90).is_ok());
    assert!(matches!(later(101), Err(Refusal::KeyMissing | Refusal::Unchecked)));
    let unknown = Key::ed("new").token(&claims());
    assert_eq!(check(&gatekeeper, &unknown).await, Err(Refusal::Unchecked), "it may be a good one");
}

#[tokio::test]
async fn keys_come_over_tls_from_whom_it_is_trusted_to() {
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;

    let key = Key::ed("a");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = json!({"keys": [key.jwk()]}).to_string();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust the certificate goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let issuer = |host: &str| {
        let issuer = Issuer::new("login", URL, &format!("https://{host}:{port}/keys")).unwrap();
        issuer.audience("https://status.example.com").ca_file(&ca_file)
    };
    let token = key.token(&claims());
    assert!(check(&keeping(issuer("localhost")), &token).await.is_ok());
    assert_eq!(check(&keeping(issuer("127.0.0.1")), &token).await, Err(Refusal::Unchecked), "another name");
    let missing =
        Issuer::new("login", URL, "https://localhost/").unwrap().ca_file(&folder.path().join("none"));
    let missing = Gatekeeper::new(TokenOptions::default(), Vec::new(), vec![missing]).unwrap_err();
    assert_eq!(missing.option, "ca_file");
}

fn app(client_id: &str, secret: &str) -> App {
    use argon2::password_hash::PasswordHasher as _;
    // As cheap as is allowed.
    let params = argon2::Params::new(7 * 1024, 1, 1, None).unwrap();
    let hash = argon2::Argon2::from(params).hash_password(secret.as_bytes()).unwrap().to_string();
    App::new(client_id, hash.parse::<SecretHash>().unwrap(), [Scope::AnalyticsRead])
}

fn request(client_id: &str, secret: &str, scope: Option<&str>) -> IssueRequest {
    let scope = scope.map(str::to_owned);
    IssueRequest { client_id: client_id.to_owned(), client_secret: secret.to_owned(), scope }
}

#[tokio::test]
async fn an_app_proves_itself_by_its_own_secret() {
    let apps = vec![app("reports", "one"), app("charts", "two")];
    let gatekeeper = Gatekeeper::new(TokenOptions::default(), apps, vec![]).unwrap();
    let issue = async |id: &str, secret: &str, scope| gatekeeper.issue(request(id, secret, scope)).await;
    let token = issue("reports", "one", None).await.unwrap();
    assert_eq!(gatekeeper.check(&token.access_token).unwrap().name, "reports");
    assert_eq!(token.scopes, [Scope::AnalyticsRead]);
    for (id, secret) in [("reports", "two"), ("charts", "one"), ("reports", ""), ("", ""), ("Reports", "one")]
    {
        assert_eq!(issue(id, secret, None).await.unwrap_err(), IssueError::InvalidClient, "{id}");
    }
    // Whose secret it is compared with in its stead is not by accident its own.
    for secret in ["one", "two"] {
        for number in 0..10 {
            let id = format!("nobody-{number}");
            assert_eq!(issue(&id, secret, None).await.unwrap_err(), IssueError::InvalidClient);
        }
    }
    assert_eq!(issue("reports", "one", Some("health:write")).await.unwrap_err(), IssueError::InvalidScope);
    assert_eq!(issue("reports", "two", Some("health:write")).await.unwrap_err(), IssueError::InvalidClient);
    assert!(gatekeeper.has_apps() && gatekeeper.knows_app("charts") && !gatekeeper.knows_app("nobody-1"));
}

#[tokio::test]
async fn a_crowd_of_apps_is_told_to_come_back() {
    let gatekeeper = Gatekeeper::new(TokenOptions::default(), vec![app("reports", "one")], vec![]).unwrap();
    let all = u32::try_from(CONCURRENT_SECRETS + WAITING_SECRETS).unwrap();
    let taken = gatekeeper.places.try_acquire_many(all).unwrap();
    assert_eq!(gatekeeper.issue(request("reports", "one", None)).await.unwrap_err(), IssueError::Busy);
    drop(taken);
    assert!(gatekeeper.issue(request("reports", "one", None)).await.is_ok());
}

#[tokio::test]
async fn without_apps_no_token_is_issued_and_none_of_ours_is_known() {
    let with_apps = Gatekeeper::new(TokenOptions::default(), vec![app("reports", "one")], vec![]).unwrap();
    let token = with_apps.issue(request("reports", "one", None)).await.unwrap().access_token;
    let without = Gatekeeper::new(TokenOptions::default(), vec![], vec![]).unwrap();
    assert!(!without.has_apps());
    assert_eq!(without.issue(request("reports", "one", None)).await.unwrap_err(), IssueError::InvalidClient);
    assert_eq!(without.check(&token), Err(Refusal::Unknown));
}

#[test]
fn nothing_may_be_there_twice() {
    let server = KeyServer::start(Publishes::Nothing);
    let new =
        |apps, issuers| Gatekeeper::new(TokenOptions::default(), apps, issuers).map_err(|bad| bad.option);
    let twice = new(vec![app("a", "x"), app("a", "y")], vec![]);
    assert_eq!(twice.unwrap_err(), "client_id");
    assert_eq!(new(vec![], vec![issuer(&server), issuer(&server)]).unwrap_err(), "issuer");
    let own = Issuer::new("login", "lifesigns", &server.url()).unwrap();
    assert_eq!(new(vec![], vec![own]).unwrap_err(), "issuer");
}

#[test]
fn nothing_secret_is_in_what_is_shown_for_debugging() {
    let (secret, server) = (secret(), KeyServer::start(Publishes::Nothing));
    let pem = crate::SigningKey::make_pem().unwrap();
    let keys = crate::SigningKey::from_pem(&pem).unwrap();
    let app = app("reports", &secret);
    let request = request("reports", &secret, None);
    let options = TokenOptions::default().signing_keys(keys);
    let parts = format!("{app:?} {request:?} {options:?}");
    let gatekeeper = Gatekeeper::new(options, vec![app], vec![issuer(&server)]).unwrap();
    let shown = format!("{parts} {gatekeeper:?}");
    let body = pem.lines().nth(1).unwrap();
    for canary in [&secret, body, &body[24..], "argon2id"] {
        assert!(!shown.contains(canary), "{canary}: {shown}");
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_as_a_token_is_refused_without_harm(
        head in "\\PC{0,40}", body in "\\PC{0,40}", tail in "\\PC{0,40}", dots in "[.]{0,3}",
    ) {
        let gatekeeper = without_keys();
        for token in [
            format!("{head}.{body}.{tail}{dots}"),
            format!("{}.{}.{}", base64_of(&head), base64_of(&body), base64_of(&tail)),
            format!("{}.{}.{}", part(&json!({"alg": head, "kid": tail})), part(&json!({"iss": URL})), base64_of(&body)),
            format!("{}.{}.{}", part(&json!({"alg": "EdDSA"})), part(&json!({"iss": "lifesigns", "aud": body})), tail),
        ] {
            prop_assert!(gatekeeper.check(&token).is_err());
        }
    }
}

/// A gatekeeper that nobody keeps keys for.
fn without_keys() -> Gatekeeper {
    let issuer = Issuer::new("login", URL, "http://127.0.0.1:1/keys").unwrap().audience("a");
    Gatekeeper::new(TokenOptions::default(), vec![fixed_app()], vec![issuer]).unwrap()
}

/// Hashing takes its time, and a property is looked at often.
fn fixed_app() -> App {
    let hash =
        "$argon2id$v=19$m=7168,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$8Y6ZJ0qk0cJ6hVX6bDVHZ8d5o4nTg1fV0l2b7nF5bQc";
    App::new("reports", hash.parse::<SecretHash>().unwrap(), [Scope::AnalyticsRead])
}
