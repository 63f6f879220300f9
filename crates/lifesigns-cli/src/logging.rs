//! What is logged, and where: to standard error, as much as `LIFESIGNS_LOG` asks for.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::printer::{Printer, Problem};

const VARIABLE: &str = "LIFESIGNS_LOG";

/// Starts to log. Without the variable: warnings and errors.
///
/// # Errors
/// When the variable cannot be understood.
pub fn start(printer: Printer) -> Result<(), Problem> {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    let wanted = if wanted.trim().is_empty() { "warn" } else { wanted.trim() };
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        Problem::new(format!("{VARIABLE} cannot be understood")).because(&error).hint(
            "set it to error, warn, info, debug or trace, or by part as in `warn,lifesigns_gateway=debug`",
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(printer.colour_on_stderr())
        .init();
    Ok(())
}
