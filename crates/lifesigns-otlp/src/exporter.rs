//! The thread that pushes.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use hyper::body::Bytes;
use lifesigns::{BadOption, Event, Lifesigns, Subscription};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::client::{Answer, Client};
use crate::options::Options;
use crate::redaction::Redaction;
use crate::{deadline, encode, retry};

/// From the beginning of one push to that of the next at least, however often lights change.
const LEAST_BETWEEN: Duration = Duration::from_secs(1);

/// How long a push for a light that has changed waits for others that change in the same moment.
const CHANGES_TOGETHER: Duration = Duration::from_millis(50);

/// A thread that pushes until it is told to stop, or this is dropped.
#[derive(Debug)]
pub struct Exporter {
    stop: oneshot::Sender<Instant>,
    ended: mpsc::Receiver<()>,
    counts: Arc<Counts>,
}

/// What has become of the pushes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pushes {
    /// Pushes that the collector has taken.
    pub taken: u64,
    /// Pushes that were given up: refused, or not taken before the next was due.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    lost: AtomicU64,
}

impl Exporter {
    /// Starts to push; the first time after one interval, or when a light changes before that.
    ///
    /// # Errors
    /// When the options cannot be, with a [`BadOption`] inside, or the system gives no thread.
    pub fn start(lifesigns: Lifesigns, options: Options) -> io::Result<Exporter> {
        let bad = |bad: BadOption| io::Error::new(io::ErrorKind::InvalidInput, bad);
        let client = Client::new(&options).map_err(bad)?;
        if options.interval < Duration::from_millis(100) {
            return Err(bad(BadOption::new("interval", "must be 100 ms or more")));
        }
        if options.timeout.is_zero() {
            return Err(bad(BadOption::new("timeout", "is zero, in which nothing can be pushed")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let counts = Arc::<Counts>::default();
        let pusher = Pusher {
            resource: encode::resource(&lifesigns, &options.resource),
            lifesigns,
            client,
            redaction: Redaction::of(&options),
            interval: options.interval,
            not_before: None,
            counts: Arc::clone(&counts),
            complaint: None,
            has_complained: false,
            lost_in_a_row: 0,
        };
        thread::Builder::new().name("lifesigns-otlp".to_owned()).spawn(move || {
            runtime.block_on(pusher.run(stopped));
            // A name that is being looked up cannot be given up; nobody waits for it.
            runtime.shutdown_background();
            drop(end);
        })?;
        Ok(Exporter { stop, ended, counts })
    }

    /// What has become of the pushes so far.
    pub fn pushes(&self) -> Pushes {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Pushes { taken: load(&self.counts.taken), lost: load(&self.counts.lost) }
    }

    /// Pushes once more, for at most `patience`, and stops. Blocks the thread.
    pub fn shutdown(self, patience: Duration) -> Pushes {
        let Exporter { stop, ended, counts } = self;
        // Fails only if the thread has ended, and then there is nothing to wait for.
        let _ended = stop.send(deadline::after(Instant::now(), patience));
        // The thread keeps to the deadline by itself; the bound is for one that does not get any time to.
        let _disconnected = ended.recv_timeout(patience.saturating_add(Duration::from_millis(500)));
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Pushes { taken: load(&counts.taken), lost: load(&counts.lost) }
    }
}

/// The next change of a light; never, once there are none any more.
async fn next_change(changes: &mut Option<Subscription>) -> Option<Event> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// How a push has failed: a word that stays the same while it fails in the same way, and what there is to say.
struct Complaint {
    kind: String,
    said: String,
}

/// What is to be done after an attempt.
enum Attempt {
    Taken,
    Again { after: Option<Duration>, complaint: Complaint },
    Refused(Complaint),
}

struct Pusher {
    lifesigns: Lifesigns,
    client: Client,
    redaction: Redaction,
    resource: Resource,
    interval: Duration,
    /// The collector wants to be left alone until then.
    not_before: Option<Instant>,
    counts: Arc<Counts>,
    /// What was complained of last, so that it is complained of once.
    complaint: Option<String>,
    /// Whether this push has given cause.
    has_complained: bool,
    lost_in_a_row: u64,
}

impl Pusher {
    async fn run(mut self, mut stop: oneshot::Receiver<Instant>) {
        let mut changes = Some(self.lifesigns.subscribe());
        let mut due = deadline::after(Instant::now(), self.interval);
        let mut soonest = Instant::now();
        loop {
            let next = self.not_before.map_or(due, |not_before| due.max(not_before));
            let stopped = tokio::select! {
                () = sleep_until(next) => None,
                stopped = &mut stop => Some(stopped),
                changed = next_change(&mut changes) => {
                    if changed.is_some() {
                        due = due.min(soonest.max(Instant::now() + CHANGES_TOGETHER));
                    } else {
                        changes = None;
                    }
                    continue;
                }
            };
            let stopped = match stopped {
                Some(stopped) => stopped,
                None => {
                    // Pushes that were slept through are not made up for.
                    due = deadline::after(due, self.interval).max(Instant::now());
                    soonest = Instant::now() + LEAST_BETWEEN;
                    tokio::select! {
                        () = self.push(due) => continue,
                        stopped = &mut stop => stopped,
                    }
                }
            };
            if let Ok(deadline) = stopped {
                self.push_last(deadline).await;
            }
            return;
        }
    }

    async fn push_last(&mut self, deadline: Instant) {
        if self.not_before.is_some_and(|not_before| not_before >= deadline) {
            return self.lost();
        }
        if let Some(not_before) = self.not_before {
            sleep_until(not_before).await;
        }
        if timeout_at(deadline, self.push(deadline)).await.is_err() {
            self.lost();
        }
    }

    /// Pushes what there is to say now, again and again until it is taken, refused, or the time is up.
    async fn push(&mut self, until: Instant) {
        self.has_complained = false;
        let requests = encode::requests(&self.lifesigns, &self.resource);
        for request in requests {
            let body = match self.client.pack(request.encode_to_vec()) {
                Ok(body) => body,
                Err(error) => {
                    let said = format!("the figures cannot be compressed: {error}");
                    self.complain(Complaint { kind: "compression".to_owned(), said });
                    return self.lost();
                }
            };
            drop(request);
            if !self.deliver(body, until).await {
                return self.lost();
            }
        }
        self.counts.taken.fetch_add(1, Ordering::Relaxed);
        if !self.has_complained {
            self.complaint = None;
        }
        if self.lost_in_a_row > 0 {
            tracing::info!(lost = self.lost_in_a_row, "the collector takes figures again");
            self.lost_in_a_row = 0;
        }
    }

    /// True if it was taken.
    async fn deliver(&mut self, body: Bytes, until: Instant) -> bool {
        for attempts in 1.. {
            let (after, complaint) = match self.attempt(body.clone()).await {
                Attempt::Taken => return true,
                Attempt::Refused(complaint) => {
                    self.complain(complaint);
                    return false;
                }
                Attempt::Again { after, complaint } => (after, complaint),
            };
            self.complain(complaint);
            self.not_before = after.map(|after| Instant::now() + after);
            // Without randomness all wait equally long, which is no reason not to wait.
            let wait = after.unwrap_or_else(|| retry::wait(attempts, getrandom::u64().unwrap_or_default()));
            if Instant::now() + wait >= until {
                return false;
            }
            sleep(wait).await;
        }
        false
    }

    async fn attempt(&mut self, body: Bytes) -> Attempt {
        let answer = match self.client.post(body).await {
            Ok(answer) => answer,
            Err(failure) => {
                let complaint = Complaint { kind: "unreachable".to_owned(), said: failure.to_string() };
                return Attempt::Again { after: None, complaint };
            }
        };
        self.not_before = None;
        let Answer { status, retry_after, body } = answer;
        if (200..300).contains(&status) {
            if let Some(said) = rejected(&body, &self.redaction) {
                self.complain(Complaint { kind: "partial".to_owned(), said });
            }
            return Attempt::Taken;
        }
        let complaint =
            Complaint { kind: format!("status {status}"), said: refusal(status, &body, &self.redaction) };
        if retry::is_retryable(status) {
            return Attempt::Again { after: retry_after, complaint };
        }
        Attempt::Refused(complaint)
    }

    fn lost(&mut self) {
        self.lost_in_a_row += 1;
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Into the log, once for as long as it stays the same.
    fn complain(&mut self, complaint: Complaint) {
        let Complaint { kind, said } = complaint;
        self.has_complained = true;
        if self.complaint.as_ref() == Some(&kind) {
            return tracing::debug!(kind, said, "the collector still does not take all figures");
        }
        tracing::warn!(kind, said, "the collector does not take all figures; said once until that changes");
        self.complaint = Some(kind);
    }
}

/// What the collector did not take of a request that it took.
fn rejected(body: &[u8], redaction: &Redaction) -> Option<String> {
    // What is no such message says nothing: the status is what counts.
    let partial = ExportMetricsServiceResponse::decode(body).ok()?.partial_success?;
    if partial.rejected_data_points <= 0 && partial.error_message.is_empty() {
        return None;
    }
    let message = redaction.shown(&partial.error_message);
    Some(format!("{} data points rejected: {message}", partial.rejected_data_points))
}

/// `google.rpc.Status`, which is what a refusal holds.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn refusal(status: u16, body: &[u8], redaction: &Redaction) -> String {
    match Status::decode(body) {
        Ok(Status { message, .. }) if !message.is_empty() => {
            format!("it answers {status}: {}", redaction.shown(&message))
        }
        // Many say it in plain text, whatever the specification asks for.
        _ => format!("it answers {status}: {}", redaction.shown(&String::from_utf8_lossy(body))),
    }
}
