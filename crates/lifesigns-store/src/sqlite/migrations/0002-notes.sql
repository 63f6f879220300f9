-- What a process has to know again after a restart, such as maintenance that is on.
CREATE TABLE note (
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (topic, key)
) STRICT, WITHOUT ROWID;
