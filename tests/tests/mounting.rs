//! Where resources stand: at the base of each API, on the admin listener, renamed, or left to the API.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::net::SocketAddr;

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::Program;
use lifesigns_tests::upstream::Upstream;
use tempfile::TempDir;

struct World {
    program: Program,
    _folder: TempDir,
    upstream: Upstream,
    public: SocketAddr,
}

fn start(config: &str) -> World {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let head = "name = \"gateway\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
                [store]\npath = \"memory\"\n";
    let config = format!("{head}{}", config.replace("UPSTREAM", &format!("http://{}", upstream.address())));
    let file = folder.path().join("lifesigns.toml");
    fs::write(&file, config).unwrap();
    let program = Program::start(&["run", "--config", file.to_str().unwrap()]);
    let public = program.listening("gateway");
    World { program, _folder: folder, upstream, public }
}

fn service(at: SocketAddr, path: &str) -> String {
    let answer = get(at, path);
    assert_eq!(answer.status, 200, "{path}");
    answer.json()["service"].as_str().unwrap().to_owned()
}

#[test]
fn several_apis_have_resources_at_their_own_bases_and_the_gateway_at_the_root() {
    let world = start(
        "[[api]]\nname = \"a\"\nupstream = \"UPSTREAM\"\npath = \"/a\"\n\
         [[api]]\nname = \"b\"\nupstream = \"UPSTREAM\"\nhost = \"b.example\"\n",
    );
    assert_eq!(service(world.public, "/a/status"), "a");
    assert_eq!(service(world.public, "/status"), "gateway");
    let of_b = Request::get("/status").header("Host", "B.example:1234").send(world.public);
    assert_eq!(of_b.json()["service"], "b");
    assert_eq!(get(world.public, "/metrics").status, 401);
    assert_eq!(get(world.public, "/nobody").status, 404);
    let admin = world.program.listening("admin");
    assert_eq!(service(admin, "/status"), "gateway");
    assert_eq!(service(admin, "/a/status"), "a");
    assert_eq!(service(admin, "/b/status"), "b");
    assert_eq!(get(admin, "/metrics").status, 200);
    assert_eq!(get(admin, "/a/health/details").status, 401);
    assert_eq!(get(admin, "/a/bytes/1").status, 404, "the admin listener forwards nothing");
    assert_eq!(world.upstream.requests(), 0);
}

#[test]
fn a_resource_that_is_switched_off_is_the_apis_own() {
    let world = start(
        "[[api]]\nname = \"a\"\nupstream = \"UPSTREAM\"\npath = \"/\"\n[api.resources.startupz]\nenabled = false\n\
         [api.resources.health]\nlistener = \"admin\"\n[api.resources.livez]\npath = \"/alive\"\n",
    );
    for path in ["/startupz", "/health", "/livez"] {
        assert_eq!(get(world.public, path).status, 404, "{path} is not there in this API");
        assert_eq!(world.upstream.requests_for(path), 1, "{path}");
    }
    assert_eq!(get(world.public, "/alive").status, 200);
    assert_eq!(get(world.public, "/health/status").status, 200);
    let admin = world.program.listening("admin");
    assert_eq!(get(admin, "/a/health").json()["status"], "OK");
    assert_eq!(world.upstream.requests(), 3);
}
