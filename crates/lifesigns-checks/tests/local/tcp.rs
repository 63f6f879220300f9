use std::time::Duration;

use lifesigns_checks::FailureKind;
use lifesigns_checks::tcp::{Options, check};
use tokio::io::AsyncWriteExt;

use crate::harness::{
    Peer, assert_fails, assert_passes, assert_refused, deserted, read_to_end, run, run_to_deadline,
};

fn to(peer: &Peer, banner: &str) -> Options {
    Options { banner: Some(banner.to_owned()), ..Options::new(peer.address.to_string()) }
}

async fn greeting(pieces: &'static [&'static [u8]], then_closes: bool) -> Peer {
    Peer::start(move |mut stream| async move {
        for piece in pieces {
            // Whoever has heard enough hangs up.
            if stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if !then_closes {
            read_to_end(stream).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_is_enough_and_is_closed_again() {
    let peer = Peer::hung().await;
    let options = Options::new(peer.address.to_string());
    assert_passes(&run(check("peer", options.clone())).await);
    assert_passes(&run(check("peer", options)).await);
    peer.is_left_alone_after(2).await;
    let by_name = Options::new(format!("localhost:{}", peer.address.port()));
    assert_passes(&run(check("peer", by_name)).await);
}

#[tokio::test]
async fn where_nobody_listens_it_is_unreachable() {
    let options = Options::new(deserted().await.to_string());
    assert_fails(&run(check("peer", options)).await, FailureKind::Unreachable, "refused");
}

#[tokio::test]
async fn a_banner_is_read_as_far_as_it_is_expected() {
    let peer = greeting(&[b"22", b"0 ma", b"il.example ESMTP"], false).await;
    assert_passes(&run(check("mail", to(&peer, "220 "))).await);
    assert_passes(&run(check("mail", to(&peer, "220 mail.example"))).await);
    let report = run(check("mail", to(&peer, "250 "))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "greets with \"22");
    peer.is_left_alone_after(3).await;
}

#[tokio::test]
async fn one_who_closes_before_the_banner_is_over_fails() {
    let peer = greeting(&[b"2"], true).await;
    let report = run(check("mail", to(&peer, "220 "))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "closed the connection after \"2\"");
}

#[tokio::test]
async fn one_who_never_greets_is_left_at_the_deadline() {
    let peer = Peer::hung().await;
    let check = check("mail", to(&peer, "220 ")).unwrap();
    run_to_deadline(&check, Duration::from_millis(200)).await;
    peer.is_left_alone_after(1).await;
}

#[test]
fn options_are_looked_at_before_a_run() {
    assert_refused(check("x", Options::new("mail.example")), "address");
    let long = Options { banner: Some("x".repeat(1025)), ..Options::new("mail.example:25") };
    assert_refused(check("x", long), "banner");
}
