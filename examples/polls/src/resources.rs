//! The API's routes.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;

use crate::database::Database;
use crate::problem::Problem;
use crate::question::{Question, QuestionRequest};

const LONGEST_BODY: usize = 64 * 1024;
const PAGE: i64 = 100;

/// The routes of the API, as `openapi.yaml` describes them.
pub const ROUTES: [&str; 3] = ["/questions", "/questions/{id}", "/questions/{id}/choices/{choice}"];

/// The API over these questions.
///
/// ```
/// # fn main() -> Result<(), polls::DatabaseError> {
/// let app: axum::Router = polls::router(polls::Database::in_memory()?);
/// # Ok(())
/// # }
/// ```
pub fn router(database: Database) -> Router {
    Router::new()
        .route(ROUTES[0], get(list).post(ask))
        .route(ROUTES[1], get(find))
        .route(ROUTES[2], post(vote))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "see the header `Allow` for what works here")
        })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(database)
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: i64,
}

async fn list(
    State(database): State<Database>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(page) = page.map_err(|_| Problem::bad_request("`after` must be the id of a question"))?;
    let mut questions = database.list(page.after, PAGE + 1).await?;
    let more = questions.len() as i64 > PAGE;
    questions.truncate(PAGE as usize);
    let last = questions.last().map(|question| question.id);
    let mut response = Json(questions).into_response();
    if let (true, Some(last)) = (more, last) {
        // RFC 8288. Relative, so that it holds behind any path prefix.
        let next = format!("<questions?after={last}>; rel=\"next\"");
        response.headers_mut().insert(header::LINK, ascii(&next));
    }
    Ok(response)
}

async fn ask(
    State(database): State<Database>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let request: QuestionRequest = serde_json::from_slice(&body?)
        .map_err(|error| Problem::bad_request(format!("the body is no question: {error}")))?;
    let request = request.validate().map_err(Problem::bad_request)?;
    let question = database.ask(request, Timestamp::now()).await?;
    let location = ascii(&format!("questions/{}", question.id));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(question)).into_response())
}

async fn find(State(database): State<Database>, Path(id): Path<String>) -> Result<Json<Question>, Problem> {
    database.find(number(&id)?).await?.map(Json).ok_or_else(Problem::not_found)
}

async fn vote(
    State(database): State<Database>,
    Path((id, choice)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Question>), Problem> {
    let question = database.vote(number(&id)?, number(&choice)?).await?.ok_or_else(Problem::not_found)?;
    Ok((StatusCode::CREATED, Json(question)))
}

/// What is no number names nothing that exists.
fn number(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("made of digits and constants only")
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    async fn send(app: &Router, method: &str, path: &str, body: impl Into<Body>) -> (Response<()>, Value) {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (Response::from_parts(parts, ()), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    fn app() -> Router {
        router(Database::in_memory().unwrap())
    }

    #[test]
    fn the_description_has_every_route() {
        let description = include_str!("../openapi.yaml");
        let paths = description.lines().filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':'));
        let paths: Vec<String> = paths.map(|path| format!("/{path}")).collect();
        assert_eq!(paths, ROUTES);
    }

    #[tokio::test]
    async fn the_first_question_is_there_from_the_start() {
        let (response, body) = send(&app(), "GET", "/questions", "").await;
        assert_eq!(response.status(), 200);
        let expected = json!([{
            "id": 1,
            "question": "Favourite programming language?",
            "published_at": "2015-08-05T08:40:51.620Z",
            "choices": [
                {"choice": "Swift", "votes": 2048},
                {"choice": "Python", "votes": 1024},
                {"choice": "Objective-C", "votes": 512},
                {"choice": "Ruby", "votes": 256},
            ],
        }]);
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_question_is_asked_voted_for_and_found_again() {
        let app = app();
        let request = json!({"question": "Favourite programming language?", "choices": ["Swift", "Python"]});
        let (response, asked) = send(&app, "POST", "/questions", request.to_string()).await;
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["location"], "questions/2");
        assert_eq!(asked["choices"][0], json!({"choice": "Swift", "votes": 0}));
        let published: &str = asked["published_at"].as_str().unwrap();
        assert_eq!(published.len(), "2015-08-05T08:40:51.620Z".len(), "{published}");
        assert!(published.parse::<Timestamp>().is_ok(), "{published}");

        let (response, voted) = send(&app, "POST", "/questions/2/choices/2", "").await;
        assert_eq!(response.status(), 201);
        assert_eq!(voted["choices"][1], json!({"choice": "Python", "votes": 1}));
        let (response, found) = send(&app, "GET", "/questions/2", "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(found, voted);
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_a_problem_with_its_status() {
        let app = app();
        let long = format!(r#"{{"question":"{}","choices":["a","b"]}}"#, "x".repeat(LONGEST_BODY));
        for (method, path, body, status) in [
            ("POST", "/questions", "", 400),
            ("POST", "/questions", "{", 400),
            ("POST", "/questions", r#"{"question": "Tea?"}"#, 400),
            ("POST", "/questions", r#"{"question": "Tea?", "choices": ["yes"]}"#, 400),
            ("POST", "/questions", r#"{"question": "Tea?", "choices": [1, 2]}"#, 400),
            ("POST", "/questions", &*long, 413),
            ("GET", "/questions?after=x", "", 400),
            ("GET", "/questions/2", "", 404),
            ("GET", "/questions/x", "", 404),
            ("GET", "/questions/99999999999999999999", "", 404),
            ("POST", "/questions/1/choices/5", "", 404),
            ("POST", "/questions/2/choices/1", "", 404),
            ("GET", "/nothing", "", 404),
            ("DELETE", "/questions", "", 405),
        ] {
            let (response, problem) = send(&app, method, path, body.to_owned()).await;
            let shown: String = body.chars().take(60).collect();
            assert_eq!(response.status(), status, "{method} {path} {shown}");
            assert_eq!(response.headers()["content-type"], "application/problem+json", "{method} {path}");
            assert_eq!(problem["status"], status, "{method} {path} {shown}");
        }
        let (response, _) = send(&app, "DELETE", "/questions", "").await;
        assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    }

    #[tokio::test]
    async fn a_long_list_comes_in_pages() {
        let app = app();
        for number in 0..PAGE {
            let request = json!({"question": format!("Number {number}?"), "choices": ["yes", "no"]});
            assert_eq!(send(&app, "POST", "/questions", request.to_string()).await.0.status(), 201);
        }
        let (first, questions) = send(&app, "GET", "/questions", "").await;
        assert_eq!(questions.as_array().unwrap().len(), 100);
        assert_eq!(first.headers()["link"], "<questions?after=100>; rel=\"next\"");
        let (last, questions) = send(&app, "GET", "/questions?after=100", "").await;
        assert_eq!(questions.as_array().unwrap().len(), 1);
        assert_eq!(last.headers().get("link"), None);
    }
}
