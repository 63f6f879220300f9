use std::fs;
use std::process::Command;

use super::{PASSWORD, Place, Recipe, USER};

pub(super) const RECIPE: Recipe = Recipe {
    prepare,
    commands,
    ready: "Server startup complete",
    url: ("amqp", ""),
    tls: None,
    clean: |_| {},
};

/// Debian's own wrapper in `/usr/sbin` changes the user; this is what it wraps.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

fn prepare(place: &Place) {
    for (name, text) in [("rabbitmq.conf", ""), ("environment", ""), ("enabled_plugins", "[].\n")] {
        fs::write(place.folder.join(name), text).expect("its folder can be written to");
    }
}

/// Its nodes find each other through `epmd`, which the server would start for all to share and leave behind; it gets
/// one of its own.
fn commands(place: &Place) -> Vec<Command> {
    let [names_port, node_port] = place.more_ports.map(|port| port.to_string());
    let file = |name: &str| place.folder.join(name);
    let mut names = Command::new("epmd");
    names.args(["-address", "127.0.0.1", "-port", &names_port]);
    let mut server = Command::new(SERVER);
    server
        .env("HOME", &place.folder)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", &names_port)
        .env("RABBITMQ_CONF_ENV_FILE", file("environment"))
        .env("RABBITMQ_CONFIG_FILE", file("rabbitmq"))
        .env("RABBITMQ_DEFAULT_PASS", PASSWORD)
        .env("RABBITMQ_DEFAULT_USER", USER)
        .env("RABBITMQ_DIST_PORT", &node_port)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_LOG_BASE", &place.folder)
        .env("RABBITMQ_MNESIA_BASE", file("data"))
        .env("RABBITMQ_NODENAME", format!("lifesigns{}@localhost", place.port))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", place.port.to_string())
        .env("RABBITMQ_PID_FILE", file("pid"));
    vec![names, server]
}
