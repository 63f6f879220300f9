//! How services are, and who they are, all asked at once.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use lifesigns_fetch::{Failure, FailureKind, Fetcher, most_at_a_time};
use lifesigns_model::dialect::{Dialect, Introduction, Part};
use lifesigns_model::light::Light;
use lifesigns_monitor::Asked;
use lifesigns_monitor::service::Answered;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use url::Url;

/// So many are asked at a time, where there are files enough.
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
    /// How it is, or why there is no answer.
    pub answer: Result<Answered, Failure>,
    /// Who it says it is. A stranger's texts.
    pub introduction: Introduction,
}

impl Finding {
    /// How it is; nothing if there is no answer.
    pub fn light(&self) -> Option<Light> {
        self.answered().map(|answer| answer.light)
    }

    /// Its answer, if there is one.
    pub fn answered(&self) -> Option<&Answered> {
        self.answer.as_ref().ok()
    }

    /// What it is called: here, by itself, or by its URL. To be escaped.
    pub fn name(&self) -> String {
        let name = self.target.name.as_ref().or(self.introduction.service.as_ref());
        name.map_or_else(|| self.target.url.to_string(), Clone::clone)
    }

    /// Why it is not green, as a sentence that begins after its name. Nothing if it is green. To be escaped.
    pub fn complaint(&self) -> Option<String> {
        let answer = match &self.answer {
            Ok(answer) if answer.light == Light::Green => return None,
            Ok(answer) => answer,
            Err(failure) if failure.is_own => {
                return Some(format!(
                    "{} (the fault is this machine's, and says nothing of the service)",
                    said(failure)
                ));
            }
            Err(failure) => return Some(said(failure)),
        };
        let mut text = match answer.dialect {
            Some(dialect) => format!("answers {}, which means {} as `{dialect}`", answer.code, answer.light),
            None => answer.why.clone(),
        };
        let ill: Vec<String> = ill(answer).map(|part| format!("{} is {}", part.name, part.light)).collect();
        if !ill.is_empty() {
            let more = if ill.len() > 5 { format!(", and {} more", ill.len() - 5) } else { String::new() };
            let told = &ill[..ill.len().min(5)];
            text = format!("{text}: {}{more}", told.join(", "));
        }
        if let Some(wait) = answer.retry_after {
            text = format!("{text}; it asks for {} s of patience", wait.as_secs());
        }
        Some(text)
    }
}

/// The parts that are not green.
pub fn ill(answer: &Answered) -> impl Iterator<Item = &Part> {
    answer.parts.iter().flatten().filter(|part| part.light != Light::Green)
}

/// The failure as a sentence that begins after the name of whom it is about.
fn said(failure: &Failure) -> String {
    let beginning = match failure.kind {
        FailureKind::TimedOut => return failure.message.clone(),
        FailureKind::Unreachable => "cannot be reached",
        FailureKind::UnexpectedAnswer => "gives no answer of HTTP that can be read",
        _ => "cannot be asked",
    };
    format!("{beginning}: {failure}")
}

/// All of them at once, each with its own deadline; in their order.
pub async fn all(fetcher: &Fetcher, targets: &[Target], depth: Depth) -> Vec<Finding> {
    let turns = Arc::new(Semaphore::new(AT_A_TIME.min(most_at_a_time())));
    let mut asked = JoinSet::new();
    for (index, target) in targets.iter().enumerate() {
        let (fetcher, target, turns) = (fetcher.clone(), target.clone(), Arc::clone(&turns));
        asked.spawn(async move {
            // The semaphore is never closed. The deadline begins with the turn.
            let _turn = turns.acquire().await;
            (index, Box::pin(one(&fetcher, target, depth)).await)
        });
    }
    let mut findings = asked.join_all().await;
    findings.sort_unstable_by_key(|(index, _)| *index);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// One of them, as a monitor would ask it.
async fn one(fetcher: &Fetcher, target: Target, depth: Depth) -> Finding {
    let watched = lifesigns_monitor::Target {
        dialect: target.dialect,
        deadline: target.deadline,
        authorization: target.authorization.clone(),
        ..lifesigns_monitor::Target::new("", target.url.clone())
    };
    let Asked { url, answer, introduction } =
        lifesigns_monitor::ask(fetcher, &watched, depth == Depth::Everything).await;
    Finding { target, url, answer, introduction }
}
