use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lifesigns_checks::FailureKind;
use lifesigns_checks::dns::{Options, check};
use tokio::net::UdpSocket;

use crate::harness::{assert_fails, assert_passes, assert_refused, run, run_to_deadline};

/// A real DNS server with names of its own.
struct Dnsmasq {
    process: Child,
    address: String,
}

impl Dnsmasq {
    async fn start() -> Dnsmasq {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        let mut server = Dnsmasq::launch().await;
        while run(check("name", server.asking("shop.test", "A"))).await.failure.is_some() {
            assert!(std::time::Instant::now() < end, "dnsmasq does not answer");
            // Somebody else may have been faster to take the port.
            if server.process.try_wait().unwrap().is_some() {
                server = Dnsmasq::launch().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server
    }

    async fn launch() -> Dnsmasq {
        let port = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let records = [
            "--host-record=shop.test,192.0.2.7,2001:db8::7",
            "--host-record=shop.test,192.0.2.8",
            "--cname=www.shop.test,shop.test",
            "--mx-host=shop.test,mail.shop.test,10",
            "--srv-host=_polls._tcp.shop.test,polls.shop.test,8080,1,2",
            "--txt-record=shop.test,v=spf1 -all,second",
            "--local=/test/",
        ];
        let process = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll"])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file=", "--user=", "--group="])
            .arg(format!("--port={port}"))
            .args(records)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq is installed: Debian's package is dnsmasq-base");
        Dnsmasq { process, address: format!("127.0.0.1:{port}") }
    }

    fn asking(&self, name: &str, record_type: &str) -> Options {
        Options { record_type: record_type.into(), server: Some(self.address.clone()), ..Options::new(name) }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn records_of_each_type_are_found_and_compared() {
    let server = Dnsmasq::start().await;
    let expecting = |name: &str, record_type: &str, expect: &str| {
        check("name", Options { expect: Some(expect.into()), ..server.asking(name, record_type) })
    };
    let good = [
        ("shop.test", "A", "192.0.2.7"),
        ("shop.test.", "a", "192.0.2.8"),
        ("SHOP.test", "AAAA", "2001:DB8:0:0::7"),
        ("www.shop.test", "A", "192.0.2.8"),
        ("www.shop.test", "CNAME", "shop.test"),
        ("shop.test", "MX", "10 mail.shop.test."),
        ("_polls._tcp.shop.test", "SRV", "1 2 8080 polls.shop.test"),
        ("shop.test", "TXT", "v=spf1 -allsecond"),
    ];
    for (name, record_type, expect) in good {
        let report = run(expecting(name, record_type, expect)).await;
        assert_eq!(report.failure, None, "{name} {record_type}: {:?}", report.output);
        assert_passes(&run(check("name", server.asking(name, record_type))).await);
    }
    let report = run(expecting("shop.test", "A", "192.0.2.9")).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "192.0.2.9 is not among 192.0.2.");
    let report = run(expecting("shop.test", "MX", "20 mail.shop.test")).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "10 mail.shop.test");
}

#[tokio::test]
async fn names_that_are_not_there_fail_and_so_do_servers_that_refuse() {
    let server = Dnsmasq::start().await;
    let report = run(check("name", server.asking("nobody.test", "A"))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "no such record");
    let report = run(check("name", server.asking("shop.test", "NS"))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "no such record");
    let report = run(check("name", server.asking("elsewhere.example", "A"))).await;
    assert_fails(&report, FailureKind::Denied, "elsewhere.example");
}

#[tokio::test]
async fn nothing_is_remembered_from_run_to_run() {
    let server = Dnsmasq::start().await;
    let check = check("name", server.asking("shop.test", "A")).unwrap();
    assert_passes(&check.run_once().await);
    drop(server);
    let report = check.run_once().await;
    assert_ne!(report.failure, None, "it was taken from a cache");
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_at_the_deadline() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = Some(silent.local_addr().unwrap().to_string());
    let options = Options { server, ..Options::new("shop.test") };
    run_to_deadline(&check("name", options.clone()).unwrap(), Duration::from_millis(200)).await;
    let report = run(check("name", options)).await;
    assert_fails(&report, FailureKind::TimedOut, "shop.test");
}

#[tokio::test]
async fn garbage_from_a_server_is_no_answer() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let noise = tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, client)) = server.recv_from(&mut question).await {
            let mut answer = question[..length].to_vec();
            answer[2..].fill(0xFF);
            server.send_to(&answer, client).await.unwrap();
        }
    });
    let options = Options { server: Some(address), ..Options::new("shop.test") };
    let report = run(check("name", options)).await;
    assert_ne!(report.failure, None);
    noise.abort();
}

#[test]
fn options_are_looked_at_before_a_run() {
    for name in ["", ".", "a..b", "192.0.2.7", &"x".repeat(64)] {
        let refused = check("x", Options::new(name)).err().map(|error| error.option);
        assert_eq!(refused, Some("name"), "{name:?}");
    }
    assert_refused(check("x", Options { record_type: "AXFR".into(), ..Options::new("a") }), "record_type");
    assert_refused(check("x", Options { record_type: "B".into(), ..Options::new("a") }), "record_type");
    assert_refused(check("x", Options { expect: Some("shop".into()), ..Options::new("a") }), "expect");
    assert_refused(check("x", Options { server: Some("dns".into()), ..Options::new("a") }), "server");
}
