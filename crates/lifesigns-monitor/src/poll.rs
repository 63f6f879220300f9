//! Asking a service of the fleet once.

use hyper::Method;
use lifesigns_fetch::{Answer, Body, FailureKind, Fetcher};
use tokio::time::timeout;
use url::Url;

pub(crate) use crate::ask::Manner;
use crate::ask::{self, PATIENCE, Told};
use crate::service::{Observation, Sight, Traffic};
use crate::target::{Target, details};

/// Asks a service how it is. With `in_full` it is also asked what there is to know about it.
pub(crate) async fn poll(
    fetcher: &Fetcher,
    target: &Target,
    manner: &mut Manner,
    in_full: bool,
    at: i64,
) -> Observation {
    let (mut introduction, mut traffic_told) = (None, None);
    let sight = match ask::within_deadline(fetcher, target, manner, in_full).await {
        Ok(Told { answered, body, url }) => {
            if let Some(body) = body {
                let patience = PATIENCE.min(target.deadline);
                let (about, told) = tokio::join!(
                    ask::about(fetcher, target, manner, &url, &body, patience),
                    traffic(fetcher, target, &url),
                );
                (introduction, traffic_told) = (Some(about), told);
            }
            Sight::Answered(answered)
        }
        Err(failure) if failure.is_own => {
            let is_network = failure.kind == FailureKind::Unreachable;
            Sight::NotKnown { why: failure.message, is_network }
        }
        Err(failure) => Sight::Failed { why: failure.message },
    };
    Observation { at, sight, introduction, traffic: traffic_told }
}

/// What a service of Lifesigns that lets the monitor in says of its traffic.
async fn traffic(fetcher: &Fetcher, target: &Target, url: &Url) -> Option<Traffic> {
    target.authorization.as_ref()?;
    let url = details(url)?;
    let request = ask::request(target, Method::GET);
    match timeout(PATIENCE.min(target.deadline), fetcher.fetch(&url, &request)).await {
        Ok(Ok(Answer { body: Body::Whole(body), .. })) => Traffic::read(&body),
        // How it is has been told already.
        _ => None,
    }
}
