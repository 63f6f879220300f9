//! Does an SQLite file answer?
//!
//! The file is opened read-only, through SQLite and never otherwise: whoever opens and closes a file on his own gives
//! up the locks that his process holds on it.
//!
//! ```
//! use lifesigns_checks::sqlite;
//!
//! let polls = sqlite::check("data", sqlite::Options::new("/var/lib/polls/polls.db"))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lifesigns::{Check, FailureKind, Report};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use crate::BadOption;
use crate::path::{absolute, failure_kind};

/// How often a query is asked whether it takes too long, in steps of SQLite's virtual machine.
const STEPS: i32 = 10_000;

/// Pragmas that only tell something, whatever their argument is.
const TELLING: [&str; 15] = [
    "compile_options",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "pragma_list",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Pragmas that tell something without an argument, and set it with one.
const TELLING_ALONE: [&str; 10] = [
    "application_id",
    "auto_vacuum",
    "data_version",
    "encoding",
    "freelist_count",
    "journal_mode",
    "page_count",
    "page_size",
    "schema_version",
    "user_version",
];

/// Which file, and how closely it is looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The file, from the root.
    pub path: PathBuf,
    /// Whether the whole file is read and compared with its structure (`PRAGMA quick_check`). Takes seconds for each
    /// gigabyte. Default: only the schema is read.
    pub quick_check: bool,
    /// A query that must give at least one row. It can write nothing: no table, no file, no setting.
    pub query: Option<String>,
    /// The query and the check are broken off after so long. More than 0, default 5 s.
    pub time_limit: Duration,
}

impl Options {
    /// That the schema can be read is enough.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options { path: path.into(), quick_check: false, query: None, time_limit: Duration::from_secs(5) }
    }
}

/// A check that opens an SQLite file and reads from it.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    absolute("path", &options.path)?;
    if options.query.as_deref().is_some_and(|query| query.trim().is_empty()) {
        return Err(BadOption::new("query", "is empty; leave it out"));
    }
    if options.time_limit.is_zero() {
        return Err(BadOption::new("time_limit", "is 0, in which nothing can be read"));
    }
    Ok(Check::blocking(name, move || run(&options).unwrap_or_else(|report| report))
        .component_type("datastore"))
}

fn run(options: &Options) -> Result<Report, Report> {
    let path = options.path.display();
    // SQLite tells for all of them that it cannot open the file. This asks for metadata alone.
    let metadata = options.path.metadata();
    let metadata =
        metadata.map_err(|error| Report::fail(failure_kind(&error), format_args!("{path}: {error}")))?;
    let no_database =
        |why: &str| Report::fail(FailureKind::UnexpectedAnswer, format_args!("{path} is no database: {why}"));
    if !metadata.is_file() {
        return Err(no_database("it is no regular file"));
    }
    // SQLite takes it for a database without tables.
    if metadata.len() == 0 {
        return Err(no_database("it is empty"));
    }
    ask(options).map_err(|error| match kind(&error) {
        _ if is_unauthorized(&error) => {
            Report::fail(FailureKind::Denied, format_args!("{path}: the query does more than read ({error})"))
        }
        kind => Report::fail(kind, format_args!("{path}: {error}")),
    })?;
    Ok(Report::pass())
}

fn ask(options: &Options) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&options.path, flags)?;
    // That the file is opened read-only keeps nobody from attaching or writing another one.
    connection.authorizer(Some(|asked: AuthContext<'_>| {
        if only_reads(&asked.action) { Authorization::Allow } else { Authorization::Deny }
    }))?;
    let (began, limit) = (Instant::now(), options.time_limit);
    connection.busy_timeout(limit.min(Duration::from_secs(1)))?;
    connection.progress_handler(STEPS, Some(move || began.elapsed() > limit))?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    if options.quick_check {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(found),
            ));
        }
    }
    if let Some(query) = &options.query {
        connection.query_row(query, [], |_| Ok(()))?;
    }
    Ok(())
}

fn only_reads(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let is_one_of =
                |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(pragma_name));
            is_one_of(&TELLING) || pragma_value.is_none() && is_one_of(&TELLING_ALONE)
        }
        _ => false,
    }
}

fn is_unauthorized(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::AuthorizationForStatementDenied)
}

fn kind(error: &Error) -> FailureKind {
    match error {
        Error::QueryReturnedNoRows => FailureKind::UnexpectedAnswer,
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::CannotOpen => FailureKind::Unreachable,
            ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::AuthorizationForStatementDenied => FailureKind::Denied,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => FailureKind::UnexpectedAnswer,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted => {
                FailureKind::TimedOut
            }
            _ => FailureKind::Failed,
        },
        _ => FailureKind::Failed,
    }
}
