//! The process group of one run, and its end.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::process::Child;

/// A process group that is killed when this is dropped.
///
/// The group's number is that of the program. It is free again when the program has been waited for and nobody is left
/// in the group; numbers are given out in turn, so it is not taken again in the moment until this is dropped.
pub(crate) struct Group {
    number: Option<Pid>,
    graves: Arc<Graves>,
}

impl Group {
    pub(crate) fn of(child: &Child, graves: Arc<Graves>) -> Group {
        let number = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Group { number, graves }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            // That nobody is left is the usual case, and no error.
            if kill_process_group(number, Signal::KILL).is_ok() {
                self.graves.dig(number);
            }
        }
    }
}

/// Groups that were killed and may have left zombies to us: where we are process 1 of a container, or have taken its
/// place, the children of programs become ours when the programs end.
#[derive(Debug, Default)]
pub(crate) struct Graves(Mutex<Vec<Pid>>);

impl Graves {
    fn dig(&self, number: Pid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }

    /// Waits for all of them that have died, without blocking.
    pub(crate) fn visit(&self) {
        let mut graves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        graves.retain(|group| {
            loop {
                match waitpgid(*group, WaitOptions::NOHANG) {
                    Ok(Some(_)) => {}
                    // Still dying.
                    Ok(None) => break true,
                    // No child of ours is in it.
                    Err(_) => break false,
                }
            }
        });
    }
}
