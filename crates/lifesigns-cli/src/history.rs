//! `lifesigns history`: how a service was, as a monitor remembers it.
//!
//! | room | question it answers |
//! |---|---|
//! | `arguments` | what can be typed? |
//! | `source` | who remembers: a monitor, or its data file? |
//! | `past` | what do they remember? |
//! | `picture` | how is it shown? |

mod arguments;
mod past;
mod picture;
pub mod source;

use crate::Failure;
use crate::printer::{self, Printer, Problem, escaped, escaped_json};

pub use self::arguments::{Arguments, length};
use self::past::Past;
use self::source::Source;

/// Asks, and prints the answer. Fails with nothing but a note if nothing is known.
pub fn run(printer: Printer, arguments: &Arguments) -> Result<(), Failure> {
    let page = printer.page();
    let source = Source::new(&arguments.place)?;
    let points = picture::bar_width(page);
    let answer = source.history(&arguments.service, arguments.last, points)?;
    let Some(json) = answer else {
        let hint = source.hint(&arguments.service)?;
        let name = escaped(&arguments.service);
        printer::note(&format!("nothing is known of `{name}` in that time{hint}"));
        return Err(Failure::Nothing);
    };
    if arguments.json {
        return printer::result(&escaped_json(&json.to_string())).map_err(Failure::Output);
    }
    let past = Past::read(&json).ok_or_else(|| {
        Failure::Problem(
            Problem::new("the answer is none of a monitor's").hint("is it a monitor that was asked?"),
        )
    })?;
    printer::lines(&picture::text(&past, page)).map_err(Failure::Output)
}
