//! Who is let in and who is not: tokens of apps and of an issuer elsewhere, good and bad ones, through the binary and a
//! socket. Every answer has the right code and challenge; no answer and no line of the log tells a token or a secret.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::cell::RefCell;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lifesigns_tests::client::{Answer, Connection, Request};
use lifesigns_tests::issuer::{
    Key, KeyServer, Publishes, part, parts, read_part, secret, unsigned, with_secret,
};
use lifesigns_tests::program::{self, Program};
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

const ISSUER: &str = "https://login.example.com/";
const FORM: &str = "application/x-www-form-urlencoded";
const DETAILS: &str = "/health/details";
const EVENTS: &str = "/analytics/1.0/acme/environments/test/events";

/// Told to whoever has sent no token.
const NOTHING: &str = "Bearer realm=\"lifesigns\"";
const INVALID: &str = "Bearer realm=\"lifesigns\", error=\"invalid_token\"";
const REQUEST: &str = "Bearer realm=\"lifesigns\", error=\"invalid_request\"";
const SCOPE: &str = "Bearer realm=\"lifesigns\", error=\"insufficient_scope\", scope=\"analytics:read\"";
const PLACE: &str = "Bearer realm=\"lifesigns\", error=\"insufficient_scope\"";
const BASIC: &str = "Basic realm=\"lifesigns\", charset=\"UTF-8\"";

/// No limit that a table of tokens could reach.
const UNLIMITED: &str = "[access]\nfailed_attempts_per_minute = 10000\n";

/// A gateway with a log that tells all it can, and everything that must be in neither log nor answers.
struct World {
    program: Program,
    address: SocketAddr,
    secrets: RefCell<Vec<String>>,
    upstream: Upstream,
    _folder: TempDir,
}

impl World {
    fn start(config: &str) -> World {
        World::start_with(config, &[])
    }

    /// With files beside the configuration.
    fn start_with(config: &str, files: &[(&str, &str)]) -> World {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let limits: String = ["health_details", "analytics", "token"]
            .map(|name| format!("[resources.{name}]\nrequests_per_minute = 1000000\n"))
            .concat();
        let text = format!(
            "organization = \"acme\"\nenvironment = \"test\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n\
             [store]\npath = \"memory\"\n{limits}{config}\n[[api]]\nname = \"orders\"\nupstream = \"http://{}\"\n",
            upstream.address()
        );
        let file = folder.path().join("lifesigns.toml");
        fs::write(&file, text).unwrap();
        let program = Program::start_with(&["run", "--config", file.to_str().unwrap()], |command| {
            command.env("LIFESIGNS_LOG", "trace");
        });
        let address = program.listening("gateway");
        World { program, address, secrets: RefCell::default(), upstream, _folder: folder }
    }

    /// Remembers what nobody may be told. What is very short is in every text.
    fn hide(&self, secret: &str) {
        if secret.len() >= 12 {
            self.secrets.borrow_mut().push(secret.to_owned());
        }
    }

    /// Sends it; the answer tells no secret, not even back to who has sent it.
    fn ask(&self, request: &Request) -> Answer {
        let answer = request.send(self.address);
        let whole = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
        for secret in &*self.secrets.borrow() {
            assert!(!whole.contains(secret.as_str()), "{secret} is told: {whole}");
        }
        answer
    }

    fn with_token(&self, target: &str, token: &str) -> Answer {
        self.hide(token);
        if let Some((_, signature)) = token.rsplit_once('.') {
            self.hide(signature);
        }
        self.ask(&Request::get(target).bearer(token))
    }

    /// The status of an answer to a token, and the challenge.
    fn check(&self, what: &str, target: &str, token: &str, status: u16, challenge: Option<&str>) {
        let answer = self.with_token(target, token);
        let found = (answer.status, answer.header("www-authenticate"));
        assert_eq!(found, (status, challenge), "{what}: {}", answer.text());
    }

    /// Asks for a token with the secret in the body.
    fn issue(&self, client_id: &str, secret: &str, more: &str) -> Answer {
        self.hide(secret);
        let body =
            format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}{more}");
        self.ask(&form(&body))
    }

    /// A good token of an app.
    fn token(&self, app: &App) -> String {
        let answer = self.issue(&app.id, &app.secret, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Ends it, and looks through all that it has said.
    fn tells_nothing(mut self) {
        self.program.signal("TERM");
        assert!(self.program.ended().success(), "{}", self.program.stderr());
        let said = format!("{}{}", self.program.stdout(), self.program.stderr());
        assert!(said.contains("health resource asked for"), "the log tells all it can: {said}");
        for secret in &*self.secrets.borrow() {
            assert!(!said.contains(secret.as_str()), "{secret} is logged");
        }
    }
}

fn form(body: &str) -> Request {
    Request::new("POST", "/oauth2/token").header("Content-Type", FORM).body(body)
}

/// An app as `lifesigns token app` makes it.
struct App {
    id: String,
    secret: String,
    hash: String,
    lines: String,
}

impl App {
    fn new(id: &str, scopes: &[&str], more: &str) -> App {
        let mut arguments = vec!["token", "app", "--client-id", id];
        scopes.iter().for_each(|scope| arguments.extend(["--scope", scope]));
        let output = program::run(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let page = String::from_utf8(output.stdout).unwrap();
        let secret = page.lines().find(|line| line.starts_with("ls_")).unwrap().to_owned();
        let lines = page[page.find("[[app]]").unwrap()..].to_owned();
        assert!(!lines.contains(&secret));
        let hash = lines.split('"').find(|text| text.starts_with("$argon2id$")).unwrap().to_owned();
        App { id: id.to_owned(), secret, hash, lines: format!("{lines}\n{more}\n") }
    }

    fn reports() -> App {
        App::new("reports", &["analytics:read"], "")
    }

    fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
        value => object[name] = value,
    }
    object
}

/// What a good token of the issuer elsewhere says.
fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "status", "sub": "user-1", "scope": "analytics:read", "iat": now(),
        "exp": now() + 300, "org": "acme", "env": ["test", "live"]})
}

fn issuer_lines(server: &KeyServer) -> String {
    format!(
        "[[issuer]]\nname = \"login\"\nissuer = \"{ISSUER}\"\njwks_url = \"{}\"\naudiences = [\"status\"]\n\
         scopes = [\"analytics:read\", \"details=health:details\"]\n\
         organizations_claim = \"org\"\nenvironments_claim = \"env\"\n",
        server.url()
    )
}

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
