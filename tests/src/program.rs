//! The binary `lifesigns`, started, watched and stopped.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use crate::wait;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

/// The binary `lifesigns`: the one that `LIFESIGNS_BINARY` names, as it does wherever the building must not count against
/// a test that has a limit; otherwise the one that cargo builds now, or has built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("LIFESIGNS_BINARY").map_or_else(build, PathBuf::from))
}

/// Builds it beside the running test.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a file");
    // <target>/<profile>/deps/<test>
    let folder = test.ancestors().nth(2).expect("tests lie two folders deep");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = folder.parent().expect("a profile has its folder in the target folder");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(workspace())
        .args(["build", "--locked", "--package", "lifesigns-cli", "--bin", "lifesigns", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "the binary cannot be built:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder.join(format!("lifesigns{}", std::env::consts::EXE_SUFFIX))
}

/// An address on loopback at which nothing listens at the moment.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a listener has an address")
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).stdin(Stdio::null()).output().expect("the binary can be started")
}

/// The running binary. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Program {
    /// Starts the binary in the folder of the test's crate.
    pub fn start(arguments: &[&str]) -> Program {
        Program::start_with(arguments, |_| {})
    }

    /// Starts the binary, with whatever `adjust` does to the command: folder, environment.
    pub fn start_with(arguments: &[&str], adjust: impl FnOnce(&mut Command)) -> Program {
        let mut command = Command::new(binary());
        command.args(arguments);
        adjust(&mut command);
        Program::spawn(command)
    }

    fn spawn(mut command: Command) -> Program {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be started");
        let stdout = collect(child.stdout.take().expect("it is piped"));
        let stderr = collect(child.stderr.take().expect("it is piped"));
        Program { child, stdout, stderr }
    }

    /// Starts `lifesigns gateway` in front of `upstream` on a free port, its data in `folder`, and waits until it
    /// listens.
    pub fn gateway(upstream: SocketAddr, folder: &Path, more: &[&str]) -> (Program, SocketAddr) {
        let upstream = format!("http://{upstream}");
        let data = folder.join("lifesigns.db");
        let data = data.to_str().expect("the folder of a test has a plain name");
        let mut arguments =
            vec!["gateway", "--upstream", &upstream, "--listen", "127.0.0.1:0", "--data", data];
        arguments.extend_from_slice(more);
        let program = Program::start(&arguments);
        let address = program.listening("gateway");
        (program, address)
    }

    /// The address in the line `{what} listening on http://{address}`; waits until it is printed.
    pub fn listening(&self, what: &str) -> SocketAddr {
        let start = format!("{what} listening on http://");
        let explain = || format!("there is no line `{start}…`:\n{}{}", self.stdout(), self.stderr());
        wait::until_or(explain, || {
            let stdout = self.stdout();
            let stderr = self.stderr();
            let mut lines = stdout.split_inclusive('\n').chain(stderr.split_inclusive('\n'));
            let line = lines.find_map(|line| line.strip_suffix('\n')?.split_once(&start))?;
            let end = line.1.find(|end: char| end.is_whitespace() || end == '/').unwrap_or(line.1.len());
            Some(line.1[..end].parse().expect("an address follows"))
        })
    }

    /// What was printed to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("the reader does not panic").clone()
    }

    /// What was printed to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("the reader does not panic").clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success(), "`{kill}` failed");
    }

    /// Kills it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("one's own child can be killed");
        self.child.wait().expect("one's own child can be waited for");
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        let id = self.id();
        wait::until(&format!("the end of process {id}"), || {
            self.child.try_wait().expect("one's own child can be waited for")
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(output: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::<Mutex<String>>::default();
    let into = Arc::clone(&collected);
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            into.lock().expect("readers do not panic").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    collected
}
