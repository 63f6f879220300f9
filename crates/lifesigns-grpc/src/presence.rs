//! Who is connected, and who has to go when too many are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// All connections of a server.
#[derive(Debug, Default)]
pub(crate) struct Presences {
    present: Mutex<HashMap<u64, Arc<Activity>>>,
}

/// What one connection does.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Calls that are under way.
    open: AtomicUsize,
    /// When it came, or last asked for something.
    last: Mutex<Instant>,
    leaves: Notify,
}

/// A connection that is there until this is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    number: u64,
    activity: Arc<Activity>,
    all: Arc<Presences>,
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Presences {
    /// Notes a connection. If there are `most` already, the one that has been of no use for longest is told to go:
    /// one without a call under way, if there is one.
    pub(crate) fn admit(self: &Arc<Self>, number: u64, most: usize) -> Presence {
        let activity = Arc::new(Activity {
            open: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
            leaves: Notify::new(),
        });
        let mut present = lock(&self.present);
        if present.len() >= most {
            let useless = present.iter().min_by_key(|(_, it)| (it.is_busy(), *lock(&it.last)));
            // Out of the list at once, so that the next one does not find it again.
            if let Some(number) = useless.map(|(number, _)| *number)
                && let Some(useless) = present.remove(&number)
            {
                useless.leaves.notify_one();
            }
        }
        present.insert(number, Arc::clone(&activity));
        Presence { number, activity, all: Arc::clone(self) }
    }
}

impl Presence {
    /// A call begins.
    pub(crate) fn begin(&self) -> Busy {
        self.activity.open.fetch_add(1, Ordering::Relaxed);
        *lock(&self.activity.last) = Instant::now();
        Busy(Arc::clone(&self.activity))
    }

    /// Resolves when the connection has to go.
    pub(crate) async fn has_to_go(&self) {
        self.activity.leaves.notified().await;
    }
}

impl Activity {
    fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        lock(&self.all.present).remove(&self.number);
    }
}

/// Nothing panics while it is held, so there is nothing to fear from a lock that was poisoned.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_told_to_go(presence: &Presence) -> bool {
        tokio::select! {
            biased;
            () = presence.has_to_go() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn whoever_is_of_no_use_for_longest_has_to_go() {
        let all = Arc::new(Presences::default());
        let first = all.admit(1, 3);
        let second = all.admit(2, 3);
        let third = all.admit(3, 3);
        let watching = first.begin();
        drop(second.begin());
        let _fourth = all.admit(4, 3);
        assert!(is_told_to_go(&third).await, "it came last, but the others have asked for something since");
        assert!(!is_told_to_go(&first).await);
        assert!(!is_told_to_go(&second).await);
        drop(third);

        let _fifth = all.admit(5, 3);
        assert!(is_told_to_go(&second).await, "it asked once and has no call under way");
        drop(watching);
        let _sixth = all.admit(6, 3);
        assert!(is_told_to_go(&first).await, "its call has ended");
    }

    #[tokio::test]
    async fn watchers_go_when_there_are_only_watchers() {
        let all = Arc::new(Presences::default());
        let presences = [1, 2].map(|number| all.admit(number, 2));
        let _watching = [presences[1].begin(), presences[0].begin()];
        let _third = all.admit(3, 2);
        assert!(is_told_to_go(&presences[1]).await);
        assert!(!is_told_to_go(&presences[0]).await);
    }
}
