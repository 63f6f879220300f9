//! From a query to the selections that answer it.

use super::fault::Fault;
use super::{Aggregator, MAX_GROUPS, MAX_GROUPS_WITH_LATENCY, Metrics, Query, Selection};
use crate::store::{Figures, GroupBy, RollupStore, Selected, StoreError};

/// The selections that a query needs: one for every chain from an outermost aggregator to an innermost one, in
/// the order in which the query names them.
///
/// Aggregators that several chains share take their figures from the first of these. Selections are answered one
/// after the other, so an exchange that is stored in between may be in a later one only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The selections. Each may make as many groups as if it were the only one; [`Plan::run`] lets all of them
    /// together make no more.
    pub selections: Vec<Selection>,
    /// For each selection, where its innermost aggregator stands in the query.
    paths: Vec<String>,
}

impl Plan {
    /// Asks `store` for all of them.
    ///
    /// # Errors
    /// The first selection that the store could not answer. When it would have made too many groups,
    /// [`Fault::of_store_error`] names its innermost aggregator.
    pub fn run(&self, store: &dyn RollupStore) -> Result<Vec<Selected>, StoreError> {
        let mut room = MAX_GROUPS;
        self.selections
            .iter()
            .zip(&self.paths)
            .map(|(selection, path)| {
                let room_a_group = MAX_GROUPS / max_groups(selection.figures);
                let max_groups = selection.max_groups.min(room / room_a_group);
                let selected = store.select(&Selection { max_groups, ..selection.clone() });
                let selected = selected.map_err(|error| {
                    if error.is_too_many_groups() {
                        error.caused_by(Fault::too_many_groups(path))
                    } else {
                        error
                    }
                })?;
                room = room.saturating_sub(selected.groups.len() * room_a_group);
                Ok(selected)
            })
            .collect()
    }
}

impl Query {
    /// The selections that this query needs.
    pub fn plan(&self) -> Plan {
        let plan = Plan { selections: Vec::new(), paths: Vec::new() };
        let mut chains = Chains { query: self, group_by: Vec::new(), plan };
        for aggregator in &self.aggregators {
            chains.follow(aggregator, Figures::Counts);
        }
        chains.plan
    }
}

struct Chains<'a> {
    query: &'a Query,
    group_by: Vec<GroupBy>,
    plan: Plan,
}

impl Chains<'_> {
    /// `above` is what an outer aggregator takes from the next chain.
    fn follow(&mut self, aggregator: &Aggregator, above: Figures) {
        let mut figures = above.max(aggregator.metrics.figures());
        self.group_by.push(aggregator.by);
        for inner in &aggregator.aggregators {
            self.follow(inner, figures);
            figures = Figures::Counts;
        }
        if aggregator.aggregators.is_empty() {
            self.plan.selections.push(Selection {
                range: self.query.range,
                group_by: self.group_by.clone(),
                filter: self.query.filter.clone(),
                figures,
                max_groups: max_groups(figures),
            });
            self.plan.paths.push(aggregator.path.clone());
        }
        self.group_by.pop();
    }
}

impl Metrics {
    /// What they are made from.
    const fn figures(self) -> Figures {
        match self {
            Metrics { latency: true, .. } => Figures::Percentiles,
            Metrics { request_size: true, .. } | Metrics { response_size: true, .. } => Figures::Sums,
            _ => Figures::Counts,
        }
    }
}

const fn max_groups(figures: Figures) -> usize {
    match figures {
        Figures::Percentiles => MAX_GROUPS_WITH_LATENCY,
        Figures::Counts | Figures::Sums => MAX_GROUPS,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::query::{Details, FaultCode};
    use crate::rollup::Rollup;
    use crate::store::{Group, GroupKey, KeptNote, Note, Rejected, RollupRow, StoreStatus};

    /// Answers every selection with as many groups, and notes how many each was allowed.
    struct Many {
        groups: usize,
        allowed: Mutex<Vec<usize>>,
    }

    impl RollupStore for Many {
        fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
            Err(Rejected(rows))
        }

        fn flush(&self, _patience: Duration) -> Result<(), StoreError> {
            Ok(())
        }

        fn select(&self, selection: &Selection) -> Result<Selected, StoreError> {
            self.allowed.lock().unwrap().push(selection.max_groups);
            if self.groups > selection.max_groups {
                return Err(StoreError::too_many_groups(selection.max_groups));
            }
            let group = |number: usize| {
                let key = selection.group_by.iter().map(|_| GroupKey::Label(number.to_string().into()));
                Group { key: key.collect(), count: 1, rollup: Rollup::default() }
            };
            Ok(Selected { groups: (0..self.groups).map(group).collect(), range: selection.range })
        }

        fn remember(&self, _note: Note) -> Result<(), StoreError> {
            Err(StoreError::new("this store keeps no notes"))
        }

        fn recall(&self, _topic: &str) -> Result<Vec<KeptNote>, StoreError> {
            Ok(Vec::new())
        }

        fn status(&self) -> StoreStatus {
            StoreStatus::default()
        }
    }

    fn run(query: &Query, groups: usize) -> (Option<Fault>, Vec<usize>) {
        let store = Many { groups, allowed: Mutex::default() };
        let fault = query.plan().run(&store).err().map(|error| Fault::of_store_error(&error).unwrap());
        (fault, store.allowed.into_inner().unwrap())
    }

    fn query(aggregators: &Value) -> Query {
        Query::parse(&json!({"aggregators": aggregators}), Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn all_selections_of_a_query_share_the_room_for_groups() {
        let query = query(&json!([
            {"dimension": "client_id", "metrics": ["latency"]},
            {"time_interval": 1, "aggregators": [{"dimension": "method"}, {"dimension": "client_id"}]},
        ]));
        assert_eq!(run(&query, 2000), (None, vec![10_000, 40_000, 38_000]));
        let (fault, allowed) = run(&query, 9000);
        assert_eq!(allowed, [10_000, 5000]);
        let fault = fault.unwrap();
        assert_eq!((fault.code(), fault.path()), (FaultCode::TooMany, "aggregators[1].aggregators[0]"));
        assert_eq!(fault.answer()["error"]["code"], "too_many");
    }

    #[test]
    fn details_that_make_too_many_groups_name_a_parameter() {
        let details = |by| Details::parse([("by", by)]).unwrap().query(None, Timestamp::UNIX_EPOCH);
        assert_eq!(run(&details("client_id"), 50_001).0.unwrap().path(), "by");
        assert_eq!(run(&details(""), 50_001).0.unwrap().path(), "interval");
    }

    #[test]
    fn a_store_that_failed_is_no_fault_of_the_caller() {
        assert_eq!(Fault::of_store_error(&StoreError::new("no disk")), None);
        assert_eq!(Fault::of_store_error(&StoreError::too_many_groups(3)).unwrap().path(), "body");
    }
}
