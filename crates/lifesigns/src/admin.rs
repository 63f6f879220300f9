//! The resources on a listener of their own, for axum.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;

use crate::layer::caller;
use crate::process::Lifesigns;
use crate::resources::{self, normalize_path};
use crate::settings::Listener;

impl Lifesigns {
    /// A router that serves the health resources and nothing else, for a port that only operators reach: on it
    /// `/metrics` takes no token, and it has the resources that are set to be on the admin listener alone.
    ///
    /// ```
    /// # use lifesigns::Lifesigns;
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let lifesigns = Lifesigns::builder("hello").start()?;
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:9090").await?;
    /// axum::serve(listener, lifesigns.admin_router()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn admin_router(&self) -> Router {
        let lifesigns = self.clone();
        Router::new().fallback(move |request: Request| {
            let lifesigns = lifesigns.clone();
            async move { lifesigns.answer_operator(request).await }
        })
    }

    async fn answer_operator(&self, request: Request) -> Response {
        let (api, path) = (self.own(), normalize_path(request.uri().path()).into_owned());
        let resource = api.resource(&path, Listener::Admin);
        match resource.or_else(|| self.shared_resource(&path, Listener::Admin)) {
            Some(resource) => {
                let caller = caller(&request, Listener::Admin);
                resources::answer(&api, resource, caller, request).await.map(Body::new)
            }
            None => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        }
    }
}
