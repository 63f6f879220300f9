//! `lifesigns query`: the analytics query in short form, asked of a gateway or of a data file.
//!
//! | room | question it answers |
//! |---|---|
//! | `arguments` | what can be typed? |
//! | `question` | what does it ask, as the analytics query has it? |
//! | `source` | who answers? |
//! | `answer` | what does the answer say? |
//! | `table`, `csv` | how is it shown? |

mod answer;
mod arguments;
mod csv;
mod question;
mod source;
mod table;

use jiff::Timestamp;

use crate::Failure;
use crate::printer::{self, Printer, Problem, escaped_json};

use self::answer::Answer;
pub use self::arguments::Arguments;
use self::question::Question;
use self::source::Source;

/// Asks, and prints the answer.
pub fn run(printer: Printer, arguments: &Arguments) -> Result<(), Failure> {
    let question = Question::new(&arguments.question, Timestamp::now()).map_err(Failure::Arguments)?;
    let source = Source::new(&arguments.place)?;
    let json = source.ask(&question).map_err(Failure::Problem)?;
    let answer = Answer::read(&json, &question.chains).map_err(|what| {
        Failure::Problem(Problem::new(format!("{source} gave no answer to the question: {what}")))
    })?;
    if arguments.json {
        printer::result(&escaped_json(&json.to_string())).map_err(Failure::Output)?;
    } else if arguments.csv {
        printer::lines(&csv::rows(&answer, &question.chains)).map_err(Failure::Output)?;
    } else if !answer.is_empty() {
        let text = table::text(&answer, &question.chains, printer.page());
        printer::lines(&text).map_err(Failure::Output)?;
    }
    if answer.is_empty() {
        printer::note(&format!(
            "nothing was counted in {} that the question lets through",
            table::window(&answer)
        ));
        return Err(Failure::Nothing);
    }
    Ok(())
}
