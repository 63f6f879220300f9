//! From the `filters` of a query to a [`Filter`].

use std::sync::Arc;

use super::MAX_FILTER_VALUES;
use super::element::Element;
use super::fault::{Fault, FaultCode, quoted, suggestion};
use crate::exchange::FailedBy;
use crate::series::Dimension;
use crate::store::{AnyOf, Condition, Filter};

/// All conditions of a query.
pub(super) fn filters(element: &Element<'_>) -> Result<Filter, Fault> {
    let mut values_left = MAX_FILTER_VALUES;
    let all = element.items()?.map(|item| any_of(&item, &mut values_left)).collect::<Result<_, _>>()?;
    Ok(Filter { all })
}

fn any_of(element: &Element<'_>, values_left: &mut usize) -> Result<AnyOf, Fault> {
    const OPERATORS: [&str; 4] = ["equals", "in", "not", "range"];
    let (key, conditions) =
        element.only_member("an object such as {\"or\": [{\"equals\": {\"status_code\": 404}}]}")?;
    if OPERATORS.contains(&key) {
        let message = format!("`{key}` must stand in an `or` list: {{\"or\": [{{\"{key}\": …}}]}}");
        return Err(conditions.fault(FaultCode::UnknownKey, message));
    }
    if key != "or" {
        let message = "a filter has the key `or` only, with a list of conditions".to_owned();
        return Err(conditions.fault(FaultCode::UnknownKey, message));
    }
    let items = conditions.items()?;
    if items.len() == 0 {
        let message =
            "must not be empty, it would let nothing through; leave the filter out to let everything through";
        return Err(conditions.fault(FaultCode::Missing, message));
    }
    let any = items
        .map(|item| {
            let (operator, operand) =
                item.only_member("a condition such as {\"equals\": {\"status_code\": 404}}")?;
            match operator {
                "equals" => equals(&operand, values_left),
                "not" => not_equals(&operand, values_left),
                "in" => one_of(&operand, values_left),
                "range" => range(&operand, values_left),
                other => {
                    let message = format!("the condition is not known; {}", suggestion(other, &OPERATORS));
                    Err(operand.fault(FaultCode::UnknownKey, message))
                }
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(AnyOf { any })
}

fn equals(element: &Element<'_>, values_left: &mut usize) -> Result<Condition, Fault> {
    let (dimension, operand) = field(element)?;
    Ok(Condition::Equals(dimension, label(dimension, &operand, values_left)?))
}

fn not_equals(element: &Element<'_>, values_left: &mut usize) -> Result<Condition, Fault> {
    let (dimension, operand) = field(element)?;
    Ok(Condition::NotEquals(dimension, label(dimension, &operand, values_left)?))
}

fn one_of(element: &Element<'_>, values_left: &mut usize) -> Result<Condition, Fault> {
    let (dimension, operand) = field(element)?;
    let items = operand.items()?;
    if items.len() == 0 {
        let message = "must not be empty; name the values that are let through";
        return Err(operand.fault(FaultCode::Missing, message));
    }
    let labels = items.map(|item| label(dimension, &item, values_left)).collect::<Result<_, _>>()?;
    Ok(Condition::In(dimension, labels))
}

fn range(element: &Element<'_>, values_left: &mut usize) -> Result<Condition, Fault> {
    let (dimension, operand) = field(element)?;
    if !matches!(
        dimension,
        Dimension::Api | Dimension::ApiVersion | Dimension::ClientId | Dimension::StatusCode
    ) {
        let message = format!("the labels of `{dimension}` are no numbers; use `in`");
        return Err(operand.fault(FaultCode::Conflict, message));
    }
    take_value(&operand, values_left)?;
    let keys = operand.object(&["from", "to"])?;
    let from = keys.read("from", Element::bound)?;
    let to = keys.read("to", Element::bound)?;
    match (from, to) {
        (None, None) => Err(operand
            .fault(FaultCode::Missing, "needs `from`, `to` or both, such as {\"from\": 500, \"to\": 599}")),
        (Some(from), Some(to)) if from > to => {
            let message = format!("`from` ({from}) lies above `to` ({to}); swap them");
            Err(operand.fault(FaultCode::Conflict, message))
        }
        _ => Ok(Condition::Range(dimension, from, to)),
    }
}

fn field<'a>(element: &Element<'a>) -> Result<(Dimension, Element<'a>), Fault> {
    let (name, operand) = element.only_member("an object such as {\"status_code\": 404}")?;
    let dimension = Dimension::from_name(name).ok_or_else(|| {
        let message =
            format!("no such dimension; {}", suggestion(name, &Dimension::ALL.map(Dimension::name)));
        operand.fault(FaultCode::UnknownKey, message)
    })?;
    Ok((dimension, operand))
}

fn label(dimension: Dimension, element: &Element<'_>, values_left: &mut usize) -> Result<Arc<str>, Fault> {
    take_value(element, values_left)?;
    known_label(dimension, &element.label()?)
        .map_err(|message| element.fault(FaultCode::UnknownValue, message))
}

/// A label that an exchange can have; otherwise what is wrong with it.
pub(super) fn known_label(dimension: Dimension, label: &str) -> Result<Arc<str>, String> {
    let known: &[&str] = match dimension {
        Dimension::RequestDisposition => &["processed", "policy_violation"],
        Dimension::FailedBy => &FailedBy::ALL.map(FailedBy::name),
        _ => return Ok(label.into()),
    };
    if known.contains(&label) {
        return Ok(label.into());
    }
    Err(format!("no exchange has a `{dimension}` of {}; {}", quoted(label), suggestion(label, known)))
}

fn take_value(element: &Element<'_>, values_left: &mut usize) -> Result<(), Fault> {
    *values_left = values_left.checked_sub(1).ok_or_else(|| {
        let message = format!(
            "the filters of a query may have {MAX_FILTER_VALUES} values in all; send several queries"
        );
        element.fault(FaultCode::TooMany, message)
    })?;
    Ok(())
}
