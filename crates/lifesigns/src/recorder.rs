//! Counts exchanges without ever making one wait.
//!
//! Each thread writes what has ended into a ring of its own, which is read twice a second by the collector, and by the
//! thread itself when much is unread: counting many at once is cheaper than one by one. Labels become small numbers on
//! the way in and text again on the way out.

pub(crate) mod accumulator;
pub(crate) mod flight;
pub(crate) mod labels;
pub(crate) mod recent;
pub(crate) mod ring;

use std::cell::RefCell;
use std::num::NonZeroU128;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lifesigns_model::bucket::Minute;
use lifesigns_model::exchange::Measurement;

use self::accumulator::{Accumulator, Drained};
use self::flight::{Flights, Landed};
use self::labels::Labels;
use self::recent::Recent;
use self::ring::{Ended, KEPT, Ring};
use crate::clock::{Clock, Reading};
use crate::exemplar::Traced;
use crate::record::Seen;

/// Methods that have a label of their own: those of RFC 9110 and PATCH of RFC 5789. The first is for all others.
pub(crate) const METHODS: [&str; 10] = [
    lifesigns_model::series::OTHER,
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
];

/// The number of a method in [`METHODS`].
pub(crate) fn method_number(method: &http::Method) -> u8 {
    METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(0) as u8
}

/// Policies that are told apart.
const MAX_POLICIES: u16 = 100;

static NEXT_RECORDER: AtomicU64 = AtomicU64::new(0);

/// What a thread keeps at most for the exchanges to come.
const MAX_SPARES: usize = 1024;

const MICROS_OF_A_MINUTE: i64 = 60_000_000;

thread_local! {
    /// For each recorder that this thread has counted for: nearly always one.
    static MINE: RefCell<Vec<Mine>> = const { RefCell::new(Vec::new()) };
}

/// What this thread counts into, for one recorder.
struct Mine {
    counts: Arc<Counts>,
    /// Of exchanges that have ended, for those to come: making them anew takes longer than counting does.
    spares: Vec<Watched>,
}

impl Mine {
    /// Whether anybody else holds on to it.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.counts) > 1 + self.spares.len()
    }
}

/// An exchange that is under way. It is handed on from body to body, so it is no larger than a word.
#[derive(Debug)]
pub(crate) struct Watched(Box<UnderWay>);

#[derive(Debug)]
struct UnderWay {
    /// Of the thread on which it began.
    counts: Arc<Counts>,
    seen: Seen,
}

impl Watched {
    fn new(counts: &Arc<Counts>) -> Watched {
        Watched(Box::new(UnderWay { counts: Arc::clone(counts), seen: Seen::default() }))
    }

    pub(crate) fn subjects(&self) -> &Arc<Subjects> {
        &self.0.counts.subjects
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.0.seen
    }

    pub(crate) fn seen_mut(&mut self) -> &mut Seen {
        &mut self.0.seen
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Reading {
        self.subjects().clock.read(Instant::now())
    }

    /// Keeps its trace, whichever thread it ends on.
    pub(crate) fn keep_trace(&self, trace_id: NonZeroU128, ended: Reading, micros: u64) {
        let at_micros = ended.micros() as i64;
        let traced = Traced { key: self.0.seen.key, trace_id, micros, at_micros };
        lock(&self.0.counts.accumulator).traced.add(traced);
    }

    /// Counts it, on whatever thread this is.
    pub(crate) fn end(self, at: Reading, measured: &Measurement) {
        let key = self.0.seen.key;
        let ended = Ended { key: key.into(), at_micros: at.micros() as i64, measured: *measured };
        let mut watched = Some(self);
        let mine = MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            let began_on = &watched.as_ref()?.0.counts;
            let mine = mine.iter_mut().find(|mine| mine.counts.recorder == began_on.recorder)?;
            mine.counts.end(key.api, &ended);
            if mine.spares.len() < MAX_SPARES && Arc::ptr_eq(began_on, &mine.counts) {
                mine.spares.extend(watched.take());
            }
            Some(())
        });
        // A thread that is new to this recorder has no counts yet, and one that is ending has none any more.
        if let (Ok(None) | Err(_), Some(watched)) = (mine, watched) {
            watched.subjects().begin().0.counts.end(key.api, &ended);
        }
    }
}

/// What one thread counts into. On cache lines of its own: a neighbour's counting must not slow it down.
///
/// An exchange holds on to this and not to the process, whose count of references all threads would write.
#[derive(Debug)]
#[repr(align(128))]
struct Counts {
    /// Number of the recorder.
    recorder: u64,
    flights: Flights,
    /// Written by the thread, read under the lock of the accumulator.
    ended: Ring,
    accumulator: Mutex<Accumulator>,
    subjects: Arc<Subjects>,
}

impl Counts {
    /// Counts an exchange on the thread of these counts.
    fn end(&self, api: u16, ended: &Ended) {
        if !self.ended.push(ended) {
            self.fold(&mut lock(&self.accumulator));
            // There is room now: nobody else writes.
            self.ended.push(ended);
        }
        self.flights.end(api);
    }

    /// Counts what has ended into the accumulator, which must be that of this.
    fn fold(&self, accumulator: &mut Accumulator) {
        let Subjects { clock, max_series, .. } = &*self.subjects;
        let origin = clock.wall_micros(0);
        let (mut minute, mut micros_of_minute) = (Minute::new(0), 0..0);
        self.ended.drain(|ended| {
            let at_micros = origin + ended.at_micros;
            if !micros_of_minute.contains(&at_micros) {
                let number = at_micros.div_euclid(MICROS_OF_A_MINUTE);
                minute = Minute::new(number);
                micros_of_minute = number * MICROS_OF_A_MINUTE..(number + 1) * MICROS_OF_A_MINUTE;
            }
            accumulator.record(ended.key, minute, &ended.measured, *max_series);
        });
    }
}

/// Whose exchanges are recorded, and how.
#[derive(Debug)]
pub(crate) struct Subjects {
    /// Number of the recorder.
    recorder: u64,
    pub(crate) clock: Clock,
    max_series: usize,
    /// The routes of each API.
    pub(crate) routes: Vec<Arc<Labels>>,
    pub(crate) policies: Labels,
    /// Whether the process ends what is under way.
    pub(crate) cuts_off: AtomicBool,
    threads: Mutex<Threads>,
}

/// The threads that count.
#[derive(Debug)]
struct Threads {
    counts: Vec<Arc<Counts>>,
    /// Begun and ended exchanges of those that are no more.
    landed: Landed,
    /// Whether the recorder is no more, so that nobody reads what they count.
    are_forgotten: bool,
}

/// Where finished exchanges go.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) subjects: Arc<Subjects>,
    /// Drained and empty, to be swapped in for a full one.
    spares: Mutex<Vec<Accumulator>>,
    capped: AtomicU64,
    recent: Mutex<Recent>,
}

impl Subjects {
    /// An exchange on this thread of which nothing has been seen.
    fn begin(self: &Arc<Subjects>) -> Watched {
        let watched = MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            if let Some(mine) = mine.iter_mut().find(|mine| mine.counts.recorder == self.recorder) {
                return mine.spares.pop().unwrap_or_else(|| Watched::new(&mine.counts));
            }
            mine.retain(Mine::is_shared);
            let counts = self.register();
            let watched = Watched::new(&counts);
            mine.push(Mine { counts, spares: Vec::new() });
            watched
        });
        // A thread that is ending has none of its own any more.
        watched.unwrap_or_else(|_| Watched::new(&self.register()))
    }

    fn register(self: &Arc<Subjects>) -> Arc<Counts> {
        let counts = Arc::new(Counts {
            recorder: self.recorder,
            flights: Flights::new(self.routes.len()),
            ended: Ring::default(),
            accumulator: Mutex::default(),
            subjects: Arc::clone(self),
        });
        let mut threads = lock(&self.threads);
        // They would hold each other for ever.
        if !threads.are_forgotten {
            threads.counts.push(Arc::clone(&counts));
        }
        drop(threads);
        counts
    }
}

impl Recorder {
    /// A recorder for APIs with these routes, whose threads each keep at most `max_series` series.
    pub(crate) fn new(routes: Vec<Arc<Labels>>, max_series: usize) -> Recorder {
        let landed = Landed::new(routes.len());
        let threads = Threads { counts: Vec::new(), landed, are_forgotten: false };
        let subjects = Subjects {
            recorder: NEXT_RECORDER.fetch_add(1, Ordering::Relaxed),
            clock: Clock::new(),
            max_series,
            routes,
            policies: Labels::new(MAX_POLICIES),
            cuts_off: AtomicBool::new(false),
            threads: Mutex::new(threads),
        };
        Recorder {
            subjects: Arc::new(subjects),
            spares: Mutex::default(),
            capped: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    /// Notes that an exchange of an API has begun. Exactly one [`Watched::end`] has to follow, from any thread.
    pub(crate) fn begin(&self, seen: impl FnOnce(&Subjects) -> Seen) -> Watched {
        let mut watched = self.subjects.begin();
        watched.0.seen = seen(&self.subjects);
        watched.0.counts.flights.begin(watched.0.seen.key.api);
        watched
    }

    /// How many exchanges of each API have begun and not ended. Never fewer than there are.
    pub(crate) fn in_flight(&self) -> Vec<u64> {
        let threads = lock(&self.subjects.threads);
        threads.landed.in_flight(threads.counts.iter().map(|counts| &counts.flights))
    }

    /// Hands over everything that was counted since the last time, and returns some of what was traced, by wall time.
    pub(crate) fn drain(&self, mut take: impl FnMut(Drained)) -> Vec<Traced> {
        let Subjects { clock, max_series, threads, .. } = &*self.subjects;
        clock.adjust();
        let mut threads = lock(threads);
        let Threads { counts, landed, .. } = &mut *threads;
        let mut spares = lock(&self.spares);
        let (mut recent, mut left_out, mut traced) = (Vec::<Ended>::new(), 0, Vec::new());
        counts.retain(|shared| {
            // Asked before the swap: whoever is alone now cannot be joined any more.
            let thread_has_ended = Arc::strong_count(shared) == 1;
            if thread_has_ended {
                // What the others did before they let go of it is to be seen.
                fence(Ordering::Acquire);
            }
            let mut full = {
                let mut accumulator = lock(&shared.accumulator);
                shared.fold(&mut accumulator);
                let recorded = accumulator.take_recorded();
                let newest = KEPT.min(recorded as usize);
                shared.ended.read_again(newest, |ended| recent.push(ended));
                left_out += recorded - newest as u64;
                std::mem::replace(&mut *accumulator, spares.pop().unwrap_or_default())
            };
            full.drain(*max_series, &mut take);
            self.capped.fetch_add(full.take_capped(), Ordering::Relaxed);
            full.traced.take(&mut traced);
            spares.push(full);
            if thread_has_ended {
                landed.add(&shared.flights);
            }
            !thread_has_ended
        });
        spares.truncate(counts.len());
        for ended in &mut recent {
            ended.at_micros = clock.wall_micros(ended.at_micros);
        }
        lock(&self.recent).add(recent, left_out);
        for traced in &mut traced {
            traced.at_micros = clock.wall_micros(traced.at_micros);
        }
        traced
    }

    /// The last exchanges up to the last drain: a copy, so that nobody who counts waits for whoever reads it.
    pub(crate) fn recent(&self) -> Recent {
        lock(&self.recent).clone()
    }

    /// How many exchanges lost route and client because there were too many series.
    pub(crate) fn capped(&self) -> u64 {
        self.capped.load(Ordering::Relaxed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // They hold their subjects, which hold them.
        let mut threads = lock(&self.subjects.threads);
        threads.counts.clear();
        threads.are_forgotten = true;
    }
}

/// Locks, and goes on with what is there if a thread panicked while it held the lock: counting is additions only,
/// so nothing half-done can be seen.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::accumulator::SeriesKey;

    fn recorder(apis: usize, max_series: usize) -> Recorder {
        Recorder::new((0..apis).map(|_| Arc::new(Labels::new(10))).collect(), max_series)
    }

    fn drained(recorder: &Recorder) -> u64 {
        let mut count = 0;
        recorder.drain(|drained| count += drained.rollup.count());
        count
    }

    fn begin(recorder: &Recorder, api: u16) -> Watched {
        recorder.begin(|_| Seen::of(SeriesKey { api, ..SeriesKey::SOME }))
    }

    fn end(watched: Watched) {
        let now = watched.now();
        watched.end(now, &Measurement::default());
    }

    #[test]
    fn nothing_is_lost_between_threads_that_come_and_go_and_a_drain_in_the_middle() {
        let recorder = recorder(1, 100);
        let mut seen = 0;
        for _round in 0..20 {
            std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            end(begin(&recorder, 0));
                        }
                    })
                });
                seen += drained(&recorder);
                // Joined one by one: only then are the thread's own accumulators gone.
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
        }
        seen += drained(&recorder);
        assert_eq!(seen, 20 * 4 * 1_000);
        assert_eq!(drained(&recorder), 0);
        assert!(lock(&recorder.subjects.threads).counts.is_empty(), "counts of ended threads are let go");
        assert_eq!(recorder.in_flight(), [0], "and what they had begun has ended");
    }

    #[test]
    fn two_recorders_in_one_thread_do_not_mix() {
        let (one, other) = (recorder(1, 10), recorder(1, 10));
        for recorder in [&one, &other, &other] {
            end(begin(recorder, 0));
        }
        assert_eq!((drained(&one), drained(&other)), (1, 2));
    }

    #[test]
    fn what_begins_on_one_thread_may_end_on_another() {
        let recorder = recorder(2, 10);
        let [zero, one, another] = std::thread::scope(|scope| {
            scope.spawn(|| [0, 1, 1].map(|api| begin(&recorder, api))).join().unwrap()
        });
        assert_eq!(recorder.in_flight(), [1, 2]);
        drained(&recorder);
        assert_eq!(recorder.in_flight(), [1, 2], "the thread that began them has gone");
        end(one);
        assert_eq!(recorder.in_flight(), [1, 1]);
        end(zero);
        end(another);
        assert_eq!(recorder.in_flight(), [0, 0]);
        assert_eq!(drained(&recorder), 3);
    }

    #[test]
    fn what_ended_on_another_thread_is_not_kept_there_for_the_next() {
        let recorder = recorder(1, 10);
        let elsewhere = std::thread::scope(|scope| scope.spawn(|| begin(&recorder, 0)).join().unwrap());
        let here = begin(&recorder, 0);
        assert!(!Arc::ptr_eq(&elsewhere.0.counts, &here.0.counts));
        end(elsewhere);
        assert!(Arc::ptr_eq(&begin(&recorder, 0).0.counts, &here.0.counts));
    }

    #[test]
    fn an_exchange_may_end_when_its_thread_has_nothing_left_to_count_into() {
        /// Ends what it holds.
        struct Held(Option<Watched>);
        impl Drop for Held {
            fn drop(&mut self) {
                end(self.0.take().unwrap());
            }
        }
        thread_local! { static HELD: RefCell<Option<Held>> = const { RefCell::new(None) } }
        let recorder = Arc::new(recorder(1, 10));
        let of_thread = Arc::clone(&recorder);
        let thread = std::thread::spawn(move || {
            // Made first, so that it goes last.
            HELD.with(|held| assert!(held.borrow().is_none()));
            let watched = begin(&of_thread, 0);
            HELD.with(|held| *held.borrow_mut() = Some(Held(Some(watched))));
        });
        thread.join().unwrap();
        assert_eq!((drained(&recorder), recorder.in_flight()), (1, vec![0]));
    }

    #[test]
    fn an_exchange_that_outlives_its_recorder_leaves_nothing_behind() {
        let recorder = recorder(1, 10);
        let subjects = Arc::downgrade(&recorder.subjects);
        let watched = begin(&recorder, 0);
        drop(recorder);
        std::thread::spawn(move || end(watched)).join().unwrap();
        // The next recorder that this thread counts for clears up.
        end(begin(&super::tests::recorder(1, 10), 0));
        assert_eq!(subjects.strong_count(), 0);
    }

    #[test]
    fn the_newest_are_kept_one_by_one_and_how_many_were_not_is_known() {
        let recorder = recorder(1, 10);
        let most = KEPT as u64;
        for (ended, kept, left_out) in [(3, 3, 0), (most + 500, most + 3, 500), (0, most + 3, 500)] {
            for _ in 0..ended {
                end(begin(&recorder, 0));
            }
            assert_eq!(drained(&recorder), ended);
            let recent = recorder.recent();
            assert_eq!(recent.newest_first().count() as u64, kept);
            assert_eq!(recent.left_out_since(0), left_out);
        }
    }

    #[test]
    fn what_a_thread_keeps_goes_with_it() {
        let recorder = recorder(1, 10);
        let (kept, counts) = std::thread::scope(|scope| {
            let many = || {
                let begun: Vec<_> = (0..2 * MAX_SPARES).map(|_| begin(&recorder, 0)).collect();
                let counts = Arc::downgrade(&begun[0].0.counts);
                begun.into_iter().for_each(end);
                (counts.strong_count(), counts)
            };
            scope.spawn(many).join().unwrap()
        });
        assert_eq!(kept, MAX_SPARES + 2);
        drained(&recorder);
        assert_eq!(counts.strong_count(), 0);
    }

    #[test]
    fn methods_nobody_knows_share_one_number() {
        assert_eq!(METHODS[usize::from(method_number(&http::Method::PATCH))], "PATCH");
        assert_eq!(method_number(&http::Method::from_bytes(b"BREW").unwrap()), 0);
    }
}
