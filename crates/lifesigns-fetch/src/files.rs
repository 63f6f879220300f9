//! How much may be under way at a time: as much as the system gives files for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// An exchange takes a file for its connection; a name that is looked up, or two addresses that are tried at once, take
/// another.
const FILES: u64 = 2;

/// How many exchanges may be under way at a time, so that half of the files that this process may open are left to
/// everything else; one at least. Raises the soft limit of open files to the hard one first.
pub fn most_at_a_time() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    share(files)
}

/// `None` is no limit.
fn share(files: Option<u64>) -> usize {
    files.map_or(usize::MAX, |files| usize::try_from(files / 2 / FILES).unwrap_or(usize::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_left() {
        assert_eq!(share(None), usize::MAX);
        assert_eq!(share(Some(256)), 64);
        assert_eq!(share(Some(3)), 1);
    }
}
