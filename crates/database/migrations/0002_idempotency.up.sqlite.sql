-- Requests that name themselves, so that asking again is not doing again. An answer is kept until until_us.
CREATE TABLE database_idempotency (
    principal     TEXT    NOT NULL,
    route         TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    body_hash     BLOB    NOT NULL CHECK (length(body_hash) = 32),
    -- What the work makes gets these names, so that work cut short is done again as the same.
    inspection_id BLOB    NOT NULL CHECK (length(inspection_id) = 16),
    hold_id       BLOB    NOT NULL CHECK (length(hold_id) = 16),
    -- The process that does it; another one takes over what it left undone.
    holder        TEXT    NOT NULL,
    status        INTEGER,
    answer        BLOB,
    created_us    INTEGER NOT NULL,
    until_us      INTEGER NOT NULL,
    PRIMARY KEY (principal, route, key),
    CHECK ((status IS NULL) = (answer IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX database_idempotency_until ON database_idempotency (until_us);
