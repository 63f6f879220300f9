//! How many clients may be there at once: as many as the system gives files for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are not clients' or upstreams': listeners, the store, the runtimes' own, and clients of operators.
const RESERVED: u64 = 40;

/// Raises the soft limit of open files to the hard one, and says for how many clients that is enough in each of so
/// many workers. A client may take another file for its upstream. Past this bound nobody is accepted: with no file left
/// for an upstream, clients could make an API look dead.
pub(crate) fn clients(workers: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    };
    share(current, workers)
}

/// `None` is no limit.
fn share(files: Option<u64>, workers: usize) -> usize {
    let Some(files) = files else { return usize::MAX };
    let clients = files.saturating_sub(RESERVED) / 2 / workers.max(1) as u64;
    usize::try_from(clients).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_a_file_for_its_upstream() {
        assert_eq!(share(None, 2), usize::MAX);
        assert_eq!(share(Some(1024), 2), 246);
        assert_eq!(share(Some(64), 2), 6);
        assert_eq!(share(Some(10), 2), 1);
    }
}
