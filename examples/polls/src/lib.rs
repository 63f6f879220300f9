//! The Polls API: questions with choices, and votes for them.
//!
//! An ordinary small API on axum with its data in SQLite, here to show what it takes to give an API health
//! resources: see `main.rs`. All that this library has to do with them is to say which build it is.
//!
//! | request | answer |
//! |---|---|
//! | `GET /questions` | the questions, oldest first, 100 at a time |
//! | `POST /questions` | 201 and the new question |
//! | `GET /questions/{id}` | one question |
//! | `POST /questions/{id}/choices/{choice}` | 201 and the question with one vote more |

mod database;
mod problem;
mod question;
mod resources;

pub use database::{Database, DatabaseError};
pub use question::{Choice, Question, QuestionRequest};
pub use resources::{ROUTES, router};

/// Which build this is, as the build script has found out.
pub fn identity() -> lifesigns::Identity {
    lifesigns::build_identity!()
}
