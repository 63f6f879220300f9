//! Asking a service once, wherever its health may be, and making of the answer what it says.

use std::time::Duration;

use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use jiff::{SignedDuration, Timestamp};
use lifesigns_fetch::{Answer, Body, Failure, FailureKind, Fetcher, Progress, Request};
use lifesigns_model::dialect::{self, Dialect, Introduction};
use lifesigns_model::light::Light;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::service::Answered;
use crate::target::{PLACES, Target, companions};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("lifesigns/", env!("CARGO_PKG_VERSION")));
/// What is liked best says most; what cannot answer like that says what it can.
const FORMS: HeaderValue = HeaderValue::from_static("application/json, text/plain;q=0.5, */*;q=0.1");
/// How long a service may take to tell of itself, after it has told how it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// A certificate that expires within this time makes amber of green.
const CERTIFICATE_SOON: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is kept of a body, in characters.
const LONGEST_EXCERPT: usize = 500;
/// What is told of where a redirect leads, in characters.
const LONGEST_PLACE: usize = 200;
/// No service is left alone for longer than this at its own wish.
const LONGEST_RETRY: Duration = Duration::from_hours(1);

/// What is known of a service that was asked once.
#[derive(Debug)]
pub struct Asked {
    /// What has answered, after redirects; what was to be asked, if nothing has.
    pub url: Url,
    /// Its answer, or why there is none.
    pub answer: Result<Answered, Failure>,
    /// What it says of itself, if it was asked for that. A stranger's texts.
    pub introduction: Introduction,
}

/// Asks a service how it is; within its deadline, whatever comes of it. With `in_full` it is also asked who it is, where
/// it has not said so yet.
pub async fn ask(fetcher: &Fetcher, target: &Target, in_full: bool) -> Asked {
    let end = Instant::now() + target.deadline;
    let mut manner = Manner::default();
    match within_deadline(fetcher, target, &mut manner, true).await {
        Ok(told) => {
            let left = end.saturating_duration_since(Instant::now()).min(PATIENCE);
            let introduction = match &told.body {
                Some(body) if in_full => about(fetcher, target, &manner, &told.url, body, left).await,
                Some(body) => dialect::introduction(body),
                None => Introduction::default(),
            };
            Asked { url: told.url, answer: Ok(told.answered), introduction }
        }
        Err(failure) => {
            let url = manner.place.unwrap_or_else(|| target.url.clone());
            Asked { url, answer: Err(failure), introduction: Introduction::default() }
        }
    }
}

/// What has been found out about how to ask a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Manner {
    /// Where it is asked; `None` before that has been found out.
    pub(crate) place: Option<Url>,
    /// Whether that is its root for want of anything better.
    is_fallback: bool,
    /// In which dialect it answered last.
    dialect: Option<Dialect>,
    /// The last status code.
    code: u16,
    /// Whether it does not answer `HEAD` as it answers `GET`.
    needs_get: bool,
}

impl Manner {
    /// Whether the head of an answer would say all that there is to know of the light.
    fn may_be_head(&self) -> bool {
        !self.needs_get && matches!(self.dialect, Some(Dialect::TrafficLight | Dialect::Code))
    }
}

/// What a service has told.
pub(crate) struct Told {
    pub(crate) answered: Answered,
    /// The body, if it was asked for and could be read.
    pub(crate) body: Option<Vec<u8>>,
    /// What has answered.
    pub(crate) url: Url,
}

/// Asks how a service is, by the head of the answer alone where that is enough and `in_full` is not wanted.
pub(crate) async fn within_deadline(
    fetcher: &Fetcher,
    target: &Target,
    manner: &mut Manner,
    in_full: bool,
) -> Result<Told, Failure> {
    let way = Way { fetcher, target, progress: Progress::default() };
    match timeout(target.deadline, way.told(manner, in_full)).await {
        Ok(told) => told,
        Err(_) => Err(late(target, &way.progress)),
    }
}

/// What the time was used up by: a resolver that does not answer says nothing of the service.
fn late(target: &Target, progress: &Progress) -> Failure {
    let patience = target.deadline.as_secs_f64();
    match target.url.domain().filter(|_| progress.is_resolving()) {
        Some(host) => {
            let message = format!("no resolver says within {patience} s where `{host}` is");
            Failure { is_own: true, ..Failure::unreachable(message) }
        }
        None => {
            let message = format!("does not answer within {patience} s");
            Failure { kind: FailureKind::TimedOut, message, is_own: false }
        }
    }
}

/// One question on its way, however many requests it takes, one after the other.
struct Way<'a> {
    fetcher: &'a Fetcher,
    target: &'a Target,
    progress: Progress,
}

impl Way<'_> {
    async fn told(&self, manner: &mut Manner, in_full: bool) -> Result<Told, Failure> {
        let place = manner.place.clone().filter(|_| !(manner.is_fallback && in_full));
        let (answer, latency) = match place {
            Some(place) => {
                if !in_full && manner.may_be_head() {
                    let (answer, latency) = self.get(&place, Method::HEAD).await?;
                    if answer.status == manner.code {
                        let answered = answered(self.target, manner, &answer, latency, true);
                        return Ok(Told { answered, body: None, url: answer.url });
                    }
                    manner.needs_get = matches!(answer.status, 405 | 501);
                }
                self.get(&place, Method::GET).await?
            }
            None => self.first_readable(manner).await?,
        };
        let answered = answered(self.target, manner, &answer, latency, false);
        let body = match answer.body {
            Body::Whole(body) => Some(body.to_vec()),
            Body::TooLong(_) | Body::Unreadable(_) => None,
        };
        Ok(Told { answered, body, url: answer.url })
    }

    async fn get(&self, url: &Url, method: Method) -> Result<(Answer, Duration), Failure> {
        let began = Instant::now();
        let request = request(self.target, method);
        let answer = self.fetcher.fetch_telling(url, &request, &self.progress).await?;
        Ok((answer, began.elapsed()))
    }

    /// The first answer that can be read, at the usual places if nothing is known but where the service stands; and
    /// where there is none, the answer there.
    async fn first_readable(&self, manner: &mut Manner) -> Result<(Answer, Duration), Failure> {
        let target = self.target;
        for path in target.places() {
            let mut url = target.url.clone();
            url.set_path(path);
            url.set_fragment(None);
            let (answer, latency) = self.get(&url, Method::GET).await?;
            let Body::Whole(body) = &answer.body else { continue };
            match dialect::read(target.dialect, answer.status, content_type(&answer), body) {
                // Whatever stands before a service that is not there yet answers a code without a sense.
                Ok(reading) if reading.dialect == Dialect::Code && answer.status >= 300 => {
                    return Ok((answer, latency));
                }
                Ok(_) => {
                    (manner.place, manner.is_fallback) = (Some(url), false);
                    return Ok((answer, latency));
                }
                Err(_) => {}
            }
        }
        manner.is_fallback = !target.places().is_empty();
        manner.place = Some(target.url.clone());
        self.get(&target.url, Method::GET).await
    }
}

pub(crate) fn request(target: &Target, method: Method) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, FORMS);
    headers.insert(USER_AGENT, AGENT);
    if let Some(authorization) = &target.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    Request { method, headers, ..Request::get() }
}

fn content_type(answer: &Answer) -> Option<&str> {
    answer.headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// What an answer says, or its head alone.
fn answered(
    target: &Target,
    manner: &mut Manner,
    answer: &Answer,
    latency: Duration,
    is_head: bool,
) -> Answered {
    // A head is read as the whole answer before it was.
    let form = if is_head { target.dialect.or(manner.dialect) } else { target.dialect };
    let status = answer.status;
    let body = answer.body.beginning();
    let mut judged = dialect::judge(form, status, content_type(answer), body);
    manner.code = status;
    manner.dialect = judged.dialect;
    let fault = match &answer.body {
        Body::Whole(_) => None,
        Body::TooLong(_) => Some("the answer is too long"),
        Body::Unreadable(why) => Some(&**why),
    };
    if let Some(why) =
        fault.map(|fault| format!("answers {status}, {fault}")).or_else(|| reason(manner, answer))
    {
        // Whatever it says, it does not say it well.
        (judged.light, judged.dialect, judged.why) = (judged.light.max(Light::Amber), None, why);
    }
    let left = answer.certificate_expires.map(|expires| expires.duration_since(Timestamp::now()));
    if let Some(left) = left.filter(|left| *left < CERTIFICATE_SOON && judged.light == Light::Green) {
        let why = format!("its certificate expires in {} hours", left.as_hours());
        (judged.light, judged.dialect, judged.why) = (Light::Amber, None, why);
    }
    if status == 404 && !target.places().is_empty() {
        manner.place = None;
    }
    Answered {
        light: judged.light,
        why: judged.why,
        dialect: judged.dialect,
        code: status,
        latency,
        parts: (!is_head).then_some(judged.parts),
        excerpt: (judged.light != Light::Green && !body.is_empty()).then(|| excerpt(body)),
        retry_after: answer
            .retry_after(Timestamp::now())
            .filter(|wait| !wait.is_zero())
            .map(|wait| wait.min(LONGEST_RETRY)),
        address: answer.address,
        certificate_expires: answer.certificate_expires.map(Timestamp::as_millisecond),
    }
}

/// Why an answer is none of the service, in words that say how to mend it.
fn reason(manner: &Manner, answer: &Answer) -> Option<String> {
    let status = answer.status;
    match (manner.dialect, answer.leads_to()) {
        (Some(_), _) => None,
        (None, Some(place)) => {
            let place: String = place.chars().take(LONGEST_PLACE).collect();
            Some(format!("answers {status} and leads to `{place}`; if the service is there, ask it there"))
        }
        (None, None) => match status {
            401 | 403 => Some(format!("answers {status}: it takes credentials to ask it")),
            404 if manner.is_fallback => {
                let places = PLACES.join(", ");
                Some(format!(
                    "answers {status}, and has none of {places}; name the path of its health resource"
                ))
            }
            _ => None,
        },
    }
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(LONGEST_EXCERPT).collect()
}

/// What a service says of itself in its answer, and in the resources beside it. Whatever is not there, or takes longer
/// than `patience`, is not known.
pub(crate) async fn about(
    fetcher: &Fetcher,
    target: &Target,
    manner: &Manner,
    url: &Url,
    body: &[u8],
    patience: Duration,
) -> Introduction {
    let own = dialect::introduction(body);
    if !matches!(manner.dialect, Some(Dialect::Health | Dialect::Status | Dialect::TrafficLight)) {
        return own;
    }
    let companions = companions(url);
    let (first, second) = tokio::join!(
        introduction(fetcher, target, companions.first(), patience),
        introduction(fetcher, target, companions.get(1), patience),
    );
    own.or(first).or(second)
}

async fn introduction(
    fetcher: &Fetcher,
    target: &Target,
    companion: Option<&(Url, Dialect)>,
    patience: Duration,
) -> Introduction {
    let Some((url, dialect)) = companion else { return Introduction::default() };
    let request = request(target, Method::GET);
    // How it is has been told already; who it is may be told the next time.
    let Ok(Ok(answer)) = timeout(patience, fetcher.fetch(url, &request)).await else {
        return Introduction::default();
    };
    let body = answer.body.beginning();
    let reading = dialect::read(None, answer.status, content_type(&answer), body);
    // Others have resources of the same names.
    if reading.is_ok_and(|reading| reading.dialect == *dialect) {
        dialect::introduction(body)
    } else {
        Introduction::default()
    }
}

#[cfg(test)]
mod tests;
