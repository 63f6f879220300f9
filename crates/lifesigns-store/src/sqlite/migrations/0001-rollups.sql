-- Watermarks, in minutes since 1970-01-01T00:00Z.
CREATE TABLE meta (
    name TEXT PRIMARY KEY NOT NULL,
    value INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE api (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- An id is never given out twice: readers remember what it stood for.
CREATE TABLE series (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    api INTEGER NOT NULL,
    api_version TEXT NOT NULL,
    route TEXT NOT NULL,
    method TEXT NOT NULL,
    status INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    policy TEXT,
    failed_by TEXT NOT NULL,
    instance TEXT NOT NULL,
    -- First minute of the newest day that has rows of this series, or a later one.
    last_day INTEGER NOT NULL
) STRICT;

-- NULL is not equal to NULL in an index, so that a missing policy needs a column of its own to be unique.
CREATE UNIQUE INDEX series_labels ON series (
    api, route, method, status, client_id, api_version, instance, failed_by, ifnull(policy, ''), policy IS NULL
);

CREATE TABLE minute_rows (
    api INTEGER NOT NULL,
    t INTEGER NOT NULL,
    series INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum_micros INTEGER NOT NULL,
    max_micros INTEGER NOT NULL,
    first_byte_micros INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    buckets BLOB NOT NULL,
    PRIMARY KEY (api, t, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE hour_rows (
    api INTEGER NOT NULL,
    t INTEGER NOT NULL,
    series INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum_micros INTEGER NOT NULL,
    max_micros INTEGER NOT NULL,
    first_byte_micros INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    buckets BLOB NOT NULL,
    PRIMARY KEY (api, t, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE day_rows (
    api INTEGER NOT NULL,
    t INTEGER NOT NULL,
    series INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum_micros INTEGER NOT NULL,
    max_micros INTEGER NOT NULL,
    first_byte_micros INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    buckets BLOB NOT NULL,
    PRIMARY KEY (api, t, series)
) STRICT, WITHOUT ROWID;
