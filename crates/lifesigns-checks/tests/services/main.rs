//! Checks of databases and brokers, against the real servers and against what only listens on their ports.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

mod hostile;
mod impostor;
mod options;
mod scenario;
mod tls;

use lifesigns_checks::{
    BadOption, Check, FailureKind, Secret, Server, amqp, clickhouse, mqtt, mysql, nats, postgres, redis,
};
use lifesigns_tests::servers::{self, Kind};
use scenario::{Scenario, play};

/// What the making of a check gives.
type Made = Result<Check, BadOption>;

/// Makes the check of a server.
type Make = fn(Server) -> Made;

fn postgres_check(server: Server) -> Made {
    postgres::check("postgres", postgres::Options::new(server))
}

fn mysql_check(server: Server) -> Made {
    mysql::check("mysql", mysql::Options::new(server))
}

fn redis_check(server: Server) -> Made {
    redis::check("redis", redis::Options::new(server))
}

fn amqp_check(server: Server) -> Made {
    amqp::check("amqp", amqp::Options::new(server))
}

fn nats_check(server: Server) -> Made {
    nats::check("nats", nats::Options::new(server))
}

fn mqtt_check(server: Server) -> Made {
    mqtt::check("mqtt", mqtt::Options::new(server))
}

fn clickhouse_check(server: Server) -> Made {
    clickhouse::check("clickhouse", clickhouse::Options::new(server))
}

/// A server with its right password.
fn well(server: &servers::Server) -> Server {
    Server::at(server.url()).password(Secret::new(server.password()))
}

#[tokio::test]
async fn postgres_is_followed_through_its_troubles() {
    let more = |server: &servers::Server| {
        let ask = |query: &str| {
            let query = query.to_owned();
            postgres::check("postgres", postgres::Options { query, ..postgres::Options::new(well(server)) })
        };
        let elsewhere = Server::at(server.url().replace("/postgres", "/nowhere"));
        vec![
            ("a query", ask("SELECT count(*) FROM pg_class"), None),
            ("a query that fails", ask("SELECT * FROM votes"), Some((FailureKind::Failed, "votes"))),
            (
                "no password",
                postgres_check(Server::at(server.url())),
                Some((FailureKind::Denied, "password")),
            ),
            (
                "another database",
                postgres_check(elsewhere.password(Secret::new(server.password()))),
                Some((FailureKind::Failed, "nowhere")),
            ),
            (
                "TLS that it does not speak",
                postgres_check(Server { tls: true, ..well(server) }),
                Some((FailureKind::UnexpectedAnswer, "TLS")),
            ),
        ]
    };
    play(Kind::Postgres, Scenario { check: postgres_check, more }).await;
}

#[tokio::test]
async fn mysql_is_followed_through_its_troubles() {
    let more = |server: &servers::Server| {
        let ask = |query: &str| {
            let query = query.to_owned();
            mysql::check("mysql", mysql::Options { query, ..mysql::Options::new(well(server)) })
        };
        vec![
            ("a query", ask("SELECT * FROM help_topic"), None),
            ("a query that fails", ask("SELECT * FROM votes"), Some((FailureKind::Failed, "votes"))),
            ("no password", mysql_check(Server::at(server.url())), Some((FailureKind::Denied, "denied"))),
            (
                "TLS that it does not speak",
                mysql_check(Server { tls: true, ..well(server) }),
                Some((FailureKind::UnexpectedAnswer, "")),
            ),
        ]
    };
    play(Kind::MariaDb, Scenario { check: mysql_check, more }).await;
}

#[tokio::test]
async fn redis_is_followed_through_its_troubles() {
    let more = |server: &servers::Server| {
        let url = server.url();
        let nobody = Server::at(url.replace(servers::USER, "").replace('@', ""));
        let far = Server::at(url.replace("/0", "/4711")).password(Secret::new(server.password()));
        vec![
            ("nobody", redis_check(nobody), Some((FailureKind::Denied, "NOAUTH"))),
            ("a database that there is not", redis_check(far), Some((FailureKind::Failed, "out of range"))),
        ]
    };
    play(Kind::Redis, Scenario { check: redis_check, more }).await;
}

#[tokio::test]
async fn rabbitmq_is_followed_through_its_troubles() {
    let more = |server: &servers::Server| {
        let queue = |name: &str| {
            let queue = Some(name.to_owned());
            amqp::check("amqp", amqp::Options { queue, ..amqp::Options::new(well(server)) })
        };
        let elsewhere = Server::at(format!("{}/elsewhere", server.url()));
        vec![
            ("a queue that there is not", queue("votes"), Some((FailureKind::Failed, "votes"))),
            (
                "another virtual host",
                amqp_check(elsewhere.password(Secret::new(server.password()))),
                Some((FailureKind::Denied, "elsewhere")),
            ),
        ]
    };
    play(Kind::RabbitMq, Scenario { check: amqp_check, more }).await;
}

#[tokio::test]
async fn nats_is_followed_through_its_troubles() {
    let more = |server: &servers::Server| {
        let token =
            Server::at(format!("nats://{}", server.address())).password(Secret::new(server.password()));
        let nobody = Server::at(format!("nats://{}", server.address()));
        vec![
            ("a token", nats_check(token), Some((FailureKind::Denied, "authorization"))),
            ("nobody", nats_check(nobody), Some((FailureKind::Denied, "authorization"))),
        ]
    };
    play(Kind::Nats, Scenario { check: nats_check, more }).await;
}

#[tokio::test]
async fn mosquitto_is_followed_through_its_troubles() {
    let more = |server: &servers::Server| {
        let topic = |topic: &str| {
            let topic = Some(topic.to_owned());
            mqtt::check("mqtt", mqtt::Options { topic, ..mqtt::Options::new(well(server)) })
        };
        let nobody = Server::at(format!("mqtt://{}", server.address()));
        vec![
            ("a topic", topic("open/#"), None),
            ("nobody", mqtt_check(nobody), Some((FailureKind::Denied, "let"))),
        ]
    };
    play(Kind::Mosquitto, Scenario { check: mqtt_check, more }).await;
}

#[tokio::test]
async fn clickhouse_is_followed_through_its_troubles() {
    let more = |server: &servers::Server| {
        let ask = |query: &str| {
            let query = query.to_owned();
            clickhouse::check(
                "clickhouse",
                clickhouse::Options { query, ..clickhouse::Options::new(well(server)) },
            )
        };
        let nobody = Server::at(server.url().replace(servers::USER, "nobody"));
        vec![
            ("a query", ask("SELECT count() FROM system.tables"), None),
            ("a long answer", ask("SELECT number FROM system.numbers LIMIT 100000"), None),
            ("a query that fails", ask("SELECT * FROM votes"), Some((FailureKind::Failed, "votes"))),
            (
                "a query that fails late",
                ask("SELECT throwIf(number = 1000000) FROM system.numbers LIMIT 2000000"),
                Some((FailureKind::Failed, "throwIf")),
            ),
            ("nobody", clickhouse_check(nobody), Some((FailureKind::Denied, "nobody"))),
        ]
    };
    play(Kind::ClickHouse, Scenario { check: clickhouse_check, more }).await;
}

/// What listens is no server at all: every check says so, and none panics.
#[tokio::test]
async fn impostors_are_found_out() {
    let checks: [(&str, Make); 7] = [
        ("postgres", postgres_check),
        ("mysql", mysql_check),
        ("redis", redis_check),
        ("amqp", amqp_check),
        ("nats", nats_check),
        ("mqtt", mqtt_check),
        ("http", clickhouse_check),
    ];
    for (scheme, check) in checks {
        scenario::find_out_impostors(scheme, check).await;
    }
}
