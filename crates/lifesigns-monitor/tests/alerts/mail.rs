use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use lifesigns_monitor::alerts::channel::{Email, EmailOptions, Encryption};
use lifesigns_monitor::alerts::{Channel, MessageKind, Secret};
use lifesigns_tests::mail::{MailServer, Setup};
use rcgen::generate_simple_self_signed;
use tempfile::TempDir;

use crate::{SECRET, affected, delivery, many, opened, refused, resolved};

fn options(server: &MailServer, encryption: Encryption) -> EmailOptions {
    let to = ["ops@example.org".to_owned(), "Boss <boss@example.org>".to_owned()];
    EmailOptions {
        port: Some(server.address().port()),
        encryption,
        ..EmailOptions::new("127.0.0.1", "Monitor <monitor@example.org>", to.to_vec())
    }
}

fn channel(options: &EmailOptions) -> Channel {
    Channel::Email(Email::new(options).unwrap())
}

/// A certificate for that name, and its key, in files.
fn certificate(folder: &TempDir, name: &str) -> (PathBuf, PathBuf) {
    let made = generate_simple_self_signed([name.to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

#[tokio::test]
async fn the_messages_of_an_incident_are_one_thread() {
    let server = MailServer::start(&Setup::default());
    let channel = channel(&options(&server, Encryption::Plain));
    channel.send(&opened()).await.unwrap();
    channel.send(&resolved()).await.unwrap();
    let [first, last] = server.wait_for(2).try_into().unwrap();
    assert_eq!(first.from, "monitor@example.org");
    assert_eq!(first.to, ["ops@example.org", "boss@example.org"]);
    assert_eq!(first.header("subject"), Some("RED: orders"));
    assert_eq!(first.header("from"), Some("Monitor <monitor@example.org>"));
    assert_eq!(first.header("to"), Some("ops@example.org, Boss <boss@example.org>"));
    assert_eq!(first.header("date"), Some("Mon, 16 Mar 2026 18:04:00 +0000"));
    assert_eq!(first.header("auto-submitted"), Some("auto-generated"));
    let id = "<1773684000000-orders=20=C3=BC/ops/0@example.org>";
    assert_eq!(first.header("message-id"), Some(id));
    assert_eq!((first.header("in-reply-to"), first.header("references")), (None, None));
    assert!(first.text.contains("Cause: answers 503 <b>&\\u{1b}[31m"), "{}", first.text);
    assert_eq!(last.header("subject"), Some("Over after 4 min: orders"));
    assert_eq!(last.header("message-id"), Some("<1773684000000-orders=20=C3=BC/ops/1@example.org>"));
    assert_eq!((last.header("in-reply-to"), last.header("references")), (Some(id), Some(id)));
}

#[tokio::test]
async fn two_hundred_names_are_in_one_mail() {
    let server = MailServer::start(&Setup::default());
    let (delivery, names) = many();
    channel(&options(&server, Encryption::Plain)).send(&delivery).await.unwrap();
    let [mail] = server.wait_for(1).try_into().unwrap();
    assert_eq!(mail.header("subject"), Some("RED: service-000 and 199 more"));
    assert!(names.iter().all(|name| mail.text.contains(name)), "{}", mail.text);
}

#[tokio::test]
async fn no_service_writes_a_header() {
    let server = MailServer::start(&Setup::default());
    let hostile = affected("Größe\r\nBcc: all@example.org\r\n\r\nHello");
    let hostile = delivery(0, MessageKind::Opened, vec![hostile]);
    channel(&options(&server, Encryption::Plain)).send(&hostile).await.unwrap();
    let [mail] = server.wait_for(1).try_into().unwrap();
    assert_eq!(mail.header("bcc"), None);
    assert_eq!(mail.header("subject"), Some("RED: Größe\\r\\nBcc: all@example.org\\r\\n\\r\\nHello"));
    assert_eq!(mail.to.len(), 2);
}

#[tokio::test]
async fn a_login_over_tls_is_taken_or_refused() {
    let folder = TempDir::new().unwrap();
    let certificate = certificate(&folder, "127.0.0.1");
    for (encryption, is_tls_from_the_start) in [(Encryption::StartTls, false), (Encryption::Tls, true)] {
        let server = MailServer::start(&Setup {
            certificate: Some(certificate.clone()),
            is_tls_from_the_start,
            login: Some(("monitor".to_owned(), SECRET.to_owned())),
            ..Setup::default()
        });
        let with = |password: &str| EmailOptions {
            user: Some("monitor".to_owned()),
            password: Some(Secret::new(password)),
            ca_file: Some(certificate.0.clone()),
            ..options(&server, encryption)
        };
        channel(&with(SECRET)).send(&opened()).await.unwrap();
        assert_eq!(server.wait_for(1).len(), 1);
        let why = refused(&channel(&with(&format!("not {SECRET}"))), &opened()).await;
        assert!(why.is_final && why.why.contains("535"), "{encryption:?} {why:?}");
        let without = EmailOptions { user: None, password: None, ..with(SECRET) };
        let why = refused(&channel(&without), &opened()).await;
        assert!(why.is_final && why.why.contains("530"), "{encryption:?} {why:?}");
        assert_eq!(server.mails().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_sent_nothing() {
    let folder = TempDir::new().unwrap();
    for (name, is_trusted) in [("127.0.0.1", false), ("elsewhere.example", true)] {
        let certificate = certificate(&folder, name);
        let setup = Setup { certificate: Some(certificate.clone()), ..Setup::default() };
        let server = MailServer::start(&setup);
        let ca_file = is_trusted.then(|| certificate.0.clone());
        let options = EmailOptions { ca_file, ..options(&server, Encryption::StartTls) };
        let why = refused(&channel(&options), &opened()).await;
        assert!(!why.is_final && why.why.contains("ertificate"), "{why:?}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_server_without_tls_is_sent_nothing_unless_that_is_asked_for() {
    let server = MailServer::start(&Setup::default());
    let why = refused(&channel(&options(&server, Encryption::StartTls)), &opened()).await;
    assert!(!why.is_final && why.why.contains("STARTTLS"), "{why:?}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn one_recipient_that_is_refused_keeps_the_mail_from_nobody_else() {
    let (ops, boss) = ("ops@example.org".to_owned(), "boss@example.org".to_owned());
    let server = MailServer::start(&Setup { unknown: vec![ops.clone()], ..Setup::default() });
    channel(&options(&server, Encryption::Plain)).send(&opened()).await.unwrap();
    assert_eq!(server.wait_for(1)[0].to, ["boss@example.org"]);

    let server = MailServer::start(&Setup { unknown: vec![ops.clone(), boss.clone()], ..Setup::default() });
    let why = refused(&channel(&options(&server, Encryption::Plain)), &opened()).await;
    assert!(why.is_final && why.why.contains("550") && why.why.contains("no such mailbox"), "{why:?}");

    let server = MailServer::start(&Setup { unknown: vec![ops], busy: vec![boss], ..Setup::default() });
    let why = refused(&channel(&options(&server, Encryption::Plain)), &opened()).await;
    assert!(!why.is_final, "{why:?}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up_at_the_deadline() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let to = vec!["ops@example.org".to_owned()];
    let options = EmailOptions {
        port: Some(silent.local_addr().unwrap().port()),
        encryption: Encryption::Plain,
        deadline: Duration::from_millis(50),
        ..EmailOptions::new("127.0.0.1", "monitor@example.org", to)
    };
    let why = refused(&channel(&options), &opened()).await;
    assert!(!why.is_final && why.why.contains("has not taken it within 50ms"), "{why:?}");
    drop(silent);
    let why = refused(&channel(&options), &opened()).await;
    assert!(!why.is_final && why.why.contains("refused"), "{why:?}");
}

#[tokio::test]
async fn a_mail_that_was_taken_is_delivered_whatever_comes_then() {
    let server = MailServer::start(&Setup { is_silent_at_the_end: true, ..Setup::default() });
    let options = EmailOptions { deadline: Duration::from_secs(5), ..options(&server, Encryption::Plain) };
    channel(&options).send(&opened()).await.unwrap();
    assert_eq!(server.wait_for(1).len(), 1);
}
