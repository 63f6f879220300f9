//! Records in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::reply::Refusal;
use crate::demo::random::Random;

/// The oldest record makes room when there are this many.
const MOST_RECORDS: usize = 2_000;

/// How the ids of a collection look.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ids {
    /// `1001`, `1002`, …
    Numbers,
    /// `5f2b9c0e-91d4-4e1a-8c77-3b0d6a2f1e90` (RFC 9562, version 4).
    Uuids,
    /// `66f0a1b2c3d4e5f607182930`
    Hex,
}

/// Records of one kind, each with an `id`. Clones share the records.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    ids: Ids,
    random: Arc<Random>,
    records: Arc<Mutex<Records>>,
}

#[derive(Debug, Default)]
struct Records {
    made: u64,
    by_id: HashMap<String, Map<String, Value>>,
    /// Ids in the order in which the records came.
    order: VecDeque<String>,
}

impl Collection {
    pub(super) fn new(ids: Ids, random: &Arc<Random>) -> Collection {
        Collection { ids, random: Arc::clone(random), records: Arc::default() }
    }

    /// Keeps a record, unless one that is there already has the same value in the field `unique`.
    pub(super) fn insert(
        &self,
        fields: Map<String, Value>,
        unique: Option<&'static str>,
    ) -> Result<Value, Refusal> {
        let mut records = self.lock();
        if let Some(field) = unique
            && records.by_id.values().any(|record| record.get(field) == fields.get(field))
        {
            return Err(Refusal::conflict("there is one already"));
        }
        records.made += 1;
        let id = self.next_id(records.made);
        let mut record = Map::from_iter([("id".to_owned(), json!(id))]);
        record.extend(fields);
        if records.order.len() == MOST_RECORDS
            && let Some(oldest) = records.order.pop_front()
        {
            records.by_id.remove(&oldest);
        }
        records.order.push_back(id.clone());
        records.by_id.insert(id, record.clone());
        Ok(Value::Object(record))
    }

    pub(super) fn get(&self, id: &str) -> Result<Value, Refusal> {
        self.lock().by_id.get(id).cloned().map(Value::Object).ok_or_else(Refusal::not_found)
    }

    /// Lets `change` have the record; what it refuses must be left as it was.
    pub(super) fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), Refusal>,
    ) -> Result<Value, Refusal> {
        let mut records = self.lock();
        let record = records.by_id.get_mut(id).ok_or_else(Refusal::not_found)?;
        change(record)?;
        Ok(Value::Object(record.clone()))
    }

    pub(super) fn remove(&self, id: &str) -> Result<(), Refusal> {
        let mut records = self.lock();
        records.by_id.remove(id).ok_or_else(Refusal::not_found)?;
        records.order.retain(|kept| kept != id);
        Ok(())
    }

    /// The 20 newest records, newest first.
    pub(super) fn newest(&self) -> Value {
        let records = self.lock();
        records.order.iter().rev().take(20).filter_map(|id| records.by_id.get(id)).cloned().collect()
    }

    fn next_id(&self, made: u64) -> String {
        match self.ids {
            Ids::Numbers => (1000 + made).to_string(),
            Ids::Uuids => {
                let (high, low) = (self.random.number(), self.random.number());
                format!(
                    "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                    high >> 32,
                    (high >> 16) & 0xffff,
                    high & 0xfff,
                    0x8000 | ((low >> 48) & 0x3fff),
                    low & 0xffff_ffff_ffff,
                )
            }
            Ids::Hex => format!("{:08x}{:016x}", 0x66f0_a1b2 + made, self.random.number()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // Nothing between lock and unlock leaves the records half changed.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(ids: Ids) -> Collection {
        Collection::new(ids, &Arc::new(Random::new(1)))
    }

    fn fields(number: usize) -> Map<String, Value> {
        Map::from_iter([("number".to_owned(), json!(number))])
    }

    #[test]
    fn ids_have_the_form_that_was_asked_for() {
        for (ids, expected) in [
            (Ids::Numbers, "dddd"),
            (Ids::Uuids, "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"),
            (Ids::Hex, "xxxxxxxxxxxxxxxxxxxxxxxx"),
        ] {
            let record = collection(ids).insert(fields(1), None).unwrap();
            let id = record["id"].as_str().unwrap();
            let fits = |(got, form): (char, char)| match form {
                'd' => got.is_ascii_digit(),
                'x' => got.is_ascii_hexdigit(),
                'y' => "89ab".contains(got),
                exact => got == exact,
            };
            assert!(
                id.len() == expected.len() && id.chars().zip(expected.chars()).all(fits),
                "{ids:?}: {id}"
            );
        }
    }

    #[test]
    fn the_oldest_record_makes_room() {
        let collection = collection(Ids::Numbers);
        for number in 0..=MOST_RECORDS {
            collection.insert(fields(number), None).unwrap();
        }
        assert_eq!(collection.get("1001").unwrap_err(), Refusal::not_found());
        assert_eq!(collection.get("1002").unwrap()["number"], 1);
        assert_eq!(collection.newest()[0]["number"], MOST_RECORDS);
        assert_eq!(collection.newest().as_array().unwrap().len(), 20);
    }

    #[test]
    fn a_unique_field_is_unique_until_its_record_is_gone() {
        let collection = collection(Ids::Numbers);
        collection.insert(fields(1), Some("number")).unwrap();
        assert!(collection.insert(fields(1), Some("number")).is_err());
        collection.remove("1001").unwrap();
        assert!(collection.insert(fields(1), Some("number")).is_ok());
    }
}
