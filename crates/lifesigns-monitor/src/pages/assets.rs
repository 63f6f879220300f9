//! What pages are dressed with. The names hold a hash of the content, so that whoever has a file never asks again.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lifesigns_model::light::Light;
use ring::digest::{SHA256, digest};

use super::markup::class;

/// A file and where it is.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its path in URLs.
    pub(super) path: String,
    media_type: &'static str,
    content: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) style: Asset,
    pub(super) script: Asset,
    icons: [Asset; 4],
}

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new("style", "css", "text/css; charset=utf-8", include_str!("style.css").to_owned()),
    script: Asset::new("live", "js", "text/javascript; charset=utf-8", include_str!("live.js").to_owned()),
    icons: LIGHTS.map(|light| Asset::new("light", "svg", "image/svg+xml", icon(light))),
});

const LIGHTS: [Option<Light>; 4] = [Some(Light::Green), Some(Light::Amber), Some(Light::Red), None];

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, content: String) -> Asset {
        let mut path = format!("/assets/{name}-");
        for byte in &digest(&SHA256, content.as_bytes()).as_ref()[..6] {
            let _ = write!(path, "{byte:02x}");
        }
        let _ = write!(path, ".{extension}");
        Asset { path, media_type, content }
    }

    fn tag(&self) -> String {
        format!("\"{}\"", self.path.trim_start_matches("/assets/"))
    }
}

impl Assets {
    /// The picture of a page that shows this light.
    pub(super) fn icon(&self, light: Option<Light>) -> &Asset {
        let place = LIGHTS.iter().position(|one| *one == light).unwrap_or_default();
        &self.icons[place]
    }

    fn all(&self) -> impl Iterator<Item = &Asset> {
        [&self.style, &self.script].into_iter().chain(&self.icons)
    }
}

/// A shape and a colour for each light, for the tab of a browser.
fn icon(light: Option<Light>) -> String {
    let shape = match class(light) {
        'g' => "<circle cx=\"8\" cy=\"8\" r=\"7\" fill=\"#23925a\"/>",
        'a' => "<path d=\"M8 1 15.5 15H.5z\" fill=\"#d18f12\"/>",
        'r' => "<path d=\"M1 1h14v14H1z\" fill=\"#d63a49\"/>",
        _ => "<circle cx=\"8\" cy=\"8\" r=\"5.5\" fill=\"none\" stroke=\"#7b8781\" stroke-width=\"3\"/>",
    };
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">{shape}</svg>")
}

pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/assets/{file}", get(serve))
}

async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("/assets/{file}");
    let Some(asset) = ASSETS.all().find(|asset| asset.path == path) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let tag = asset.tag();
    let head = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::ETAG, &*tag),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag);
    if is_known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, asset.content.as_str()).into_response()
}
