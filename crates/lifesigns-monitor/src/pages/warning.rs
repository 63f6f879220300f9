//! What whoever looks has to know of the monitor itself, before anything else.

use super::markup::{Ago, Clipped};
use crate::fleet::keeping::State;

/// Nothing while the history keeps what happens.
pub(super) fn warning(history: &State, now: i64) -> String {
    let Some(why) = &history.trouble else { return String::new() };
    let lost = match history.dropped {
        (0, 0) => String::new(),
        (readings, events) => format!(" {readings} readings and {events} events had to be given up."),
    };
    format!(
        "<aside class=\"banner a\" aria-label=\"History\"><h2>What happens is not kept</h2><p>The history was last \
         written {}: {}.</p><p>Services are watched and people told all the same. What happens meanwhile would \
         be forgotten at a restart; entries that wait: {}.{lost}</p></aside>",
        Ago { at: history.kept_at, now },
        Clipped(why, 300),
        history.waiting,
    )
}
