//! Badges for readme files and other people's pages: a name and a light, or how much of a time it was available.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, RawQuery, State};
use axum::http::{Extensions, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lifesigns_model::light::Light;

use super::markup::{Clipped, Markup, Percent, class, word};
use super::past::{self, Window};
use super::query::Query;
use super::{Shared, sees_all};
use crate::service::Name;

/// A figure that was read counts for so long, in milliseconds.
const FRESH: i64 = 60_000;
/// A character of 11 pixels is about so wide.
const CHARACTER: usize = 7;
const PADDING: usize = 6;

/// Figures that were read a moment ago.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<(Name, Window), Figure>>);

/// How much of a time a service was available, as far as that is known.
#[derive(Clone, Copy, Debug)]
struct Figure {
    /// When it was read, in milliseconds since 1970.
    at: i64,
    share: Option<f64>,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Name, Window), Figure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, name: &Name, window: Window, now: i64) -> Option<Figure> {
        self.lock().get(&(Name::clone(name), window)).copied().filter(|figure| now - figure.at < FRESH)
    }
}

pub(super) async fn badge(
    State(shared): State<Shared>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
    extensions: Extensions,
) -> Response {
    let name = file.strip_suffix(".svg").unwrap_or_default();
    let may_see = sees_all(&extensions) || shared.fleet.is_public(name);
    let Some(view) = shared.fleet.service(name).filter(|_| may_see) else {
        let head = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (StatusCode::NOT_FOUND, head, "there is no badge of that name\n").into_response();
    };
    let query = Query::new(query.as_deref());
    if query.get("what").as_deref() != Some("uptime") {
        return answer(&svg(&view.name, word(view.light), class(view.light)), view.is_public);
    }
    let is_public = view.is_public;
    let window = query.get("period").and_then(|name| Window::from_name(&name)).unwrap_or(Window::Month);
    let now = shared.fleet.now();
    let share = match shared.badges.get(&view.name, window, now) {
        Some(figure) => figure.share,
        None => {
            let read = shared.read(move |shared| {
                let share = past::share(shared.fleet.store(), &view, window, now)?.share();
                shared.badges.lock().insert((Name::clone(&view.name), window), Figure { at: now, share });
                Ok(share)
            });
            match read.await {
                Ok(share) => share,
                Err(answer) => return answer,
            }
        }
    };
    let label = format!("{name} {}", window.name());
    let text = share.map_or_else(|| "not known".to_owned(), |share| Percent(share).to_string());
    let light = share.map(|share| match share {
        share if share >= 0.999 => Light::Green,
        share if share >= 0.99 => Light::Amber,
        _ => Light::Red,
    });
    answer(&svg(&label, &text, class(light)), is_public)
}

/// What not everybody may see is kept by nobody who might hand it on.
fn answer(svg: &str, is_public: bool) -> Response {
    let kept = if is_public { "public, max-age=60" } else { "private, max-age=60" };
    let head = [(header::CONTENT_TYPE, "image/svg+xml; charset=utf-8"), (header::CACHE_CONTROL, kept)];
    (head, svg.to_owned()).into_response()
}

/// A label and what is said of it.
fn svg(label: &str, text: &str, light: char) -> String {
    let wide = |text: &str| text.chars().count().min(40) * CHARACTER;
    let (label_wide, text_wide) = (wide(label), wide(text));
    let (left, right) = (label_wide + 2 * PADDING, text_wide + 2 * PADDING);
    let colour = match light {
        'g' => "#1a7a48",
        'a' => "#8f5b00",
        'r' => "#c22f3d",
        _ => "#5f6b66",
    };
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all}\" height=\"20\" role=\"img\" aria-label=\"{label}: {said}\">\
         <title>{label}: {said}</title><path fill=\"#2b3431\" d=\"M3,0h{inner}v20h-{inner}a3,3 0 0 1-3-3v-14a3,3 0 0 1 3-3z\"/>\
         <path fill=\"{colour}\" d=\"M{left},0h{right_inner}a3,3 0 0 1 3,3v14a3,3 0 0 1-3,3h-{right_inner}z\"/>\
         <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">",
        label = Clipped(label, 39),
        said = Markup(text),
        all = left + right,
        inner = left - 3,
        right_inner = right - 3,
    );
    for (x, length, text) in [(PADDING, label_wide, label), (left + PADDING, text_wide, text)] {
        let text = Clipped(text, 39);
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"14\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text>"
        );
    }
    svg.push_str("</g></svg>");
    svg
}
