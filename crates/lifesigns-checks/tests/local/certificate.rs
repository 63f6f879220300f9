use std::path::PathBuf;
use std::time::Duration;

use lifesigns_checks::FailureKind;
use lifesigns_checks::certificate::{Options, Source, check};
use tokio::io::AsyncWriteExt;

use crate::authority::{Authority, self_signed};
use crate::harness::{
    Peer, assert_fails, assert_passes, assert_refused, assert_warns, deserted, read_to_end, run,
    run_to_deadline,
};

fn of(peer: &Peer, server_name: &str, authority: &Authority) -> Options {
    let source = Source::Server {
        address: peer.address.to_string(),
        server_name: Some(server_name.to_owned()),
        ca_file: Some(authority.file()),
    };
    Options { source, ..Options::of_file("/") }
}

#[tokio::test]
async fn days_left_decide() {
    let authority = Authority::new();
    let observed = async |days: i64| {
        let peer = authority.certify("shop.example", days).serve(String::new()).await;
        let report = run(check("certificate", of(&peer, "shop.example", &authority))).await;
        peer.is_left_alone_after(1).await;
        let seen = report.observed.clone().unwrap();
        assert_eq!((seen.measurement, seen.unit), ("expiry", "days"));
        let expected = days as f64 + if days < 0 { 0.0 } else { 0.5 };
        assert!((seen.value - expected).abs() < 0.1, "{seen:?}");
        report
    };
    assert_passes(&observed(90).await);
    assert_warns(&observed(20).await, "expires in 20.");
    assert_fails(&observed(2).await, FailureKind::Failed, "expires in 2.");
    assert_fails(&observed(-5).await, FailureKind::UnexpectedAnswer, "expired");
}

#[tokio::test]
async fn one_that_nobody_would_trust_fails_whatever_its_days() {
    let authority = Authority::new();
    let peer = authority.certify("shop.example", 90).serve(String::new()).await;
    let report = run(check("certificate", of(&peer, "other.example", &authority))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "not trusted");
    assert!(report.observed.unwrap().value > 89.0);
    // By its address, if no name is given.
    let nameless = Source::Server {
        address: peer.address.to_string(),
        server_name: None,
        ca_file: Some(authority.file()),
    };
    let report = run(check("certificate", Options { source: nameless, ..Options::of_file("/") })).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "not trusted");

    let stranger = Authority::new();
    let report = run(check("certificate", of(&peer, "shop.example", &stranger))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "UnknownIssuer");

    let peer = self_signed("shop.example", 90).serve(String::new()).await;
    let report = run(check("certificate", of(&peer, "shop.example", &authority))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "not trusted");
}

#[tokio::test]
async fn addresses_and_names_are_both_good() {
    let authority = Authority::new();
    let peer = authority.certify("127.0.0.1", 90).serve(String::new()).await;
    assert_passes(&run(check("certificate", of(&peer, "127.0.0.1", &authority))).await);
    let peer = authority.certify("*.shop.example", 90).serve(String::new()).await;
    assert_passes(&run(check("certificate", of(&peer, "www.shop.example", &authority))).await);
}

/// Its certificate is a good one; it is the client whom it does not want.
#[tokio::test]
async fn a_server_that_wants_a_certificate_of_the_client_is_not_called_untrusted() {
    let authority = Authority::new();
    let peer = authority.certify("shop.example", 90).serve_friends(&authority).await;
    let report = run(check("certificate", of(&peer, "shop.example", &authority))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "the TLS handshake failed");
    assert!(report.observed.unwrap().value > 89.0);
}

#[tokio::test]
async fn what_does_not_speak_tls_fails() {
    let authority = Authority::new();
    let options = |peer: &Peer| of(peer, "shop.example", &authority);
    let peer = Peer::start(|mut stream| async move {
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        read_to_end(stream).await;
    })
    .await;
    let report = run(check("certificate", options(&peer))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "the TLS handshake failed");
    let peer = Peer::start(|_| async {}).await;
    let report = run(check("certificate", options(&peer))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "the TLS handshake failed");
    let peer = Peer::hung().await;
    run_to_deadline(&check("certificate", options(&peer)).unwrap(), Duration::from_millis(200)).await;
    peer.is_left_alone_after(1).await;
    let nowhere = Source::Server {
        address: deserted().await.to_string(),
        server_name: None,
        ca_file: Some(authority.file()),
    };
    let report = run(check("certificate", Options { source: nowhere, ..Options::of_file("/") })).await;
    assert_fails(&report, FailureKind::Unreachable, "refused");
}

#[tokio::test]
async fn of_several_in_a_file_the_first_to_end_counts() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.pem");
    let options = Options::of_file(&path);
    let pem = |days| authority.certify("shop.example", days).certificate.pem();
    assert_fails(&run(check("file", options.clone())).await, FailureKind::Unreachable, "chain.pem");
    std::fs::write(&path, "").unwrap();
    assert_fails(&run(check("file", options.clone())).await, FailureKind::UnexpectedAnswer, "no certificate");
    std::fs::write(&path, pem(90)).unwrap();
    assert_passes(&run(check("file", options.clone())).await);
    std::fs::write(&path, [pem(90), pem(10), pem(50)].concat()).unwrap();
    assert_warns(&run(check("file", options.clone())).await, "expires in 10.");
    std::fs::write(&path, pem(-7)).unwrap();
    assert_fails(&run(check("file", options.clone())).await, FailureKind::Failed, "expired 7.0 days ago");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&path, [&pem(90), garbage].concat()).unwrap();
    assert_fails(&run(check("file", options.clone())).await, FailureKind::UnexpectedAnswer, "cannot be read");
    std::fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
    assert_fails(&run(check("file", options)).await, FailureKind::UnexpectedAnswer, "1 MiB");
    let endless = check("file", Options::of_file("/dev/zero"));
    assert_fails(&run(endless).await, FailureKind::UnexpectedAnswer, "no file");
}

#[test]
fn options_are_looked_at_before_a_run() {
    assert_refused(check("x", Options::of_server("shop.example")), "address");
    assert_refused(check("x", Options::of_file("chain.pem")), "path");
    assert_refused(check("x", Options { warn_days: 1, ..Options::of_file("/x") }), "warn_days");
    let server = |server_name: Option<&str>, ca_file: Option<&str>| Options {
        source: Source::Server {
            address: "shop.example:443".into(),
            server_name: server_name.map(str::to_owned),
            ca_file: ca_file.map(PathBuf::from),
        },
        ..Options::of_file("/x")
    };
    assert_refused(check("x", server(Some("not a name"), None)), "server_name");
    assert_refused(check("x", server(None, Some("/no/such/file"))), "ca_file");
    assert_eq!(check("x", Options::of_file("/x")).unwrap().policy().interval, Duration::from_mins(1));
}
