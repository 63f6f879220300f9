-- A row is what one API has counted in one minute, hour or day, all its series together.
CREATE TABLE minutes (
    api INTEGER NOT NULL,
    t INTEGER NOT NULL,
    count INTEGER NOT NULL,
    figures BLOB NOT NULL,
    buckets BLOB NOT NULL,
    UNIQUE (api, t)
) STRICT;

CREATE TABLE hours (
    api INTEGER NOT NULL,
    t INTEGER NOT NULL,
    count INTEGER NOT NULL,
    figures BLOB NOT NULL,
    buckets BLOB NOT NULL,
    UNIQUE (api, t)
) STRICT;

CREATE TABLE days (
    api INTEGER NOT NULL,
    t INTEGER NOT NULL,
    count INTEGER NOT NULL,
    figures BLOB NOT NULL,
    buckets BLOB NOT NULL,
    UNIQUE (api, t)
) STRICT;
