//! What is logged, and where: to standard error, as much as `LIFESIGNS_LOG` asks for.
//!
//! Lines are handed to a thread that writes them. Whoever reads standard error may stop reading: that must hold up
//! neither traffic nor verdict, so lines are lost then, and counted.

mod queue;

use std::fmt::Debug;
use std::time::Duration;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{self, Writer};

use self::queue::Queue;
use crate::printer::{Printer, Problem, escaped};

const VARIABLE: &str = "LIFESIGNS_LOG";

/// Warnings and errors, and every change of a light: a log that tells of a red light is to tell of its end, too.
pub const OF_GATEWAY: &str = "warn,lifesigns::changes=info";

/// Warnings and errors, without the changes that are on the screen anyway.
pub const OF_DEMO: &str = "warn,lifesigns::changes=off";

/// How long what was said last may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

impl Format {
    /// The words for the formats.
    pub const NAMES: [&'static str; 2] = ["text", "json"];

    /// The format of this name.
    pub fn from_name(name: &str) -> Option<Format> {
        match name {
            "text" => Some(Format::Text),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// Starts to log. Without the variable: what `default` says.
///
/// # Errors
/// When the variable cannot be understood, or the system gives no thread.
pub fn start(printer: Printer, format: Format, default: &str) -> Result<(), Problem> {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    let wanted = if wanted.trim().is_empty() { default } else { wanted.trim() };
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        Problem::new(format!("{VARIABLE} cannot be understood")).because(&error).hint(
            "set it to error, warn, info, debug or trace, or by part as in `warn,lifesigns_gateway=debug`",
        )
    })?;
    let queue = Queue::start(format)
        .map_err(|error| Problem::new("the system gave no thread to log in").because(&error))?;
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || queue.writer());
    match format {
        Format::Text => {
            logger.fmt_fields(plain_fields()).with_ansi(printer.colour_on_stderr()).init();
        }
        Format::Json => {
            logger.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
        }
    }
    Ok(())
}

/// What is logged may come from outside; none of it is to steer a terminal or to look like a line of its own.
fn plain_fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    let field = |writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let value = escaped(&format!("{value:?}"));
        match field.name() {
            "message" => write!(writer, "{value}"),
            name => write!(writer, "{name}={value}"),
        }
    };
    format::debug_fn(field).delimited(" ")
}

/// Waits until what was logged so far is written, for a second at most.
pub fn flush() {
    queue::flush(LAST_WORDS);
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_logged_steers_no_terminal_and_makes_no_lines() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(plain_fields())
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        let hostile = "a\nERROR b\u{1b}[2J\u{202e}";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(text = hostile, shown = %hostile, number = 7, "{hostile}");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with('\n') && !text.trim_end().contains(char::is_control), "{text:?}");
        assert!(!text.contains('\u{202e}') && text.contains(" number=7"), "{text:?}");
        assert!(text.contains(r"a\u{a}ERROR b\u{1b}[2J\u{202e}"), "{text:?}");
    }
}
