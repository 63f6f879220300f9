//! Where resources stand on a listener: their paths as callers write them, and whose they are.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::mount::Mount;
use crate::process::{Api, ApiState, Process};
use crate::recorder::lock;
use crate::resources::{Question, Resource, Target};
use crate::settings::{Listener, ResourceKind};

/// What may stand unencoded in a path (RFC 3986 §3.3), the braces of a template included, which names never have.
const NOT_IN_A_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One resource at one path.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) api: Api,
    pub(super) resource: Resource,
    /// The path, percent-encoded, with templates such as `{code}`.
    pub(super) path: String,
}

impl Place {
    pub(super) fn state(&self) -> &ApiState {
        self.api.state()
    }
}

/// Everything that can be asked for on this listener under this host, in the order of the kinds. `mounts` are those
/// that the host leads to, as [`mounts`] gives them.
pub(super) fn places(api: &Api, listener: Listener, mounts: &[(usize, Mount)]) -> Vec<Place> {
    let process = &api.process;
    let map = Map { api, listener, mounts };
    let mut places = Vec::new();
    if listener == Listener::Public {
        for (index, mount) in mounts {
            map.add_own(&mut places, *index, mount.path(), |full| map.owner(full) == Some((*index, mount)));
        }
        map.add_own(&mut places, process.own, "", |full| map.owner(full).is_none());
    } else {
        map.add_own(&mut places, process.own, "", |_| true);
        let gateway = process.apis.iter().enumerate().filter(|(index, _)| *index != process.own);
        for (index, state) in gateway {
            let base = format!("/{}", state.name);
            map.add_own(&mut places, index, &base, |full| map.is_free(process.own, full));
        }
    }
    map.add_shared(&mut places);
    places
}

/// The mounts that a host leads to, the most specific first.
pub(super) fn mounts(process: &Process, host: Option<&str>) -> Vec<(usize, Mount)> {
    let mut mounts = Vec::new();
    for (index, state) in process.apis.iter().enumerate() {
        mounts.extend(lock(&state.mounts).iter().map(|mount| (index, mount.clone())));
    }
    mounts.retain(|(_, mount)| mount.is_on(host));
    mounts.sort_by_key(|(_, mount)| std::cmp::Reverse(mount.specificity()));
    mounts
}

struct Map<'a> {
    api: &'a Api,
    listener: Listener,
    mounts: &'a [(usize, Mount)],
}

impl Map<'_> {
    /// The mount that gets requests for a path.
    fn owner(&self, path: &str) -> Option<(usize, &Mount)> {
        let covering = self.mounts.iter().find(|(_, mount)| mount.relative(path).is_some());
        covering.map(|(index, mount)| (*index, mount))
    }

    fn state(&self, index: usize) -> &ApiState {
        &self.api.process.apis[index]
    }

    /// Whether no resource of this API, and none of all of them, stands at a path.
    fn is_free(&self, index: usize, path: &str) -> bool {
        Resource::find(self.state(index), path, self.listener).is_none()
    }

    fn add_own(&self, places: &mut Vec<Place>, index: usize, base: &str, reaches: impl Fn(&str) -> bool) {
        for kind in ResourceKind::ALL.into_iter().filter(|kind| !kind.is_shared()) {
            self.add(places, index, kind, base, &reaches);
        }
    }

    fn add_shared(&self, places: &mut Vec<Place>) {
        let own = self.api.process.own;
        // Where an API has a resource of its own, that one answers.
        let reaches = |full: &str| match self.owner(full) {
            Some((index, mount)) if self.listener == Listener::Public => {
                let relative = mount.relative(full).unwrap_or("/");
                let found = Resource::find(self.state(index), relative, self.listener);
                found.is_none_or(|resource| resource.kind().is_shared())
            }
            _ => true,
        };
        for kind in ResourceKind::ALL.into_iter().filter(|kind| kind.is_shared()) {
            self.add(places, own, kind, "", &reaches);
        }
    }

    fn add(
        &self,
        places: &mut Vec<Place>,
        index: usize,
        kind: ResourceKind,
        base: &str,
        reaches: &impl Fn(&str) -> bool,
    ) {
        let state = self.state(index);
        if !state.settings.resource(kind).exposure.covers(self.listener) {
            return;
        }
        let Some(path) = state.paths.of(kind) else { return };
        let api = Api { process: self.api.process.clone(), index };
        for (example, template, target) in below(state, kind) {
            if reaches(&format!("{base}{path}{example}")) {
                let encoded = utf8_percent_encode(&format!("{base}{path}"), NOT_IN_A_PATH).to_string();
                let path = format!("{encoded}{template}");
                places.push(Place { api: api.clone(), resource: Resource { kind, target }, path });
            }
        }
    }
}

/// What stands at the path of a kind and below it: an example, its template, and what it leads to.
fn below(state: &ApiState, kind: ResourceKind) -> Vec<(&'static str, &'static str, Target)> {
    match kind {
        ResourceKind::HealthStatus if state.settings.forced_answers => {
            vec![("", "", Target::Whole), ("/200", "/{code}", Target::Forced("200".to_owned()))]
        }
        ResourceKind::Analytics => [
            ("/o/environments/e/query", "/{organization}/environments/{environment}/query", Question::Query),
            (
                "/o/environments/e/events",
                "/{organization}/environments/{environment}/events",
                Question::Events,
            ),
        ]
        .into_iter()
        .map(|(example, template, question)| {
            let (organization, environment) = ("o".to_owned(), "e".to_owned());
            let target = Target::Analytics { organization, environment, question };
            (example, template, target)
        })
        .collect(),
        _ => vec![("", "", Target::Whole)],
    }
}
