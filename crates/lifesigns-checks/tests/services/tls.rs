//! Servers that speak TLS: who is trusted, and who is not.

use std::fs;
use std::path::Path;

use lifesigns_checks::{FailureKind, Secret, Server};
use lifesigns_tests::servers::{self, Kind};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use crate::scenario::expect;
use crate::{Make, mqtt_check, mysql_check, nats_check, postgres_check, redis_check};

/// A certificate for the address is trusted if its file is named, and not otherwise; one for another name never is.
async fn play(kind: Kind, check: Make) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ca.pem");
    for (name, is_right) in [("127.0.0.1", true), ("elsewhere.example", false)] {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(&file, cert.pem()).unwrap();
        let server = servers::Server::start_with_tls(kind, &cert.pem(), &signing_key.serialize_pem());
        let at = |ca_file: Option<&Path>| Server {
            password: Some(Secret::new(server.password())),
            tls: true,
            ca_file: ca_file.map(Into::into),
            ..Server::at(server.url())
        };
        let refused = Some((FailureKind::UnexpectedAnswer, "ertificate"));
        let expected = if is_right { None } else { refused };
        expect("with its certificate trusted", &check(at(Some(&file))).unwrap(), expected).await;
        expect("with its certificate unknown", &check(at(None)).unwrap(), refused).await;
    }
}

#[tokio::test]
async fn mosquitto_is_asked_over_tls() {
    play(Kind::Mosquitto, mqtt_check).await;
}

#[tokio::test]
async fn mysql_is_asked_over_tls() {
    play(Kind::MariaDb, mysql_check).await;
}

#[tokio::test]
async fn nats_is_asked_over_tls() {
    play(Kind::Nats, nats_check).await;
}

#[tokio::test]
async fn postgres_is_asked_over_tls() {
    play(Kind::Postgres, postgres_check).await;
}

#[tokio::test]
async fn redis_is_asked_over_tls() {
    play(Kind::Redis, redis_check).await;
}
