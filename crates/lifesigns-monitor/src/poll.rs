//! Asking a service once.

use std::time::Duration;

use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use jiff::{SignedDuration, Timestamp};
use lifesigns_fetch::{Answer, Body, Failure, FailureKind, Fetcher, Request};
use lifesigns_model::dialect::{self, Dialect, Introduction};
use lifesigns_model::light::Light;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::service::{Answered, Observation, Sight, Traffic};
use crate::target::{PLACES, Target, companions, details};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("lifesigns/", env!("CARGO_PKG_VERSION")));
/// What is liked best says most; what cannot answer like that says what it can.
const FORMS: HeaderValue = HeaderValue::from_static("application/json, text/plain;q=0.5, */*;q=0.1");
/// How long a service may take to tell of itself, after it has told how it is.
const ABOUT: Duration = Duration::from_secs(2);
/// A certificate that expires within this time makes amber of green.
const CERTIFICATE_SOON: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is kept of a body, in characters.
const LONGEST_EXCERPT: usize = 500;
/// No service is left alone for longer than this at its own wish.
const LONGEST_RETRY: Duration = Duration::from_hours(1);

/// What polls have found out about how to ask a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Manner {
    /// Where it is asked; `None` before that has been found out.
    pub(crate) place: Option<Url>,
    /// Whether that is its root for want of anything better.
    pub(crate) is_fallback: bool,
    /// In which dialect it answered last.
    pub(crate) dialect: Option<Dialect>,
    /// The last status code.
    pub(crate) code: u16,
    /// Whether it does not answer `HEAD` as it answers `GET`.
    pub(crate) needs_get: bool,
}

impl Manner {
    /// Whether the head of an answer would say all that there is to know of the light.
    fn may_be_head(&self) -> bool {
        !self.needs_get && matches!(self.dialect, Some(Dialect::TrafficLight | Dialect::Code))
    }
}

/// Asks a service how it is. With `in_full` it is also asked what there is to know about it.
pub(crate) async fn poll(
    fetcher: &Fetcher,
    target: &Target,
    manner: &mut Manner,
    in_full: bool,
    at: i64,
) -> Observation {
    let asked = timeout(target.deadline, ask(fetcher, target, manner, in_full)).await;
    let (sight, body) = match asked {
        Ok(Ok((answered, body))) => (Sight::Answered(answered), body),
        Ok(Err(failure)) if failure.is_own => {
            let is_network = failure.kind == FailureKind::Unreachable;
            (Sight::NotKnown { why: failure.message, is_network }, None)
        }
        Ok(Err(failure)) => (Sight::Failed { why: failure.message }, None),
        Err(_) => {
            let why = format!("does not answer within {} s", target.deadline.as_secs_f64());
            (Sight::Failed { why }, None)
        }
    };
    let (introduction, traffic) = match body {
        Some(body) => {
            let (about, traffic) =
                tokio::join!(about(fetcher, target, manner, &body), traffic(fetcher, target, manner));
            (Some(about), traffic)
        }
        None => (None, None),
    };
    Observation { at, sight, introduction, traffic }
}

/// The answer, and its body if it was asked for and could be read.
async fn ask(
    fetcher: &Fetcher,
    target: &Target,
    manner: &mut Manner,
    in_full: bool,
) -> Result<(Answered, Option<Vec<u8>>), Failure> {
    let url = place(fetcher, target, manner, in_full).await?;
    let began = Instant::now();
    if !in_full && manner.may_be_head() {
        let answer = fetcher.fetch(&url, &request(target, Method::HEAD)).await?;
        if answer.status == manner.code {
            return Ok((answered(target, manner, &answer, began.elapsed()), None));
        }
        manner.needs_get = matches!(answer.status, 405 | 501);
    }
    let began = Instant::now();
    let answer = fetcher.fetch(&url, &request(target, Method::GET)).await?;
    let answered = answered(target, manner, &answer, began.elapsed());
    let body = match answer.body {
        Body::Whole(body) => Some(body.to_vec()),
        Body::TooLong(_) | Body::Unreadable(_) => None,
    };
    Ok((answered, body))
}

/// Where a service is asked. One that has told of nothing but its base is tried at the usual places, and where there is
/// nothing, now and then again.
async fn place(
    fetcher: &Fetcher,
    target: &Target,
    manner: &mut Manner,
    in_full: bool,
) -> Result<Url, Failure> {
    if let Some(place) = &manner.place
        && !(manner.is_fallback && in_full)
    {
        return Ok(place.clone());
    }
    let mut found = target.url.clone();
    if target.is_base() {
        for path in PLACES {
            let mut url = target.url.clone();
            url.set_path(path);
            let answer = fetcher.fetch(&url, &request(target, Method::GET)).await?;
            let content_type = answer.headers.get(hyper::header::CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let Body::Whole(body) = &answer.body else { continue };
            match dialect::read(None, answer.status, content_type, body) {
                // Whatever stands before a service that is not there yet answers a code without a sense.
                Ok(reading) if reading.dialect == Dialect::Code && answer.status >= 300 => return Ok(url),
                Ok(_) => {
                    found = url;
                    break;
                }
                Err(_) => {}
            }
        }
    }
    manner.is_fallback = target.is_base() && found == target.url;
    manner.place = Some(found.clone());
    Ok(found)
}

fn request(target: &Target, method: Method) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, FORMS);
    headers.insert(USER_AGENT, AGENT);
    if let Some(authorization) = &target.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    Request { method, headers, ..Request::get() }
}

fn answered(target: &Target, manner: &mut Manner, answer: &Answer, latency: Duration) -> Answered {
    let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let is_head = matches!(&answer.body, Body::Whole(body) if body.is_empty()) && manner.may_be_head();
    // A head is read as the whole answer before it was.
    let form = if is_head { target.dialect.or(manner.dialect) } else { target.dialect };
    let content_type = header(hyper::header::CONTENT_TYPE);
    let (body, fault) = match &answer.body {
        Body::Whole(body) => (&body[..], None),
        Body::TooLong(beginning) => (&beginning[..], Some("the answer is too long".to_owned())),
        Body::Unreadable(why) => (&[][..], Some(why.clone())),
    };
    let mut judged = dialect::judge(form, answer.status, content_type, body);
    if let Some(fault) = fault {
        // Whatever it says, it does not say it well.
        if judged.light == Light::Green {
            judged.light = Light::Amber;
        }
        judged.why = format!("answers {}, {fault}", answer.status);
    }
    let left = answer.certificate_expires.map(|expires| expires.duration_since(Timestamp::now()));
    if let Some(left) = left.filter(|left| *left < CERTIFICATE_SOON && judged.light == Light::Green) {
        judged.light = Light::Amber;
        judged.why = format!("its certificate expires in {} hours", left.as_hours());
    }
    if answer.status == 404 && target.is_base() {
        manner.place = None;
    }
    manner.code = answer.status;
    manner.dialect = judged.dialect;
    let is_whole = !is_head;
    Answered {
        light: judged.light,
        why: judged.why,
        dialect: judged.dialect,
        code: answer.status,
        latency,
        parts: is_whole.then_some(judged.parts),
        excerpt: (judged.light != Light::Green && !body.is_empty()).then(|| excerpt(body)),
        retry_after: header(RETRY_AFTER).and_then(|text| wait(text, Timestamp::now())),
        address: answer.address.ip().to_string(),
        certificate_expires: answer.certificate_expires.map(Timestamp::as_millisecond),
    }
}

/// Seconds, or a date of HTTP (RFC 9110 §10.2.3).
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_RETRY));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(now)).ok().map(|wait| wait.min(LONGEST_RETRY))
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(LONGEST_EXCERPT).collect()
}

/// What a service says of itself in its answer, and in the resources beside it. Whatever is not there is not known.
async fn about(fetcher: &Fetcher, target: &Target, manner: &Manner, body: &[u8]) -> Introduction {
    let own = dialect::introduction(body);
    let tells = matches!(manner.dialect, Some(Dialect::Health | Dialect::Status | Dialect::TrafficLight));
    if !tells {
        return own;
    }
    let mut known = own;
    let companions = companions(manner.place.as_ref().unwrap_or(&target.url));
    let (first, second) = tokio::join!(
        introduction(fetcher, target, companions.first()),
        introduction(fetcher, target, companions.get(1)),
    );
    for more in [first, second].into_iter().flatten() {
        known = known.or(more);
    }
    known
}

/// What a service of Lifesigns that lets the monitor in says of its traffic.
async fn traffic(fetcher: &Fetcher, target: &Target, manner: &Manner) -> Option<Traffic> {
    target.authorization.as_ref()?;
    let url = details(manner.place.as_ref().unwrap_or(&target.url))?;
    let request = request(target, Method::GET);
    match timeout(ABOUT.min(target.deadline), fetcher.fetch(&url, &request)).await {
        Ok(Ok(Answer { body: Body::Whole(body), .. })) => Traffic::read(&body),
        // How it is has been told already.
        _ => None,
    }
}

async fn introduction(fetcher: &Fetcher, target: &Target, url: Option<&Url>) -> Option<Introduction> {
    let url = url?;
    let request = request(target, Method::GET);
    match timeout(ABOUT.min(target.deadline), fetcher.fetch(url, &request)).await {
        Ok(Ok(Answer { body: Body::Whole(body), .. })) => Some(dialect::introduction(&body)),
        // How it is has been told already; who it is may be told the next time.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_ask_for_time_in_seconds_or_until_a_date() {
        let now: Timestamp = "2026-03-16T18:00:00Z".parse().unwrap();
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(wait(text, now).map(|wait| wait.as_secs()), seconds, "{text}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("86400", Some(3600));
        check("Mon, 16 Mar 2026 18:01:00 GMT", Some(60));
        check("Mon, 16 Mar 2026 17:00:00 GMT", None);
        check("-1", None);
        check("soon", None);
    }
}
