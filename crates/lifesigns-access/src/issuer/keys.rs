//! The keys that an issuer publishes (RFC 7517, RFC 7518 §6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm as JwtAlgorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::Algorithm;

/// No issuer has so many keys at a time.
const MOST_KEYS: usize = 100;

/// Keys that are for checking signatures, each with what it is for.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<JwtAlgorithm>,
    public: DecodingKey,
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoKey {
    /// There is none of this id; there may be one by now.
    Missing,
    /// There is one, but it is for other algorithms; or it cannot be told which one is meant.
    Unfit,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// The keys in a JWK set that fit these algorithms. Those that are for something else, or are not understood, are
    /// passed over (RFC 7517 §5).
    ///
    /// # Errors
    /// When it is no JWK set, or none of its keys can be used.
    pub(super) fn parse(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Keys, &'static str> {
        let set: Set = serde_json::from_slice(bytes).map_err(|_| "what was answered is no JWK set")?;
        if set.keys.len() > MOST_KEYS {
            return Err("the JWK set has more than 100 keys");
        }
        let keys: Vec<Key> = set.keys.into_iter().filter_map(|key| Key::of(key, algorithms)).collect();
        if keys.is_empty() { Err("the JWK set has no key that can be used") } else { Ok(Keys(keys)) }
    }

    /// The key for a token with this header. Without an id there must be no choice.
    pub(super) fn find(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> Result<&DecodingKey, NoKey> {
        let mut of_id = self.0.iter().filter(|key| id.is_none() || key.id.as_deref() == id).peekable();
        if of_id.peek().is_none() {
            return Err(NoKey::Missing);
        }
        let mut fitting = of_id.filter(|key| key.algorithms.contains(&algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(&key.public),
            _ => Err(NoKey::Unfit),
        }
    }
}

impl Key {
    fn of(key: Value, wanted: &[Algorithm]) -> Option<Key> {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
        let checks = jwk.common.key_operations.as_ref().is_none_or(|it| it.contains(&KeyOperations::Verify));
        if !is_for_signatures || !checks {
            return None;
        }
        let length = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
        let (possible, public): (&[JwtAlgorithm], DecodingKey) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                // Some begin with a zero, as in DER, which `ring` takes for a mistake.
                let bytes = |text: &str| {
                    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
                    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>())
                };
                let key = DecodingKey::from_rsa_raw_components(&bytes(&rsa.n)?, &bytes(&rsa.e)?);
                (jsonwebtoken::AlgorithmFamily::Rsa.algorithms(), key)
            }
            AlgorithmParameters::EllipticCurve(point) => {
                let (algorithm, bytes): (&[JwtAlgorithm], usize) = match point.curve {
                    EllipticCurve::P256 => (&[JwtAlgorithm::ES256], 32),
                    EllipticCurve::P384 => (&[JwtAlgorithm::ES384], 48),
                    _ => return None,
                };
                if length(&point.x) != bytes || length(&point.y) != bytes {
                    return None;
                }
                (algorithm, DecodingKey::from_ec_components(&point.x, &point.y).ok()?)
            }
            AlgorithmParameters::OctetKeyPair(pair)
                if pair.curve == EllipticCurve::Ed25519 && length(&pair.x) == 32 =>
            {
                (&[JwtAlgorithm::EdDSA], DecodingKey::from_ed_components(&pair.x).ok()?)
            }
            // A shared secret that is published is none.
            _ => return None,
        };
        // A key that says what it is for is for nothing else.
        let named = jwk.common.key_algorithm;
        let algorithms: Vec<JwtAlgorithm> = possible
            .iter()
            .copied()
            .filter(|algorithm| wanted.iter().any(|wanted| wanted.in_jwt() == *algorithm))
            .filter(|algorithm| named.is_none_or(|named| named == (*algorithm).into()))
            .collect();
        (!algorithms.is_empty()).then_some(Key { id: jwk.common.key_id, algorithms, public })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn ed(id: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn rsa(id: &str) -> Value {
        json!({"kty": "RSA", "kid": id, "n": URL_SAFE_NO_PAD.encode([0xc5; 256]), "e": "AQAB"})
    }

    fn ec(id: &str) -> Value {
        let half = URL_SAFE_NO_PAD.encode([7; 32]);
        json!({"kty": "EC", "crv": "P-256", "kid": id, "x": half, "y": half})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    fn parse(keys: &[Value]) -> Result<Keys, &'static str> {
        Keys::parse(json!({"keys": keys}).to_string().as_bytes(), &Algorithm::DEFAULT)
    }

    fn find(keys: &[Value], id: Option<&str>, algorithm: JwtAlgorithm) -> Option<NoKey> {
        parse(keys).unwrap().find(id, algorithm).err()
    }

    #[test]
    fn a_key_is_found_by_its_id_and_is_for_its_algorithms_alone() {
        let keys = [ed("a"), rsa("b"), ec("c")];
        for (id, fitting) in
            [("a", JwtAlgorithm::EdDSA), ("b", JwtAlgorithm::RS256), ("c", JwtAlgorithm::ES256)]
        {
            for algorithm in Algorithm::ALL.map(Algorithm::in_jwt).into_iter().chain([JwtAlgorithm::HS256]) {
                let expected = (algorithm != fitting).then_some(NoKey::Unfit);
                assert_eq!(find(&keys, Some(id), algorithm), expected, "{id} {algorithm:?}");
            }
        }
        assert_eq!(find(&keys, Some("d"), JwtAlgorithm::EdDSA), Some(NoKey::Missing));
        assert_eq!(find(&keys, Some(""), JwtAlgorithm::EdDSA), Some(NoKey::Missing));
    }

    #[test]
    fn without_an_id_there_must_be_no_choice() {
        assert_eq!(find(&[ed("a"), rsa("b")], None, JwtAlgorithm::EdDSA), None);
        assert_eq!(find(&[ed("a"), ed("b")], None, JwtAlgorithm::EdDSA), Some(NoKey::Unfit));
        assert_eq!(find(&[ed("a"), ed("a")], Some("a"), JwtAlgorithm::EdDSA), Some(NoKey::Unfit));
    }

    #[test]
    fn a_key_that_is_for_something_else_is_passed_over() {
        let others = [
            with(ed("x"), "use", json!("enc")),
            with(ed("x"), "key_ops", json!(["sign"])),
            with(ed("x"), "alg", json!("ES256")),
            with(ed("x"), "crv", json!("X25519")),
            with(ed("x"), "x", json!("AAAA")),
            with(rsa("x"), "alg", json!("RSA-OAEP")),
            with(rsa("x"), "alg", json!("PS256")),
            with(rsa("x"), "n", json!("!")),
            with(ec("x"), "crv", json!("P-384")),
            with(ec("x"), "crv", json!("secp256k1")),
            with(ec("x"), "y", json!("AAAA")),
            with(ed("x"), "kty", json!("new")),
            json!({"kty": "oct", "kid": "x", "k": "c2VjcmV0"}),
            json!({"kty": "oct", "kid": "x", "alg": "HS256", "k": "c2VjcmV0"}),
            json!({"kid": "x"}),
            json!("x"),
            json!(null),
        ];
        for other in &others {
            assert_eq!(
                find(&[other.clone(), ed("a")], Some("x"), JwtAlgorithm::EdDSA),
                Some(NoKey::Missing),
                "{other}"
            );
            assert!(parse(std::slice::from_ref(other)).is_err(), "{other}");
        }
        let named = with(with(ed("a"), "use", json!("sig")), "alg", json!("EdDSA"));
        let named = with(named, "key_ops", json!(["verify"]));
        assert_eq!(find(&[named], Some("a"), JwtAlgorithm::EdDSA), None);
    }

    #[test]
    fn what_is_no_set_of_keys_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            "null",
            "{\"keys\": {}}",
            "{\"keys\": []}",
            "{\"keys\":[],\"keys\":[]}",
            "<html>",
        ] {
            assert!(Keys::parse(text.as_bytes(), &Algorithm::DEFAULT).is_err(), "{text}");
        }
        let many: Vec<Value> = (0..=MOST_KEYS).map(|number| ed(&number.to_string())).collect();
        assert!(parse(&many).is_err() && parse(&many[1..]).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Keys::parse(&bytes, &Algorithm::DEFAULT).is_err());
        }

        #[test]
        fn whatever_a_key_says_it_opens_no_algorithm_that_was_not_wanted(
            kty in "RSA|EC|OKP|oct",
            crv in "P-256|P-384|Ed25519|P-521",
            named in prop::option::of("RS256|HS256|ES256|EdDSA|none"),
            x in "[A-Za-z0-9_-]{0,64}",
        ) {
            let key = json!({"kty": kty, "crv": crv, "kid": "a", "x": x, "y": x, "n": x, "e": "AQAB", "k": x,
                "alg": named});
            if let Ok(keys) = Keys::parse(json!({"keys": [key]}).to_string().as_bytes(), &[Algorithm::Es256]) {
                for algorithm in Algorithm::ALL {
                    let found = keys.find(Some("a"), algorithm.in_jwt());
                    prop_assert!(found.is_err() || (algorithm == Algorithm::Es256 && kty == "EC" && crv == "P-256"));
                }
                prop_assert!(keys.find(Some("a"), JwtAlgorithm::HS256).is_err());
            }
        }
    }
}
