//! Where the resources of an API are.

use rustc_hash::FxHashMap;

use crate::settings::ResourceKind;

/// The paths of resources. Nearly every request is for none of them, which is to be found out at once.
#[derive(Debug)]
pub(crate) struct ResourcePaths {
    /// Only the configuration adds to it, so a hash that is fast and not keyed is safe.
    kinds: FxHashMap<String, ResourceKind>,
    /// A bit for each beginning that one of them has.
    beginnings: u128,
}

impl ResourcePaths {
    /// Whether a path may be that of a resource or of something under it. False for most others.
    pub(super) fn may_lead_somewhere(&self, path: &str) -> bool {
        self.beginnings & beginning(path) != 0
    }

    /// Where the resource of this kind is, if it is anywhere.
    pub(super) fn of(&self, kind: ResourceKind) -> Option<&str> {
        self.kinds.iter().find(|(_, found)| **found == kind).map(|(path, _)| path.as_str())
    }

    pub(super) fn get(&self, path: &str) -> Option<ResourceKind> {
        self.kinds.get(path).copied()
    }
}

impl FromIterator<(String, ResourceKind)> for ResourcePaths {
    fn from_iter<I: IntoIterator<Item = (String, ResourceKind)>>(paths: I) -> ResourcePaths {
        let kinds: FxHashMap<_, _> = paths.into_iter().collect();
        let beginnings = kinds.keys().fold(0, |bits, path| bits | beginning(path));
        ResourcePaths { kinds, beginnings }
    }
}

/// A bit for the first two bytes after the slash. What is under `/h` begins as `/h` does.
fn beginning(path: &str) -> u128 {
    let (first, second) = match path.as_bytes() {
        [_, first, second, ..] => (*first, *second),
        [_, first] => (*first, b'/'),
        _ => (0, 0),
    };
    1 << (first.wrapping_mul(29).wrapping_add(second) % 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_a_resource_may_lead_somewhere_and_most_others_do_not() {
        let paths: ResourcePaths =
            ResourceKind::ALL.into_iter().map(|kind| (kind.default_path().to_owned(), kind)).collect();
        for kind in ResourceKind::ALL {
            assert_eq!(paths.get(kind.default_path()), Some(kind));
            for below in ["", "/200", "/o/environments/e/query"] {
                assert!(paths.may_lead_somewhere(&format!("{}{below}", kind.default_path())));
            }
        }
        let others =
            ["/", "/users/42", "/orders", "/api/v1", "/products", "/login", "/v2/items", "/search", "/carts"];
        let needless = others.iter().filter(|path| paths.may_lead_somewhere(path)).count();
        assert!(needless <= 2, "{needless}");
        for path in ["", "/", "/h", "/é"] {
            assert_eq!(paths.get(path), None);
            paths.may_lead_somewhere(path);
        }
    }

    #[test]
    fn the_shortest_paths_lead_somewhere_too() {
        for path in ["/", "/h", "/hé"] {
            let paths: ResourcePaths = [(path.to_owned(), ResourceKind::Health)].into_iter().collect();
            assert!(paths.may_lead_somewhere(path));
            assert!(path == "/" || paths.may_lead_somewhere(&format!("{path}/200")));
        }
    }
}
