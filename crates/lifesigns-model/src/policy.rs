//! What each source of a verdict may do to each resource. The one table that says so; nothing decides it elsewhere.
//!
//! | source | the light | `/readyz` | `/startupz` | `/livez` |
//! |---|---|---|---|---|
//! | starting | amber | fails | fails | |
//! | draining, stopped | amber | fails | | |
//! | maintenance | amber | | | |
//! | traffic, a critical route group | amber, red | fails when red | | |
//! | another route group | amber | | | |
//! | a critical check | amber, red | fails when red, unless told to spare it | | if it is told to and not shared |
//! | another check | amber | | | if it is told to and not shared |
//! | the checks' scheduler stands still | amber, red | fails when red | | fails when red |
//! | the judge stands still | amber, red | fails when red | | fails when red |
//!
//! Liveness asks whether a restart would help. It never helps against a dependency that others share: all its users
//! would be restarted at once, in vain. So a check of something shared that is to fail liveness is refused at start-up.

use std::fmt;

use crate::check::CheckPolicy;
use crate::light::Light;

/// What something may do to the resources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Powers {
    /// The worst light that it may turn.
    pub worst_light: Light,
    /// From which light on it fails readiness; `None`: never.
    pub fails_readiness_at: Option<Light>,
    /// From which light on it fails liveness; `None`: never.
    pub fails_liveness_at: Option<Light>,
}

impl Powers {
    /// Starting, draining and stopped.
    pub const LIFECYCLE: Powers =
        Powers { worst_light: Light::Amber, fails_readiness_at: Some(Light::Amber), fails_liveness_at: None };

    /// Maintenance, and a route group that is not critical.
    pub const REMARK: Powers =
        Powers { worst_light: Light::Amber, fails_readiness_at: None, fails_liveness_at: None };

    /// The traffic of the whole API, or of a critical route group.
    pub const TRAFFIC: Powers =
        Powers { worst_light: Light::Red, fails_readiness_at: Some(Light::Red), fails_liveness_at: None };

    /// The threads that judge and that run checks.
    pub const MACHINERY: Powers = Powers {
        worst_light: Light::Red,
        fails_readiness_at: Some(Light::Red),
        fails_liveness_at: Some(Light::Red),
    };

    /// A check.
    pub const fn of_check(policy: &CheckPolicy) -> Powers {
        let worst_light = if policy.critical { Light::Red } else { Light::Amber };
        Powers {
            worst_light,
            fails_readiness_at: if policy.critical && policy.fails_readiness {
                Some(Light::Red)
            } else {
                None
            },
            fails_liveness_at: if policy.fails_liveness && !policy.shared { Some(worst_light) } else { None },
        }
    }

    /// Whether readiness fails when it asks for this light.
    pub fn fails_readiness(&self, light: Light) -> bool {
        self.fails_readiness_at.is_some_and(|at| light >= at)
    }

    /// Whether liveness fails when it asks for this light.
    pub fn fails_liveness(&self, light: Light) -> bool {
        self.fails_liveness_at.is_some_and(|at| light >= at)
    }
}

/// A policy of a check that must not be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Miswired {
    /// It would restart the process for something that others share.
    SharedFailsLiveness,
    /// It would run more often than every 100 ms.
    IntervalTooShort,
    /// Its runs may take no time.
    NoTimeout,
    /// A threshold is zero.
    NoThreshold,
}

impl fmt::Display for Miswired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Miswired::SharedFailsLiveness => {
                "checks something that several processes share and would fail liveness: every process would be \
                 restarted for it, in vain. Let it fail readiness, or say that it belongs to this process alone"
            }
            Miswired::IntervalTooShort => "runs more often than every 100 ms; take a longer interval",
            Miswired::NoTimeout => "has no time to run; take a timeout of 1 ms or more",
            Miswired::NoThreshold => "has a threshold of zero; 1 is the least",
        })
    }
}

impl std::error::Error for Miswired {}

/// Refuses a policy that must not be.
pub fn validate(policy: &CheckPolicy) -> Result<(), Miswired> {
    if policy.shared && policy.fails_liveness {
        return Err(Miswired::SharedFailsLiveness);
    }
    if policy.interval.as_millis() < 100 {
        return Err(Miswired::IntervalTooShort);
    }
    if policy.timeout.as_millis() < 1 {
        return Err(Miswired::NoTimeout);
    }
    if policy.failure_threshold == 0 || policy.recovery_threshold == 0 {
        return Err(Miswired::NoThreshold);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_shared_never_fails_liveness() {
        let policy = CheckPolicy { fails_liveness: true, critical: true, ..CheckPolicy::default() };
        assert_eq!(validate(&policy), Err(Miswired::SharedFailsLiveness));
        assert!(!Powers::of_check(&policy).fails_liveness(Light::Red), "even if nobody had refused it");
        let own = CheckPolicy { shared: false, ..policy };
        assert_eq!(validate(&own), Ok(()));
        assert!(Powers::of_check(&own).fails_liveness(Light::Red));
        assert!(!Powers::of_check(&own).fails_liveness(Light::Amber), "a stale result is not a failed check");
    }

    #[test]
    fn traffic_and_lifecycle_never_fail_liveness() {
        for powers in [Powers::TRAFFIC, Powers::LIFECYCLE, Powers::REMARK] {
            assert!(!powers.fails_liveness(Light::Red));
        }
    }

    #[test]
    fn only_critical_checks_fail_readiness_unless_told_to_spare_it() {
        let fails = |critical, fails_readiness| {
            let policy = CheckPolicy { critical, fails_readiness, ..CheckPolicy::default() };
            Powers::of_check(&policy).fails_readiness(Light::Red)
        };
        assert_eq!([fails(true, true), fails(true, false), fails(false, true)], [true, false, false]);
    }

    #[test]
    fn impossible_figures_are_refused() {
        let refused = |change: fn(&mut CheckPolicy)| {
            let mut policy = CheckPolicy::default();
            change(&mut policy);
            validate(&policy)
        };
        assert_eq!(
            refused(|policy| policy.interval = Duration::from_millis(99)),
            Err(Miswired::IntervalTooShort)
        );
        assert_eq!(refused(|policy| policy.timeout = Duration::ZERO), Err(Miswired::NoTimeout));
        assert_eq!(refused(|policy| policy.recovery_threshold = 0), Err(Miswired::NoThreshold));
    }
}
