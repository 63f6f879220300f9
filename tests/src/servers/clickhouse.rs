use std::fs;
use std::process::Command;

use super::{PASSWORD, Place, Recipe, USER, system_program};

pub(super) const RECIPE: Recipe = Recipe {
    prepare,
    commands,
    ready: "Ready for connections",
    url: ("http", "/default"),
    tls: None,
    clean: |_| {},
};

fn prepare(place: &Place) {
    let folder = place.folder.display();
    let settings = format!(
        "<yandex>
  <logger><level>information</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{}</http_port>
  <tcp_port>{}</tcp_port>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/tmp/</tmp_path>
  <users_config>{folder}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <mark_cache_size>16777216</mark_cache_size>
</yandex>
",
        place.port, place.more_ports[0]
    );
    let users = format!(
        "<yandex>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <{USER}>
      <password>{PASSWORD}</password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </{USER}>
  </users>
</yandex>
"
    );
    for (name, text) in [("config.xml", settings), ("users.xml", users)] {
        fs::write(place.folder.join(name), text).expect("its folder can be written to");
    }
}

fn commands(place: &Place) -> Vec<Command> {
    let mut server = system_program("clickhouse-server");
    server.arg(format!("--config-file={}", place.folder.join("config.xml").display()));
    vec![server]
}
