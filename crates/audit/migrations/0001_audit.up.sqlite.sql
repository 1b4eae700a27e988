-- The end of each log. The only row of a log that changes; it may only grow.
CREATE TABLE audit_head (
    log          TEXT    NOT NULL PRIMARY KEY CHECK (log IN ('decisions', 'verdicts')),
    origin       TEXT    NOT NULL UNIQUE,
    batches      INTEGER NOT NULL CHECK (batches >= 0),
    size         INTEGER NOT NULL CHECK (size >= batches),
    committed_us INTEGER NOT NULL,
    head_hash    BLOB    NOT NULL CHECK (length(head_hash) = 32)
) STRICT;

CREATE TRIGGER audit_head_only_grows BEFORE UPDATE ON audit_head
WHEN NEW.log <> OLD.log OR NEW.origin <> OLD.origin OR NEW.size <= OLD.size OR NEW.batches <> OLD.batches + 1
    OR NEW.committed_us < OLD.committed_us
BEGIN SELECT RAISE(ABORT, 'append-only: the end of a log only grows'); END;

CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'append-only: the end of a log stays'); END;

CREATE TRIGGER audit_head_once BEFORE INSERT ON audit_head
WHEN EXISTS (SELECT 1 FROM audit_head WHERE log = NEW.log OR origin = NEW.origin)
BEGIN SELECT RAISE(ABORT, 'append-only: a log has one end'); END;

-- Leaves that were committed together; each hash covers the one before.
CREATE TABLE audit_batches (
    log          TEXT    NOT NULL CHECK (log IN ('decisions', 'verdicts')),
    start_index  INTEGER NOT NULL CHECK (start_index >= 0),
    n            INTEGER NOT NULL CHECK (n > 0),
    batch_id     INTEGER NOT NULL CHECK (batch_id >= 0),
    month        INTEGER NOT NULL,
    batch_uuid   BLOB    NOT NULL UNIQUE CHECK (length(batch_uuid) = 16),
    committed_us INTEGER NOT NULL,
    prev_hash    BLOB    NOT NULL CHECK (length(prev_hash) = 32),
    batch_hash   BLOB    NOT NULL CHECK (length(batch_hash) = 32),
    PRIMARY KEY (log, start_index),
    UNIQUE (log, batch_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_batches_no_update BEFORE UPDATE ON audit_batches
BEGIN SELECT RAISE(ABORT, 'append-only: batches do not change'); END;

CREATE TRIGGER audit_batches_no_delete BEFORE DELETE ON audit_batches
BEGIN SELECT RAISE(ABORT, 'append-only: batches stay'); END;

CREATE TRIGGER audit_batches_no_replace BEFORE INSERT ON audit_batches
WHEN EXISTS (SELECT 1 FROM audit_batches
             WHERE (log = NEW.log AND start_index = NEW.start_index) OR (log = NEW.log AND batch_id = NEW.batch_id)
                OR batch_uuid = NEW.batch_uuid)
BEGIN SELECT RAISE(ABORT, 'append-only: batches are not replaced'); END;

-- What happened. `leaf` is what is hashed; every other column repeats a part of it, for queries. The month is that of
-- the batch's commit.
CREATE TABLE audit_logs (
    log         TEXT    NOT NULL CHECK (log IN ('decisions', 'verdicts')),
    batch_id    INTEGER NOT NULL,
    ord         INTEGER NOT NULL CHECK (ord >= 0),
    month       INTEGER NOT NULL,
    leaf        BLOB    NOT NULL CHECK (length(leaf) BETWEEN 1 AND 60000),
    leaf_hash   BLOB    NOT NULL CHECK (length(leaf_hash) = 32),
    id          TEXT    NOT NULL,
    event_type  TEXT    NOT NULL,
    actor_type  TEXT    NOT NULL CHECK (actor_type IN ('agent', 'bot', 'human', 'system')),
    actor_id    TEXT    NOT NULL,
    target_type TEXT,
    target_id   TEXT,
    ip_address  TEXT,
    created_us  INTEGER NOT NULL,
    PRIMARY KEY (log, batch_id, ord)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_logs_by_time ON audit_logs (created_us);
CREATE INDEX audit_logs_by_type ON audit_logs (event_type, created_us);
CREATE INDEX audit_logs_by_actor ON audit_logs (actor_id, created_us);
CREATE INDEX audit_logs_by_target ON audit_logs (target_id, created_us);
CREATE INDEX audit_logs_by_id ON audit_logs (id);

CREATE TRIGGER audit_logs_no_update BEFORE UPDATE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'append-only: events do not change'); END;

CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'append-only: events stay'); END;

-- INSERT OR REPLACE would delete the old row without asking the trigger above.
CREATE TRIGGER audit_logs_no_replace BEFORE INSERT ON audit_logs
WHEN EXISTS (SELECT 1 FROM audit_logs WHERE log = NEW.log AND batch_id = NEW.batch_id AND ord = NEW.ord)
BEGIN SELECT RAISE(ABORT, 'append-only: events are not replaced'); END;

-- Who stands behind an alias. Erasing a row makes its subject unknown and leaves the log as it is.
CREATE TABLE audit_subjects (
    subject_id  TEXT NOT NULL PRIMARY KEY,
    ref         TEXT NOT NULL UNIQUE CHECK (length(ref) = 32),
    key_id      TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,
    mac         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Only the wrapping of its key may change.
CREATE TRIGGER audit_subjects_stay BEFORE UPDATE ON audit_subjects
WHEN NEW.subject_id <> OLD.subject_id OR NEW.ref <> OLD.ref
BEGIN SELECT RAISE(ABORT, 'append-only: an alias does not change'); END;

CREATE TRIGGER audit_subjects_no_replace BEFORE INSERT ON audit_subjects
WHEN EXISTS (SELECT 1 FROM audit_subjects WHERE subject_id = NEW.subject_id OR ref = NEW.ref)
BEGIN SELECT RAISE(ABORT, 'append-only: an alias is not replaced'); END;
