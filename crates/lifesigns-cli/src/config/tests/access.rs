//! Apps, issuers elsewhere, and how tokens are issued.

use super::*;

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$8Y6ZJ0qk0cJ6hVX6bDVHZ8d5o4nTg1fV0l2b7nF5bQc";

fn with_api(text: &str) -> String {
    format!("{text}{ONE_API}")
}

/// What an app or an issuer needs besides this key.
pub(super) fn rest_of(header: &str, key: &str) -> String {
    let lines = match header {
        "[[app]]" => {
            vec!["client_id = \"a\"".to_owned(), format!("secret_hash = \"{HASH}\""), SCOPES.to_owned()]
        }
        _ => ["name = \"a\"", "issuer = \"b\"", "jwks_url = \"https://c\"", "audiences = [\"d\"]", SCOPES]
            .map(str::to_owned)
            .into(),
    };
    let is_other = |line: &&String| {
        let is_hash = key.starts_with("secret_hash") && line.starts_with("secret_hash");
        !is_hash && !line.starts_with(&format!("{key} "))
    };
    lines.iter().filter(is_other).cloned().collect::<Vec<_>>().join("\n")
}

const SCOPES: &str = "scopes = [\"analytics:read\"]";

/// Files and variables that the examples name, besides these variables.
pub(super) fn pretended(variables: &[(&str, &str)]) -> Pretended {
    let pem = lifesigns_access::SigningKey::make_pem().unwrap();
    let own = [("REPORTS_SECRET_HASH", HASH), ("LIFESIGNS_SIGNING_KEYS", &pem)];
    Pretended::variables(&[variables, &own].concat())
        .file("/run/secrets/reports", HASH)
        .file("/run/secrets/lifesigns-signing.pem", &pem)
}

#[test]
fn apps_and_issuers_are_read_whole() {
    let text = with_api(&format!(
        "[access]\nfailed_attempts_per_minute = 3\n\
         [[token]]\nname = \"ops\"\nhash = \"{}\"\nscopes = [\"analytics:read\"]\norganizations = [\"acme\"]\n\
         environments = []\n\
         [oauth]\nissuer = \"https://a\"\naudience = \"https://b\"\nlifetime_minutes = 1\nkey_rotation_hours = 1\n\
         signing_keys_file = \"keys.pem\"\n\
         [[app]]\nclient_id = \"reports\"\nsecret_hash = \"{HASH}\"\nscopes = [\"analytics:read\"]\n\
         organizations = [\"acme\"]\n\
         [[app]]\nclient_id = \"charts\"\nsecret_hash_env = \"CHARTS\"\nscopes = [\"health:details\"]\n\
         [[app]]\nclient_id = \"audit\"\nsecret_hash_file = \"audit\"\nscopes = [\"fleet:read\"]\n\
         [[issuer]]\nname = \"login\"\nissuer = \"https://login\"\njwks_url = \"https://login.example.com/keys\"\n\
         audiences = [\"b\"]\nscopes = [\"analytics:read\", \"x=y=health:details\"]\nalgorithms = [\"PS256\"]\n\
         organizations_claim = \"org\"\nenvironments = [\"test\"]\nrefresh_minutes = 1\nkeep_minutes = 1\n",
        lifesigns::TokenHash::of("ls_ops")
    ));
    let pem = lifesigns_access::SigningKey::make_pem().unwrap();
    let surroundings = Pretended::variables(&[("CHARTS", HASH)])
        .file("/etc/lifesigns/audit", &format!("{HASH}\n"))
        .file("/etc/lifesigns/keys.pem", &pem);
    let settings = read_in(&text, &surroundings).unwrap();
    assert_eq!(settings.access.failed_attempts_per_minute, 3);
    let grant = settings.access.tokens[0].grant();
    assert_eq!(grant.organizations, Some(vec!["acme".to_owned()]));
    assert_eq!(grant.environments, Some(Vec::new()));
    assert!(settings.resources.resource(lifesigns::ResourceKind::Token).enabled);
    let others = settings.access.others.unwrap();
    assert_eq!(
        others.apps.iter().map(lifesigns_access::App::client_id).collect::<Vec<_>>(),
        ["reports", "charts", "audit"]
    );
    assert_eq!(others.issuers.len(), 1);
    let shown = format!("{others:?}");
    assert!(
        shown.contains("(\"x=y\", HealthDetails)")
            && !shown.contains("argon2")
            && !shown.contains(&pem[30..60]),
        "{shown}"
    );
}

#[test]
fn without_apps_there_is_no_token_resource_and_its_path_is_free() {
    let settings = read(ONE_API).unwrap();
    assert!(settings.access.others.is_none());
    assert!(!settings.resources.resource(lifesigns::ResourceKind::Token).enabled);
    let api = "[[api]]\nupstream = \"http://127.0.0.1:3000\"\npath = \"/oauth2/token\"\n";
    assert!(read(api).is_ok());
    let app =
        format!("[[app]]\nclient_id = \"a\"\nsecret_hash = \"{HASH}\"\nscopes = [\"analytics:read\"]\n");
    assert!(told(read(&format!("{app}{api}"))).contains("/oauth2/token is where the gateway answers"));
}

#[test]
fn what_lets_nobody_or_anybody_in_is_told() {
    let faults = told(read(&with_api(&format!(
        "[[token]]\nname = \"ops\"\nhash = \"{}\"\nscopes = [\"analytics:read\"]\n\
         [oauth]\nissuer = \"https://login\"\nlifetime_minutes = 61\nsigning_keys_env = \"UNSET\"\n\
         [resources.token]\nprotected = true\n\
         [[app]]\n\
         [[app]]\nclient_id = \"a:b\"\nsecret_hash = \"ls_secret\"\nscopes = []\n\
         [[app]]\nclient_id = \"c\"\nsecret_hash = \"$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$c29tZWhhc2g\"\nscopes = [\"all\"]\n\
         [[app]]\nclient_id = \"ops\"\nsecret_hash = \"{HASH}\"\nscopes = [\"analytics:read\"]\n\
         [[app]]\nclient_id = \"d\"\nsecret_hash = \"{HASH}\"\nsecret_hash_env = \"X\"\nscopes = [\"analytics:read\"]\n\
         [[app]]\nclient_id = \"e\"\nsecret_hash = \"{HASH}\"\nscopes = [\"analytics:read\"]\n\
         [[app]]\nclient_id = \"e\"\nsecret_hash = \"{HASH}\"\nscopes = [\"analytics:read\"]\n\
         [[issuer]]\n\
         [[issuer]]\nname = \"a/b\"\nissuer = \"https://login\"\njwks_url = \"http://login.example.com/keys\"\naudiences = []\n\
         algorithms = [\"HS256\", \"none\", \"RS265\"]\nscopes = [\"x=analytics:red\"]\n\
         [[issuer]]\nname = \"c\"\nissuer = \"i\"\njwks_url = \"https://app:geheim@login.example.com/\"\naudiences = [\"a\"]\n\
         scopes = [\"analytics:read\"]\n\
         [[issuer]]\nname = \"c\"\nissuer = \"i\"\njwks_url = \"https://login.example.com/\"\naudiences = [\"a\"]\n\
         scopes = [\"analytics:read\"]\n",
        lifesigns::TokenHash::of("ls_ops")
    ))));
    insta::assert_snapshot!(faults);
}

#[test]
fn signing_keys_are_not_repeated() {
    let secret = "K4n4rieK4n4rie";
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n");
    let text = with_api("[oauth]\nsigning_keys_file = \"run/keys.pem\"\n");
    for content in [pem.as_str(), secret, ""] {
        let surroundings = Pretended::default().file("/etc/lifesigns/run/keys.pem", content);
        let told = told(read_in(&text, &surroundings));
        assert!(told.contains("the signing keys ") && !told.contains(secret), "{told}");
    }
}
