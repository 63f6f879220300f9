//! Questions in one SQLite file.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::question::{Choice, Question, QuestionRequest};

const SCHEMA: &str = "
    CREATE TABLE questions (
        id INTEGER PRIMARY KEY,
        question TEXT NOT NULL,
        published_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE choices (
        question_id INTEGER NOT NULL REFERENCES questions (id),
        position INTEGER NOT NULL,
        choice TEXT NOT NULL,
        votes INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (question_id, position)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// The questions. Clones share one connection.
///
/// SQLite waits for the disk, so every method runs on tokio's pool of blocking threads and must be awaited
/// inside a tokio runtime.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
}

impl Database {
    /// Opens the file, makes it if it is not there, and asks a first question if there is none.
    /// Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The file cannot be opened, is no SQLite database or was made by a newer version of this API.
    pub fn open(path: &Path) -> Result<Database, DatabaseError> {
        Database::prepare(Connection::open(path)?)
    }

    /// Questions that are forgotten with the last clone.
    ///
    /// # Errors
    /// SQLite finds no memory.
    pub fn in_memory() -> Result<Database, DatabaseError> {
        Database::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Database, DatabaseError> {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match version {
            0 => transaction.execute_batch(SCHEMA)?,
            1 => {}
            newer => return Err(DatabaseError::Newer(newer)),
        }
        seed(&transaction)?;
        transaction.commit()?;
        Ok(Database { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Up to `limit` questions whose id is greater than `after`, in the order in which they were asked.
    pub async fn list(&self, after: i64, limit: i64) -> Result<Vec<Question>, DatabaseError> {
        self.run(move |connection| list(connection, after, limit)).await
    }

    /// The question with this id.
    pub async fn find(&self, id: i64) -> Result<Option<Question>, DatabaseError> {
        self.run(move |connection| find(connection, id)).await
    }

    /// Asks a question: it is published at `now`, and nobody has voted yet.
    pub async fn ask(&self, request: QuestionRequest, now: Timestamp) -> Result<Question, DatabaseError> {
        let published_at_ms = now.as_millisecond();
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            let choices = request.choices.into_iter().map(|choice| (choice, 0));
            let id = insert(&transaction, &request.question, published_at_ms, choices)?;
            let question = find(&transaction, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            transaction.commit()?;
            Ok(question)
        })
        .await
    }

    /// Counts one vote for a choice, the first being number 1. `None` when there is no such question or choice.
    pub async fn vote(&self, id: i64, choice: i64) -> Result<Option<Question>, DatabaseError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            let counted = transaction.execute(
                "UPDATE choices SET votes = votes + 1 WHERE question_id = ?1 AND position = ?2",
                params![id, choice],
            )?;
            let question = if counted == 1 { find(&transaction, id)? } else { None };
            transaction.commit()?;
            Ok(question)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let connection = Arc::clone(&self.connection);
        let work = move || {
            // A thread that panicked in the middle has left its transaction to be rolled back: nothing to mend.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(DatabaseError::Sqlite),
            Err(interrupted) => Err(DatabaseError::Interrupted(interrupted)),
        }
    }
}

/// The questions cannot be reached.
#[derive(Debug)]
#[non_exhaustive]
pub enum DatabaseError {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// The file has this schema version, and this program knows only version 1.
    Newer(i64),
    /// The work was broken off.
    Interrupted(tokio::task::JoinError),
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseError::Sqlite(_) => f.write_str("the database of questions failed"),
            DatabaseError::Newer(version) => {
                write!(
                    f,
                    "the database of questions has schema version {version}, and only version 1 is known"
                )
            }
            DatabaseError::Interrupted(_) => {
                f.write_str("the work on the database of questions was broken off")
            }
        }
    }
}

impl Error for DatabaseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DatabaseError::Sqlite(error) => Some(error),
            DatabaseError::Newer(_) => None,
            DatabaseError::Interrupted(error) => Some(error),
        }
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> DatabaseError {
        DatabaseError::Sqlite(error)
    }
}

fn seed(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let empty: bool =
        transaction.query_row("SELECT NOT EXISTS (SELECT 1 FROM questions)", [], |row| row.get(0))?;
    if empty {
        let choices = [("Swift", 2048), ("Python", 1024), ("Objective-C", 512), ("Ruby", 256)];
        let published_at_ms = 1_438_764_051_620; // 2015-08-05T08:40:51.620Z
        insert(
            transaction,
            "Favourite programming language?",
            published_at_ms,
            choices.map(|(choice, votes)| (choice.to_owned(), votes)),
        )?;
    }
    Ok(())
}

fn insert(
    transaction: &Transaction<'_>,
    question: &str,
    published_at_ms: i64,
    choices: impl IntoIterator<Item = (String, i64)>,
) -> rusqlite::Result<i64> {
    transaction.execute(
        "INSERT INTO questions (question, published_at_ms) VALUES (?1, ?2)",
        params![question, published_at_ms],
    )?;
    let id = transaction.last_insert_rowid();
    let mut statement = transaction.prepare_cached(
        "INSERT INTO choices (question_id, position, choice, votes) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (position, (choice, votes)) in (1i64..).zip(choices) {
        statement.execute(params![id, position, choice, votes])?;
    }
    Ok(id)
}

fn list(connection: &Connection, after: i64, limit: i64) -> rusqlite::Result<Vec<Question>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, question, published_at_ms, choice, votes
         FROM (SELECT * FROM questions WHERE id > ?1 ORDER BY id LIMIT ?2)
         JOIN choices ON question_id = id
         ORDER BY id, position",
    )?;
    let mut rows = statement.query(params![after, limit])?;
    let mut questions: Vec<Question> = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get("id")?;
        if questions.last().is_none_or(|question| question.id != id) {
            questions.push(Question {
                id,
                question: row.get("question")?,
                published_at: milliseconds(row.get("published_at_ms")?)?,
                choices: Vec::new(),
            });
        }
        if let Some(question) = questions.last_mut() {
            question.choices.push(Choice { choice: row.get("choice")?, votes: row.get("votes")? });
        }
    }
    Ok(questions)
}

fn find(connection: &Connection, id: i64) -> rusqlite::Result<Option<Question>> {
    let mut statement =
        connection.prepare_cached("SELECT question, published_at_ms FROM questions WHERE id = ?1")?;
    let found: Option<(String, i64)> =
        statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((question, published_at_ms)) = found else { return Ok(None) };
    let mut statement = connection
        .prepare_cached("SELECT choice, votes FROM choices WHERE question_id = ?1 ORDER BY position")?;
    let choices = statement
        .query_map([id], |row| Ok(Choice { choice: row.get(0)?, votes: row.get(1)? }))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(Question { id, question, published_at: milliseconds(published_at_ms)?, choices }))
}

fn milliseconds(value: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(value).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Integer, error.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn questions_and_votes_are_there_when_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("polls.db");
        let now = "2026-03-16T18:00:00.123456Z".parse().unwrap();
        let request =
            QuestionRequest { question: "Tea?".to_owned(), choices: vec!["yes".to_owned(), "no".to_owned()] };
        let asked = Database::open(&file).unwrap().ask(request, now).await.unwrap();
        assert_eq!(asked.published_at, "2026-03-16T18:00:00.123Z".parse().unwrap());

        let again = Database::open(&file).unwrap();
        let voted = again.vote(asked.id, 2).await.unwrap().unwrap();
        assert_eq!(voted.choices[0].votes, 0);
        assert_eq!(voted.choices[1].votes, 1);
        let listed = again.list(0, 100).await.unwrap();
        assert_eq!(listed.len(), 2, "the seed is sown once: {listed:?}");
        assert_eq!(listed[1], voted);
    }

    #[tokio::test]
    async fn a_page_starts_after_the_given_question_and_ends_at_its_limit() {
        let database = Database::in_memory().unwrap();
        for number in 0..5 {
            let request = QuestionRequest {
                question: format!("{number}?"),
                choices: vec!["yes".to_owned(), "no".to_owned()],
            };
            database.ask(request, Timestamp::UNIX_EPOCH).await.unwrap();
        }
        let ids: Vec<i64> = database.list(2, 3).await.unwrap().iter().map(|question| question.id).collect();
        assert_eq!(ids, [3, 4, 5]);
    }

    #[test]
    fn a_file_of_a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("polls.db");
        Connection::open(&file).unwrap().pragma_update(None, "user_version", 7).unwrap();
        let error = Database::open(&file).unwrap_err();
        assert!(matches!(error, DatabaseError::Newer(7)), "{error:?}");
    }
}
