//! A configuration as it was written: values that know their place, before anyone asks what they mean.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Place};

/// A value and where it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
}

impl<T> At<T> {
    /// A value at a place.
    pub const fn new(value: T, place: Place) -> At<T> {
        At { value, place }
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number; `None` where it is too large to count with.
    Integer(Option<i64>),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Switch(bool),
    /// A date, a time or both, as it was written.
    Moment(String),
    /// A list.
    List(Vec<At<Value>>),
    /// A table.
    Table(Table),
}

impl Value {
    /// What it is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Switch(_) => "true or false",
            Value::Moment(_) => "a date or time",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Keys and their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The entries; no key is there twice.
    pub entries: Vec<(At<String>, At<Value>)>,
}

impl Table {
    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&At<Value>> {
        self.entries.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    /// Puts `value` under the keys of `path`, making tables on the way and replacing what was there before.
    ///
    /// A part of the path that is a list of tables stands for its last table; an empty or missing list gets one.
    pub fn set(&mut self, path: &[Step], value: At<Value>) {
        let Some((step, rest)) = path.split_first() else { return };
        let place = value.place.clone();
        let slot = self.slot(step.key, &place);
        if rest.is_empty() && !step.list {
            *slot = value;
            return;
        }
        if step.list {
            if !matches!(&slot.value, Value::List(list) if !list.is_empty()) {
                *slot = At::new(Value::List(vec![empty_table(&place)]), place.clone());
            }
            if let Value::List(list) = &mut slot.value
                && let Some(last) = list.last_mut()
            {
                last.table(&place).set(rest, value);
            }
        } else {
            slot.table(&place).set(rest, value);
        }
    }

    /// Adds a table to the list under `key`.
    pub fn push(&mut self, key: &'static str, table: Table, place: &Place) {
        let slot = self.slot(key, place);
        if !matches!(slot.value, Value::List(_)) {
            *slot = At::new(Value::List(Vec::new()), place.clone());
        }
        if let Value::List(list) = &mut slot.value {
            list.push(At::new(Value::Table(table), place.clone()));
        }
    }

    fn slot(&mut self, key: &str, place: &Place) -> &mut At<Value> {
        let index = self.entries.iter().position(|(name, _)| name.value == key).unwrap_or_else(|| {
            self.entries.push((At::new(key.to_owned(), place.clone()), empty_table(place)));
            self.entries.len() - 1
        });
        &mut self.entries[index].1
    }
}

impl At<Value> {
    fn table(&mut self, place: &Place) -> &mut Table {
        if !matches!(self.value, Value::Table(_)) {
            *self = empty_table(place);
        }
        match &mut self.value {
            Value::Table(table) => table,
            _ => unreachable!("it has just been made a table"),
        }
    }
}

fn empty_table(place: &Place) -> At<Value> {
    At::new(Value::Table(Table::default()), place.clone())
}

/// One part of a path through tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// The key.
    pub key: &'static str,
    /// Whether a list of tables stands under it.
    pub list: bool,
}

/// Deeper than any known key stands; what is below can only be unknown.
const DEEPEST: usize = 8;

/// One slip can make every line after it look wrong; past so many faults the rest is noise.
const MOST_FAULTS: usize = 20;

/// Reads TOML. What could be understood in spite of the faults is returned as well.
pub fn parse(text: &str) -> (At<Table>, Vec<Fault>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let faults = errors
        .into_iter()
        .take(MOST_FAULTS)
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            Fault::new(&Place::File(span), error.message().trim_end().replace('\n', "; ")).hint(
                "the file is TOML: `key = value`, text in double quotes, `[section]` on a line of its own",
            )
        })
        .collect();
    let span = document.span();
    (At::new(table_of(document.get_ref(), 0), Place::File(span)), faults)
}

fn table_of(table: &DeTable<'_>, depth: usize) -> Table {
    if depth > DEEPEST {
        return Table::default();
    }
    let entries = table
        .iter()
        .map(|(key, value)| {
            let name = At::new(key.get_ref().clone().into_owned(), in_file(key.span()));
            (name, value_of(value, depth + 1))
        })
        .collect();
    Table { entries }
}

fn value_of(spanned: &Spanned<DeValue<'_>>, depth: usize) -> At<Value> {
    let value = match spanned.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(switch) => Value::Switch(*switch),
        DeValue::Datetime(moment) => Value::Moment(moment.to_string()),
        DeValue::Array(_) if depth > DEEPEST => Value::List(Vec::new()),
        DeValue::Array(list) => Value::List(list.iter().map(|value| value_of(value, depth + 1)).collect()),
        DeValue::Table(table) => Value::Table(table_of(table, depth)),
    };
    At::new(value, in_file(spanned.span()))
}

fn in_file(span: Range<usize>) -> Place {
    Place::File(span)
}
