-- Held content: what it is, what was decided, where its sealed bytes lie. Times are microseconds since 1970, UTC.
-- Names that the first schema of this kind had are kept where they mean the same.
CREATE TABLE quarantine_records (
    id                TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    s3_key            TEXT    UNIQUE,
    status            TEXT    NOT NULL CHECK (status IN ('QUARANTINED', 'UNDER_REVIEW', 'RELEASED', 'DELETED', 'EXPIRED')),
    blob_state        TEXT    NOT NULL CHECK (blob_state IN ('PENDING', 'PRESENT', 'SHREDDED')),
    tier              TEXT    NOT NULL CHECK (tier IN ('CLEAR', 'LOW', 'MODERATE', 'HIGH', 'CRITICAL')),
    labels            TEXT    NOT NULL CHECK (labels::jsonb IS NOT NULL),
    -- Places and rules, never a character of what was found beyond a format's public prefix.
    matches           TEXT    NOT NULL CHECK (matches::jsonb IS NOT NULL),
    policy            TEXT    NOT NULL,
    content_type      TEXT    NOT NULL CHECK (content_type IN ('POST', 'COMMENT', 'MESSAGE', 'PROFILE')),
    size_bytes        BIGINT NOT NULL CHECK (size_bytes >= 0),
    agent_id          TEXT    NOT NULL,
    owner_id          TEXT,
    source_id         TEXT,
    inspection_id     TEXT    NOT NULL UNIQUE,
    -- A code under a key, not a plain hash: whoever has the table cannot try guesses. Gone with the content.
    content_hmac      BYTEA    CHECK (length(content_hmac) = 32),
    hmac_key_id       TEXT    NOT NULL,
    encryption_key_id TEXT    UNIQUE,
    expires_at        BIGINT NOT NULL,
    shred_at          BIGINT,
    reviewed_by       TEXT,
    reviewed_at       BIGINT,
    reason            TEXT,
    review_notes      TEXT,
    version           BIGINT NOT NULL CHECK (version >= 1),
    -- Who looks at it now. Orthogonal to its status, and not part of what the log fixes.
    claimed_by        TEXT,
    lease_until       BIGINT,
    fence             BIGINT,
    queue             TEXT,
    -- A code over everything in the row that the log fixes, as the last change left it.
    state_mac         TEXT,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    -- The event that commits with the second half of a store.
    pending_event     BYTEA,
    -- Last, since what stands behind it would be reached through all of it.
    inline_ciphertext BYTEA,
    -- Content is there with its key and in one place, or it is not there.
    CHECK ((blob_state = 'SHREDDED') = (encryption_key_id IS NULL)),
    CHECK ((blob_state = 'SHREDDED') = (content_hmac IS NULL)),
    CHECK (blob_state <> 'SHREDDED' OR inline_ciphertext IS NULL),
    CHECK (blob_state = 'SHREDDED' OR (s3_key IS NULL) <> (inline_ciphertext IS NULL)),
    CHECK ((blob_state = 'PENDING') = (pending_event IS NOT NULL)),
    CHECK ((blob_state = 'PENDING') = (state_mac IS NULL))
);

CREATE INDEX quarantine_records_newest ON quarantine_records (created_at DESC, id DESC);
-- With all that sums and counts ask for, so that they are made from here alone.
CREATE INDEX quarantine_records_status ON quarantine_records (
    status, created_at DESC, id DESC, size_bytes, blob_state, tier
);
CREATE INDEX quarantine_records_agent ON quarantine_records (agent_id, created_at DESC, id DESC);
CREATE INDEX quarantine_records_owner ON quarantine_records (owner_id, created_at DESC, id DESC)
    WHERE owner_id IS NOT NULL;
CREATE INDEX quarantine_records_source ON quarantine_records (source_id) WHERE source_id IS NOT NULL;
-- Bounds and repeats read these alone.
CREATE INDEX quarantine_records_open_agent ON quarantine_records (agent_id, size_bytes)
    WHERE status IN ('QUARANTINED', 'UNDER_REVIEW');
CREATE INDEX quarantine_records_open_owner ON quarantine_records (owner_id, size_bytes)
    WHERE status IN ('QUARANTINED', 'UNDER_REVIEW') AND owner_id IS NOT NULL;
CREATE INDEX quarantine_records_open_due ON quarantine_records (blob_state, expires_at)
    WHERE status IN ('QUARANTINED', 'UNDER_REVIEW');
CREATE INDEX quarantine_records_pending ON quarantine_records (created_at) WHERE blob_state = 'PENDING';
CREATE INDEX quarantine_records_shred ON quarantine_records (shred_at)
    WHERE blob_state = 'PRESENT' AND shred_at IS NOT NULL;

-- One wrapped data key a content. To delete the row is to destroy the content.
CREATE TABLE encryption_keys (
    id                 TEXT    NOT NULL PRIMARY KEY,
    record_id          TEXT    NOT NULL UNIQUE REFERENCES quarantine_records (id),
    encrypted_data_key BYTEA    NOT NULL,
    master_key_id      TEXT    NOT NULL,
    algorithm          TEXT    NOT NULL,
    created_at         BIGINT NOT NULL,
    wrapped_at         BIGINT NOT NULL
);

CREATE INDEX encryption_keys_master ON encryption_keys (master_key_id);

-- The same content of the same agent, posted again while it was held.
CREATE TABLE quarantine_repeats (
    inspection_id TEXT    NOT NULL PRIMARY KEY,
    record_id     TEXT    NOT NULL REFERENCES quarantine_records (id),
    created_at    BIGINT NOT NULL
);

CREATE INDEX quarantine_repeats_record ON quarantine_repeats (record_id);

-- Legal holds: one row a record that ever had one.
CREATE TABLE quarantine_holds (
    record_id   TEXT    NOT NULL PRIMARY KEY REFERENCES quarantine_records (id),
    placed_by   TEXT    NOT NULL,
    placed_at   BIGINT NOT NULL,
    reason      TEXT    NOT NULL,
    lifted_by   TEXT,
    lifted_at   BIGINT,
    lift_reason TEXT,
    version     BIGINT NOT NULL CHECK (version >= 1),
    state_mac   TEXT    NOT NULL,
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL)),
    CHECK (lifted_at IS NOT NULL OR lift_reason IS NULL)
);

-- Permissions to look once. Only a hash of the token is here.
CREATE TABLE quarantine_grants (
    token_hash BYTEA    NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    record_id  TEXT    NOT NULL REFERENCES quarantine_records (id),
    actor_type TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);

CREATE INDEX quarantine_grants_expires ON quarantine_grants (expires_at);

-- Objects that are to go. A row stays until its last look, since a store that was given up may still arrive.
CREATE TABLE quarantine_tombstones (
    object_key TEXT    NOT NULL PRIMARY KEY,
    not_before BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at BIGINT NOT NULL
);

CREATE INDEX quarantine_tombstones_due ON quarantine_tombstones (not_before);

CREATE FUNCTION quarantine_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END$$;

CREATE TRIGGER born BEFORE INSERT ON quarantine_records FOR EACH ROW
WHEN (NEW.status <> 'QUARANTINED' OR NEW.blob_state = 'SHREDDED' OR NEW.version <> 1)
EXECUTE FUNCTION quarantine_refuse('a record begins as QUARANTINED, with its content, at version 1');

CREATE TRIGGER status BEFORE UPDATE ON quarantine_records FOR EACH ROW
WHEN (NEW.status <> OLD.status AND NOT (
    (OLD.status = 'QUARANTINED' AND NEW.status IN ('UNDER_REVIEW', 'RELEASED', 'DELETED', 'EXPIRED'))
    OR (OLD.status = 'UNDER_REVIEW' AND NEW.status IN ('RELEASED', 'DELETED', 'EXPIRED'))
    OR (OLD.status IN ('DELETED', 'EXPIRED') AND NEW.status = 'UNDER_REVIEW' AND OLD.blob_state = 'PRESENT')
))
EXECUTE FUNCTION quarantine_refuse('this status may not follow that one');

CREATE TRIGGER blob BEFORE UPDATE ON quarantine_records FOR EACH ROW
WHEN (NEW.blob_state <> OLD.blob_state AND NOT (
    (OLD.blob_state = 'PENDING' AND NEW.blob_state = 'PRESENT')
    OR (OLD.blob_state = 'PRESENT' AND NEW.blob_state = 'SHREDDED')
))
EXECUTE FUNCTION quarantine_refuse('this state of content may not follow that one');

CREATE TRIGGER version BEFORE UPDATE ON quarantine_records FOR EACH ROW
WHEN ((NEW.status <> OLD.status OR OLD.blob_state = 'PRESENT' AND NEW.blob_state <> 'PRESENT')
    AND NEW.version <> OLD.version + 1)
EXECUTE FUNCTION quarantine_refuse('a change of a record raises its version by one');

CREATE TRIGGER kept BEFORE DELETE ON quarantine_records FOR EACH ROW
WHEN (OLD.blob_state <> 'PENDING')
EXECUTE FUNCTION quarantine_refuse('a record that was acknowledged is kept');

CREATE TRIGGER kept_whole BEFORE TRUNCATE ON quarantine_records
EXECUTE FUNCTION quarantine_refuse('a record that was acknowledged is kept');

-- Whoever places a legal hold locks the record, and so does whoever takes its key; so one sees the other.
CREATE FUNCTION quarantine_key_held() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN
    IF EXISTS (SELECT 1 FROM quarantine_holds h WHERE h.record_id = OLD.record_id AND h.lifted_at IS NULL) THEN
        RAISE EXCEPTION 'a legal hold keeps this key';
    END IF;
    RETURN OLD;
END$$;

CREATE TRIGGER held BEFORE DELETE ON encryption_keys FOR EACH ROW EXECUTE FUNCTION quarantine_key_held();

CREATE TRIGGER kept_whole BEFORE TRUNCATE ON encryption_keys
EXECUTE FUNCTION quarantine_refuse('keys go one by one');

-- Whatever a session's search path is, the function finds the table beside it.
DO $$BEGIN
    EXECUTE format('ALTER FUNCTION quarantine_key_held() SET search_path = %I, pg_temp', current_schema());
END$$;
