//! Damaged data files, through the running gateway: it sets them aside, says where they are, begins a new one, and serves
//! on. The files of others it leaves alone.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::Program;
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use rusqlite::Connection;
use tempfile::TempDir;

const TOKEN: &str = "ls_example";
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";
const PAGE: usize = 8192;

/// An upstream, and a data file that a gateway has written and closed.
struct Place {
    upstream: Upstream,
    folder: TempDir,
}

impl Place {
    fn filled() -> Place {
        let place = Place { upstream: Upstream::start(), folder: tempfile::tempdir().unwrap() };
        let (mut program, address) = place.gateway();
        call(address, 5);
        assert_eq!(counted(address), Some(5));
        program.signal("TERM");
        assert!(program.ended().success());
        place
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("lifesigns.db")
    }

    fn start(&self) -> Program {
        let upstream = format!("http://{}", self.upstream.address());
        let arguments = ["gateway", "--upstream", &upstream, "--listen", "127.0.0.1:0", "--data"];
        Program::start_with(&arguments, |command| {
            command.arg(self.data()).env("LIFESIGNS_TOKEN_HASH", TOKEN_HASH);
        })
    }

    fn gateway(&self) -> (Program, SocketAddr) {
        let program = self.start();
        let address = program.listening("gateway");
        (program, address)
    }

    /// The files that were set aside, without their logs.
    fn aside(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_aside = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
        };
        paths.filter(is_aside).collect()
    }

    /// Where a table of the data file begins, in bytes.
    fn root_of(&self, table: &str) -> usize {
        let file = Connection::open(self.data()).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: i64 = file.query_row(sql, [table], |row| row.get(0)).unwrap();
        (page as usize - 1) * PAGE
    }
}

fn call(address: SocketAddr, times: usize) {
    for _ in 0..times {
        assert_eq!(get(address, "/status/200").status, 200);
    }
}

/// How many exchanges of the last day the details count; `None` where they cannot be made.
fn counted(address: SocketAddr) -> Option<u64> {
    let answer = Request::get("/health/details").bearer(TOKEN).send(address);
    if answer.status == 200 { answer.json()["summary"]["requests"].as_u64() } else { None }
}

/// One file was set aside, it holds these bytes, and one line of the log says where it is and what to do with it.
fn assert_told(place: &Place, program: &Program, what: &str) -> PathBuf {
    let aside = place.aside();
    assert_eq!(aside.len(), 1, "{what}: {aside:?}");
    let told = || {
        let log = format!("{}{}", program.stdout(), program.stderr());
        log.lines().filter(|line| line.contains("set aside")).map(str::to_owned).collect::<Vec<_>>()
    };
    let lines =
        wait::until(&format!("a line of the log, {what}"), || Some(told()).filter(|lines| !lines.is_empty()));
    assert_eq!(lines.len(), 1, "{what}: {lines:?}");
    for part in [aside[0].to_str().unwrap(), ".recover"] {
        assert!(lines[0].contains(part), "{what}: {}", lines[0]);
    }
    aside[0].clone()
}

#[test]
fn a_gateway_starts_on_any_damaged_file_of_its_own() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("truncated to its first page", |bytes| bytes.truncate(PAGE)),
        ("truncated to its head", |bytes| bytes.truncate(60)),
        ("a bit of the header", |bytes| bytes[7] ^= 0x10),
        ("the page of the schema", |bytes| bytes[100..PAGE].fill(0x55)),
        ("zeros", |bytes| bytes.fill(0)),
        ("garbage", |bytes| bytes.iter_mut().zip((1..=255).cycle()).for_each(|(byte, other)| *byte = other)),
    ];
    for (what, damage) in damages {
        let place = Place::filled();
        let mut bytes = fs::read(place.data()).unwrap();
        damage(&mut bytes);
        fs::write(place.data(), &bytes).unwrap();
        let (mut program, address) = place.gateway();
        call(address, 3);
        assert_eq!(get(address, "/livez").status, 200, "{what}");
        assert_eq!(counted(address), Some(3), "{what}");
        let aside = assert_told(&place, &program, what);
        assert!(fs::read(aside).unwrap() == bytes, "{what}: the damaged file was changed");
        program.signal("TERM");
        assert!(program.ended().success(), "{what}");
        let (_program, address) = place.gateway();
        assert_eq!(counted(address), Some(3), "{what}: after a restart");
    }
}

#[test]
fn a_damaged_page_of_figures_is_found_when_it_is_read() {
    let place = Place::filled();
    let page = place.root_of("minutes");
    File::options().write(true).open(place.data()).unwrap().write_all_at(&[0x55; PAGE], page as u64).unwrap();
    let (program, address) = place.gateway();
    call(address, 2);
    // Whoever asks first, or the thread that writes, finds it; afterwards there are answers again.
    let count = wait::until("an answer from a new file", || {
        let count = counted(address);
        count.filter(|_| !place.aside().is_empty())
    });
    assert!(count <= 2, "{count}");
    assert_told(&place, &program, "a leaf");
    call(address, 2);
    assert!(counted(address).is_some_and(|count| count >= 2));
}

#[test]
fn traffic_and_probes_go_on_while_a_file_is_damaged_and_set_aside() {
    let place = Place::filled();
    let (program, address) = place.gateway();
    let over = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        for path in ["/status/200", "/livez", "/health/status", "/readyz"] {
            let (over, answered) = (&over, &answered);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(get(address, path).status, 200, "{path}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait::until("some traffic", || (answered.load(Ordering::Relaxed) > 50).then_some(()));
        // All but the page of the schema, and the log, as a disk that has lost them.
        for (path, from) in [(place.data(), PAGE), (log_of(&place.data()), 32)] {
            let length = fs::metadata(&path).unwrap().len() as usize;
            let file = File::options().write(true).open(path).unwrap();
            file.write_all_at(&vec![0x55; length.saturating_sub(from)], from as u64).unwrap();
        }
        wait::until("a new file", || {
            counted(address);
            (!place.aside().is_empty()).then_some(())
        });
        let before = answered.load(Ordering::Relaxed);
        wait::until("more traffic", || (answered.load(Ordering::Relaxed) > before + 50).then_some(()));
        wait::until("an answer", || counted(address).filter(|count| *count > 0));
        over.store(true, Ordering::Relaxed);
    });
    assert_told(&place, &program, "while it runs");
}

fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

#[test]
fn files_of_others_and_newer_ones_are_refused_and_stay_as_they_are() {
    type Spoil = fn(&Path);
    let others: [(&str, Spoil, &str); 3] = [
        (
            "a newer one",
            |path| {
                let version = Connection::open(path).unwrap();
                version.pragma_update(None, "user_version", 1000).unwrap();
            },
            "newer Lifesigns",
        ),
        (
            "another program's",
            |path| {
                fs::remove_file(path).unwrap();
                Connection::open(path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
            },
            "another program",
        ),
        (
            "a text, where no gateway ever wrote",
            |path| {
                let lock = PathBuf::from(format!("{}.lock", path.display()));
                fs::remove_file(lock).unwrap();
                fs::write(path, "name,count\norders,5\n").unwrap();
            },
            "no SQLite file",
        ),
    ];
    for (what, make, said) in others {
        let place = Place::filled();
        make(&place.data());
        let before = fs::read(place.data()).unwrap();
        let mut program = place.start();
        assert!(!program.ended().success(), "{what}");
        wait::until_or(
            || format!("{what}: {}", program.stderr()),
            || program.stderr().contains(said).then_some(()),
        );
        assert!(fs::read(place.data()).unwrap() == before, "{what} was changed");
        assert_eq!(place.aside(), Vec::<PathBuf>::new(), "{what}");
    }
}
