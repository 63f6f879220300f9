//! Asking every service when its time has come, and taking what follows to the store and to people.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lifesigns_model::light::Light;
use lifesigns_model::store::StoreError;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::alerts::{Delivery, Undelivered};
use crate::desk::ALIVE_EVERY;
use crate::fleet::{Fleet, Inner, NO_MORE, State, blind};
use crate::poll::poll;
use crate::service::{Observation, Sight};
use crate::target::Target;

/// What has happened is taken to the store so often.
const KEEP_EVERY: Duration = Duration::from_millis(250);
/// The same no more often than that, however much there is that somebody may want to be told.
const KEEP_AT_MOST_EVERY: Duration = Duration::from_millis(50);
/// The history has to prove so often that it keeps what it takes.
pub(crate) const PROVE_EVERY: Duration = Duration::from_secs(5);
/// A light that is not believed yet is asked for again so soon.
const IN_DOUBT: Duration = Duration::from_secs(5);
/// A service of which the monitor knows nothing since it cannot ask is asked again so soon.
const NOT_KNOWN: Duration = Duration::from_secs(10);
/// Services are first asked one after the other, with so much time between them at most.
const FIRST_SPREAD: Duration = Duration::from_millis(1);
/// All services are asked at once within this time.
const SWEEP_SPREAD: Duration = Duration::from_secs(2);
/// Polls under way at a time, at most, where there are files enough. Each needs some memory.
const MOST_POLLS: usize = 4_000;
/// A poll that ends so long after its deadline was kept by the monitor itself: its process, or its machine, was stopped.
const OWN_DELAY: Duration = Duration::from_secs(1);
/// What a reference has said of the network holds for so long.
const REFERENCE_HOLDS: Duration = Duration::from_secs(5);
/// How long a reference may take to take a connection.
const REFERENCE_PATIENCE: Duration = Duration::from_secs(2);
/// How long the store may take before a message is sent all the same.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

impl Fleet {
    /// Watches the fleet until `stop` is done, or gone. What was under way is then dropped, and everything that is
    /// known is taken to the store.
    pub async fn watch(&self, stop: oneshot::Receiver<()>) {
        let inner = &self.inner;
        tokio::select! {
            () = schedule(Arc::clone(inner)) => {}
            () = keep(Arc::clone(inner)) => {}
            () = prove(Arc::clone(inner)) => {}
            _ = stop => {}
        }
        // Pages that listen are not waited for.
        inner.changes.send_replace(NO_MORE);
        for watched in &inner.watched {
            let state = watched.lock();
            inner.desk().remember(&watched.target.name, &state.service);
        }
        inner.desk().close(inner.clock.now());
        inner.keep();
    }
}

/// Asks all services, for ever.
async fn schedule(inner: Arc<Inner>) {
    let count = inner.watched.len();
    let began = Instant::now();
    let mut waiting: BinaryHeap<Reverse<(Instant, usize)>> = (0..count)
        .map(|index| {
            let share =
                inner.watched[index].target.interval / u32::try_from(count).unwrap_or(u32::MAX).max(1);
            Reverse((began + share.min(FIRST_SPREAD) * u32::try_from(index).unwrap_or(u32::MAX), index))
        })
        .collect();
    let slots = Arc::new(Semaphore::new(MOST_POLLS.min(lifesigns_fetch::most_at_a_time())));
    // Each service is at one place only: in the heap, or under way.
    let network = Arc::new(Network::default());
    let mut polls = JoinSet::new();
    let mut asked: HashMap<tokio::task::Id, usize> = HashMap::new();
    loop {
        let next = waiting.peek().map(|Reverse((due, _))| *due);
        tokio::select! {
            () = sleep_until(next.unwrap_or(began)), if next.is_some() => {
                let Some(Reverse((due, index))) = waiting.pop() else { continue };
                let (inner, slots) = (Arc::clone(&inner), Arc::clone(&slots));
                let network = Arc::clone(&network);
                let task = polls.spawn(async move {
                    // The semaphore is never closed.
                    let _slot = slots.acquire().await;
                    one(&inner, &network, index, due).await
                });
                asked.insert(task.id(), index);
            }
            Some(ended) = polls.join_next_with_id(), if !polls.is_empty() => {
                let (task, wait) = match ended {
                    Ok((task, wait)) => (task, Some(wait)),
                    Err(error) => (error.id(), None),
                };
                let Some(index) = asked.remove(&task) else { continue };
                let target = &inner.watched[index].target;
                if wait.is_none() {
                    inner.figures.under_way.fetch_sub(1, Relaxed);
                    tracing::error!(service = &*target.name, "a poll ended before its time; it is asked again");
                }
                waiting.push(Reverse((Instant::now() + wait.unwrap_or(target.interval), index)));
            }
            () = inner.sweep.notified() => waiting = sweep(waiting.into_vec(), Instant::now()),
        }
    }
}

/// All that wait, and were to wait longer, within a short time.
fn sweep(waiting: Vec<Reverse<(Instant, usize)>>, now: Instant) -> BinaryHeap<Reverse<(Instant, usize)>> {
    let step = SWEEP_SPREAD / u32::try_from(waiting.len()).unwrap_or(u32::MAX).max(1);
    let hurried = waiting.into_iter().enumerate().map(|(place, Reverse((due, index)))| {
        Reverse((due.min(now + step * u32::try_from(place).unwrap_or(u32::MAX)), index))
    });
    hurried.collect()
}

/// Asks one service, and tells when to ask it again.
async fn one(inner: &Inner, network: &Network, index: usize, due: Instant) -> Duration {
    let watched = &inner.watched[index];
    let began = Instant::now();
    inner.figures.began(began.saturating_duration_since(due), watched.target.interval);
    let (mut manner, in_full) = {
        let mut state = watched.lock();
        state.next = 0;
        let is_turn = state.polls.is_multiple_of(u64::from(inner.full_every));
        (state.manner.clone(), is_turn || state.service.is_in_doubt())
    };
    let mut seen = poll(&inner.fetcher, &watched.target, &mut manner, in_full, inner.clock.at(began)).await;
    let late = began.elapsed().saturating_sub(watched.target.deadline);
    if let Sight::Failed { .. } = &seen.sight
        && late > OWN_DELAY
    {
        let why = format!("the monitor itself stood still for {} s", late.as_secs());
        seen = Observation { sight: Sight::NotKnown { why, is_network: false }, ..seen };
    } else if let Sight::Failed { .. } = &seen.sight
        && !network.is_there(&inner.references).await
    {
        let why = "the monitor itself has no network: none of its references takes a connection".to_owned();
        seen = Observation { sight: Sight::NotKnown { why, is_network: true }, ..seen };
    } else if let Sight::NotKnown { why, is_network: true } = &seen.sight
        && !inner.references.is_empty()
        && network.is_there(&inner.references).await
    {
        // There is a network, so that it is the way to this service that is not there.
        seen = Observation { sight: Sight::Failed { why: why.clone() }, ..seen };
    }
    inner.observe(index, &seen, manner);
    inner.figures.ended(began.elapsed(), watched.target.interval);
    let mut state = watched.lock();
    state.polls += 1;
    let wait = wait(&watched.target, &state, inner.red_interval, chance(index, state.polls));
    // An interval is counted from poll to poll; what is asked of whoever is not well is counted from the answer.
    let service = &state.service;
    let is_green =
        service.light == Some(Light::Green) && !service.is_in_doubt() && service.not_known_since.is_none();
    let wait = if is_green { wait.saturating_sub(began.elapsed()).max(wait / 10) } else { wait };
    state.wait = wait;
    state.next = inner.clock.at(Instant::now() + wait);
    wait
}

/// How long to leave a service alone. `chance` from 0 to 1 spreads services.
fn wait(target: &Target, state: &State, red_interval: Duration, chance: f64) -> Duration {
    let service = &state.service;
    if service.not_known_since.is_some() {
        return target.interval.min(NOT_KNOWN);
    }
    if service.is_in_doubt() {
        return target.interval.min(IN_DOUBT);
    }
    match service.light {
        Some(Light::Red) => red_interval,
        Some(Light::Amber) => {
            let wanted = service.retry_after.map_or(target.interval, Duration::from_secs);
            wanted.max(Duration::from_secs(1))
        }
        // Within a twentieth of the interval both ways.
        Some(Light::Green) | None => target.interval.mul_f64(0.95 + 0.1 * chance),
    }
}

/// A number from 0 to 1 that looks like chance, and is the same for the same poll.
fn chance(index: usize, polls: u64) -> f64 {
    // splitmix64
    let mut bits = (index as u64 ^ polls.rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Whether the monitor has a network, as its references tell.
#[derive(Debug, Default)]
struct Network {
    last: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

impl Network {
    async fn is_there(&self, references: &[String]) -> bool {
        if references.is_empty() {
            return true;
        }
        // All that wait for an answer wait for the same one.
        let mut last = self.last.lock().await;
        if let Some((at, is_there)) = *last
            && at.elapsed() < REFERENCE_HOLDS
        {
            return is_there;
        }
        let mut attempts = JoinSet::new();
        for reference in references {
            let reference = reference.clone();
            attempts.spawn(async move {
                matches!(timeout(REFERENCE_PATIENCE, TcpStream::connect(&*reference)).await, Ok(Ok(_)))
            });
        }
        let mut is_there = false;
        while let Some(taken) = attempts.join_next().await {
            is_there |= taken.unwrap_or_default();
            if is_there {
                break;
            }
        }
        *last = Some((Instant::now(), is_there));
        is_there
    }
}

/// Takes everything to the store, and messages to people, for ever.
async fn keep(inner: Arc<Inner>) {
    let mut sending = JoinSet::new();
    let mut under_way: HashMap<tokio::task::Id, String> = HashMap::new();
    let mut last_alive = inner.clock.now();
    let mut last_round = Instant::now();
    loop {
        let mut has_arrived = false;
        sleep_until(last_round + KEEP_AT_MOST_EVERY).await;
        tokio::select! {
            () = sleep(KEEP_EVERY) => {}
            () = inner.news.notified() => {}
            Some(sent) = sending.join_next_with_id(), if !sending.is_empty() => {
                has_arrived = true;
                settled(&inner, &mut under_way, sent);
            }
        }
        while let Some(sent) = sending.try_join_next_with_id() {
            has_arrived = true;
            settled(&inner, &mut under_way, sent);
        }
        last_round = Instant::now();
        if let Some(drift) = inner.clock.put_right() {
            tracing::warn!(milliseconds = drift, "the clock of this machine was put right, or it has slept");
            let now = inner.clock.now();
            last_alive = i64::MIN / 2;
            inner.last_sweep.store(i64::MIN / 2, Relaxed);
            if drift > 0 {
                let mut desk = inner.desk();
                desk.gap(now - drift, now, "the machine slept, or its clock was put forward");
                inner.watched.iter().for_each(|one| blind(&mut desk, one, now - drift));
            }
        }
        let now = inner.clock.now();
        let is_turn = now - last_alive >= ALIVE_EVERY;
        if is_turn {
            last_alive = now;
            inner.note_the_patient(now);
        }
        let due = {
            let mut desk = inner.desk();
            if is_turn {
                desk.alive(now);
            }
            desk.tell(now);
            desk.outbox.due(now)
        };
        let is_given = inner.keep();
        if has_arrived || !due.is_empty() {
            // What has been decided must be known after a restart before anybody hears of it; and what has arrived, so
            // that it is not sent again.
            let is_safe = flush(&inner).await && is_given;
            if !is_safe {
                tracing::error!("messages are sent all the same; after a restart they may be decided anew");
            }
        }
        for delivery in due {
            let (inner, id) = (Arc::clone(&inner), delivery.id.clone());
            let task = sending.spawn(async move { send(&inner, &delivery).await });
            under_way.insert(task.id(), id);
        }
    }
}

/// What has become of a message that was under way.
fn settled(
    inner: &Inner,
    under_way: &mut HashMap<tokio::task::Id, String>,
    sent: Result<(tokio::task::Id, Result<(), Undelivered>), JoinError>,
) {
    let (task, result) = match sent {
        Ok((task, result)) => (task, result),
        Err(error) => {
            let why = "the attempt ended before its time".to_owned();
            (error.id(), Err(Undelivered { is_final: false, why, retry_after: None }))
        }
    };
    if let Some(id) = under_way.remove(&task) {
        arrived(inner, &id, result);
    }
}

/// Has the history prove that it keeps what it takes, for ever: it takes much before it says that it cannot.
async fn prove(inner: Arc<Inner>) {
    loop {
        sleep(PROVE_EVERY).await;
        flush(&inner).await;
    }
}

/// Waits until everything that the history has taken is safe. False if it may not be.
pub(crate) async fn flush(inner: &Inner) -> bool {
    let begun = inner.keeping.begin();
    let store = Arc::clone(&inner.store);
    let flushed = tokio::task::spawn_blocking(move || store.flush(STORE_PATIENCE)).await;
    let flushed =
        flushed.unwrap_or_else(|error| Err(StoreError::because("the history was not asked", error)));
    let is_safe = flushed.is_ok();
    if inner.keeping.ended(inner.clock.now(), begun, flushed) {
        inner.tell_news();
    }
    is_safe
}

async fn send(inner: &Inner, delivery: &Delivery) -> Result<(), Undelivered> {
    match inner.channels.get(&delivery.route) {
        Some(channel) => channel.send(delivery).await,
        None => Err(Undelivered {
            is_final: true,
            why: format!("there is no route `{}` any more", delivery.route),
            retry_after: None,
        }),
    }
}

fn arrived(inner: &Inner, id: &str, result: Result<(), Undelivered>) {
    let now = inner.clock.now();
    let mut desk = inner.desk();
    match result {
        Ok(()) => desk.delivered(id, now),
        Err(why) => {
            tracing::warn!(id, why = why.why, is_final = why.is_final, "a message was not delivered");
            desk.not_delivered(id, now, &why, chance(id.len(), now as u64));
        }
    }
}
