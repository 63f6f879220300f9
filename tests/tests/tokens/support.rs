//! A gateway with a log that tells all it can, apps, and tokens of an issuer elsewhere.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lifesigns_tests::client::{Answer, Request};
use lifesigns_tests::issuer::KeyServer;
use lifesigns_tests::program::{self, Program};
use lifesigns_tests::upstream::Upstream;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ISSUER: &str = "https://login.example.com/";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const DETAILS: &str = "/health/details";
pub(crate) const EVENTS: &str = "/analytics/1.0/acme/environments/test/events";

/// Told to whoever has sent no token.
pub(crate) const NOTHING: &str = "Bearer realm=\"lifesigns\"";
pub(crate) const INVALID: &str = "Bearer realm=\"lifesigns\", error=\"invalid_token\"";
pub(crate) const REQUEST: &str = "Bearer realm=\"lifesigns\", error=\"invalid_request\"";
pub(crate) const SCOPE: &str =
    "Bearer realm=\"lifesigns\", error=\"insufficient_scope\", scope=\"analytics:read\"";
pub(crate) const PLACE: &str = "Bearer realm=\"lifesigns\", error=\"insufficient_scope\"";
pub(crate) const BASIC: &str = "Basic realm=\"lifesigns\", charset=\"UTF-8\"";

/// No limit that a table of tokens could reach.
pub(crate) const UNLIMITED: &str = "[access]\nfailed_attempts_per_minute = 10000\n";

/// A gateway with a log that tells all it can, and everything that must be in neither log nor answers.
pub(crate) struct World {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    pub(crate) secrets: RefCell<Vec<String>>,
    pub(crate) upstream: Upstream,
    pub(crate) _folder: TempDir,
}

impl World {
    pub(crate) fn start(config: &str) -> World {
        World::start_with(config, &[])
    }

    /// With files beside the configuration.
    pub(crate) fn start_with(config: &str, files: &[(&str, &str)]) -> World {
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
    pub(crate) fn hide(&self, secret: &str) {
        if secret.len() >= 12 {
            self.secrets.borrow_mut().push(secret.to_owned());
        }
    }

    /// Sends it; the answer tells no secret, not even back to who has sent it.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        let answer = request.send(self.address);
        let whole = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
        for secret in &*self.secrets.borrow() {
            assert!(!whole.contains(secret.as_str()), "{secret} is told: {whole}");
        }
        answer
    }

    pub(crate) fn with_token(&self, target: &str, token: &str) -> Answer {
        self.hide(token);
        if let Some((_, signature)) = token.rsplit_once('.') {
            self.hide(signature);
        }
        self.ask(&Request::get(target).bearer(token))
    }

    /// The status of an answer to a token, and the challenge.
    pub(crate) fn check(&self, what: &str, target: &str, token: &str, status: u16, challenge: Option<&str>) {
        let answer = self.with_token(target, token);
        let found = (answer.status, answer.header("www-authenticate"));
        assert_eq!(found, (status, challenge), "{what}: {}", answer.text());
    }

    /// Asks for a token with the secret in the body.
    pub(crate) fn issue(&self, client_id: &str, secret: &str, more: &str) -> Answer {
        self.hide(secret);
        let body =
            format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}{more}");
        self.ask(&form(&body))
    }

    /// A good token of an app.
    pub(crate) fn token(&self, app: &App) -> String {
        let answer = self.issue(&app.id, &app.secret, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Ends it, and looks through all that it has said.
    pub(crate) fn tells_nothing(mut self) {
        self.program.signal("TERM");
        assert!(self.program.ended().success(), "{}", self.program.stderr());
        let said = format!("{}{}", self.program.stdout(), self.program.stderr());
        assert!(said.contains("health resource asked for"), "the log tells all it can: {said}");
        for secret in &*self.secrets.borrow() {
            assert!(!said.contains(secret.as_str()), "{secret} is logged");
        }
    }
}

pub(crate) fn form(body: &str) -> Request {
    Request::new("POST", "/oauth2/token").header("Content-Type", FORM).body(body)
}

/// An app as `lifesigns token app` makes it.
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) hash: String,
    pub(crate) lines: String,
}

impl App {
    pub(crate) fn new(id: &str, scopes: &[&str], more: &str) -> App {
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

    pub(crate) fn reports() -> App {
        App::new("reports", &["analytics:read"], "")
    }

    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn with(mut object: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
        value => object[name] = value,
    }
    object
}

/// What a good token of the issuer elsewhere says.
pub(crate) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "status", "sub": "user-1", "scope": "analytics:read", "iat": now(),
        "exp": now() + 300, "org": "acme", "env": ["test", "live"]})
}

pub(crate) fn issuer_lines(server: &KeyServer) -> String {
    format!(
        "[[issuer]]\nname = \"login\"\nissuer = \"{ISSUER}\"\njwks_url = \"{}\"\naudiences = [\"status\"]\n\
         scopes = [\"analytics:read\", \"details=health:details\"]\n\
         organizations_claim = \"org\"\nenvironments_claim = \"env\"\n",
        server.url()
    )
}
