//! Faults are pasted into tickets: no secret of a configuration is in them.

use super::*;

/// No word of any message, and no part of one.
const CANARY: &str = "K4n4rie";

/// Texts that hold a password, whatever key they stand under.
const TELLING: [&str; 14] = [
    "postgres://app:K4n4rie@db:54x2/orders",
    "postgres://app:a/K4n4rie@b#c@db/orders",
    "postgres://app:K4n4rie",
    "redis://:K4n4rie@",
    "redis://:1/K4n4rie",
    "nats://K4n4rie@broker",
    "http://127.0.0.1:3000/?key=K4n4rie",
    "http://127.0.0.1:3000/?K4n4rie",
    "https://app:K4n4rie@[::1]/",
    "app:K4n4rie@db",
    "authorization: Bearer K4n4rie",
    "Basic K4n4rie",
    "password=K4n4rie",
    "ls_K4n4rieK4n4rieK4n4rie",
];

/// Texts that are no secret by themselves, but where secrets belong, or may have been put.
const SECRET_LINES: [&str; 16] = [
    "hash = \"K4n4rie\"",
    "hash_env = \"K4n4rie\"",
    "hash_file = \"K4n4rie\"",
    "password = \"K4n4rie\"",
    "pasword = 'K4n4rie'",
    "passwort = K4n4rie",
    "password_env = \"K4n4rie\"",
    "password_file = \"K4n4rie\"",
    "headers = [\"x-key: K4n4rie\", \"x\"]",
    "headers = [\"K4n4rie\"]",
    "headers_env = \"K4n4rie\"",
    "headers.x-key = \"K4n4rie\"",
    "environment = [\"TOKEN=K4n4rie\", \"=x\"]",
    "environment = [\"K4n4rie\"]",
    "arguments = [\"--key\", \"K4n4rie\"]",
    "http = { headers = [\"x-key: K4n4rie\"], url = 3 } # K4n4rie",
];

fn check(text: &str) {
    if let Err(faults) = read(text) {
        let told = told(Err(faults));
        assert!(!told.contains(CANARY), "{text}\n{told}");
    }
}

fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    let headers = sections().into_iter();
    headers.flat_map(|section| section.keys.iter().map(|key| (section.header, key.name)))
}

#[test]
fn no_key_lets_a_password_be_told() {
    for (header, key) in keys() {
        let header = header.replace("RESOURCE", "readyz");
        for value in TELLING {
            let listed = format!("[\"{value}\", 7, \"\"]");
            for value in [format!("\"{value}\""), format!("'{value}'"), listed, value.to_owned()] {
                check(&format!("{header}\n{key} = {value}\n"));
            }
            for broken in [format!("{key}s ="), key.to_owned(), format!("{key}:"), format!("{key} =\n")] {
                check(&format!("{header}\n{broken} \"{value}\"\n"));
            }
            check(&format!(
                "[[check]]\nname = \"a\"\n[check.redis]\n{key} = \"{value}\"\nurl = \"redis://x\"\n"
            ));
        }
        for line in SECRET_LINES {
            check(&format!("{header}\n{line}\n"));
            check(&format!("{header}\n{key} = 3, {line}\n"));
            check(&format!("{header}\n{key} = [\n{line}\n"));
        }
    }
}

#[test]
fn flags_and_variables_are_told_without_their_secrets() {
    let path: &[tree::Step] =
        &[tree::Step { key: "api", list: true }, tree::Step { key: "upstream", list: false }];
    for value in TELLING {
        let flags = [Flag { name: "--upstream", path, value: Some(value) }];
        // Whether a query is a fault is another matter.
        let told = told(from_flags(&flags, &Pretended::default()));
        assert!(told.starts_with("--upstream: error: ") && !told.contains(CANARY), "{told}");
        for variable in &overrides::VARIABLES {
            let variables = Pretended::variables(&[(variable.name, value)]);
            if let Err(faults) = read_in(ONE_API, &variables) {
                let told = super::told(Err(faults));
                assert!(!told.contains(CANARY), "{told}");
            }
        }
    }
}

#[test]
fn what_is_no_secret_is_shown_with_the_caret_below_it() {
    let check = |text: &str, expected: &str| {
        let told = told(read(text));
        assert!(told.contains(expected), "{told}");
    };
    let check_line = |table: &str, line: &str, expected: &str| {
        check(&format!("{ONE_API}[[check]]\nname = \"a\"\n[check.{table}]\n{line}\n"), expected);
    };
    check_line(
        "postgres",
        "url='postgres://app:geheim@db:54x2/orders' # geheim",
        "  6 | url='postgres://***@db:54x2/orders' # ***\n    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n",
    );
    check_line(
        "http",
        "headers = [\"X-Key: geheim\", \"b\"]\nurl = \"http://x\"",
        "  6 | headers = [\"X-Key: ***\", \"***\"]\n    |                          ^^^^^\n",
    );
    check_line("certificate", "address = \"db:54x2\"", "  6 | address = \"db:54x2\"\n");
    check_line("redis", "url = \"redis://x\"\npassword_env = \"PASS\"", "variable PASS is not set\n");
    check_line("redis", "url = \"redis://x\"\npassword_env = \"geheim\"", "variable *** is not set\n");
    check_line(
        "redis",
        "url = \"redis://x\"\npassword_file = \"run/x\"",
        "/etc/lifesigns/run/x cannot be read",
    );
    check_line(
        "redis",
        "url = \"redis://x\"\npassword_file = \"geheim\"",
        "/etc/lifesigns/*** cannot be read",
    );
    check("[[api]]\nupstream = \"app:geheim@db\"\n", "hint: write \"http://***@db\"\n");
    check("[gateway]\nlisten = 127.0.0.1:8080\n", "  2 | listen = 127.0.0.1:8080\n");
    check("[gateway]\nlisten = \":8080\" # ours\n", "  2 | listen = \":8080\" # ***\n");
    check("organization = example\n", "  1 | organization = example\n");
}

#[test]
fn what_is_not_closed_is_hidden_to_its_end() {
    for text in [
        "name = \"\"\"K4n4rie",
        "name = '''\nK4n4rie",
        "name = '''\n'K4n4rie''",
        "[check\"K4n4rie",
        "hash = \"x\\\"K4n4rie",
    ] {
        let source = Source::new("a.toml", text);
        let (start, length) = (text.rfind(CANARY).unwrap(), CANARY.len());
        let excerpt = source.excerpt(&(start..start + length));
        assert_eq!((excerpt.faulty, excerpt.after), ("***", ""), "{text}");
    }
}

proptest! {
    #[test]
    fn no_secret_is_told_of_any_lines(lines in prop::collection::vec(secret_or_other_line(), 1..12)) {
        if let Err(faults) = read(&lines.join("\n")) {
            let told = Printer::plain().faults_text(&faults);
            prop_assert!(!told.contains(CANARY), "{told}");
        }
    }
}

fn secret_or_other_line() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = keys().map(|(_, key)| key).collect();
    let quotes = [("\"", "\""), ("'", "'"), ("\"", ""), ("\"\"\"", ""), ("['", "',"), ("", "")];
    let quotes = prop::sample::select(quotes.to_vec());
    let telling = (prop::sample::select(keys), quotes, prop::sample::select(TELLING.to_vec()));
    let broken =
        ["[", "]", "name = [", "name = \"\"\"", "'''", "{", "}", "=", "[[check", "[check.redis]", "hash ="];
    prop_oneof![
        2 => line(),
        2 => telling.prop_map(|(key, (open, close), value)| format!("{key} = {open}{value}{close}")),
        1 => prop::sample::select(SECRET_LINES.to_vec()).prop_map(str::to_owned),
        1 => prop::sample::select(broken.to_vec()).prop_map(str::to_owned),
    ]
}
