//! How the health resources of an API are set up.

use http::HeaderName;
use lifesigns_model::identity::IdentityField;
use lifesigns_model::verdict::Thresholds;

/// The kinds of resource.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ResourceKind {
    /// `/status`
    Status,
    /// `/health`
    Health,
    /// `/health/status` and the forced answers under it
    HealthStatus,
    /// `/livez`
    Livez,
    /// `/readyz`
    Readyz,
    /// `/startupz`
    Startupz,
    /// `/health/maintenance`
    Maintenance,
    /// `/health/details`
    HealthDetails,
    /// `/analytics/1.0/{organization}/environments/{environment}/query`
    Analytics,
    /// `/metrics`
    Metrics,
    /// `/oauth2/token`
    Token,
    /// `/openapi.json`
    OpenApi,
}

impl ResourceKind {
    /// All kinds.
    pub const ALL: [ResourceKind; 12] = [
        ResourceKind::Status,
        ResourceKind::Health,
        ResourceKind::HealthStatus,
        ResourceKind::Livez,
        ResourceKind::Readyz,
        ResourceKind::Startupz,
        ResourceKind::Maintenance,
        ResourceKind::HealthDetails,
        ResourceKind::Analytics,
        ResourceKind::Metrics,
        ResourceKind::Token,
        ResourceKind::OpenApi,
    ];

    /// Name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            ResourceKind::Status => "status",
            ResourceKind::Health => "health",
            ResourceKind::HealthStatus => "health_status",
            ResourceKind::Livez => "livez",
            ResourceKind::Readyz => "readyz",
            ResourceKind::Startupz => "startupz",
            ResourceKind::Maintenance => "maintenance",
            ResourceKind::HealthDetails => "health_details",
            ResourceKind::Analytics => "analytics",
            ResourceKind::Metrics => "metrics",
            ResourceKind::Token => "token",
            ResourceKind::OpenApi => "openapi",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<ResourceKind> {
        ResourceKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Path relative to the base of the API, or to the root for what spans all APIs. For analytics it is the part
    /// before the organisation.
    pub const fn default_path(self) -> &'static str {
        match self {
            ResourceKind::Status => "/status",
            ResourceKind::Health => "/health",
            ResourceKind::HealthStatus => "/health/status",
            ResourceKind::Livez => "/livez",
            ResourceKind::Readyz => "/readyz",
            ResourceKind::Startupz => "/startupz",
            ResourceKind::Maintenance => "/health/maintenance",
            ResourceKind::HealthDetails => "/health/details",
            ResourceKind::Analytics => "/analytics/1.0",
            ResourceKind::Metrics => "/metrics",
            ResourceKind::Token => "/oauth2/token",
            ResourceKind::OpenApi => "/openapi.json",
        }
    }

    /// Whether it spans all APIs of a process, rather than belonging to one.
    pub const fn is_shared(self) -> bool {
        matches!(
            self,
            ResourceKind::Analytics | ResourceKind::Metrics | ResourceKind::Token | ResourceKind::OpenApi
        )
    }

    /// Whether its answer is or may be made on a thread that may block, rather than at once from a snapshot.
    pub(crate) const fn may_take_time(self) -> bool {
        matches!(
            self,
            ResourceKind::Maintenance
                | ResourceKind::HealthDetails
                | ResourceKind::Analytics
                | ResourceKind::Metrics
                | ResourceKind::Token
                | ResourceKind::OpenApi
        )
    }
}

/// In which words `/health` answers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum HealthDialect {
    /// `{"status": "OK"}` and the identity.
    #[default]
    Lifesigns,
    /// `application/health+json`: draft-inadarei-api-health-check-06.
    HealthJson,
    /// Spring Boot Actuator.
    Actuator,
    /// Eclipse `MicroProfile` Health.
    MicroProfile,
    /// ASP.NET health checks, as the UI of Xabaril reads them.
    Xabaril,
    /// One word of plain text.
    Text,
}

impl HealthDialect {
    /// All dialects.
    pub const ALL: [HealthDialect; 6] = [
        HealthDialect::Lifesigns,
        HealthDialect::HealthJson,
        HealthDialect::Actuator,
        HealthDialect::MicroProfile,
        HealthDialect::Xabaril,
        HealthDialect::Text,
    ];

    /// Name in `?dialect=` and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            HealthDialect::Lifesigns => "lifesigns",
            HealthDialect::HealthJson => "health+json",
            HealthDialect::Actuator => "actuator",
            HealthDialect::MicroProfile => "microprofile",
            HealthDialect::Xabaril => "xabaril",
            HealthDialect::Text => "text",
        }
    }

    /// The dialect with this name.
    pub fn from_name(name: &str) -> Option<HealthDialect> {
        HealthDialect::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listener {
    /// The one that serves the APIs' callers.
    Public,
    /// The one for operators, on loopback unless configured otherwise.
    Admin,
}

/// Where a resource can be reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Exposure {
    /// On both listeners.
    #[default]
    Both,
    /// Only where the APIs' callers are.
    Public,
    /// Only on the admin listener.
    Admin,
}

impl Exposure {
    pub(crate) fn covers(self, listener: Listener) -> bool {
        match self {
            Exposure::Both => true,
            Exposure::Public => listener == Listener::Public,
            Exposure::Admin => listener == Listener::Admin,
        }
    }
}

/// Routes whose traffic is judged by itself, besides that of the whole API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteGroup {
    /// Its name, as answers give it.
    pub name: String,
    /// Route templates such as `/orders/{id}`. One that ends with `/*` stands for all that begin with what is before.
    pub routes: Vec<String>,
    /// When its traffic turns a light.
    pub thresholds: Thresholds,
    /// Whether it may turn the light red; otherwise it is amber at most.
    pub critical: bool,
}

impl RouteGroup {
    /// Whether a route template belongs to the group.
    pub fn covers(&self, template: &str) -> bool {
        self.routes.iter().any(|route| match route.strip_suffix("/*") {
            None => route == template,
            Some(start) => {
                template.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        })
    }
}

/// How one resource is set up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceSettings {
    /// Path relative to the API's base, beginning with `/`; the prefix of [`Settings`] comes before it.
    pub path: String,
    /// Whether it is there at all. One that is not is left to the API.
    pub enabled: bool,
    /// Where it can be reached.
    pub exposure: Exposure,
    /// Requests a minute for each client; `None`: no limit. Default 120 for details, queries and tokens.
    pub requests_per_minute: Option<u32>,
    /// Whether it takes a token to read it. Default: details, queries, and metrics on the public listener. Changes
    /// always take one; to be given a token never does.
    pub protected: bool,
}

/// How the resources of one API are set up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    resources: Vec<ResourceSettings>,
    /// Put before the path of every resource; empty, or beginning with `/` and not ending with it.
    pub prefix: String,
    /// Whether `/health/status/{code}` forces that answer. Default true.
    pub forced_answers: bool,
    /// Identity fields that everybody may see. Default: all but `language`.
    pub public_identity: Vec<IdentityField>,
    /// Origins that get CORS headers; `*` for all. Default none. Answers never depend on the origin otherwise.
    pub allowed_origins: Vec<String>,
    /// Request headers in which a client app names itself, the first that is there counts.
    /// Default `x-client-id`, then `client_id`.
    pub client_id_headers: Vec<HeaderName>,
    /// The dialect of `/health` where neither `Accept` nor `?dialect=` chooses one. Default: that of our own.
    pub health_dialect: HealthDialect,
    /// How long red must have lasted before `/health/status` answers 502, in seconds. Default 300.
    pub prolonged_red_seconds: u32,
    /// `Retry-After` of an amber answer, in seconds. Default 30.
    pub retry_after_seconds: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        let resources = ResourceKind::ALL.map(|kind| {
            let reads_store = matches!(kind, ResourceKind::HealthDetails | ResourceKind::Analytics);
            let is_costly = reads_store || kind == ResourceKind::Token;
            ResourceSettings {
                path: kind.default_path().to_owned(),
                enabled: true,
                exposure: Exposure::Both,
                requests_per_minute: is_costly.then_some(120),
                protected: reads_store || kind == ResourceKind::Metrics,
            }
        });
        Settings {
            resources: resources.into(),
            prefix: String::new(),
            forced_answers: true,
            public_identity: IdentityField::public_by_default(),
            allowed_origins: Vec::new(),
            client_id_headers: vec![
                HeaderName::from_static("x-client-id"),
                HeaderName::from_static("client_id"),
            ],
            health_dialect: HealthDialect::default(),
            prolonged_red_seconds: 300,
            retry_after_seconds: 30,
        }
    }
}

impl Settings {
    /// The settings of one resource.
    pub fn resource(&self, kind: ResourceKind) -> &ResourceSettings {
        &self.resources[kind as usize]
    }

    /// The settings of one resource, to be changed.
    ///
    /// ```
    /// use lifesigns::{ResourceKind, Settings};
    /// let mut settings = Settings::default();
    /// settings.resource_mut(ResourceKind::Livez).path = "/alive".to_owned();
    /// ```
    pub fn resource_mut(&mut self, kind: ResourceKind) -> &mut ResourceSettings {
        &mut self.resources[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_group_covers_templates_and_whole_branches() {
        let group =
            RouteGroup { routes: ["/pay", "/orders/*"].map(str::to_owned).into(), ..RouteGroup::default() };
        let covered = ["/pay", "/orders", "/orders/{id}", "/orders/{id}/items"];
        let others = ["/pay/{id}", "/ordersx", "/", "_other_"];
        assert!(covered.iter().all(|template| group.covers(template)));
        assert!(!others.iter().any(|template| group.covers(template)));
        let all = RouteGroup { routes: vec!["/*".to_owned()], ..RouteGroup::default() };
        assert!(all.covers("/pay") && !all.covers("_other_"));
    }
}
