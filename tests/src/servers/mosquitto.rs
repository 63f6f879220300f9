use std::fs;
use std::process::Command;

use super::{PASSWORD, Place, Recipe, USER, run, system_program};

pub(super) const RECIPE: Recipe =
    Recipe { prepare, commands, ready: " running", url: ("mqtt", ""), tls: Some("mqtts"), clean: |_| {} };

/// What [`USER`] may see is `open/#`; everything else is refused.
fn prepare(place: &Place) {
    let passwords = place.folder.join("passwords");
    run(Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(&passwords).args([USER, PASSWORD]));
    let rights = place.folder.join("rights");
    fs::write(&rights, format!("user {USER}\ntopic readwrite open/#\n"))
        .expect("its folder can be written to");
    // As root it would take on another user, who may not read these files.
    let mut settings = format!(
        "listener {} 127.0.0.1\nallow_anonymous false\npassword_file {}\nacl_file {}\nuser root\n",
        place.port,
        passwords.display(),
        rights.display(),
    );
    if place.tls {
        let (certificate, key) = (place.certificate(), place.key());
        settings = format!("{settings}certfile {certificate}\nkeyfile {key}\n");
    }
    fs::write(place.folder.join("mosquitto.conf"), settings).expect("its folder can be written to");
}

fn commands(place: &Place) -> Vec<Command> {
    let mut server = system_program("mosquitto");
    server.arg("-c").arg(place.folder.join("mosquitto.conf"));
    vec![server]
}
