use std::fs;
use std::process::Command;

use super::{PASSWORD, Place, Recipe, USER, system_program};

pub(super) const RECIPE: Recipe = Recipe {
    prepare,
    commands,
    ready: "Server is ready",
    url: ("nats", ""),
    tls: Some("tls"),
    clean: |_| {},
};

fn prepare(place: &Place) {
    let mut settings = format!(
        "host: \"127.0.0.1\"\nport: {}\nauthorization {{ user: \"{USER}\", password: \"{PASSWORD}\" }}\n",
        place.port
    );
    if place.tls {
        let (certificate, key) = (place.certificate(), place.key());
        settings = format!("{settings}tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n");
    }
    fs::write(place.folder.join("nats.conf"), settings).expect("its folder can be written to");
}

fn commands(place: &Place) -> Vec<Command> {
    let mut server = system_program("nats-server");
    server.arg("--config").arg(place.folder.join("nats.conf"));
    vec![server]
}
