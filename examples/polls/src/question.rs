//! What the API speaks of.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

const LONGEST_QUESTION: usize = 500;
const LONGEST_CHOICE: usize = 200;
const FEWEST_CHOICES: usize = 2;
const MOST_CHOICES: usize = 20;

/// A question as it was asked, and how the votes stand.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Question {
    /// Number of the question, as in `/questions/{id}`.
    pub id: i64,
    /// The question itself.
    pub question: String,
    /// When it was asked, to the millisecond.
    #[serde(serialize_with = "rfc3339_with_milliseconds")]
    pub published_at: Timestamp,
    /// What can be voted for. The first is number 1 in `/questions/{id}/choices/{choice}`.
    pub choices: Vec<Choice>,
}

/// One possible answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Choice {
    /// Its text.
    pub choice: String,
    /// How many voted for it.
    pub votes: i64,
}

/// A question that somebody wants to ask.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct QuestionRequest {
    /// The question, 1 to 500 characters.
    pub question: String,
    /// 2 to 20 different choices of 1 to 200 characters each.
    pub choices: Vec<String>,
}

impl QuestionRequest {
    /// Without white space around its texts, if it can be asked; otherwise a sentence that says what is wrong.
    pub fn validate(self) -> Result<QuestionRequest, String> {
        let question = self.question.trim().to_owned();
        let choices: Vec<String> = self.choices.iter().map(|choice| choice.trim().to_owned()).collect();
        if !(1..=LONGEST_QUESTION).contains(&question.chars().count()) {
            return Err(format!("`question` must have 1 to {LONGEST_QUESTION} characters"));
        }
        if !(FEWEST_CHOICES..=MOST_CHOICES).contains(&choices.len()) {
            return Err(format!("`choices` must hold {FEWEST_CHOICES} to {MOST_CHOICES} choices"));
        }
        let mut seen = HashSet::new();
        for (index, choice) in choices.iter().enumerate() {
            if !(1..=LONGEST_CHOICE).contains(&choice.chars().count()) {
                return Err(format!("`choices[{index}]` must have 1 to {LONGEST_CHOICE} characters"));
            }
            if !seen.insert(choice) {
                return Err(format!("`choices[{index}]` is there twice"));
            }
        }
        Ok(QuestionRequest { question, choices })
    }
}

fn rfc3339_with_milliseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_or_refused_with_the_reason() {
        let check = |question: &str, choices: &[&str], expected: Result<(), &str>| {
            let request = QuestionRequest {
                question: question.to_owned(),
                choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            };
            let got = request.validate().map(drop);
            assert_eq!(got, expected.map_err(str::to_owned), "{question:?} {choices:?}");
        };
        check("Tea?", &["yes", "no"], Ok(()));
        check("  ", &["yes", "no"], Err("`question` must have 1 to 500 characters"));
        check(&"ü".repeat(500), &["yes", "no"], Ok(()));
        check(&"ü".repeat(501), &["yes", "no"], Err("`question` must have 1 to 500 characters"));
        check("Tea?", &["yes"], Err("`choices` must hold 2 to 20 choices"));
        check("Tea?", &["yes", ""], Err("`choices[1]` must have 1 to 200 characters"));
        check("Tea?", &["yes", "no", " yes "], Err("`choices[2]` is there twice"));
    }

    #[test]
    fn a_time_is_written_with_milliseconds_even_when_they_are_zero() {
        let question = Question {
            id: 1,
            question: "Tea?".to_owned(),
            published_at: "2015-08-05T08:40:51Z".parse().unwrap(),
            choices: Vec::new(),
        };
        let json = serde_json::to_value(&question).unwrap();
        assert_eq!(json["published_at"], "2015-08-05T08:40:51.000Z");
    }
}
