use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{PASSWORD, Place, Recipe, USER, as_user, run};

pub(super) const RECIPE: Recipe = Recipe {
    prepare,
    commands,
    ready: "database system is ready to accept connections",
    url: ("postgres", "/postgres"),
    tls: Some("postgres"),
    clean,
};

const OWNER: &str = "postgres";

fn prepare(place: &Place) {
    let password = place.folder.join("password");
    fs::write(&password, PASSWORD).expect("its folder can be written to");
    if rustix::process::getuid().is_root() {
        run(Command::new("chown").arg("-R").arg(OWNER).arg(&place.folder));
    }
    run(as_user(OWNER, &program("initdb"))
        .current_dir(&place.folder)
        .args(["--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--no-locale", "--username", USER])
        .arg("--pwfile")
        .arg(&password)
        .arg("--pgdata")
        .arg(place.folder.join("data")));
}

fn commands(place: &Place) -> Vec<Command> {
    let mut server = as_user(OWNER, &program("postgres"));
    server.arg("-D").arg(place.folder.join("data")).arg("-p").arg(place.port.to_string()).args([
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
        "-c",
        "fsync=off",
    ]);
    if place.tls {
        let (certificate, key) = (place.certificate(), place.key());
        server.args([
            "-c",
            "ssl=on",
            "-c",
            &format!("ssl_cert_file={certificate}"),
            "-c",
            &format!("ssl_key_file={key}"),
        ]);
    }
    vec![server]
}

/// Of several versions that are installed, the newest.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").map(|entries| {
        let version = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
        entries.filter_map(|entry| version(entry.ok()?)).max()
    });
    match versions {
        Ok(Some(version)) => format!("/usr/lib/postgresql/{version}/bin/{name}").into(),
        _ => name.into(),
    }
}

/// A server that is killed leaves a segment of shared memory, whose number is in its file.
fn clean(place: &Place) {
    let Ok(text) = fs::read_to_string(place.folder.join("data/postmaster.pid")) else { return };
    if let Some(id) = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
        // It may be gone already.
        let _ = Command::new("ipcrm").args(["-m", id]).output();
    }
}
