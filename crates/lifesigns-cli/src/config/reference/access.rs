//! Who is let in: `[access]`, `[[token]]`, `[oauth]`, `[[app]]` and `[[issuer]]`.

use super::{Key, Kind, LABEL, Section, key, number};

/// `[access]`
pub const ACCESS: Section = Section {
    header: "[access]",
    about: "What happens to those who try to get in.",
    keys: &[key("failed_attempts_per_minute", number(1, 10_000), "5")
        .default("10")
        .about("How many failed attempts each client has: past it, a bearer token that is not known is answered with 429, and an app has to wait for tokens, before its secret is looked at. Counted by address, and at `/oauth2/token` by app, too.")],
};

const ORGANIZATIONS: Key = key("organizations", Kind::List, "[\"example\"]")
    .about("Organizations whose analytics it opens. Without it: that of this process.");

const ENVIRONMENTS: Key = key("environments", Kind::List, "[\"production\", \"test\"]")
    .about("Environments whose analytics it opens. Without it: that of this process.");

const OPENS: &str = "What it opens: `analytics:read` (`/health/details` and queries), `health:details` (hidden fields and reasons), `metrics:read` (`/metrics`), `health:write` (switching maintenance on and off, taking up incidents), `fleet:read` (everything that a monitor has). Must be given.";

/// `[[token]]`
pub const TOKEN: Section = Section {
    header: "[[token]]",
    about: "A bearer token that opens protected resources. `lifesigns token new` makes one; only its hash is kept, in exactly one of the three ways.",
    keys: &[
        key("name", LABEL, "dashboard").about("Name of its holder, for the log. Must be given."),
        key("hash", Kind::Text, "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")
            .about("SHA-256 of the token."),
        key("hash_file", Kind::File, "/run/secrets/dashboard").about("File that holds the hash."),
        key("hash_env", Kind::Text, "DASHBOARD_TOKEN_HASH")
            .about("Environment variable that holds the hash."),
        key("scopes", Kind::List, "[\"analytics:read\"]").about(OPENS),
        ORGANIZATIONS,
        ENVIRONMENTS,
    ],
};

/// `[oauth]`
pub const OAUTH: Section = Section {
    header: "[oauth]",
    about: "The tokens that apps are given at `/oauth2/token`: JWTs in the profile of RFC 9068, signed with Ed25519. Without keys of its own a process makes one, keeps it in memory, and a new one in time; its tokens end with it. Several processes that are to know each other's tokens share keys.",
    keys: &[
        key("issuer", Kind::Text, "https://status.example.com")
            .default("lifesigns")
            .about("Who issues them: the claim `iss`."),
        key("audience", Kind::Text, "https://status.example.com")
            .default("lifesigns")
            .about("For whom they are: the claim `aud`."),
        key("lifetime_minutes", number(1, 60), "5").default("10").about("For how long they are good."),
        key("key_rotation_hours", number(1, 24 * 30), "24")
            .default("12")
            .about("For how long a key signs that was made here. After that it is good until its last token has run out."),
        key("signing_keys_file", Kind::File, "/run/secrets/lifesigns-signing.pem")
            .about("File with one or more Ed25519 keys, PEM, one behind the other, as `lifesigns token key` and `openssl genpkey -algorithm ed25519` make them. The first one signs, tokens of all of them are good. To change it: put the new one at the end everywhere, then to the front everywhere, and take the old one out after `lifetime_minutes`; each takes a restart."),
        key("signing_keys_env", Kind::Text, "LIFESIGNS_SIGNING_KEYS")
            .about("Environment variable that holds such keys, instead of a file."),
    ],
};

/// `[[app]]`
pub const APP: Section = Section {
    header: "[[app]]",
    about: "A connected app, which is given short-lived tokens at `/oauth2/token` for its secret. `lifesigns token app` makes one; only the hash of the secret is kept, in exactly one of the three ways.",
    keys: &[
        key("client_id", LABEL, "reports")
            .about("Its id: letters, digits, `-`, `.`, `_` and `~`. It is its name in the log, too. Must be given."),
        key("secret_hash", Kind::Text, "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$8Y6ZJ0qk0cJ6hVX6bDVHZ8d5o4nTg1fV0l2b7nF5bQc")
            .about("Hash of its secret: argon2id as a PHC string, with `m` from 7168 to 262144 and `t` of at most 16. `lifesigns token hash` makes one of a secret that is there."),
        key("secret_hash_file", Kind::File, "/run/secrets/reports").about("File that holds the hash."),
        key("secret_hash_env", Kind::Text, "REPORTS_SECRET_HASH")
            .about("Environment variable that holds the hash."),
        key("scopes", Kind::List, "[\"analytics:read\"]")
            .about("What its tokens may open, as for `[[token]]`. Must be given."),
        ORGANIZATIONS,
        ENVIRONMENTS,
    ],
};

/// `[[issuer]]`
pub const ISSUER: Section = Section {
    header: "[[issuer]]",
    about: "An issuer elsewhere whose JWTs are taken as bearer tokens. They are checked by the keys that it publishes: fetched at the start, from time to time, and when a token names one that is not there, twice a minute at most. Of a token, `iss`, `aud` and `exp` must be there and right, `nbf` and `iat` must be right where they are there, with 30 seconds for clocks that differ. No key and no address is taken from a token.",
    keys: &[
        key("name", LABEL, "login").about(
            "Its name here; in the log holders are called `NAME/HOLDER`, by `client_id`, `azp` or `sub`. Must be given.",
        ),
        key("issuer", Kind::Text, "https://login.example.com/realms/ops")
            .about("The claim `iss` of its tokens, letter for letter. Must be given."),
        key("jwks_url", Kind::Url, "https://login.example.com/realms/ops/protocol/openid-connect/certs")
            .about("Where its keys are, as a JWK set: `https://`, or `http://` on loopback. Must be given."),
        key("audiences", Kind::List, "[\"https://status.example.com\"]")
            .about("Who this is for it: one of them must be in the claim `aud`. Must be given."),
        key("algorithms", Kind::List, "[\"PS256\"]")
            .default("[\"RS256\", \"ES256\", \"EdDSA\"]")
            .about("How its tokens may be signed: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`. A key that names an algorithm is for no other."),
        key("scopes", Kind::List, "[\"analytics:read\", \"status.details=health:details\"]")
            .about("What its tokens may open, where their claim `scope` (text) or `scp` (list) says so. `THEIRS=OURS` where the issuer calls it otherwise. Must be given."),
        key("organizations", Kind::List, "[\"example\"]")
            .about("Organizations whose analytics its tokens open at most. Without it: what the claim says, or else that of this process."),
        key("environments", Kind::List, "[\"production\"]")
            .about("Environments whose analytics its tokens open at most. Without it: what the claim says, or else that of this process."),
        key("organizations_claim", Kind::Text, "org")
            .about("Claim that says which organizations a token opens, text or list. A token without it opens none."),
        key("environments_claim", Kind::Text, "env")
            .about("Claim that says which environments a token opens, text or list. A token without it opens none."),
        key("ca_file", Kind::File, "/etc/ssl/login-ca.pem")
            .about("Certificate authorities to trust besides the system's, PEM."),
        key("refresh_minutes", number(1, 24 * 60), "60")
            .default("10")
            .about("How often its keys are fetched."),
        key("keep_minutes", number(1, 7 * 24 * 60), "60")
            .default("360")
            .about("For how long the last keys are used while it cannot be reached. After that its tokens are answered with 503."),
    ],
};
