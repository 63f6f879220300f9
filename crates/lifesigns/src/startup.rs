//! What has to be done before a process is ready.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use crate::process::{Lifesigns, Process};
use crate::recorder::lock;

/// What start-up still waits for.
#[derive(Debug, Default)]
pub(crate) struct StartUp {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether somebody has said that the process is ready, as far as it depends on him.
    is_said: bool,
    is_over: bool,
    open: Vec<Open>,
    /// Tells the holders of tasks with the same name apart.
    last: u64,
}

#[derive(Debug)]
struct Open {
    name: Arc<str>,
    /// Number of the [`StartTask`]; 0 while nobody has begun it.
    number: u64,
    failure: Option<Arc<str>>,
}

/// A task that start-up waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenStartTask {
    /// Its name.
    pub name: Arc<str>,
    /// Why it will not be done; `None` while it is under way. For authorised callers only.
    pub failure: Option<Arc<str>>,
}

impl StartUp {
    /// Start-up that waits for tasks of these names, which are yet to be begun.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> StartUp {
        let mut state = State::default();
        for name in names {
            state.put(&name, 0);
        }
        StartUp { state: Mutex::new(state) }
    }

    /// What is not done, in the order in which it was named.
    pub(crate) fn open(&self) -> Vec<OpenStartTask> {
        let state = lock(&self.state);
        let open = state.open.iter();
        open.map(|task| OpenStartTask { name: task.name.clone(), failure: task.failure.clone() }).collect()
    }

    /// Somebody says that the process is ready. True when nothing else is waited for.
    pub(crate) fn say(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_said = true;
        state.settle()
    }

    /// Begins a task; `None` when start-up is over.
    fn begin(&self, name: &str) -> Option<u64> {
        let mut state = lock(&self.state);
        if state.is_over {
            return None;
        }
        state.last += 1;
        let number = state.last;
        state.put(name, number);
        Some(number)
    }

    /// A task is done. True when nothing else is waited for.
    fn done(&self, number: u64) -> bool {
        let mut state = lock(&self.state);
        state.open.retain(|task| task.number != number);
        state.settle()
    }

    fn fail(&self, number: u64, why: &str) {
        let mut state = lock(&self.state);
        if let Some(task) = state.open.iter_mut().find(|task| task.number == number) {
            task.failure = Some(why.into());
        }
    }
}

impl State {
    /// Opens a task, in place of one with the same name.
    fn put(&mut self, name: &str, number: u64) {
        match self.open.iter_mut().find(|task| *task.name == *name) {
            Some(task) => *task = Open { name: name.into(), number, failure: None },
            None => self.open.push(Open { name: name.into(), number, failure: None }),
        }
    }

    fn settle(&mut self) -> bool {
        self.is_over = self.is_said && self.open.is_empty();
        self.is_over
    }
}

/// Something that has to be done before the process is ready, such as migrations or a warm cache.
///
/// While it is open the process is starting, whatever else is said. Dropped without [`StartTask::done`], as by `?` or a
/// panic, it has failed: the process then stays in the phase of starting, until a task of the same name is begun
/// again and done.
#[derive(Debug)]
#[must_use = "a task that is dropped has failed"]
pub struct StartTask {
    process: Arc<Process>,
    name: Arc<str>,
    /// `None` once it is done or has failed, or if start-up was over when it began.
    number: Option<u64>,
}

impl StartTask {
    /// It is done.
    pub fn done(mut self) {
        let Some(number) = self.number.take() else { return };
        if self.process.start_up.done(number) {
            self.process.start_up_is_over();
        }
        self.process.collect();
    }

    /// It cannot be done. `why` is shown to authorised callers of the probes, and logged.
    pub fn fail(mut self, why: impl Display) {
        self.give_up(&why.to_string());
    }

    fn give_up(&mut self, why: &str) {
        let Some(number) = self.number.take() else { return };
        tracing::error!(task = &*self.name, why, "start-up cannot be finished");
        self.process.start_up.fail(number, why);
        self.process.collect();
    }
}

impl Drop for StartTask {
    fn drop(&mut self) {
        let why = if std::thread::panicking() { "it panicked" } else { "it was given up before it was done" };
        self.give_up(why);
    }
}

impl Lifesigns {
    /// Begins something that has to be done before the process is ready. It takes the place of a task of the same
    /// name, such as one named by [`crate::Builder::starting_task`] or one that has failed.
    ///
    /// Once start-up is over it stays so: a task that is begun later changes nothing.
    ///
    /// ```
    /// # use lifesigns::{Lifesigns, model::verdict::Phase};
    /// let lifesigns = Lifesigns::builder("hello").starting_task("migrations").start()?;
    /// let migrations = lifesigns.starting_task("migrations");
    /// assert_eq!(lifesigns.own().snapshot().phase, Phase::Starting);
    /// migrations.done();
    /// assert_eq!(lifesigns.own().snapshot().phase, Phase::Ready);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn starting_task(&self, name: &str) -> StartTask {
        let number = self.process.start_up.begin(name);
        if number.is_none() {
            tracing::warn!(
                task = name,
                "a task of start-up was begun when that was over: name it on the builder, or say ready() later"
            );
        }
        self.process.collect();
        StartTask { process: Arc::clone(&self.process), name: name.into(), number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(start_up: &StartUp) -> Vec<String> {
        start_up.open().iter().map(|task| task.name.to_string()).collect()
    }

    #[test]
    fn start_up_is_over_when_it_is_said_and_all_is_done() {
        let start_up = StartUp::new(["migrations".to_owned()]);
        assert!(!start_up.say());
        let cache = start_up.begin("cache").unwrap();
        let migrations = start_up.begin("migrations").unwrap();
        assert_eq!(names(&start_up), ["migrations", "cache"]);
        assert!(!start_up.done(migrations));
        assert!(start_up.done(cache));
        assert_eq!(start_up.begin("late"), None);
    }

    #[test]
    fn a_task_that_failed_is_open_until_another_attempt_is_done() {
        let start_up = StartUp::new([]);
        let first = start_up.begin("cache").unwrap();
        start_up.fail(first, "no memory");
        assert!(!start_up.say());
        assert_eq!(start_up.open()[0].failure.as_deref(), Some("no memory"));
        let second = start_up.begin("cache").unwrap();
        assert_eq!(start_up.open()[0].failure, None);
        assert!(!start_up.done(first), "the first attempt is over");
        assert!(start_up.done(second));
    }
}
