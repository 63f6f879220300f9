-- Watermarks.
CREATE TABLE meta (
    name TEXT PRIMARY KEY NOT NULL,
    value INTEGER
) STRICT, WITHOUT ROWID;

-- What a process has to know again after a restart.
CREATE TABLE note (
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (topic, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE service (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Readings as they came, all services together: a row for each transaction.
CREATE TABLE fresh (
    id INTEGER PRIMARY KEY,
    readings BLOB NOT NULL
) STRICT;

-- A row is what is known of one service on one day, in days since 1970-01-01 in UTC.
CREATE TABLE block (
    service INTEGER NOT NULL,
    day INTEGER NOT NULL,
    readings BLOB NOT NULL,
    UNIQUE (service, day)
) STRICT;

CREATE INDEX block_by_day ON block (day);

-- Milliseconds since 1970-01-01T00:00Z. What goes on ends at 9223372036854775807.
CREATE TABLE event (
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    service INTEGER,
    began INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (kind, key)
) STRICT;

CREATE INDEX event_by_beginning ON event (began, kind);
CREATE INDEX event_by_end ON event (ended, began, kind);
CREATE INDEX event_of_service_by_beginning ON event (service, began, kind);
CREATE INDEX event_of_service_by_end ON event (service, ended, began, kind);
