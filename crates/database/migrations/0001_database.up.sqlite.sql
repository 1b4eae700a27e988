-- One row: which deployment this is, and the master key that it was first used with. Keys and pins outside the
-- database are named after it.
CREATE TABLE database_deployment (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id         BLOB    NOT NULL CHECK (length(id) = 16),
    key_id     TEXT,
    created_us INTEGER NOT NULL
) STRICT;

-- Events that a change committed with itself and that the log has not taken yet. A row that does not parse is set
-- aside, so that it does not stop the others.
CREATE TABLE database_outbox (
    seq        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    event      BLOB    NOT NULL,
    created_us INTEGER NOT NULL,
    aside      INTEGER NOT NULL DEFAULT 0 CHECK (aside IN (0, 1))
) STRICT;

-- Who leads what, until when. The fence grows with every new holder, so that a late one is recognised.
CREATE TABLE database_leases (
    name     TEXT    NOT NULL PRIMARY KEY,
    holder   TEXT    NOT NULL,
    fence    INTEGER NOT NULL,
    until_us INTEGER NOT NULL
) STRICT;
