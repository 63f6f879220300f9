//! Takes one table apart by the reference of its section, and collects every fault on the way.

use jiff::Timestamp;

use super::fault::{Fault, Place};
use super::reference::{Key, Kind, Section};
use super::tree::{At, Table, Value};

/// One table being read.
pub struct Reader<'a> {
    section: &'static Section,
    table: &'a Table,
    /// Where the table begins; what is missing is missing there.
    pub place: Place,
    read: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// Starts to read `table`.
    pub fn new(section: &'static Section, table: &'a Table, place: &Place) -> Reader<'a> {
        Reader { section, table, place: place.clone(), read: Vec::new() }
    }

    /// Text: not empty, without control characters, as long as its key allows.
    pub fn text(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<At<String>> {
        let (key, found) = self.take(name)?;
        match &found.value {
            Value::Text(text) => check_text(text, &found.place, key, faults),
            _ => wrong_kind(key, found, faults),
        }
    }

    /// A whole number within the range of its key.
    pub fn integer(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<At<u64>> {
        let (key, found) = self.take(name)?;
        let number = match &found.value {
            Value::Integer(number) => *number,
            // Flags and variables are text, whatever it says.
            Value::Text(text) if !matches!(found.place, Place::File(_)) => text.trim().parse().ok(),
            _ => return wrong_kind(key, found, faults),
        };
        let Kind::Integer { minimum, maximum } = key.kind else {
            unreachable!("{} is read as a whole number and documented as another kind", key.name)
        };
        match number.and_then(|number| u64::try_from(number).ok()) {
            Some(number) if (minimum..=maximum).contains(&number) => {
                Some(At::new(number, found.place.clone()))
            }
            _ => {
                faults.push(Fault::new(
                    &found.place,
                    format!("`{}` must be from {minimum} to {maximum}", key.name),
                ));
                None
            }
        }
    }

    /// A number from 0 to 1.
    pub fn share(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<At<f64>> {
        let (key, found) = self.take(name)?;
        let number = match found.value {
            Value::Float(number) => number,
            Value::Integer(number) => number.map_or(f64::NAN, |number| number as f64),
            _ => return wrong_kind(key, found, faults),
        };
        if (0.0..=1.0).contains(&number) {
            return Some(At::new(number, found.place.clone()));
        }
        let fault = Fault::new(&found.place, format!("`{}` must be from 0 to 1", key.name));
        faults.push(match number {
            percent if (1.0..=100.0).contains(&percent) => fault.hint(format!(
                "it is a share, not a percentage: {percent} % is {}",
                (percent * 1e10).round() / 1e12
            )),
            _ => fault,
        });
        None
    }

    /// `true` or `false`.
    pub fn switch(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<At<bool>> {
        let (key, found) = self.take(name)?;
        match found.value {
            Value::Switch(switch) => Some(At::new(switch, found.place.clone())),
            _ => wrong_kind(key, found, faults),
        }
    }

    /// One of the words that the key knows.
    pub fn choice(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<At<&'static str>> {
        let (key, found) = self.take(name)?;
        let Value::Text(text) = &found.value else { return wrong_kind(key, found, faults) };
        let Kind::Choice(words) = key.kind else {
            unreachable!("{} is read as a choice and documented as another kind", key.name)
        };
        if let Some(word) = words.iter().copied().find(|word| word == text) {
            return Some(At::new(word, found.place.clone()));
        }
        faults.push(unknown_word(text, &found.place, &format!("`{}`", key.name), words));
        None
    }

    /// An instant with its offset: a TOML date-time or the same as text.
    pub fn moment(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<At<Timestamp>> {
        let (key, found) = self.take(name)?;
        let (Value::Moment(text) | Value::Text(text)) = &found.value else {
            return wrong_kind(key, found, faults);
        };
        if let Ok(time) = text.parse() {
            return Some(At::new(time, found.place.clone()));
        }
        faults.push(
            Fault::new(
                &found.place,
                format!("`{}` is not a time that can be placed on the calendar", key.name),
            )
            .hint("write it as RFC 3339 says, with an offset: 2026-03-16T18:00:00Z"),
        );
        None
    }

    /// A list of text.
    pub fn list(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<Vec<At<String>>> {
        let (key, found) = self.take(name)?;
        let Value::List(list) = &found.value else { return wrong_kind(key, found, faults) };
        let mut texts = Vec::with_capacity(list.len());
        for item in list {
            match &item.value {
                Value::Text(text) => texts.extend(check_text(text, &item.place, key, faults)),
                other => faults.push(Fault::new(
                    &item.place,
                    format!("`{}` is a list of text, but this is {}", key.name, other.kind()),
                )),
            }
        }
        Some(texts)
    }

    /// The table under `name`; where it is missing, an empty one.
    pub fn table(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<Reader<'a>> {
        let (key, found) = self.take(name)?;
        let section = section_of(key);
        match &found.value {
            Value::Table(table) => Some(Reader::new(section, table, &found.place)),
            Value::List(_) => {
                faults.push(
                    Fault::new(&found.place, format!("`{}` can be there once only", key.name))
                        .hint(format!("write its header with single brackets: {}", section.header)),
                );
                None
            }
            _ => wrong_kind(key, found, faults),
        }
    }

    /// The tables of the list under `name`.
    pub fn tables(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Vec<Reader<'a>> {
        let Some((key, found)) = self.take(name) else { return Vec::new() };
        let section = section_of(key);
        let list = match &found.value {
            Value::List(list) => list,
            Value::Table(_) => {
                faults.push(
                    Fault::new(&found.place, format!("there can be several `{}`", key.name))
                        .hint(format!("write its header with double brackets: {}", section.header)),
                );
                return Vec::new();
            }
            _ => {
                wrong_kind::<()>(key, found, faults);
                return Vec::new();
            }
        };
        let mut readers = Vec::with_capacity(list.len());
        for item in list {
            match &item.value {
                Value::Table(table) => readers.push(Reader::new(section, table, &item.place)),
                other => faults.push(Fault::new(
                    &item.place,
                    format!("`{}` is a list of tables, but this is {}", key.name, other.kind()),
                )),
            }
        }
        readers
    }

    /// Ends the reading: what has not been asked for is not known.
    pub fn finish(self, faults: &mut Vec<Fault>) {
        debug_assert!(
            self.section.keys.iter().all(|key| self.read.contains(&key.name)),
            "every documented key of {} is read",
            self.section.header
        );
        let known: Vec<&str> = self.section.keys.iter().map(|key| key.name).collect();
        for (name, _) in &self.table.entries {
            if known.contains(&name.value.as_str()) {
                continue;
            }
            let fault =
                Fault::new(&name.place, format!("{} has no key `{}`", self.section.called(), name.value));
            faults.push(fault.hint(match nearest(&name.value, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it knows {}", one_of(&known)),
            }));
        }
    }

    fn take(&mut self, name: &'static str) -> Option<(&'static Key, &'a At<Value>)> {
        self.read.push(name);
        let key = self.section.keys.iter().find(|key| key.name == name);
        debug_assert!(key.is_some(), "{name} is read, so it is documented in {}", self.section.header);
        Some((key?, self.table.get(name)?))
    }
}

fn section_of(key: &'static Key) -> &'static Section {
    let Some(section) = key.kind.section() else {
        unreachable!("{} is read as a table and documented as another kind", key.name)
    };
    section
}

/// A fault about a word that is none of `words`; it names the nearest.
pub fn unknown_word(text: &str, place: &Place, what: &str, words: &[&str]) -> Fault {
    Fault::new(place, format!("{what} does not know `{text}`")).hint(match nearest(text, words) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it knows {}", one_of(words)),
    })
}

/// With more words than this, none is suggested.
const MOST_COMPARED: usize = 1000;

/// Of so many words a reader gets an idea of what is known.
const MOST_LISTED: usize = 30;

/// The word that was most likely meant.
pub fn nearest<'w>(written: &str, words: &[&'w str]) -> Option<&'w str> {
    // Longer than any word could be, even misspelt; comparing takes time that grows with the product. And with so many
    // words, such as the names of all APIs, every name of every check might be compared with every other.
    if written.len() > 64 || words.len() > MOST_COMPARED {
        return None;
    }
    let written = written.to_lowercase().replace('-', "_");
    words
        .iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(&written, word), *word))
        .filter(|(likeness, word)| *likeness >= 0.6 || (written.len() >= 4 && word.contains(&*written)))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().take(MOST_LISTED).map(|word| format!("`{word}`")).collect();
    match words.len().saturating_sub(MOST_LISTED) {
        0 => quoted.join(", "),
        left_out => format!("{} and {left_out} more", quoted.join(", ")),
    }
}

fn check_text(text: &str, place: &Place, key: &Key, faults: &mut Vec<Fault>) -> Option<At<String>> {
    let longest = if let Kind::Label(longest) = key.kind { longest } else { usize::MAX };
    let message = if text.trim().is_empty() {
        format!("`{}` must not be empty", key.name)
    } else if text.chars().any(char::is_control) {
        format!("`{}` must not contain control characters", key.name)
    } else if text.chars().nth(longest).is_some() {
        format!("`{}` must not be longer than {longest} characters", key.name)
    } else {
        return Some(At::new(text.to_owned(), place.clone()));
    };
    faults.push(Fault::new(place, message));
    None
}

fn wrong_kind<T>(key: &Key, found: &At<Value>, faults: &mut Vec<Fault>) -> Option<T> {
    let fault = Fault::new(
        &found.place,
        format!("`{}` must be {}, but this is {}", key.name, key.kind.expected(), found.value.kind()),
    );
    faults.push(match key.written_example() {
        Some(example) => fault.hint(format!("for example `{} = {example}`", key.name)),
        None => fault,
    });
    None
}
