use std::fs;
use std::process::Command;

use super::{PASSWORD, Place, Recipe, USER};

pub(super) const RECIPE: Recipe = Recipe {
    prepare,
    commands,
    ready: "Ready to accept connections",
    url: ("redis", "/0"),
    tls: Some("rediss"),
    clean: |_| {},
};

fn prepare(place: &Place) {
    let ports = if place.tls {
        let (certificate, key) = (place.certificate(), place.key());
        format!(
            "port 0\ntls-port {}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {certificate}\n\
             tls-auth-clients no",
            place.port
        )
    } else {
        format!("port {}", place.port)
    };
    let settings = format!(
        "bind 127.0.0.1\n{ports}\ndir {}\nsave \"\"\nuser default off\nuser {USER} on \">{PASSWORD}\" ~* +@all\n",
        place.folder.display()
    );
    fs::write(place.folder.join("redis.conf"), settings).expect("its folder can be written to");
}

fn commands(place: &Place) -> Vec<Command> {
    let mut server = Command::new("redis-server");
    server.arg(place.folder.join("redis.conf"));
    vec![server]
}
