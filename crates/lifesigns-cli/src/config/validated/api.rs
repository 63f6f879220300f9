//! APIs: each can be told from the others, and each can be reached.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use lifesigns::{Exposure, ProcessSource, ResourceKind, RouteGroup, Settings as ResourceSettings};
use lifesigns_gateway::Upstream;
use lifesigns_model::identity::Identity;
use lifesigns_model::objective::Objective;
use lifesigns_model::route::Templates;
use lifesigns_model::verdict::Thresholds;

use super::{Api, Checks, DEFAULT_NAME, Mount, Process, objective, resources, text, values};
use crate::config::fault::{Fault, Place};
use crate::config::openapi;
use crate::config::tree::At;
use crate::config::wire;

/// The APIs that were written and are right.
pub(super) fn apis(
    document: &wire::Document,
    thresholds: Thresholds,
    objective: Option<Objective>,
    resources: &ResourceSettings,
    checks: &mut Checks<'_>,
) -> Vec<Api> {
    if document.apis.is_empty() && document.services.is_empty() && document.whole {
        checks.fault(
            Fault::new(&Place::Nowhere, "there is no API to stand in front of, and no service to watch").hint(
                "give an API's address with --upstream, with LIFESIGNS_UPSTREAM, or as `upstream` of an `[[api]]` in the file, or a service's as `url` of a `[[service]]`",
            ),
        );
    }
    no_two_alike(document, checks);
    document
        .apis
        .iter()
        .filter_map(|api| one(api, document, thresholds, objective, resources, checks))
        .collect()
}

fn one(
    api: &wire::Api,
    document: &wire::Document,
    thresholds: Thresholds,
    objective: Option<Objective>,
    resources: &ResourceSettings,
    checks: &mut Checks<'_>,
) -> Option<Api> {
    let name = name(api, document, checks);
    let upstream = upstream(api, checks);
    let mount = mount(api, resources, checks);
    let base = upstream.as_ref().map_or("", Upstream::base);
    let routes = api.openapi.as_ref().and_then(|named| routes(named, base, checks));
    let process = process(&api.process, checks);
    let thresholds = values::thresholds(thresholds, &api.verdict, checks);
    let objective = objective::objective(objective, "[api.objective]", &api.objective, checks);
    let groups = api.route_groups.iter().filter_map(|group| route_group(group, thresholds, checks)).collect();
    resources::only_of_one_api(&api.resources, checks);
    let mut resources = resources::apply(resources.clone(), &api.resources, checks);
    values::answers(&mut resources, &api.verdict);
    Some(Api {
        name: name?,
        version: text(api.version.as_ref()),
        upstream: upstream?,
        mount: mount?,
        strip_prefix: api.strip_prefix.as_ref().is_none_or(|at| at.value),
        keep_host: api.keep_host.as_ref().is_none_or(|at| at.value),
        routes,
        identity: identity(&api.identity, document.environment.as_ref()),
        process: process?,
        thresholds,
        objective,
        groups,
        resources,
    })
}

fn route_group(
    group: &wire::RouteGroup,
    thresholds: Thresholds,
    checks: &mut Checks<'_>,
) -> Option<RouteGroup> {
    if group.name.is_none() {
        checks.missing(
            group.whole,
            Fault::new(&group.place, "the group of routes has no `name`")
                .hint("answers tell groups apart by their names: `name = \"checkout\"`"),
        );
    }
    let routes = group.routes.as_deref().unwrap_or_default();
    if routes.is_empty() {
        checks.missing(
            group.whole,
            Fault::new(&group.place, "the group has no `routes`, so nothing would belong to it")
                .hint("name them as they are counted: `routes = [\"/orders/{id}\", \"/payments/*\"]`"),
        );
    }
    for route in routes.iter().filter(|route| !route.value.starts_with('/')) {
        checks.fault(
            Fault::new(&route.place, format!("the route {} does not begin with a slash", route.value))
                .hint(format!("write \"/{}\"", route.value)),
        );
    }
    Some(RouteGroup {
        name: group.name.as_ref()?.value.clone(),
        routes: routes.iter().map(|route| route.value.clone()).collect(),
        thresholds: values::thresholds(thresholds, &group.verdict, checks),
        critical: group.critical.as_ref().is_some_and(|at| at.value),
    })
}

fn name(api: &wire::Api, document: &wire::Document, checks: &mut Checks<'_>) -> Option<String> {
    if api.name.is_none() && document.apis.len() > 1 {
        checks.missing(
            api.whole,
            Fault::new(&api.place, "the API has no `name`")
                .hint("where there are several, each needs a name to be counted under: `name = \"polls\"`"),
        );
        return None;
    }
    Some(called(api, document).to_owned())
}

/// What an API is called; one without a name is called as the process.
pub(super) fn called<'d>(api: &'d wire::Api, document: &'d wire::Document) -> &'d str {
    api.name.as_ref().or(document.name.as_ref()).map_or(DEFAULT_NAME, |name| &name.value)
}

fn upstream(api: &wire::Api, checks: &mut Checks<'_>) -> Option<Upstream> {
    let Some(written) = &api.upstream else {
        checks.missing(
            api.whole,
            Fault::new(&api.place, "the API has no `upstream`")
                .hint("say where it really is: `upstream = \"http://127.0.0.1:3000\"`, or --upstream with `lifesigns gateway`"),
        );
        return None;
    };
    values::url("upstream", written, checks)
}

fn mount(api: &wire::Api, shared: &ResourceSettings, checks: &mut Checks<'_>) -> Option<Mount> {
    let path = api.path.as_ref().map(|path| mount_path(path, shared, checks));
    let host = api.host.as_ref().map(|host| mount_host(host, checks));
    // What was written and is wrong makes no mount; what was not written does.
    Some(Mount {
        host: host.map_or(Some(None), |host| host.map(Some))?,
        path: path.unwrap_or(Some(String::new()))?,
    })
}

fn mount_path(path: &At<String>, shared: &ResourceSettings, checks: &mut Checks<'_>) -> Option<String> {
    let text = values::path("path", path, checks)?;
    let Some(taken) = taken(&text, shared) else { return Some(text) };
    checks.fault(
        Fault::new(&path.place, format!("`path`: {taken} is where the gateway answers for all APIs"))
            .hint("choose another path, or tell the API by its `host`"),
    );
    None
}

/// The path of a resource that spans all APIs and would answer for an API at this mount.
fn taken(mount: &str, shared: &ResourceSettings) -> Option<String> {
    let paths = ResourceKind::ALL.into_iter().filter(|kind| kind.is_shared()).filter_map(|kind| {
        let resource = shared.resource(kind);
        let is_answered = resource.enabled && resource.exposure != Exposure::Admin;
        is_answered.then(|| (kind, format!("{}{}", shared.prefix, resource.path)))
    });
    let mut taken = paths.filter(|(kind, path)| {
        let rest = mount.strip_prefix(path.as_str());
        // Queries have paths below that of the resource.
        rest.is_some_and(|rest| {
            rest.is_empty() || (*kind == ResourceKind::Analytics && rest.starts_with('/'))
        })
    });
    taken.next().map(|(_, path)| path)
}

fn mount_host(host: &At<String>, checks: &mut Checks<'_>) -> Option<String> {
    if values::is_host(&host.value) {
        return Some(host.value.trim_end_matches('.').to_ascii_lowercase());
    }
    checks.fault(
        Fault::new(&host.place, format!("`host` is no host name: {}", host.value))
            .hint("write the name alone, without http://, port or path, such as \"polls.example.com\""),
    );
    None
}

/// No two names and no two mounts may be the same.
fn no_two_alike(document: &wire::Document, checks: &mut Checks<'_>) {
    let mut names = HashSet::with_capacity(document.apis.len());
    let mut mounts: HashMap<_, &wire::Api> = HashMap::with_capacity(document.apis.len());
    for api in &document.apis {
        if let Some(name) = &api.name
            && !names.insert(name.value.as_str())
        {
            checks.fault(
                Fault::new(&name.place, format!("there are two APIs named `{}`", name.value))
                    .hint("their figures would be mixed; give each a name of its own"),
            );
        }
        match mounts.entry(mount_key(api)) {
            Entry::Vacant(free) => {
                free.insert(api);
            }
            Entry::Occupied(taken) => checks.fault(same_mount(api, taken.get(), taken.key())),
        }
    }
}

fn same_mount(api: &wire::Api, other: &wire::Api, (host, path): &(String, &str)) -> Fault {
    let requests = match (host.as_str(), *path) {
        ("", "") => "requests without a `path` or `host` of their own".to_owned(),
        ("", path) => format!("requests under {path}"),
        (host, "") => format!("requests to {host}"),
        (host, path) => format!("requests to {host} under {path}"),
    };
    let other = other.name.as_ref().map_or_else(|| "another API".to_owned(), |at| format!("`{}`", at.value));
    let place = api.path.as_ref().or(api.host.as_ref()).map_or(&api.place, |at| &at.place);
    Fault::new(place, format!("{requests} are for {other} already"))
        .hint("give each API but one a `path` or a `host` of its own")
}

/// Host and path, which no two APIs may have both in common.
fn mount_key(api: &wire::Api) -> (String, &str) {
    let host = api.host.as_ref().map(|host| host.value.trim_end_matches('.').to_ascii_lowercase());
    let path = api.path.as_ref().map(|path| path.value.trim_end_matches('/'));
    (host.unwrap_or_default(), path.unwrap_or_default())
}

/// The routes of a description, as requests name them before `upstream_base` is put in front.
fn routes(named: &At<String>, upstream_base: &str, checks: &mut Checks<'_>) -> Option<Templates> {
    let text = checks.read("openapi", named)?;
    let templates = openapi::routes(&text).map_err(|error| error.to_string());
    let templates = templates.and_then(|routes| {
        let without_base = routes.iter().map(|route| relative_to(upstream_base, route));
        Templates::new(without_base).map_err(|error| error.to_string())
    });
    match templates {
        Ok(templates) => Some(templates),
        Err(error) => {
            let path = checks.path(named);
            checks.fault(
                Fault::new(&named.place, format!("`openapi`: {} cannot be used: {error}", path.display()))
                    .hint("give an OpenAPI 3 or Swagger 2 description in JSON or YAML"),
            );
            None
        }
    }
}

fn relative_to<'r>(base: &str, route: &'r str) -> &'r str {
    route.strip_prefix(base).filter(|rest| rest.starts_with('/')).unwrap_or(route)
}

fn identity(written: &wire::Identity, environment: Option<&At<String>>) -> Identity {
    Identity {
        repo: text(written.repo.as_ref()),
        revision: text(written.revision.as_ref()),
        version: text(written.version.as_ref()),
        deployed_at: written.deployed_at.as_ref().map(|at| at.value),
        build_type: text(written.build_type.as_ref()),
        build_date: text(written.build_date.as_ref()),
        language: text(written.language.as_ref()),
        environment: text(written.environment.as_ref().or(environment)),
    }
}

fn process(written: &wire::Process, checks: &mut Checks<'_>) -> Option<Process> {
    match (&written.pid, &written.pid_file, &written.status_url) {
        (None, None, None) => Some(Process::Local(ProcessSource::Own)),
        (Some(pid), None, None) => Some(Process::Local(ProcessSource::Pid(pid.value as u32))),
        (None, Some(file), None) => Some(Process::Local(ProcessSource::PidFile(checks.path(file)))),
        (None, None, Some(url)) => values::url("status_url", url, checks).map(Process::StatusUrl),
        (pid, file, url) => {
            let places = [
                pid.as_ref().map(|at| &at.place),
                file.as_ref().map(|at| &at.place),
                url.as_ref().map(|at| &at.place),
            ];
            let place = places.into_iter().flatten().last().unwrap_or(&Place::Nowhere);
            checks.fault(
                Fault::new(place, "`[api.process]` has more than one of `pid`, `pid_file` and `status_url`")
                    .hint("keep one of them"),
            );
            None
        }
    }
}
