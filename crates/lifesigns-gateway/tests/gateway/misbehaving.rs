//! Upstreams that do not keep to the protocol, or do not keep going.

use std::sync::{Arc, OnceLock};

use lifesigns_model::exchange::FailedBy;

use crate::support::{Client, DEADLINE, Message, Running, Upstream, route, wait_until};

/// What a client gets from an upstream that does this with every connection, and how it was counted.
fn answer_of(upstream: &Upstream) -> (Message, (u16, FailedBy)) {
    let gateway = Running::before(upstream);
    let answer = gateway.connect().get("/");
    let counted = gateway.only_count();
    (answer, counted)
}

#[track_caller]
fn is_bad_gateway(upstream: &Upstream) {
    let (answer, counted) = answer_of(upstream);
    assert_eq!((answer.status(), counted), (502, (502, FailedBy::Gateway)), "{answer:?}");
    assert_eq!(answer.get("content-type"), Some("application/problem+json"));
    assert!(!answer.text().contains(&upstream.address.port().to_string()), "{}", answer.text());
}

/// An upstream that reads a request and then says this, whatever was asked, and closes.
fn saying(answer: &'static [u8]) -> Upstream {
    Upstream::new(move |connection| {
        connection.request()?;
        connection.write(answer)
    })
}

#[test]
fn nobody_listens() {
    let upstream = Upstream::ok();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Running::with(vec![route("polls", unused)], |_| {});
    let answer = gateway.connect().get("/");
    assert_eq!((answer.status(), gateway.only_count()), (502, (502, FailedBy::Gateway)));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&problem["title"], &problem["status"]), (&"Bad Gateway".into(), &502.into()));
    assert_eq!(problem["requestId"], answer.get("x-request-id").unwrap());
    drop(upstream);
}

#[test]
fn it_closes_at_once() {
    is_bad_gateway(&Upstream::new(|_| Ok(())));
}

#[test]
fn it_resets_after_the_request() {
    is_bad_gateway(&Upstream::new(|connection| {
        connection.request()?;
        connection.reset()
    }));
}

#[test]
fn it_closes_in_the_middle_of_the_head() {
    is_bad_gateway(&saying(b"HTTP/1.1 200 OK\r\ncontent-le"));
}

#[test]
fn what_it_says_is_no_http() {
    is_bad_gateway(&saying(b"SSH-2.0-OpenSSH_9.6\r\n"));
    is_bad_gateway(&saying(b"HTTP/1.1 OK 200\r\n\r\n"));
    is_bad_gateway(&saying(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
    is_bad_gateway(&saying(b"HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n"));
}

#[test]
fn a_status_of_no_class_passes_and_counts_as_a_failure_of_its_own() {
    for (answer, status) in [
        (&b"HTTP/1.1 600 What\r\ncontent-length: 0\r\n\r\n"[..], 600),
        (b"HTTP/1.1 999 \r\ncontent-length: 2\r\n\r\nok", 999),
    ] {
        let (passed, counted) = answer_of(&saying(answer));
        assert_eq!((passed.status(), counted), (status, (status, FailedBy::Upstream)), "{passed:?}");
    }
    for answer in [&b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n"[..], b"HTTP/1.1 1000 High\r\n\r\n"] {
        is_bad_gateway(&saying(answer));
    }
}

#[test]
fn its_lengths_contradict_each_other() {
    is_bad_gateway(&saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"));
    is_bad_gateway(&saying(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabc"));
    is_bad_gateway(&saying(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"));
}

#[test]
fn a_length_that_it_repeats_leaves_the_gateway_once() {
    for head in ["content-length: 2, 2", "content-length: 2\r\ncontent-length: 2", "content-length: 2,2 , 2"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nok");
        let upstream = Upstream::new(move |connection| {
            connection.request()?;
            connection.write(answer.as_bytes())
        });
        let (answer, counted) = answer_of(&upstream);
        assert_eq!((answer.text().as_str(), answer.get("content-length")), ("ok", Some("2")), "{head}");
        assert_eq!(counted, (200, FailedBy::Nobody));
    }
    is_bad_gateway(&saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nabc"));
    is_bad_gateway(&saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2,\r\n\r\nok"));
    is_bad_gateway(&saying(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 2, 3\r\n\r\n"));
}

#[test]
fn it_codes_its_body_in_a_way_that_nobody_undoes() {
    for coding in ["gzip", "gzip, chunked", "xchunked", "chunked, chunked", "identity", ""] {
        let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        is_bad_gateway(&Upstream::new(move |connection| {
            connection.request()?;
            connection.write(answer.as_bytes())
        }));
    }
}

#[test]
fn both_framings_at_once_leave_the_gateway_as_one() {
    let upstream = saying(
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let (answer, counted) = answer_of(&upstream);
    assert_eq!((answer.text().as_str(), answer.get("content-length")), ("ok", None));
    assert_eq!(counted, (200, FailedBy::Nobody));
}

#[test]
fn its_head_is_huge() {
    is_bad_gateway(&Upstream::new(|connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            connection.write(format!("x-filler: {}\r\n", "x".repeat(1000)).as_bytes())?;
        }
    }));
    is_bad_gateway(&Upstream::new(|connection| {
        connection.request()?;
        connection.write(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(500)).as_bytes())
    }));
}

#[test]
fn it_switches_protocols_unasked() {
    is_bad_gateway(&saying(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"));
}

#[test]
fn it_sends_interim_responses_without_end() {
    const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let (given_up, is_given_up) = std::sync::mpsc::channel();
    let upstream = Upstream::new(move |connection| {
        connection.request()?;
        if connection.number > 0 {
            return connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
        let many = HINTS.repeat(1000);
        while connection.write(&many).is_ok() {}
        // The test that waits for it may have failed before.
        let _ = given_up.send(());
        Ok(())
    });
    let gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.workers = 1.try_into().ok();
    });
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status(), 502);
    is_given_up.recv_timeout(DEADLINE).expect("the connection is dropped");
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn its_interim_responses_are_counted_for_each_request() {
    for (hints, status, connections) in [(100, 200, 1), (101, 502, 3)] {
        let answer = format!(
            "{}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(hints)
        );
        let upstream = Upstream::new(move |connection| {
            while connection.request()?.is_some() {
                connection.write(answer.as_bytes())?;
            }
            Ok(())
        });
        let gateway = Running::before(&upstream);
        let mut client = gateway.connect();
        for _ in 0..3 {
            assert_eq!(client.get("/").status(), status, "{hints}");
        }
        assert_eq!(upstream.connections(), connections, "{hints}");
    }
}

#[test]
fn it_leads_back_to_the_gateway() {
    let entrance = Arc::new(OnceLock::new());
    let way_back = entrance.clone();
    let upstream = Upstream::new(move |connection| {
        let Some(request) = connection.request()? else { return Ok(()) };
        let fields: String =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let answer =
            Client::to(*way_back.wait()).exchange(&format!("{}\r\n{fields}\r\n", request.first_line));
        connection.write(format!("{}\r\ncontent-length: 0\r\n\r\n", answer.first_line).as_bytes())
    });
    let gateway = Running::before(&upstream);
    entrance.set(gateway.address).unwrap();
    assert_eq!(gateway.connect().get("/").status(), 508);
    assert_eq!(upstream.seen().len(), 8);
    let counts = gateway.counted(9);
    let by =
        |failed_by| counts.iter().filter(|(key, _)| key.3 == failed_by).map(|(_, count)| count).sum::<u64>();
    assert_eq!((by(FailedBy::Gateway), by(FailedBy::Upstream)), (1, 8), "{counts:?}");

    // What others say about hops is no loop.
    let innocent = Upstream::ok();
    let gateway = Running::before(&innocent);
    let hops = ["0123456789abcdef"; 100].join(", ");
    let answer =
        gateway.connect().exchange(&format!("GET / HTTP/1.1\r\nhost: a\r\nx-lifesigns-hops: {hops}\r\n\r\n"));
    assert_eq!(answer.status(), 200);
}

#[test]
fn it_breaks_off_a_body_of_known_length() {
    let (answer, counted) = answer_of(&saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nonly"));
    assert_eq!((answer.status(), answer.complete), (200, false));
    assert_eq!(counted, (200, FailedBy::Upstream));
}

#[test]
fn it_breaks_off_a_chunked_body() {
    for broken in [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nonly\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\non",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nonly\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nonly\r\nzz\r\nthis\r\n0\r\n\r\n",
    ] {
        let (answer, counted) = answer_of(&saying(broken));
        assert_eq!((answer.status(), answer.complete), (200, false), "{}", String::from_utf8_lossy(broken));
        assert_eq!(counted, (200, FailedBy::Upstream));
    }
}

#[test]
fn it_says_one_byte_at_a_time() {
    let upstream = Upstream::new(|connection| {
        while connection.request()?.is_some() {
            for byte in b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" {
                connection.write(&[*byte])?;
            }
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(upstream.connections(), 1);
    gateway.counted(3);
}

#[test]
fn what_it_says_behind_an_answer_reaches_nobody() {
    let upstream = Upstream::new(|connection| {
        while connection.request()?.is_some() {
            connection.write(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
            )?;
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(upstream.connections(), 3, "a connection with something unasked in it was used again");
}

#[test]
fn what_it_says_between_two_requests_reaches_nobody() {
    let (said, has_said) = std::sync::mpsc::channel();
    let upstream = Upstream::new(move |connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        if connection.number == 0 {
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")?;
            said.send(()).expect("the test waits for this");
        }
        connection.wait_for_end()
    });
    let gateway =
        Running::with(vec![route("polls", upstream.address)], |config| config.workers = 1.try_into().ok());
    let mut client = gateway.connect();
    assert_eq!(client.get("/").text(), "ok");
    // Said later than the next request, it could not be told from the answer to that.
    has_said.recv().expect("the upstream has said what nobody asked for");
    let mut other = gateway.connect();
    assert_eq!(other.get("/").text(), "ok");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn interim_answers_are_not_taken_for_the_answer() {
    let upstream = Upstream::new(|connection| {
        while connection.request()?.is_some() {
            connection
                .write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")?;
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let (answer, counted) = answer_of(&upstream);
    assert_eq!((answer.status(), answer.text().as_str(), counted.0), (200, "ok", 200));
}

#[test]
fn it_answers_before_it_was_asked_to_end() {
    // The answer is complete although the request is not; nothing of it may be lost.
    let upstream = Upstream::new(|connection| {
        connection.head()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly")
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12");
    assert_eq!(client.response().text(), "early");
}

#[test]
fn connections_that_died_in_the_pool_are_not_used() {
    let upstream = Upstream::new(|connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        // Closes although it did not say so.
    });
    let gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.workers = 1.try_into().ok();
        config.timeouts.expect_continue = std::time::Duration::from_millis(20);
    });
    for round in 1..=20 {
        // One that closes without a word is known to be closed once the news of it is there; until then nothing can
        // be told, so each round waits for the connection to be gone.
        let answer = gateway.connect().get("/");
        assert_eq!(answer.text(), "ok");
        wait_until("the connection is gone from both sides", || {
            open_connections_to(upstream.address.port()) == 0
        });
        assert_eq!(upstream.connections(), round);
    }
    gateway.counted(20);
}

/// Connections from this machine to a port that are not closed on the near side, as the kernel lists them.
fn open_connections_to(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    const CLOSE_WAIT: &str = "08";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_whitespace().skip(2);
            Some((columns.next()?, columns.next()?))
        })
        .filter(|(address, state)| address.ends_with(&remote) && [ESTABLISHED, CLOSE_WAIT].contains(state))
        .count()
}

#[test]
fn a_restart_of_the_upstream_is_survived() {
    let upstream = Upstream::new(|connection| {
        for _ in 0..3 {
            connection.request()?;
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.workers = 1.try_into().ok();
        config.timeouts.expect_continue = std::time::Duration::from_millis(20);
    });
    for _ in 0..4 {
        let mut client: Client = gateway.connect();
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), "ok");
        }
        wait_until("the connection is gone", || open_connections_to(upstream.address.port()) == 0);
    }
    assert_eq!(upstream.connections(), 4);
    gateway.counted(12);
}
