-- Held content: what it is, what was decided, where its sealed bytes lie. Times are microseconds since 1970, UTC.
-- Names that the first schema of this kind had are kept where they mean the same.
CREATE TABLE quarantine_records (
    id                TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    s3_key            TEXT    UNIQUE,
    status            TEXT    NOT NULL CHECK (status IN ('QUARANTINED', 'UNDER_REVIEW', 'RELEASED', 'DELETED', 'EXPIRED')),
    blob_state        TEXT    NOT NULL CHECK (blob_state IN ('PENDING', 'PRESENT', 'SHREDDED')),
    tier              TEXT    NOT NULL CHECK (tier IN ('CLEAR', 'LOW', 'MODERATE', 'HIGH', 'CRITICAL')),
    labels            TEXT    NOT NULL CHECK (json_valid(labels)),
    -- Places and rules, never a character of what was found beyond a format's public prefix.
    matches           TEXT    NOT NULL CHECK (json_valid(matches)),
    policy            TEXT    NOT NULL,
    content_type      TEXT    NOT NULL CHECK (content_type IN ('POST', 'COMMENT', 'MESSAGE', 'PROFILE')),
    size_bytes        INTEGER NOT NULL CHECK (size_bytes >= 0),
    agent_id          TEXT    NOT NULL,
    owner_id          TEXT,
    source_id         TEXT,
    inspection_id     TEXT    NOT NULL UNIQUE,
    -- A code under a key, not a plain hash: whoever has the table cannot try guesses. Gone with the content.
    content_hmac      BLOB    CHECK (length(content_hmac) = 32),
    hmac_key_id       TEXT    NOT NULL,
    encryption_key_id TEXT    UNIQUE,
    expires_at        INTEGER NOT NULL,
    shred_at          INTEGER,
    reviewed_by       TEXT,
    reviewed_at       INTEGER,
    reason            TEXT,
    review_notes      TEXT,
    version           INTEGER NOT NULL CHECK (version >= 1),
    -- Who looks at it now. Orthogonal to its status, and not part of what the log fixes.
    claimed_by        TEXT,
    lease_until       INTEGER,
    fence             INTEGER,
    queue             TEXT,
    -- A code over everything in the row that the log fixes, as the last change left it.
    state_mac         TEXT,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    -- The event that commits with the second half of a store.
    pending_event     BLOB,
    -- Last, since what stands behind it would be reached through all of it.
    inline_ciphertext BLOB,
    -- Content is there with its key and in one place, or it is not there.
    CHECK ((blob_state = 'SHREDDED') = (encryption_key_id IS NULL)),
    CHECK ((blob_state = 'SHREDDED') = (content_hmac IS NULL)),
    CHECK (blob_state <> 'SHREDDED' OR inline_ciphertext IS NULL),
    CHECK (blob_state = 'SHREDDED' OR (s3_key IS NULL) <> (inline_ciphertext IS NULL)),
    CHECK ((blob_state = 'PENDING') = (pending_event IS NOT NULL)),
    CHECK ((blob_state = 'PENDING') = (state_mac IS NULL))
) STRICT;

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
    encrypted_data_key BLOB    NOT NULL,
    master_key_id      TEXT    NOT NULL,
    algorithm          TEXT    NOT NULL,
    created_at         INTEGER NOT NULL,
    wrapped_at         INTEGER NOT NULL
) STRICT;

CREATE INDEX encryption_keys_master ON encryption_keys (master_key_id);

-- The same content of the same agent, posted again while it was held.
CREATE TABLE quarantine_repeats (
    inspection_id TEXT    NOT NULL PRIMARY KEY,
    record_id     TEXT    NOT NULL REFERENCES quarantine_records (id),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX quarantine_repeats_record ON quarantine_repeats (record_id);

-- Legal holds: one row a record that ever had one.
CREATE TABLE quarantine_holds (
    record_id   TEXT    NOT NULL PRIMARY KEY REFERENCES quarantine_records (id),
    placed_by   TEXT    NOT NULL,
    placed_at   INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    lifted_by   TEXT,
    lifted_at   INTEGER,
    lift_reason TEXT,
    version     INTEGER NOT NULL CHECK (version >= 1),
    state_mac   TEXT    NOT NULL,
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL)),
    CHECK (lifted_at IS NOT NULL OR lift_reason IS NULL)
) STRICT;

-- Permissions to look once. Only a hash of the token is here.
CREATE TABLE quarantine_grants (
    token_hash BLOB    NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    record_id  TEXT    NOT NULL REFERENCES quarantine_records (id),
    actor_type TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;

CREATE INDEX quarantine_grants_expires ON quarantine_grants (expires_at);

-- Objects that are to go. A row stays until its last look, since a store that was given up may still arrive.
CREATE TABLE quarantine_tombstones (
    object_key TEXT    NOT NULL PRIMARY KEY,
    not_before INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX quarantine_tombstones_due ON quarantine_tombstones (not_before);

CREATE TRIGGER quarantine_records_born BEFORE INSERT ON quarantine_records
WHEN NEW.status <> 'QUARANTINED' OR NEW.blob_state = 'SHREDDED' OR NEW.version <> 1
BEGIN SELECT RAISE(ABORT, 'a record begins as QUARANTINED, with its content, at version 1'); END;

CREATE TRIGGER quarantine_records_status BEFORE UPDATE OF status ON quarantine_records
WHEN NEW.status <> OLD.status AND NOT (
    (OLD.status = 'QUARANTINED' AND NEW.status IN ('UNDER_REVIEW', 'RELEASED', 'DELETED', 'EXPIRED'))
    OR (OLD.status = 'UNDER_REVIEW' AND NEW.status IN ('RELEASED', 'DELETED', 'EXPIRED'))
    OR (OLD.status IN ('DELETED', 'EXPIRED') AND NEW.status = 'UNDER_REVIEW' AND OLD.blob_state = 'PRESENT')
)
BEGIN SELECT RAISE(ABORT, 'this status may not follow that one'); END;

CREATE TRIGGER quarantine_records_blob BEFORE UPDATE OF blob_state ON quarantine_records
WHEN NEW.blob_state <> OLD.blob_state AND NOT (
    (OLD.blob_state = 'PENDING' AND NEW.blob_state = 'PRESENT')
    OR (OLD.blob_state = 'PRESENT' AND NEW.blob_state = 'SHREDDED')
)
BEGIN SELECT RAISE(ABORT, 'this state of content may not follow that one'); END;

CREATE TRIGGER quarantine_records_version BEFORE UPDATE OF status, blob_state ON quarantine_records
WHEN (NEW.status <> OLD.status OR OLD.blob_state = 'PRESENT' AND NEW.blob_state <> 'PRESENT')
    AND NEW.version <> OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'a change of a record raises its version by one'); END;

CREATE TRIGGER quarantine_records_kept BEFORE DELETE ON quarantine_records
WHEN OLD.blob_state <> 'PENDING'
BEGIN SELECT RAISE(ABORT, 'a record that was acknowledged is kept'); END;

CREATE TRIGGER encryption_keys_held BEFORE DELETE ON encryption_keys
WHEN EXISTS (SELECT 1 FROM quarantine_holds h WHERE h.record_id = OLD.record_id AND h.lifted_at IS NULL)
BEGIN SELECT RAISE(ABORT, 'a legal hold keeps this key'); END;
