//! Tokens that are issued here: JWTs in the profile of RFC 9068, signed with Ed25519.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, Validation, decode, encode};
use lifesigns::{Grant, IssueError, IssuedToken, Scope};
use serde::{Deserialize, Serialize};

use crate::signing::{SigningKey, SigningKeys};
use crate::{App, BadOption, LEEWAY_SECONDS};

/// The only algorithm; nothing in a token chooses another.
const ALGORITHM: Algorithm = Algorithm::EdDSA;

/// The type of such tokens (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";

/// How tokens are issued.
#[derive(Debug)]
pub struct TokenOptions {
    issuer: String,
    audience: String,
    lifetime: Duration,
    rotation: Duration,
    keys: Vec<SigningKey>,
}

impl Default for TokenOptions {
    fn default() -> TokenOptions {
        TokenOptions {
            issuer: "lifesigns".to_owned(),
            audience: "lifesigns".to_owned(),
            lifetime: Duration::from_mins(10),
            rotation: Duration::from_hours(12),
            keys: Vec::new(),
        }
    }
}

impl TokenOptions {
    /// Who issues them: the claim `iss`. Default: `lifesigns`.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> TokenOptions {
        issuer.clone_into(&mut self.issuer);
        self
    }

    /// For whom they are: the claim `aud`. Default: `lifesigns`.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> TokenOptions {
        audience.clone_into(&mut self.audience);
        self
    }

    /// For how long they are good: a minute to an hour. Default: 10 minutes.
    ///
    /// # Errors
    /// When it is not.
    pub fn lifetime(self, lifetime: Duration) -> Result<TokenOptions, BadOption> {
        if lifetime < Duration::from_mins(1) || lifetime > Duration::from_hours(1) {
            return Err(BadOption::new("lifetime", "must be from a minute to an hour"));
        }
        Ok(TokenOptions { lifetime, ..self })
    }

    /// For how long a key signs that is made here: an hour at least. Default: 12 hours.
    ///
    /// # Errors
    /// When it is less.
    pub fn rotation(self, rotation: Duration) -> Result<TokenOptions, BadOption> {
        if rotation < Duration::from_hours(1) {
            return Err(BadOption::new("rotation", "must be an hour or more"));
        }
        Ok(TokenOptions { rotation, ..self })
    }

    /// Keys that several processes share: the first one signs, and tokens of all of them are good. Default: none, so
    /// that keys are made, take turns, and never leave the memory of the process.
    #[must_use]
    pub fn signing_keys(mut self, keys: Vec<SigningKey>) -> TokenOptions {
        self.keys = keys;
        self
    }
}

/// What a token of ours says.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    scope: String,
    iat: u64,
    exp: u64,
    jti: String,
}

/// Issues tokens and knows them again.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) issuer: String,
    audience: String,
    lifetime: Duration,
    keys: SigningKeys,
    validation: Validation,
}

impl Issued {
    pub(crate) fn new(options: TokenOptions, now: Instant) -> Result<Issued, BadOption> {
        let TokenOptions { issuer, audience, lifetime, rotation, keys } = options;
        let keys = match SigningKeys::given(keys, lifetime, now) {
            Some(keys) => keys,
            None => SigningKeys::made(rotation, lifetime, now)?,
        };
        let mut validation = Validation::new(ALGORITHM);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[&audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Those who sign and those who check have the same clock, or ones that are kept together.
        validation.leeway = 0;
        validation.reject_tokens_expiring_in_less_than = 1;
        Ok(Issued { issuer, audience, lifetime, keys, validation })
    }

    /// A token for an app that has proved itself. `wall` is in seconds since 1970.
    pub(crate) fn issue(
        &self,
        app: &App,
        scope: Option<&str>,
        now: Instant,
        wall: u64,
    ) -> Result<IssuedToken, IssueError> {
        let scopes = narrowed(&app.grant.scopes, scope)?;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| failed(&error))?;
        let key = self.keys.to_sign(now);
        let client_id = app.client_id().to_owned();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: client_id.clone(),
            client_id,
            scope: scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "),
            iat: wall,
            exp: wall + self.lifetime.as_secs(),
            jti: URL_SAFE_NO_PAD.encode(id),
        };
        let mut header = Header::new(ALGORITHM);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id.clone());
        let access_token = encode(&header, &claims, &key.private).map_err(|error| failed(&error))?;
        Ok(IssuedToken { access_token, lifetime: self.lifetime, scopes })
    }

    /// What a token grants that says it is one of ours. `wall` is in seconds since 1970.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn check(
        &self,
        apps: &HashMap<String, App>,
        header: &Header,
        token: &str,
        now: Instant,
        wall: u64,
    ) -> Result<Arc<Grant>, &'static str> {
        if header.typ.as_deref() != Some(TYPE) {
            return Err("another type");
        }
        let key = header.kid.as_deref().and_then(|id| self.keys.to_check(id, now)).ok_or("no such key")?;
        let claims =
            decode::<Claims>(token, &key.public, &self.validation).map_err(|error| reason(&error))?.claims;
        if claims.iat > wall + LEEWAY_SECONDS {
            return Err("from the future");
        }
        // What an app may do is what it may do now, whatever it was when the token was issued.
        let app = apps.get(&claims.client_id).ok_or("no such app any more")?;
        let scopes: Vec<Scope> = claims.scope.split(' ').filter_map(Scope::from_name).collect();
        if scopes == app.grant.scopes {
            return Ok(Arc::clone(&app.grant));
        }
        let scopes = scopes.into_iter().filter(|scope| app.grant.allows(*scope)).collect();
        Ok(Arc::new(Grant { scopes, ..(*app.grant).clone() }))
    }
}

/// The scopes that are asked for, all of which the app must have; all that it has if it asks for none.
fn narrowed(of_app: &[Scope], asked: Option<&str>) -> Result<Vec<Scope>, IssueError> {
    let mut scopes = Vec::new();
    for name in asked.unwrap_or_default().split(' ').filter(|name| !name.is_empty()) {
        match Scope::from_name(name).filter(|scope| of_app.contains(scope)) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => return Err(IssueError::InvalidScope),
        }
    }
    Ok(if scopes.is_empty() { of_app.to_vec() } else { scopes })
}

fn failed(error: &dyn std::error::Error) -> IssueError {
    tracing::error!(error = %error, "a token could not be made");
    IssueError::Failed
}

/// Why a token is refused, for the log; nothing of the token is in it.
pub(crate) fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => "another signature",
        ErrorKind::ExpiredSignature => "expired",
        ErrorKind::ImmatureSignature => "not yet valid",
        ErrorKind::InvalidIssuer => "another issuer",
        ErrorKind::InvalidAudience => "another audience",
        ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
        ErrorKind::InvalidAlgorithm => "another algorithm",
        _ => "malformed",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::SecretHash;
    use crate::crypto;

    const HOUR: Duration = Duration::from_hours(1);

    fn app(scopes: &[Scope]) -> App {
        let hash: SecretHash =
            "$argon2id$v=19$m=7168,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$8Y6ZJ0qk0cJ6hVX6bDVHZ8d5o4nTg1fV0l2b7nF5bQc"
                .parse()
                .unwrap();
        App::new("reports", hash, scopes.iter().copied()).organizations(["acme"])
    }

    fn apps(app: &App) -> HashMap<String, App> {
        HashMap::from([(app.client_id().to_owned(), app.clone())])
    }

    fn issued(options: TokenOptions, now: Instant) -> Issued {
        crypto::install();
        Issued::new(options, now).unwrap()
    }

    fn wall() -> u64 {
        jsonwebtoken::get_current_timestamp()
    }

    fn check(issued: &Issued, app: &App, token: &str, now: Instant) -> Result<Arc<Grant>, &'static str> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| "no header")?;
        issued.check(&apps(app), &header, token, now, wall())
    }

    fn part(token: &str, index: usize) -> Value {
        let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
        serde_json::from_slice(&part).unwrap()
    }

    #[test]
    fn a_token_has_the_claims_of_the_profile_and_is_known_again() {
        let (now, app) = (Instant::now(), app(&[Scope::AnalyticsRead, Scope::HealthDetails]));
        let issued = issued(TokenOptions::default().issuer("https://a").audience("https://b"), now);
        let wall = wall();
        let token = issued.issue(&app, None, now, wall).unwrap();
        assert_eq!(format!("{token:?}"), "IssuedToken(…)");
        let (header, claims) = (part(&token.access_token, 0), part(&token.access_token, 1));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
        assert_eq!(header.as_object().unwrap().len(), 3, "and a kid");
        let jti = claims["jti"].as_str().unwrap();
        assert_eq!(jti.len(), 22);
        let expected = json!({"iss": "https://a", "aud": "https://b", "sub": "reports", "client_id": "reports",
            "scope": "analytics:read health:details", "iat": wall, "exp": wall + 600, "jti": jti});
        assert_eq!(claims, expected);
        assert_eq!(check(&issued, &app, &token.access_token, now).as_deref(), Ok(&*app.grant));
        let again = issued.issue(&app, None, now, wall).unwrap();
        assert_ne!(part(&again.access_token, 1)["jti"], claims["jti"]);
    }

    #[test]
    fn scopes_are_those_asked_for_and_never_more_than_the_app_has_now() {
        let (now, mut app) = (Instant::now(), app(&[Scope::AnalyticsRead, Scope::HealthDetails]));
        let issued = issued(TokenOptions::default(), now);
        let ask = |scope| issued.issue(&app, scope, now, wall());
        let scopes = |scope| ask(Some(scope)).unwrap().scopes;
        assert_eq!(scopes("health:details"), [Scope::HealthDetails]);
        assert_eq!(
            scopes(" health:details  analytics:read health:details"),
            [Scope::HealthDetails, Scope::AnalyticsRead]
        );
        assert_eq!(scopes(" "), app.grant.scopes);
        for scope in [
            "health:write",
            "analytics:read health:write",
            "Analytics:read",
            "*",
            "analytics:read,health:details",
        ] {
            assert_eq!(ask(Some(scope)).unwrap_err(), IssueError::InvalidScope, "{scope}");
        }
        let narrow = ask(Some("health:details")).unwrap().access_token;
        let grant = check(&issued, &app, &narrow, now).unwrap();
        assert_eq!(
            (&grant.scopes[..], &grant.organizations),
            (&[Scope::HealthDetails][..], &app.grant.organizations)
        );
        let wide = ask(None).unwrap().access_token;
        Arc::make_mut(&mut app.grant).scopes = vec![Scope::AnalyticsRead];
        assert_eq!(check(&issued, &app, &wide, now).unwrap().scopes, [Scope::AnalyticsRead]);
        assert_eq!(check(&issued, &app, &narrow, now).unwrap().scopes, []);
        let header = jsonwebtoken::decode_header(&wide).unwrap();
        assert_eq!(issued.check(&HashMap::new(), &header, &wide, now, wall()), Err("no such app any more"));
    }

    #[test]
    fn a_token_is_good_for_its_time_alone() {
        let (now, app) = (Instant::now(), app(&[Scope::AnalyticsRead]));
        let issued = issued(TokenOptions::default().lifetime(Duration::from_mins(1)).unwrap(), now);
        let good_for = |ago: u64| {
            let token = issued.issue(&app, None, now, wall() - ago).unwrap().access_token;
            check(&issued, &app, &token, now).map(|_| ())
        };
        assert_eq!(good_for(0), Ok(()));
        assert_eq!(good_for(50), Ok(()));
        assert_eq!(good_for(60), Err("expired"));
        assert_eq!(good_for(3600), Err("expired"));
        let ahead = |seconds: u64| {
            let token = issued.issue(&app, None, now, wall() + seconds).unwrap().access_token;
            check(&issued, &app, &token, now).map(|_| ())
        };
        assert_eq!(ahead(20), Ok(()));
        assert_eq!(ahead(40), Err("from the future"));
    }

    #[test]
    fn a_token_ends_with_its_key() {
        let (start, app) = (Instant::now(), app(&[Scope::AnalyticsRead]));
        let issued = issued(TokenOptions::default().rotation(HOUR).unwrap(), start);
        let first = issued.issue(&app, None, start, wall()).unwrap().access_token;
        let later = start + HOUR;
        let second = issued.issue(&app, None, later, wall()).unwrap().access_token;
        assert_ne!(part(&first, 0)["kid"], part(&second, 0)["kid"]);
        // By the clock on the wall the first one is still good here; its key is not.
        let is_good = |token, at| check(&issued, &app, token, at).map(|_| ());
        assert_eq!(is_good(&first, later + Duration::from_mins(10)), Ok(()));
        assert_eq!(is_good(&first, later + Duration::from_mins(11)), Err("no such key"));
        assert_eq!(is_good(&second, later + Duration::from_mins(11)), Ok(()));
    }

    #[test]
    fn no_other_key_type_audience_or_issuer_will_do() {
        let (now, app) = (Instant::now(), app(&[Scope::AnalyticsRead]));
        let options = || TokenOptions::default().signing_keys(SigningKey::from_pem(KEY).unwrap());
        let own = issued(options(), now);
        let refused = |by: &Issued, why: &str| {
            let token = by.issue(&app, None, now, wall()).unwrap().access_token;
            assert_eq!(check(&own, &app, &token, now).map(|_| ()), Err(why));
        };
        let good = issued(options(), now).issue(&app, None, now, wall()).unwrap().access_token;
        assert!(check(&own, &app, &good, now).is_ok(), "another process with the same key");
        refused(&issued(TokenOptions::default(), now), "no such key");
        refused(&issued(options().audience("other"), now), "another audience");
        refused(&issued(options().issuer("other"), now), "another issuer");
        let (message, signature) = good.rsplit_once('.').unwrap();
        for token in [
            format!("{message}."),
            format!("{message}.AAAA"),
            format!("{message}.{}", signature.chars().rev().collect::<String>()),
        ] {
            assert!(check(&own, &app, &token, now).is_err());
        }
        let [header, claims, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let with = |name: &str, value: Value| {
            let mut changed = part(&good, 0);
            changed[name] = value;
            format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(changed.to_string()))
        };
        for token in [
            with("alg", json!("none")),
            with("alg", json!("HS256")),
            with("alg", json!("RS256")),
            with("typ", json!("JWT")),
            with("typ", Value::Null),
            with("kid", json!("x")),
            with("kid", Value::Null),
            with("jku", json!("http://127.0.0.1:1/")),
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("{}")),
        ] {
            assert!(check(&own, &app, &token, now).is_err(), "{}", part(&token, 0));
        }
    }

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    #[test]
    fn lifetimes_are_short() {
        let lifetime = |seconds| TokenOptions::default().lifetime(Duration::from_secs(seconds)).is_ok();
        assert!(!lifetime(59) && lifetime(60) && lifetime(3600) && !lifetime(3601));
        assert!(TokenOptions::default().rotation(Duration::from_secs(3599)).is_err());
    }
}
