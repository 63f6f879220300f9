//! From figures and checks to a light: one pure function, [`judge`].
//!
//! Each source asks for a light of its own, and the worst of them counts; what a source may ask for at all is the
//! table of [`crate::policy`]. Traffic is judged by [`traffic`], checks by [`crate::check`].
//!
//! What is judged by is the time since the process began, so that no light changes when somebody sets the clock.

pub mod reason;
pub mod traffic;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub use self::reason::{Cause, Reason, Source};
pub use self::traffic::{Thresholds, Traffic};
use crate::check::{Finding, Standing};
use crate::light::Light;
use crate::moment::Moment;
use crate::policy::Powers;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// Not everything is set up yet.
    #[default]
    Starting,
    /// Serving.
    Ready,
    /// Asked to end: still serving, but wanting no more.
    Draining,
    /// Serving no more.
    Stopped,
}

impl Phase {
    /// A word for labels and bodies.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
            Phase::Stopped => "stopped",
        }
    }
}

/// Announced by an operator: expect less than usual.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintenance {
    /// Why; callers read it.
    pub reason: Arc<str>,
    /// When it was switched on.
    pub since: Moment,
    /// When it ends by itself.
    pub ends: Moment,
}

impl Maintenance {
    /// Whether it has not ended yet.
    pub fn is_on(&self, now: Moment) -> bool {
        now.elapsed < self.ends.elapsed
    }
}

/// Traffic that is judged by itself: all of an API's, or that of a group of its routes.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Name of the group; `None`: the whole API.
    pub group: Option<&'a Arc<str>>,
    /// Whether it may turn the light red. The whole API's always may.
    pub critical: bool,
    /// What passed.
    pub traffic: &'a Traffic,
    /// When that turns a light.
    pub thresholds: &'a Thresholds,
}

/// A check as the judge sees it.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// Its name.
    pub name: &'a Arc<str>,
    /// How it stands.
    pub standing: Standing,
    /// What it may do.
    pub powers: Powers,
}

/// All that a verdict is made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs<'a> {
    /// Where the process is in its life.
    pub phase: Phase,
    /// For how long nothing has run the checks; zero without checks.
    pub scheduler_silent: Duration,
    /// Maintenance, if it was switched on.
    pub maintenance: Option<&'a Maintenance>,
    /// The API's traffic and that of its route groups; always the same ones in the same order.
    pub traffic: &'a [Scope<'a>],
    /// The checks; always the same ones in the same order.
    pub checks: &'a [Checked<'a>],
}

/// What changed last.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When.
    pub at: Moment,
    /// Whose light.
    pub source: Source,
    /// From this light.
    pub from: Light,
    /// To this one.
    pub to: Light,
}

/// A judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The light.
    pub light: Light,
    /// Why: the worst first, never none. [`MAX_CAUSES`] are named at most; one more counts the rest, and another one
    /// comes before them where the verdict is too old ([`aged`]).
    pub causes: Arc<[Cause]>,
    /// When the light last changed.
    pub since: Moment,
    /// What changed last, whether or not it changed the light; `None`: nothing so far.
    pub changed: Option<Change>,
    /// Whether readiness fails.
    pub fails_readiness: bool,
    /// Whether liveness fails.
    pub fails_liveness: bool,
    /// The light of each source, in the order of the inputs.
    lights: Arc<[Light]>,
    /// What each scope of traffic has been through: it keeps to its light for a while.
    traffic: Arc<[traffic::State]>,
}

/// A light that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// When.
    pub at: Moment,
    /// From this light.
    pub from: Light,
    /// To this one.
    pub to: Light,
    /// Why.
    pub causes: Arc<[Cause]>,
}

/// Lifecycle, scheduler and maintenance are heard first.
const SOURCES_BEFORE_TRAFFIC: usize = 3;

/// So many causes are named at most; one more counts the rest.
pub const MAX_CAUSES: usize = 20;

/// A judgement, or a round of checks, of this age counts as amber at best. Judging happens twice a second; a judge
/// that has died must not leave a green light behind.
pub const AMBER_AFTER: Duration = Duration::from_secs(5);

/// A judgement of this age counts as red.
pub const RED_AFTER: Duration = Duration::from_secs(15);

impl Verdict {
    /// The verdict on a process that has just begun.
    pub fn starting(now: Moment) -> Verdict {
        Verdict {
            light: Light::Amber,
            causes: Arc::new([Cause {
                light: Light::Amber,
                source: Source::Lifecycle,
                reason: Reason::Starting,
            }]),
            since: now,
            changed: None,
            fails_readiness: true,
            fails_liveness: false,
            lights: Arc::default(),
            traffic: Arc::default(),
        }
    }

    /// The first and worst reason.
    pub fn reason(&self) -> &Reason {
        self.causes.first().map_or(&Reason::Normal, |cause| &cause.reason)
    }

    /// The lights that traffic asks for, that of the whole API first and then those of its groups, in the order of the
    /// inputs. Unlike the causes, they are never left out.
    pub fn lights_of_traffic(&self) -> &[Light] {
        let first = SOURCES_BEFORE_TRAFFIC;
        self.lights.get(first..first + self.traffic.len()).unwrap_or_default()
    }

    /// The first and worst cause as a sentence, fit for strangers.
    pub fn summary(&self) -> Cow<'static, str> {
        self.causes.first().map(Cause::sentence).unwrap_or_default()
    }

    /// The transition that led here from `previous`, if the light is another.
    pub fn transition_from(&self, previous: &Verdict) -> Option<Transition> {
        (self.light != previous.light).then(|| Transition {
            at: self.since,
            from: previous.light,
            to: self.light,
            causes: Arc::clone(&self.causes),
        })
    }
}

/// The verdict on these inputs. `previous` gives the light its inertia and its age.
pub fn judge(previous: &Verdict, inputs: &Inputs<'_>, now: Moment) -> Verdict {
    let mut hearing = Hearing {
        previous,
        now,
        lights: Vec::with_capacity(SOURCES_BEFORE_TRAFFIC + inputs.traffic.len() + inputs.checks.len()),
        causes: Vec::new(),
        changed: previous.changed.clone(),
        fails_readiness: false,
        fails_liveness: false,
    };
    let (light, reason) = match inputs.phase {
        Phase::Ready => (Light::Green, Reason::Normal),
        Phase::Starting => (Light::Amber, Reason::Starting),
        Phase::Draining => (Light::Amber, Reason::Draining),
        Phase::Stopped => (Light::Amber, Reason::Stopped),
    };
    hearing.hear(Powers::LIFECYCLE, light, || (Source::Lifecycle, reason));
    let light = light_of_silence(inputs.scheduler_silent);
    let seconds = inputs.scheduler_silent.as_secs();
    hearing.hear(Powers::MACHINERY, light, || (Source::Scheduler, Reason::SchedulerSilent { seconds }));
    let maintenance = inputs.maintenance.filter(|maintenance| maintenance.is_on(now));
    let light = if maintenance.is_some() { Light::Amber } else { Light::Green };
    hearing.hear(Powers::REMARK, light, || {
        let reason = maintenance.map_or(Reason::Normal, |Maintenance { reason, ends, .. }| {
            Reason::Maintenance { reason: Arc::clone(reason), ends: ends.wall }
        });
        (Source::Maintenance, reason)
    });
    let mut nothing_to_say = Reason::Normal;
    let mut states = Vec::with_capacity(inputs.traffic.len());
    for (index, scope) in inputs.traffic.iter().enumerate() {
        let state = previous.traffic.get(index).copied().unwrap_or_default();
        let (state, reason) = traffic::judge(state, scope, now.elapsed);
        states.push(state);
        if reason == Reason::LittleTraffic && scope.group.is_none() {
            nothing_to_say = Reason::LittleTraffic;
        }
        let powers = if scope.critical { Powers::TRAFFIC } else { Powers::REMARK };
        hearing.hear(powers, state.light, || (Source::Traffic(scope.group.cloned()), reason));
    }
    for Checked { name, standing, powers } in inputs.checks {
        // An old result says that nobody looked, not that a restart would help.
        let powers = match standing.finding {
            Finding::Failing => *powers,
            _ => Powers { fails_liveness_at: None, ..*powers },
        };
        hearing.hear(powers, standing.light, || {
            (Source::Check(Arc::clone(name)), Reason::Check { finding: standing.finding })
        });
    }
    Verdict { traffic: states.into(), ..hearing.verdict(nothing_to_say) }
}

/// The verdict as it counts `now`, so long after it was judged.
pub fn aged(verdict: &Verdict, age: Duration, now: Moment) -> Verdict {
    let light = light_of_silence(age);
    if light == Light::Green {
        return verdict.clone();
    }
    let reason = Reason::Stale { seconds: age.as_secs() };
    let stale = Cause { light, source: Source::Judge, reason };
    let mut verdict = Verdict {
        fails_readiness: verdict.fails_readiness || Powers::MACHINERY.fails_readiness(light),
        fails_liveness: verdict.fails_liveness || Powers::MACHINERY.fails_liveness(light),
        ..verdict.clone()
    };
    if verdict.light < light {
        verdict.causes = [stale].into_iter().chain(verdict.causes.iter().cloned()).collect();
        verdict.light = light;
        verdict.since = now;
    }
    verdict
}

fn light_of_silence(silence: Duration) -> Light {
    if silence >= RED_AFTER {
        Light::Red
    } else if silence >= AMBER_AFTER {
        Light::Amber
    } else {
        Light::Green
    }
}

/// Where the sources are heard, one after the other, in the order of the inputs.
struct Hearing<'a> {
    previous: &'a Verdict,
    now: Moment,
    lights: Vec<Light>,
    causes: Vec<Cause>,
    changed: Option<Change>,
    fails_readiness: bool,
    fails_liveness: bool,
}

impl Hearing<'_> {
    fn hear(&mut self, powers: Powers, asked: Light, why: impl FnOnce() -> (Source, Reason)) {
        let before = self.previous.lights.get(self.lights.len()).copied();
        self.lights.push(asked);
        let has_changed = before.is_some_and(|before| before != asked);
        if asked == Light::Green && !has_changed {
            return;
        }
        let (source, reason) = why();
        if let Some(from) = before.filter(|_| has_changed) {
            self.changed = Some(Change { at: self.now, source: source.clone(), from, to: asked });
        }
        if asked != Light::Green {
            self.fails_readiness |= powers.fails_readiness(asked);
            self.fails_liveness |= powers.fails_liveness(asked);
            self.causes.push(Cause { light: asked.min(powers.worst_light), source, reason });
        }
    }

    fn verdict(mut self, nothing_to_say: Reason) -> Verdict {
        // Stable: among equals the order of the inputs stays.
        self.causes.sort_by_key(|cause| std::cmp::Reverse(cause.light));
        let light = self.causes.first().map_or(Light::Green, |cause| cause.light);
        let left_out = self.causes.len().saturating_sub(MAX_CAUSES);
        if let Some(worst_left_out) = self.causes.get(MAX_CAUSES) {
            let reason = Reason::More { causes: left_out };
            let rest = Cause { light: worst_left_out.light, source: Source::Judge, reason };
            self.causes.truncate(MAX_CAUSES);
            self.causes.push(rest);
        }
        if self.causes.is_empty() {
            let source = Source::Traffic(None);
            self.causes.push(Cause { light: Light::Green, source, reason: nothing_to_say });
        }
        Verdict {
            light,
            causes: self.causes.into(),
            since: if light == self.previous.light { self.previous.since } else { self.now },
            changed: self.changed,
            fails_readiness: self.fails_readiness,
            fails_liveness: self.fails_liveness,
            lights: self.lights.into(),
            traffic: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests;
