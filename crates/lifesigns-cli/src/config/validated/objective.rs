//! Objectives: what `[objective]` says, changed for one API by `[api.objective]`.

use lifesigns_model::objective::{BadObjective, DEFAULT_PERIOD_DAYS, Objective};

use super::{Checks, values};
use crate::config::fault::{Fault, Place};
use crate::config::wire;

/// The objective of `base`, changed as was written in the table with this header; `None` where nothing was.
pub(super) fn objective(
    base: Option<Objective>,
    header: &str,
    written: &wire::Objective,
    checks: &mut Checks<'_>,
) -> Option<Objective> {
    let Some(place) = &written.place else { return base };
    let good_share = written.good_share.as_ref().map(|at| at.value);
    let Some(good_share) = good_share.or(base.as_ref().map(Objective::good_share)) else {
        checks.missing(
            written.whole,
            Fault::new(place, format!("`{header}` has no `good_share`"))
                .hint("say which share of requests is to be good: `good_share = 0.999`"),
        );
        return None;
    };
    let latency = written.latency_ms.as_ref().map(|at| at.value as f64);
    let latency = latency.or(base.as_ref().and_then(Objective::latency_bound_ms));
    let default_days = base.as_ref().map_or(DEFAULT_PERIOD_DAYS, Objective::period_days);
    let days = values::number(written.period_days.as_ref(), default_days.into());
    let made = Objective::new(good_share)
        .and_then(|objective| latency.map_or(Ok(objective), |bound| objective.with_latency_bound_ms(bound)))
        .and_then(|objective| objective.with_period_days(days as u32));
    match made {
        Ok(objective) => Some(objective),
        Err(error) => {
            let (key, at) = match error {
                BadObjective::GoodShare => ("good_share", written.good_share.as_ref().map(|at| &at.place)),
                BadObjective::LatencyBound => ("latency_ms", written.latency_ms.as_ref().map(|at| &at.place)),
                BadObjective::Period => ("period_days", written.period_days.as_ref().map(|at| &at.place)),
            };
            let place: &Place = at.unwrap_or(place);
            checks.fault(Fault::new(place, format!("`{key}`: {error}")));
            None
        }
    }
}
