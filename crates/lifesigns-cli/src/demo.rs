//! `lifesigns demo`: a whole small world on loopback.
//!
//! | module | what it is |
//! |---|---|
//! | `world` | everything there is, started and stopped |
//! | `services` | six sample services behind a gateway |
//! | `shop` | six more, without one, each in a dialect of its own |
//! | `outage` | who of them fails when |
//! | `monitor` | who watches them all, and whom it tells |
//! | `traffic` | who calls them |
//! | `screen` | what a person sees of it |
//! | `random` | seeded chance |

mod monitor;
mod outage;
mod random;
mod screen;
mod services;
mod shop;
mod traffic;
mod world;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use self::screen::Screen;
use self::world::World;
use crate::printer::{self, Printer, Problem};

/// How the demo is wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Where the gateway listens; everything else then takes free ports. `None`: the gateway at 127.0.0.1:8080, the
    /// Polls API at 4000, operators at 9090 and the monitor at 8090, or wherever there is room if one of them is taken.
    pub listen: Option<SocketAddr>,
    /// How long it lasts. `None`: until Ctrl-C.
    pub duration: Option<Duration>,
}

/// Runs the demo until it is over, interrupted or terminated.
///
/// # Errors
/// What could not be started or stopped.
pub fn run(printer: Printer, options: Options) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new("the demo could not be started").because(&error))?;
    runtime.block_on(show(printer, options))
}

async fn show(printer: Printer, options: Options) -> Result<(), Problem> {
    let started = Instant::now();
    let cannot_stop = |error: io::Error| Problem::new("signals cannot be caught here").because(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_stop)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_stop)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(cannot_stop)?;

    let mut world = World::start(options.listen).await?;
    let in_place = io::stdout().is_terminal();
    let mut screen = Screen::new(in_place, printer.colour_on_stdout());
    let mut shown = screen::introduction(&world).into_iter().try_for_each(|line| printer::result(&line));

    let pause = Duration::from_secs(if in_place { 1 } else { 5 });
    let mut ticks = interval_at(started + pause, pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = async {
        match options.duration {
            Some(duration) => sleep_until(started + duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    // Nobody to look at it any more, such as a closed pipe, is a reason to end, too.
    while shown.is_ok() {
        tokio::select! {
            _ = ticks.tick() => shown = printer::result(&screen.figures(&world)),
            Some(told) = world.messages.recv() => {
                shown = printer::result(&screen.message(&told, started.elapsed()))
                    .and_then(|()| if in_place { printer::result(&screen.figures(&world)) } else { Ok(()) });
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => break,
            () = &mut end => break,
        }
    }
    let tally = world.stop().await?;
    printer::note(&format!(
        "the demo is over: {} requests answered, {} without an answer",
        tally.answered, tally.failed
    ));
    Ok(())
}
