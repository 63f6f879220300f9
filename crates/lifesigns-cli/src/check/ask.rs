//! How a service is, and who it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use jiff::Timestamp;
use lifesigns_fetch::{Answer, Body, Failure, FailureKind, Fetcher, Request};
use lifesigns_model::dialect::{self, Dialect, Introduction, Reading, introduction};
use lifesigns_model::light::Light;
use lifesigns_monitor::PLACES;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// What is wanted: identity and figures as they stand in `application/json` first, health in any dialect otherwise.
const ACCEPTED: &str = "application/json, application/health+json;q=0.9, \
                        application/vnd.spring-boot.actuator.v3+json;q=0.8, text/plain;q=0.5, */*;q=0.1";

/// So many are asked at a time. With two connections each, that is less than the files that a process usually may open.
const AT_A_TIME: usize = 400;

/// Who is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// What it is called here. Without one it is called what it says.
    pub name: Option<String>,
    /// Without a path it is where a service stands; with one it is its health resource.
    pub url: Url,
    /// The dialect of its answers, where it is not found out.
    pub dialect: Option<Dialect>,
    /// For all that it is asked.
    pub deadline: Duration,
    /// What is sent as `Authorization`.
    pub authorization: Option<HeaderValue>,
}

impl Target {
    /// Whoever is there, asked in no particular way.
    pub const fn new(url: Url, deadline: Duration) -> Target {
        Target { name: None, url, dialect: None, deadline, authorization: None }
    }
}

/// How much is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// How it is.
    Light,
    /// Who it is as well, of the resources beside the one that says how it is.
    Everything,
}

/// What is known of a service.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Who was asked.
    pub target: Target,
    /// What has answered, after redirects; what was to be asked, if nothing has.
    pub url: Url,
    /// How it is, or why that is not known.
    pub judged: Result<Reading, Failure>,
    /// Who it says it is. A stranger's texts.
    pub introduction: Introduction,
    /// The status code of its answer.
    pub status: Option<u16>,
    /// Until the head of its answer.
    pub latency: Option<Duration>,
    /// When it wants to be asked again, in seconds.
    pub retry_after: Option<u64>,
    /// Where it was reached.
    pub address: Option<SocketAddr>,
    /// Until when its certificate is valid.
    pub certificate_expires: Option<Timestamp>,
}

impl Finding {
    /// How it is; nothing if that is not known.
    pub fn light(&self) -> Option<Light> {
        self.judged.as_ref().ok().map(|reading| reading.light)
    }

    /// What it is called: here, by itself, or by its URL. To be escaped.
    pub fn name(&self) -> String {
        let name = self.target.name.as_ref().or(self.introduction.service.as_ref());
        name.map_or_else(|| self.target.url.to_string(), Clone::clone)
    }

    /// Why it is not green, as a sentence that begins after its name. Nothing if it is green. To be escaped.
    pub fn complaint(&self) -> Option<String> {
        let reading = match &self.judged {
            Ok(reading) if reading.light == Light::Green => return None,
            Ok(reading) => reading,
            Err(failure) if failure.is_own => {
                return Some(format!(
                    "{failure} (the fault is this machine's, and says nothing of the service)"
                ));
            }
            Err(failure) => return Some(failure.message.clone()),
        };
        let status = self.status.unwrap_or_default();
        let mut text = format!("answers {status}, which means {} as `{}`", reading.light, reading.dialect);
        let ill: Vec<String> = reading
            .parts
            .iter()
            .filter(|part| part.light != Light::Green)
            .map(|part| format!("{} is {}", part.name, part.light))
            .collect();
        if !ill.is_empty() {
            let more = if ill.len() > 5 { format!(", and {} more", ill.len() - 5) } else { String::new() };
            let told = &ill[..ill.len().min(5)];
            text = format!("{text}: {}{more}", told.join(", "));
        }
        if let Some(seconds) = self.retry_after {
            text = format!("{text}; it asks for {seconds} s of patience");
        }
        Some(text)
    }

    fn failed(target: &Target, failure: Failure) -> Finding {
        Finding {
            target: target.clone(),
            url: target.url.clone(),
            judged: Err(failure),
            introduction: Introduction::default(),
            status: None,
            latency: None,
            retry_after: None,
            address: None,
            certificate_expires: None,
        }
    }

    fn of(target: &Target, answer: Answer) -> Finding {
        let header = |name| answer.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Finding {
            target: target.clone(),
            judged: read(target.dialect, &answer).map_err(Failure::unexpected),
            introduction: match &answer.body {
                Body::Whole(body) => introduction(body),
                Body::TooLong(_) | Body::Unreadable(_) => Introduction::default(),
            },
            status: Some(answer.status),
            latency: Some(answer.first_byte),
            retry_after: header(RETRY_AFTER).and_then(|value| value.parse().ok()),
            address: Some(answer.address),
            certificate_expires: answer.certificate_expires,
            url: answer.url,
        }
    }
}

/// All of them at once, each with its own deadline; in their order.
pub async fn all(fetcher: &Fetcher, targets: &[Target], depth: Depth) -> Vec<Finding> {
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    let mut asked = JoinSet::new();
    for (index, target) in targets.iter().enumerate() {
        let (fetcher, target, turns) = (fetcher.clone(), target.clone(), Arc::clone(&turns));
        asked.spawn(async move {
            // The semaphore is never closed. The deadline begins with the turn.
            let _turn = turns.acquire().await;
            (index, Box::pin(one(&fetcher, &target, depth)).await)
        });
    }
    let mut findings = asked.join_all().await;
    findings.sort_unstable_by_key(|(index, _)| *index);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// One of them.
async fn one(fetcher: &Fetcher, target: &Target, depth: Depth) -> Finding {
    let end = Instant::now() + target.deadline;
    let request = request(target);
    let Ok(mut finding) = timeout_at(end, first_readable(fetcher, target, &request)).await else {
        let message = format!("does not answer within {:?}", target.deadline);
        let failure = Failure { kind: FailureKind::TimedOut, message, is_own: false };
        return Finding::failed(target, failure);
    };
    if depth == Depth::Everything {
        Box::pin(complete(fetcher, &mut finding, &request, end)).await;
    }
    finding
}

fn request(target: &Target) -> Request {
    let mut headers = HeaderMap::new();
    if let Some(authorization) = &target.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
    headers.insert(USER_AGENT, HeaderValue::from_static("lifesigns"));
    Request { headers, ..Request::get() }
}

/// The first of the target's places whose answer says something about health; otherwise the most telling one.
async fn first_readable(fetcher: &Fetcher, target: &Target, request: &Request) -> Finding {
    let places = places(target);
    let mut best: Option<Finding> = None;
    for url in &places {
        let answer = match fetcher.fetch(url, request).await {
            Ok(answer) => answer,
            // Where nobody is, nobody is at another path either.
            Err(failure) => return Finding::failed(target, said(failure)),
        };
        let is_absent = matches!(answer.status, 404 | 405);
        let finding = Finding::of(target, answer);
        if finding.judged.is_ok() {
            return finding;
        }
        if !is_absent && best.is_none() {
            best = Some(finding);
        }
    }
    best.unwrap_or_else(|| {
        let message = if places.len() > 1 {
            format!("has none of {}; name the path of its health resource", PLACES.join(", "))
        } else {
            "answers that there is no such resource".to_owned()
        };
        Finding::failed(target, Failure::unexpected(message))
    })
}

/// The failure as a sentence that begins after the name of whom it is about.
fn said(failure: Failure) -> Failure {
    let beginning = match failure.kind {
        FailureKind::Unreachable => "cannot be reached",
        FailureKind::UnexpectedAnswer => "gives no answer of HTTP that can be read",
        _ => "cannot be asked",
    };
    Failure { message: format!("{beginning}: {}", failure.message), ..failure }
}

/// Where a target is asked.
fn places(target: &Target) -> Vec<Url> {
    let is_base = target.url.path() == "/" && target.url.query().is_none();
    let paths: &[&str] = match target.dialect {
        _ if !is_base => return vec![target.url.clone()],
        // Any resource has a status code.
        Some(Dialect::Code) => return vec![target.url.clone()],
        Some(Dialect::TrafficLight) => &["/health/status"],
        _ => &PLACES,
    };
    paths.iter().map(|path| beside(&target.url, path)).collect()
}

/// The same place, with this path.
fn beside(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// What a service of Lifesigns says of itself is spread over its resources.
async fn complete(fetcher: &Fetcher, finding: &mut Finding, request: &Request, end: Instant) {
    let spreads = finding.judged.as_ref().is_ok_and(|reading| {
        matches!(reading.dialect, Dialect::Health | Dialect::Status | Dialect::TrafficLight)
    });
    let path = finding.url.path();
    let asked = PLACES[..3].iter().find_map(|place| Some((path.strip_suffix(place)?, *place)));
    let (true, Some((base, asked))) = (spreads, asked) else { return };
    let ask = async |place: &str, dialect: Dialect| {
        if place == asked {
            return Introduction::default();
        }
        let url = beside(&finding.url, &format!("{base}{place}"));
        // It is more than was asked for: without it less is shown, and nothing is wrong.
        let Ok(Ok(answer)) = timeout_at(end, fetcher.fetch(&url, request)).await else {
            return Introduction::default();
        };
        let is_of_lifesigns = read(None, &answer).is_ok_and(|reading| reading.dialect == dialect);
        if is_of_lifesigns { introduction(answer.body.beginning()) } else { Introduction::default() }
    };
    let (status, health) = tokio::join!(ask("/status", Dialect::Status), ask("/health", Dialect::Health));
    let known = std::mem::take(&mut finding.introduction);
    // `/status` says how long it has been up to the second.
    let uptime = status.uptime.or(known.uptime);
    finding.introduction = Introduction { uptime, ..known.or(status).or(health) };
}

/// What an answer says about health, or why it says nothing, for people.
fn read(form: Option<Dialect>, answer: &Answer) -> Result<Reading, String> {
    let status = answer.status;
    let is_code_enough = status >= 500 || matches!(form, Some(Dialect::TrafficLight | Dialect::Code));
    let body = match &answer.body {
        Body::Whole(body) => body.as_ref(),
        Body::TooLong(_) | Body::Unreadable(_) if is_code_enough => &[],
        Body::TooLong(beginning) => {
            return Err(format!("answers {status} with more than {} KiB", beginning.len() / 1024));
        }
        Body::Unreadable(why) => return Err(format!("answers {status}, and the body {why}")),
    };
    let header = |name| answer.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    dialect::read(form, status, header(CONTENT_TYPE), body).map_err(|error| match header(LOCATION) {
        Some(place) if (300..400).contains(&status) => {
            let place: String = place.chars().take(200).collect();
            format!("answers {status} and leads to `{place}`; if the service is there, ask it there")
        }
        _ if matches!(status, 401 | 403) => format!("answers {status}: it takes credentials to ask it"),
        _ => format!("answers {status}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_is_asked_where_health_usually_is() {
        let check = |url: &str, dialect, expected: &[&str]| {
            let target = Target { dialect, ..Target::new(url.parse().unwrap(), Duration::from_secs(1)) };
            let found: Vec<String> = places(&target).into_iter().map(Into::into).collect();
            assert_eq!(found, expected);
        };
        check("http://a:1/ping?x", None, &["http://a:1/ping?x"]);
        check("http://a/?x", None, &["http://a/?x"]);
        check("http://a", Some(Dialect::Code), &["http://a/"]);
        check("http://a", Some(Dialect::TrafficLight), &["http://a/health/status"]);
        let usual = ["health/status", "health", "status", "actuator/health", "healthz"];
        let usual = usual.map(|path| format!("https://a:8443/{path}"));
        check("https://a:8443/#x", None, &usual.each_ref().map(String::as_str));
    }
}
