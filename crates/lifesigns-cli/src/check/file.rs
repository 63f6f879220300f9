//! The services that a configuration names. Whatever else it holds is for others.

use std::fs;
use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};

use super::arguments::{dialect, target};
use super::ask::Target;
use crate::printer::Problem;

/// Its `[[service]]` tables, one at least.
pub(super) fn targets(path: &Path, deadline: Duration) -> Result<Vec<Target>, Problem> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Problem::new(format!("{shown} cannot be read")).because(&error))?;
    read(&text, deadline)
        .map_err(|problem| Problem { message: format!("{shown}: {}", problem.message), ..problem })
}

fn read(text: &str, deadline: Duration) -> Result<Vec<Target>, Problem> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(before).filter(|byte| *byte == b'\n').count() + 1;
        Problem::new(format!("line {line} is no TOML: {}", error.message()))
    })?;
    let none = || {
        Problem::new("it names no service").hint("add `[[service]]` with `name` and `url` for each of them")
    };
    let services = table.get("service").and_then(Value::as_array).ok_or_else(none)?;
    if services.is_empty() {
        return Err(none());
    }
    (1..).zip(services).map(|(number, service)| service_of(number, service, deadline)).collect()
}

fn service_of(number: usize, service: &Value, deadline: Duration) -> Result<Target, Problem> {
    let name = service.get("name").and_then(Value::as_str);
    let which = name.map_or_else(|| format!("service {number}"), |name| format!("service `{name}`"));
    let wrong = |what: &str| Problem::new(format!("{which} {what}"));
    let url = service.get("url").and_then(Value::as_str);
    let url = url.ok_or_else(|| wrong("has no `url`").hint("add `url = \"http://shop.example/health\"`"))?;
    let found = target(url, deadline).map_err(|problem| {
        let message = format!("{which}: {}", problem.message);
        Problem { message, ..problem }
    })?;
    let dialect = match service.get("dialect") {
        None => None,
        Some(given) => {
            let known = given.as_str().ok_or_else(|| "it should be a text".to_owned()).and_then(dialect);
            Some(known.map_err(|fault| wrong(&format!("has a `dialect` that is none: {fault}")))?)
        }
    };
    let deadline = match service.get("deadline_seconds") {
        None => deadline,
        Some(given) => {
            let seconds = given.as_float().or_else(|| given.as_integer().map(|whole| whole as f64));
            seconds
                .filter(|seconds| (0.001..=86_400.0).contains(seconds))
                .map(Duration::from_secs_f64)
                .ok_or_else(|| wrong("has a `deadline_seconds` that is not between 0.001 and 86400"))?
        }
    };
    Ok(Target { name: name.map(str::to_owned), dialect, deadline, ..found })
}

#[cfg(test)]
mod tests {
    use lifesigns_model::dialect::Dialect;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[test]
    fn services_are_read_and_everything_else_is_left_alone() {
        let text = "[monitor]\nlisten = 3\n[[service]]\nname = \"polls\"\nurl = \"http://a/health\"\nowner = 1\n\
                    [[service]]\nurl = \"https://b\"\ndialect = \"traffic-light\"\ndeadline_seconds = 0.5\n";
        let found = read(text, DEADLINE).unwrap();
        let polls = &found[0];
        assert_eq!((polls.name.as_deref(), polls.url.as_str()), (Some("polls"), "http://a/health"));
        assert_eq!((polls.dialect, polls.deadline), (None, DEADLINE));
        assert_eq!((found[1].name.as_deref(), found[1].url.as_str()), (None, "https://b/"));
        assert_eq!(
            (found[1].dialect, found[1].deadline),
            (Some(Dialect::TrafficLight), Duration::from_millis(500))
        );
    }

    #[test]
    fn what_is_wrong_with_a_service_is_told() {
        let check = |text: &str, words: &str| {
            let problem = read(text, DEADLINE).unwrap_err();
            assert!(problem.message.contains(words), "{problem:?}");
        };
        check("", "names no service");
        check("service = []", "names no service");
        check("service = 3", "names no service");
        check("a = 1\n[[service]\n", "line 2 is no TOML");
        check("[[service]]\nname = \"a\"", "service `a` has no `url`");
        check("[[service]]\nurl = \"a\"", "service 1: `a` is no URL");
        check("[[service]]\nurl = \"http://a\"\ndialect = \"latin\"", "there is no dialect of this name");
        check("[[service]]\nurl = \"http://a\"\ndialect = 3", "should be a text");
        for bad in ["0", "-1", "nan", "inf", "1e9", "\"5\""] {
            check(&format!("[[service]]\nurl = \"http://a\"\ndeadline_seconds = {bad}"), "deadline_seconds");
        }
    }
}
