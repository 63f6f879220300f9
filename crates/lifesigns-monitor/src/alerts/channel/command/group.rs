//! The process group of one run, and its end.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::process::Child;

/// A process group that is killed when this is dropped.
///
/// Its number is that of the program. It is free again when the program has been waited for and nobody is left in the
/// group; numbers are given out in turn, so it is not taken again in the moment until this is dropped.
pub(super) struct Group {
    number: Option<Pid>,
    orphans: Arc<Orphans>,
}

impl Group {
    pub(super) fn of(child: &Child, orphans: Arc<Orphans>) -> Group {
        Group { number: child.id().and_then(|id| Pid::from_raw(id.cast_signed())), orphans }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(number) = self.number
            // That nobody is left is the usual case, and no error.
            && kill_process_group(number, Signal::KILL).is_ok()
        {
            self.orphans.expect(number);
        }
    }
}

/// Groups that were killed: as process 1 of a container we inherit what their programs had started, and have to wait for
/// it.
#[derive(Default)]
pub(super) struct Orphans(Mutex<Vec<Pid>>);

impl Orphans {
    fn expect(&self, number: Pid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }

    /// Waits for all that have died, without blocking.
    pub(super) fn collect(&self) {
        let is_left = |group: &Pid| {
            loop {
                match waitpgid(*group, WaitOptions::NOHANG) {
                    Ok(Some(_)) => {}
                    // Still dying.
                    Ok(None) => return true,
                    // Nobody in it is ours.
                    Err(_) => return false,
                }
            }
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(is_left);
    }
}
