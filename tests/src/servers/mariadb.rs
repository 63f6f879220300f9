use std::fs;
use std::process::Command;

use super::{PASSWORD, Place, Recipe, USER, run, system_program};

pub(super) const RECIPE: Recipe = Recipe {
    prepare,
    commands,
    ready: "ready for connections",
    url: ("mysql", "/mysql"),
    tls: Some("mysql"),
    clean: |_| {},
};

fn prepare(place: &Place) {
    let statements = format!(
        "CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON *.* TO '{USER}'@'127.0.0.1';\n"
    );
    fs::write(place.folder.join("users.sql"), statements).expect("its folder can be written to");
    let mut install = Command::new("mariadb-install-db");
    install.arg("--no-defaults").arg(format!("--datadir={}", place.folder.join("data").display()));
    install.args(["--skip-test-db", "--auth-root-authentication-method=normal"]);
    run(owned(&mut install));
}

fn commands(place: &Place) -> Vec<Command> {
    let folder = place.folder.display();
    let mut server = system_program("mariadbd");
    server.args([
        "--no-defaults".to_owned(),
        format!("--datadir={folder}/data"),
        format!("--socket={folder}/socket"),
        format!("--pid-file={folder}/pid"),
        format!("--init-file={folder}/users.sql"),
        format!("--port={}", place.port),
        "--bind-address=127.0.0.1".to_owned(),
        "--skip-name-resolve".to_owned(),
        "--innodb-flush-log-at-trx-commit=0".to_owned(),
        "--innodb-buffer-pool-size=16M".to_owned(),
    ]);
    if place.tls {
        server.arg(format!("--ssl-cert={}", place.certificate())).arg(format!("--ssl-key={}", place.key()));
    }
    owned(&mut server);
    vec![server]
}

/// Root must say that it means it.
fn owned(command: &mut Command) -> &mut Command {
    if rustix::process::getuid().is_root() { command.arg("--user=root") } else { command }
}
