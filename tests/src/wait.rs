//! Waiting for what is to become true.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for anything on this machine before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Calls `attempt` until it gives a value; panics with `what` when that takes longer than [`PATIENCE`].
///
/// ```
/// # use std::sync::atomic::{AtomicU32, Ordering};
/// let calls = AtomicU32::new(0);
/// let third = lifesigns_tests::wait::until("the third call", || {
///     let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
///     (call == 3).then_some(call)
/// });
/// assert_eq!(third, 3);
/// ```
pub fn until<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    until_or(|| format!("waited {PATIENCE:?} in vain for {what}"), attempt)
}

/// As [`until`], but panics with what `explain` gives then.
pub fn until_or<T>(explain: impl Fn() -> String, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "{}", explain());
        thread::sleep(Duration::from_millis(10));
    }
}
