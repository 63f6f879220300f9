//! One element of a query's JSON, and where it stands.

use serde_json::{Map, Value};

use super::fault::{Fault, FaultCode, quoted, shortened, suggestion};

/// A JSON value that knows its path.
pub(super) struct Element<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Element<'a> {
    pub(super) fn root(value: &'a Value) -> Element<'a> {
        Element { path: String::new(), value }
    }

    pub(super) fn fault(&self, code: FaultCode, message: impl Into<String>) -> Fault {
        let path = if self.path.is_empty() { "body" } else { &self.path };
        Fault::new(code, path, message)
    }

    /// Where it stands, such as `aggregators[0]`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn wrong_type(&self, wanted: &str) -> Fault {
        let mut message = format!("must be {wanted}, found {}", described(self.value));
        if self.value.is_null() {
            message.push_str("; leave the key out if you do not need it");
        }
        self.fault(FaultCode::WrongType, message)
    }

    fn at_key(&self, key: &str, value: &'a Value) -> Element<'a> {
        let key = shortened(key);
        let path = if self.path.is_empty() { key } else { format!("{}.{key}", self.path) };
        Element { path, value }
    }

    fn members(&self, wanted: &str) -> Result<&'a Map<String, Value>, Fault> {
        self.value.as_object().ok_or_else(|| self.wrong_type(wanted))
    }

    /// The element as an object in which only `known` keys may stand.
    pub(super) fn object(&self, known: &[&str]) -> Result<Object<'_, 'a>, Fault> {
        let members = self.members("an object")?;
        for (key, value) in members {
            if !known.contains(&key.as_str()) {
                let message = format!("the key is not known here; {}", suggestion(key, known));
                return Err(self.at_key(key, value).fault(FaultCode::UnknownKey, message));
            }
        }
        Ok(Object { element: self, members })
    }

    /// The only member of the element. `wanted` describes the object in a message.
    pub(super) fn only_member(&self, wanted: &str) -> Result<(&'a str, Element<'a>), Fault> {
        let members = self.members(wanted)?;
        let mut entries = members.iter();
        if let (Some((key, value)), None) = (entries.next(), entries.next()) {
            return Ok((key, self.at_key(key, value)));
        }
        let code = if members.is_empty() { FaultCode::Missing } else { FaultCode::Conflict };
        Err(self.fault(code, format!("must be {wanted}, with exactly one key; found {}", members.len())))
    }

    pub(super) fn items(&self) -> Result<impl ExactSizeIterator<Item = Element<'a>>, Fault> {
        let items = self.value.as_array().ok_or_else(|| self.wrong_type("a list"))?;
        let path = self.path.clone();
        Ok(items
            .iter()
            .enumerate()
            .map(move |(index, value)| Element { path: format!("{path}[{index}]"), value }))
    }

    /// Whether it is a text that begins with a letter.
    pub(super) fn is_word(&self) -> bool {
        self.value.as_str().is_some_and(|text| text.starts_with(|first: char| first.is_alphabetic()))
    }

    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        self.value.as_str().ok_or_else(|| self.wrong_type("a text"))
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("true or false"))
    }

    /// A whole number from 1 to `highest`. `unit` names what is counted, such as `minutes`.
    pub(super) fn positive(&self, highest: i64, unit: &str) -> Result<i64, Fault> {
        let wanted = format!("a whole number of {unit} from 1 to {highest}");
        if !self.value.is_number() {
            return Err(self.wrong_type(&wanted));
        }
        self.value.as_i64().filter(|number| (1..=highest).contains(number)).ok_or_else(|| {
            self.fault(FaultCode::OutOfRange, format!("must be {wanted}, found {}", described(self.value)))
        })
    }

    /// The one of `known` names that the element is.
    pub(super) fn name<T: Copy>(&self, known: &[(&'static str, T)]) -> Result<T, Fault> {
        let text = self.text()?;
        known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let message = format!("{} is not known here; {}", quoted(text), suggestion(text, &names));
            self.fault(FaultCode::UnknownValue, message)
        })
    }

    /// A label to compare with. A number stands for its digits.
    pub(super) fn label(&self) -> Result<String, Fault> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
            Value::Number(_) => Err(self.fault(
                FaultCode::BadValue,
                "a number to compare with must be whole; put anything else in quotes, such as \"1.10\"",
            )),
            _ => Err(self.wrong_type("a text or a whole number")),
        }
    }

    /// A bound to compare numbers with.
    pub(super) fn bound(&self) -> Result<i64, Fault> {
        let label = self.label()?;
        label.parse().map_err(|_| {
            self.fault(FaultCode::BadValue, format!("must be a whole number, found {}", quoted(&label)))
        })
    }
}

/// An element that is an object.
pub(super) struct Object<'e, 'a> {
    element: &'e Element<'a>,
    members: &'a Map<String, Value>,
}

impl<'a> Object<'_, 'a> {
    pub(super) fn get(&self, key: &str) -> Option<Element<'a>> {
        self.members.get(key).map(|value| self.element.at_key(key, value))
    }

    /// The member under `key`, read by `read`, if it is there.
    pub(super) fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Element<'a>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.get(key).as_ref().map(read).transpose()
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {}", quoted(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
