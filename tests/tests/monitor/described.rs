//! The JSON resources of the fleet, as others read their description and try them out.

use std::fs;
use std::process::Command;

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::workspace;
use lifesigns_tests::service::Service;
use lifesigns_tests::{tools, wait};

use super::watch::{Monitor, configuration, out, well};

const TOKEN: &str = "ls_tester";

#[test]
fn validators_and_schemathesis_find_nothing() {
    let service = Service::start([]);
    service.says("/shop/status", well("shop"));
    service.says("/stock/status", out("stock"));
    let folder = tempfile::tempdir().unwrap();
    let hash = lifesigns::TokenHash::of(TOKEN);
    let more = format!(
        "\n[access]\nfailed_attempts_per_minute = 10000\n[[token]]\nname = \"tester\"\nhash = \"{hash}\"\n\
         scopes = [\"fleet:read\", \"health:write\", \"metrics:read\"]\n"
    );
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["shop", "stock"], &more));
    wait::until("both to be seen", || {
        let all = Request::get("/api/services").bearer(TOKEN).send(monitor.address).json();
        (all["counts"]["GREEN"] == 1 && all["counts"]["RED"] == 1).then_some(())
    });
    let file = folder.path().join("openapi.json");
    fs::write(&file, get(monitor.address, "/api/openapi.json").text()).unwrap();
    tools::succeed(Command::new(tools::python().join("openapi-spec-validator")).arg(&file));
    tools::spectral(&file);
    let mut schemathesis = Command::new(tools::python().join("schemathesis"));
    schemathesis
        .arg("--config-file")
        .arg(workspace().join("tests/schemathesis.toml"))
        .args(["run", "--url", &format!("http://{}/", monitor.address)])
        .arg(&file)
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--seed", "1", "--max-examples", "8", "--workers", "2", "--no-color"])
        .current_dir(folder.path());
    let (success, text) = tools::run(&mut schemathesis);
    assert!(success, "{text}");
    assert!(text.contains("Test cases:"), "{text}");
}
