//! What a webhook is sent, written by whoever sets it up.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use lifesigns::BadOption;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use crate::alerts::message::{Affected, Message, MessageKind};
use crate::alerts::outbox::Delivery;
use crate::alerts::payload::Payload;
use crate::service::{Deploy, Letter};

/// Steps that a template may take: enough for thousands of services, and no endless loop.
const MOST_STEPS: u64 = 2_000_000;
/// The longest template, in bytes.
const LONGEST: usize = 64 * 1024;
const NAME: &str = "template";

/// A template that was checked.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    is_json: bool,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(…)")
    }
}

impl Template {
    /// Reads a template, and tries it on messages of every kind.
    ///
    /// # Errors
    /// When it cannot be read, when it names what there is not, or when what it makes is not of that type.
    pub fn new(source: &str, content_type: &str) -> Result<Template, BadOption> {
        let bad = |fault: String| BadOption::new("template", fault);
        if source.len() > LONGEST {
            return Err(bad(format!("is {} bytes long; {LONGEST} are the most", source.len())));
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_json = essence.ends_with("/json") || essence.ends_with("+json");
        let is_markup = essence.ends_with("/html") || essence.ends_with("/xml") || essence.ends_with("+xml");
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(move |_| match (is_json, is_markup) {
            (true, _) => AutoEscape::Json,
            (_, true) => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(MOST_STEPS));
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| bad(told(&error)))?;
        let template = Template { environment: Arc::new(environment), is_json };
        for sample in samples() {
            let kind = sample.message.kind.word();
            let made = template.render(&Payload::of(&sample));
            made.map_err(|fault| bad(format!("{fault} (tried on a message that is `{kind}`)")))?;
        }
        Ok(template)
    }

    /// What it makes of a message; otherwise what is wrong with the template, reading on from its name.
    pub(super) fn render(&self, payload: &Payload) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(|error| told(&error))?;
        let values = Value::from(Serde(payload));
        let made = template.render(values).map_err(|error| told(&error))?;
        if self.is_json
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&made)
        {
            return Err(format!(
                "makes what is no JSON: {error}; values bring their own quotes: {{\"text\": {{{{ title }}}}}}"
            ));
        }
        Ok(made)
    }
}

/// What is wrong, and where; without what stands there, which may be a secret.
fn told(error: &Error) -> String {
    let at = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let kind = error.kind();
    if kind == ErrorKind::OutOfFuel {
        return format!("takes more than {MOST_STEPS} steps{at}: does a loop not end?");
    }
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("cannot be used{at}: {kind}{detail}{source}")
}

/// Messages with everything and with nothing, of every kind.
fn samples() -> Vec<Delivery> {
    let bare = Affected {
        name: "orders".to_owned(),
        environment: None,
        light: Letter::R,
        now: None,
        began: 0,
        ended: None,
        cause: "connection refused".to_owned(),
        failing: None,
        excerpt: None,
        deploy: None,
    };
    let full = Affected {
        environment: Some("production".to_owned()),
        light: Letter::A,
        ended: Some(240_000),
        failing: Some("db".to_owned()),
        excerpt: Some("{\"status\": \"DOWN\"}\n<b>&".to_owned()),
        deploy: Some(Deploy { at: 0, from: "1a2b3c4".to_owned(), to: "5d6e7f8".to_owned() }),
        ..bare.clone()
    };
    let kinds = [MessageKind::Opened, MessageKind::Updated, MessageKind::Reminder, MessageKind::Resolved];
    let all = kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]);
    all.map(|(kind, is_full)| {
        let message = Message {
            id: "1-orders/ops/0".to_owned(),
            first: None,
            incident: "1-orders".to_owned(),
            kind,
            light: Letter::R,
            now: None,
            is_better: false,
            began: 0,
            at: 240_000,
            services: if is_full { vec![full.clone(), bare.clone()] } else { vec![bare.clone()] },
            shared: if is_full { vec!["host \"a\"".to_owned()] } else { Vec::new() },
            endangered: if is_full { vec!["web".to_owned()] } else { Vec::new() },
            link: is_full.then(|| "https://monitor.example/incidents/1-orders".to_owned()),
        };
        Delivery::new("ops", message, 0)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn made(source: &str, content_type: &str) -> String {
        let template = Template::new(source, content_type).unwrap();
        template.render(&Payload::of(&samples()[1])).unwrap()
    }

    #[test]
    fn values_are_escaped_for_what_is_made() {
        let source = "{{ services[0].excerpt }}";
        let check = |content_type: &str, expected: &str| assert_eq!(made(source, content_type), expected);
        check("application/json", r#""{\"status\": \"DOWN\"}\n<b>&""#);
        check("application/problem+json; charset=utf-8", r#""{\"status\": \"DOWN\"}\n<b>&""#);
        check("text/plain", "{\"status\": \"DOWN\"}\n<b>&");
        check("text/html; charset=utf-8", "{&quot;status&quot;: &quot;DOWN&quot;}\n&lt;b&gt;&amp;");
    }

    #[test]
    fn a_template_has_loops_conditions_and_filters() {
        let source = "{% for one in services %}{{ one.name | upper }}{% if one.deploy %}!{% endif %} {% endfor %}\
                      {{ shared | join(', ') | urlencode }}";
        assert_eq!(made(source, "text/plain"), "ORDERS! ORDERS host%20%22a%22");
    }

    /// Of the documentation, what stands between two lines.
    fn documented(from: &str, to: &str) -> &'static str {
        let (_, rest) = include_str!("../../../../../../docs/alerts.md").split_once(from).unwrap();
        rest.split_once(to).unwrap().0
    }

    #[test]
    fn the_template_in_the_documentation_is_one() {
        let (_, section) = documented("### Templates", "## Slack").split_once("```\n").unwrap();
        let (source, _) = section.split_once("```").unwrap();
        let expected = r#"{"summary": "RED: orders", "critical": true, "names": ["orders","orders"]}"#;
        assert_eq!(made(source, "application/json").trim(), expected);
    }

    #[test]
    fn every_field_is_in_the_documentation() {
        let cells = documented("| field | type | |\n|---|---|---|\n", "\n\n").lines();
        let cells = cells.map(|line| line.split('|').nth(1).unwrap().replace('`', ""));
        let documented: BTreeSet<String> = cells
            .flat_map(|cell| cell.split(", ").map(|name| name.trim().to_owned()).collect::<Vec<_>>())
            .collect();
        let payload: serde_json::Value = serde_json::from_str(&Payload::of(&samples()[1]).json()).unwrap();
        let fields = payload.as_object().unwrap().keys().cloned();
        let of_services = payload["services"][0].as_object().unwrap().keys();
        let fields: BTreeSet<String> =
            fields.chain(of_services.map(|name| format!("services[].{name}"))).collect();
        assert_eq!(fields, documented);
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        let check = |source: &str, content_type: &str, words: &[&str]| {
            let told = Template::new(source, content_type).unwrap_err().to_string();
            assert!(words.iter().all(|word| told.contains(word)), "{told}");
        };
        check("a\n{{ title", "text/plain", &["`template` cannot be used in line 2"]);
        check("a\n\n{{ titel }}", "text/plain", &["in line 3", "undefined"]);
        check("{{ title | shout }}", "text/plain", &["unknown filter"]);
        check("{% include 'other' %}", "text/plain", &["cannot be used"]);
        check("{\"text\": \"{{ title }}\"}", "application/json", &["makes what is no JSON", "opened"]);
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}";
        check(endless, "text/plain", &["takes more than", "steps"]);
        check(&"x".repeat(LONGEST + 1), "text/plain", &["bytes long"]);
        // It works for some messages only.
        check("{{ services[1].name }}", "text/plain", &["undefined"]);
    }
}
