//! What each check refuses when it is made.

use lifesigns_checks::{Secret, Server, amqp, clickhouse, mqtt, mysql, nats, postgres, redis};

use crate::{
    Made, amqp_check, clickhouse_check, mqtt_check, mysql_check, nats_check, postgres_check, redis_check,
};

#[test]
fn options_are_looked_at_when_a_check_is_made() {
    let check = |made: Made, option: &str, part: &str| {
        let error = made.err().unwrap_or_else(|| panic!("{option}, {part}: it is taken"));
        assert_eq!(error.option, option, "{error}");
        assert!(error.fault.contains(part), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    };
    let with_password = |url: &str| Server::at(url).password(Secret::new("s3cret"));

    check(postgres_check(Server::at("postgres://db")), "url", "names no user");
    let query = " ".to_owned();
    let options = postgres::Options { query: query.clone(), ..postgres::Options::new("postgres://u@db") };
    check(postgres::check("postgres", options), "query", "SELECT 1");

    check(mysql_check(Server::at("mysql://db")), "url", "names no user");
    let options = mysql::Options { query: query.clone(), ..mysql::Options::new("mysql://u@db") };
    check(mysql::check("mysql", options), "query", "SELECT 1");

    check(redis_check(Server::at("redis://u@cache")), "password", "is missing");
    check(redis_check(Server::at("redis://cache/zero")), "url", "number");
    check(redis::check("redis", redis::Options::new("redis+unix:///run/redis")), "url", "begins with");

    check(amqp_check(Server::at("amqp://u@broker")), "password", "is missing");
    check(amqp_check(with_password("amqp://broker")), "url", "names no user");
    check(amqp_check(Server::at(format!("amqp://broker/{}", "v".repeat(256)))), "url", "too long");
    for queue in [String::new(), "q".repeat(256)] {
        let options = amqp::Options { queue: Some(queue), ..amqp::Options::new("amqp://broker") };
        check(amqp::check("amqp", options), "queue", "255");
    }

    check(nats_check(Server::at("nats://u@nats")), "password", "token");
    check(nats_check(Server::at("nats://nats/subject")), "url", "path");
    check(nats::check("nats", nats::Options::new("ws://nats")), "url", "begins with");

    check(mqtt_check(with_password("mqtt://broker")), "url", "names no user");
    check(mqtt_check(Server::at("mqtt://broker/topic")), "url", "path");
    for topic in ["", "a/#/b", "a+"] {
        let options = mqtt::Options { topic: Some(topic.to_owned()), ..mqtt::Options::new("mqtt://broker") };
        check(mqtt::check("mqtt", options), "topic", "filter");
    }

    check(clickhouse_check(Server::at("http://u:s3cret%0A@db")), "password", "control character");
    let options = clickhouse::Options { query, ..clickhouse::Options::new("http://db") };
    check(clickhouse::check("clickhouse", options), "query", "SELECT 1");
}
