//! Making a file shorter that has become much too large for what it holds.

use rusqlite::Connection;

/// A file of fewer free pages than this is not shortened.
const FREE_PAGES_KEPT: i64 = 1024;
/// A file is shortened while more than one of this many of its pages is free.
const FREE_SHARE: i64 = 4;
/// Pages by which a step shortens the file: 4 MB.
const PAGES_A_STEP: i64 = 512;

/// Does one step, as one small transaction, where there is one to be done. Whether there may be more to do.
pub(crate) fn shorten(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, all) = (number("freelist_count")?, number("page_count")?);
    if free <= FREE_PAGES_KEPT || free <= all / FREE_SHARE {
        return Ok(false);
    }
    // A row for each page: the pages go as the rows are walked.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_A_STEP})"))?;
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    Ok(true)
}
