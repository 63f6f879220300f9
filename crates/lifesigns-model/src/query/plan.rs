//! From a query to the selections that answer it.

use super::{Aggregator, Query, Selection};
use crate::store::{GroupBy, RollupStore, Selected, StoreError};

/// The selections that a query needs: one for every chain from an outermost aggregator to an innermost one, in
/// the order in which the query names them.
///
/// Aggregators that several chains share take their figures from the first of these. Selections are answered one
/// after the other, so an exchange that is stored in between may be in a later one only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The selections.
    pub selections: Vec<Selection>,
}

impl Plan {
    /// Asks `store` for all of them.
    ///
    /// # Errors
    /// The first selection that the store could not answer.
    pub fn run(&self, store: &dyn RollupStore) -> Result<Vec<Selected>, StoreError> {
        self.selections.iter().map(|selection| store.select(selection)).collect()
    }
}

impl Query {
    /// The selections that this query needs.
    pub fn plan(&self) -> Plan {
        let mut chains = Chains { query: self, group_by: Vec::new(), selections: Vec::new() };
        for aggregator in &self.aggregators {
            chains.follow(aggregator, false);
        }
        Plan { selections: chains.selections }
    }
}

struct Chains<'a> {
    query: &'a Query,
    group_by: Vec<GroupBy>,
    selections: Vec<Selection>,
}

impl Chains<'_> {
    /// `latency_above` says whether an outer aggregator takes its latency from the next chain.
    fn follow(&mut self, aggregator: &Aggregator, latency_above: bool) {
        let mut percentiles = latency_above || aggregator.metrics.latency;
        self.group_by.push(aggregator.by);
        for inner in &aggregator.aggregators {
            self.follow(inner, percentiles);
            percentiles = false;
        }
        if aggregator.aggregators.is_empty() {
            self.selections.push(Selection {
                range: self.query.range,
                group_by: self.group_by.clone(),
                filter: self.query.filter.clone(),
                percentiles,
            });
        }
        self.group_by.pop();
    }
}
