-- The key of each week wraps the data keys of what was held in it, and is itself wrapped by a master key. Where it lies
-- outside the database, so that it can be destroyed there, it is not here: a copy of the database opens nothing by itself.
CREATE TABLE quarantine_week_keys (
    id            TEXT   NOT NULL PRIMARY KEY,
    -- Monday, 00:00.
    week_at       BIGINT NOT NULL,
    master_key_id TEXT   NOT NULL,
    -- Only where nothing else keeps it.
    wrapped       BYTEA,
    created_at    BIGINT NOT NULL,
    wrapped_at    BIGINT NOT NULL,
    -- From then on it wraps nothing new.
    closed_at     BIGINT
);

CREATE UNIQUE INDEX quarantine_week_keys_open ON quarantine_week_keys (week_at) WHERE closed_at IS NULL;

-- Keys of weeks that were destroyed; until erased_at something of them may still lie outside the database.
CREATE TABLE quarantine_spent_week_keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    week_at      BIGINT NOT NULL,
    destroyed_at BIGINT NOT NULL,
    erased_at    BIGINT
);

-- No key of a week goes while a data key needs it.
ALTER TABLE encryption_keys ADD COLUMN week_key_id TEXT REFERENCES quarantine_week_keys (id);

CREATE INDEX encryption_keys_week ON encryption_keys (week_key_id, record_id) WHERE week_key_id IS NOT NULL;
