-- Requests that name themselves, so that asking again is not doing again. An answer is kept until until_us.
CREATE TABLE database_idempotency (
    principal     TEXT    NOT NULL,
    route         TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    body_hash     BYTEA   NOT NULL CHECK (length(body_hash) = 32),
    -- What the work makes gets these names, so that work cut short is done again as the same.
    inspection_id BYTEA   NOT NULL CHECK (length(inspection_id) = 16),
    hold_id       BYTEA   NOT NULL CHECK (length(hold_id) = 16),
    -- The process that does it; another one takes over what it left undone.
    holder        TEXT    NOT NULL,
    status        BIGINT,
    answer        BYTEA,
    created_us    BIGINT  NOT NULL,
    until_us      BIGINT  NOT NULL,
    PRIMARY KEY (principal, route, key),
    CHECK ((status IS NULL) = (answer IS NULL))
);

CREATE INDEX database_idempotency_until ON database_idempotency (until_us);
