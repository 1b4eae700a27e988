-- The end of each log. The only row of a log that changes; it may only grow.
CREATE TABLE audit_head (
    log          TEXT   NOT NULL PRIMARY KEY CHECK (log IN ('decisions', 'verdicts')),
    origin       TEXT   NOT NULL UNIQUE,
    batches      BIGINT NOT NULL CHECK (batches >= 0),
    size         BIGINT NOT NULL CHECK (size >= batches),
    committed_us BIGINT NOT NULL,
    head_hash    BYTEA  NOT NULL CHECK (length(head_hash) = 32)
);

-- Leaves that were committed together; each hash covers the one before.
CREATE TABLE audit_batches (
    log          TEXT   NOT NULL CHECK (log IN ('decisions', 'verdicts')),
    start_index  BIGINT NOT NULL CHECK (start_index >= 0),
    n            BIGINT NOT NULL CHECK (n > 0),
    batch_id     BIGINT NOT NULL CHECK (batch_id >= 0),
    month        BIGINT NOT NULL,
    batch_uuid   BYTEA  NOT NULL UNIQUE CHECK (length(batch_uuid) = 16),
    committed_us BIGINT NOT NULL,
    prev_hash    BYTEA  NOT NULL CHECK (length(prev_hash) = 32),
    batch_hash   BYTEA  NOT NULL CHECK (length(batch_hash) = 32),
    PRIMARY KEY (log, start_index),
    UNIQUE (log, batch_id)
);

-- What a batch's leaves are stored under. Taken before the end of the log is, so that batches that are written at the
-- same time do not wait for each other; their order is that of start_index.
CREATE SEQUENCE audit_batch_ids AS BIGINT MINVALUE 0 START 0;

-- What happened. `leaf` is what is hashed; every other column repeats a part of it, for queries. The month is that of
-- the batch's commit, so that a partition is a stretch of the log without a gap.
CREATE TABLE audit_logs (
    log         TEXT   NOT NULL CHECK (log IN ('decisions', 'verdicts')),
    batch_id    BIGINT NOT NULL,
    ord         BIGINT NOT NULL CHECK (ord >= 0),
    month       BIGINT NOT NULL,
    leaf        BYTEA  NOT NULL CHECK (length(leaf) BETWEEN 1 AND 60000),
    leaf_hash   BYTEA  NOT NULL CHECK (length(leaf_hash) = 32),
    id          TEXT   NOT NULL,
    event_type  TEXT   NOT NULL,
    actor_type  TEXT   NOT NULL CHECK (actor_type IN ('agent', 'bot', 'human', 'system')),
    actor_id    TEXT   NOT NULL,
    target_type TEXT,
    target_id   TEXT,
    ip_address  TEXT,
    created_us  BIGINT NOT NULL,
    PRIMARY KEY (month, log, batch_id, ord)
) PARTITION BY LIST (month);

CREATE INDEX audit_logs_by_time ON audit_logs (created_us);
CREATE INDEX audit_logs_by_type ON audit_logs (event_type, created_us);
CREATE INDEX audit_logs_by_actor ON audit_logs (actor_id, created_us);
CREATE INDEX audit_logs_by_target ON audit_logs (target_id, created_us) WHERE target_id IS NOT NULL;
CREATE INDEX audit_logs_by_id ON audit_logs (id);

-- Who stands behind an alias. Erasing a row makes its subject unknown and leaves the log as it is.
CREATE TABLE audit_subjects (
    subject_id  TEXT  NOT NULL PRIMARY KEY,
    ref         TEXT  NOT NULL UNIQUE CHECK (length(ref) = 32),
    key_id      TEXT  NOT NULL,
    wrapped_key BYTEA NOT NULL,
    mac         TEXT  NOT NULL
);

-- How often an alias was erased. Whoever remembers aliases says which number it knows, and asks anew after another one.
CREATE SEQUENCE audit_erasures AS BIGINT;

CREATE FUNCTION audit_erasing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
$$BEGIN
    PERFORM nextval('audit_erasures');
    RETURN OLD;
END$$;

CREATE FUNCTION audit_erased() RETURNS BIGINT LANGUAGE sql SECURITY DEFINER AS
$$SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM audit_erasures$$;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'append-only: % on % is refused', TG_OP, TG_TABLE_NAME; END$$;

-- ENABLE ALWAYS: they hold for a session that replays a replica's changes too.
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_logs EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_change;
ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_truncate;

CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_batches FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_batches EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_batches ENABLE ALWAYS TRIGGER audit_no_change;
ALTER TABLE audit_batches ENABLE ALWAYS TRIGGER audit_no_truncate;

CREATE TRIGGER audit_only_grows BEFORE UPDATE ON audit_head FOR EACH ROW
WHEN (NEW.log <> OLD.log OR NEW.origin <> OLD.origin OR NEW.size <= OLD.size OR NEW.batches <> OLD.batches + 1
    OR NEW.committed_us < OLD.committed_us)
EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_head EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_only_grows;
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_no_delete;
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_no_truncate;

-- Only the wrapping of its key may change.
CREATE TRIGGER audit_alias_stays BEFORE UPDATE ON audit_subjects FOR EACH ROW
WHEN (NEW.subject_id <> OLD.subject_id OR NEW.ref <> OLD.ref)
EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_subjects EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_alias_erased BEFORE DELETE ON audit_subjects FOR EACH ROW EXECUTE FUNCTION audit_erasing();
ALTER TABLE audit_subjects ENABLE ALWAYS TRIGGER audit_alias_erased;
ALTER TABLE audit_subjects ENABLE ALWAYS TRIGGER audit_alias_stays;
ALTER TABLE audit_subjects ENABLE ALWAYS TRIGGER audit_no_truncate;

-- The present moment in microseconds since 1970, by this server's clock.
CREATE FUNCTION audit_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS
$$SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000000) AS BIGINT)$$;

-- Year and month of a moment, as 202611.
CREATE FUNCTION audit_month(us BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS
$$SELECT CAST(to_char(timestamp '1970-01-01' + us * interval '1 microsecond', 'YYYYMM') AS BIGINT)$$;

-- Sees to it that a month has its partition. Made beside the table and then attached, since attaching lets others go on
-- reading and writing. Row triggers come along from the table; the one against TRUNCATE does not.
CREATE FUNCTION audit_partition(p_month BIGINT) RETURNS BOOLEAN LANGUAGE plpgsql AS
$$DECLARE
    v_name TEXT := 'audit_logs_' || p_month;
BEGIN
    IF p_month NOT BETWEEN 190001 AND 999912 OR p_month % 100 NOT BETWEEN 1 AND 12 THEN
        RAISE EXCEPTION '% is no month', p_month;
    END IF;
    IF to_regclass(v_name) IS NOT NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('audit_partition', 0));
    IF to_regclass(v_name) IS NOT NULL THEN
        RETURN FALSE;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE audit_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', v_name);
    EXECUTE format('ALTER TABLE audit_logs ATTACH PARTITION %I FOR VALUES IN (%s)', v_name, p_month);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_no_change', v_name);
    EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON %I EXECUTE FUNCTION audit_refuse()', v_name);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_no_truncate', v_name);
    RETURN TRUE;
END$$;

-- Partitions for this month and some more. Says how many were missing.
CREATE FUNCTION audit_partitions_ahead(p_months INTEGER) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER AS
$$DECLARE
    v_made BIGINT := 0;
    v_at TIMESTAMP;
BEGIN
    FOR i IN 0 .. least(greatest(p_months, 0), 24) LOOP
        v_at := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + i * interval '1 month';
        IF audit_partition(CAST(to_char(v_at, 'YYYYMM') AS BIGINT)) THEN
            v_made := v_made + 1;
        END IF;
    END LOOP;
    RETURN v_made;
END$$;

-- Gives a log its end, if it has none and no batches either.
CREATE FUNCTION audit_begin(p_log TEXT, p_origin TEXT) RETURNS BOOLEAN LANGUAGE plpgsql SECURITY DEFINER AS
$$BEGIN
    IF EXISTS (SELECT 1 FROM audit_batches WHERE log = p_log) THEN
        RETURN EXISTS (SELECT 1 FROM audit_head WHERE log = p_log);
    END IF;
    INSERT INTO audit_head (log, origin, batches, size, committed_us, head_hash)
    VALUES (p_log, p_origin, 0, 0, 0, sha256('\x03'::bytea || convert_to(p_origin, 'UTF8')))
    ON CONFLICT DO NOTHING;
    RETURN TRUE;
END$$;

-- Appends a batch and says where it begins. Rows first, without a lock; the end of the log last, so that batches wait for
-- each other only from there to their commit. A batch that is there already is not appended again. Empty texts stand for
-- absent ones, since an array has no room for them. p_erased is what audit_erased said before the caller looked up the
-- aliases; NULL if it did so in this transaction.
CREATE FUNCTION audit_append(
    p_log TEXT, p_uuid BYTEA, p_leaves BYTEA[], p_hashes BYTEA[], p_ids TEXT[], p_types TEXT[], p_actor_types TEXT[],
    p_actor_ids TEXT[], p_target_types TEXT[], p_target_ids TEXT[], p_ips TEXT[], p_created BIGINT[], p_erased BIGINT
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER AS
$$DECLARE
    v_n BIGINT := cardinality(p_leaves);
    v_start BIGINT;
    v_batch BIGINT;
    v_us BIGINT;
    v_month BIGINT;
    v_hashes BYTEA;
    v_hash BYTEA;
    v_head audit_head%ROWTYPE;
BEGIN
    SELECT start_index INTO v_start FROM audit_batches WHERE batch_uuid = p_uuid;
    IF FOUND THEN
        RETURN v_start;
    END IF;
    IF p_erased <> audit_erased() THEN
        RAISE EXCEPTION 'aliases were erased since they were looked up';
    END IF;
    IF v_n IS NULL OR v_n = 0 OR v_n <> ALL (ARRAY[cardinality(p_hashes), cardinality(p_ids), cardinality(p_types),
        cardinality(p_actor_types), cardinality(p_actor_ids), cardinality(p_target_types), cardinality(p_target_ids),
        cardinality(p_ips), cardinality(p_created)]) THEN
        RAISE EXCEPTION 'a batch whose parts have different lengths';
    END IF;
    SELECT greatest(audit_now(), committed_us) INTO v_us FROM audit_head WHERE log = p_log;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this log has no end';
    END IF;
    v_month := audit_month(v_us);
    PERFORM audit_partition(v_month);
    v_batch := nextval('audit_batch_ids');
    INSERT INTO audit_logs (log, batch_id, ord, month, leaf, leaf_hash, id, event_type, actor_type, actor_id,
                            target_type, target_id, ip_address, created_us)
    SELECT p_log, v_batch, t.at - 1, v_month, t.leaf, t.hash, t.id, t.type, t.actor_type, t.actor_id,
           nullif(t.target_type, ''), nullif(t.target_id, ''), nullif(t.ip, ''), t.created
    FROM unnest(p_leaves, p_hashes, p_ids, p_types, p_actor_types, p_actor_ids, p_target_types, p_target_ids, p_ips,
                p_created) WITH ORDINALITY
        AS t (leaf, hash, id, type, actor_type, actor_id, target_type, target_id, ip, created, at);
    SELECT string_agg(h, ''::bytea ORDER BY at) INTO v_hashes FROM unnest(p_hashes) WITH ORDINALITY AS t (h, at);

    SELECT * INTO STRICT v_head FROM audit_head WHERE log = p_log FOR UPDATE;
    v_us := greatest(audit_now(), v_head.committed_us);
    IF audit_month(v_us) <> v_month THEN
        RAISE EXCEPTION 'a month ended while the batch was written' USING ERRCODE = 'serialization_failure';
    END IF;
    v_hash := sha256('\x02'::bytea || v_head.head_hash || int8send(v_head.size) || int4send(CAST(v_n AS INTEGER))
                     || p_uuid || int8send(v_us) || v_hashes);
    INSERT INTO audit_batches (log, start_index, n, batch_id, month, batch_uuid, committed_us, prev_hash, batch_hash)
    VALUES (p_log, v_head.size, v_n, v_batch, v_month, p_uuid, v_us, v_head.head_hash, v_hash);
    UPDATE audit_head SET batches = batches + 1, size = size + v_n, committed_us = v_us, head_hash = v_hash
    WHERE log = p_log;
    RETURN v_head.size;
END$$;

-- What runs with the owner's rights finds the owner's tables whatever a session's search path is, and nobody may call it
-- but whom the owner lets.
DO $$DECLARE
    v_name TEXT;
BEGIN
    FOREACH v_name IN ARRAY ARRAY['audit_partition(BIGINT)', 'audit_partitions_ahead(INTEGER)',
        'audit_begin(TEXT, TEXT)', 'audit_erasing()', 'audit_erased()',
        'audit_append(TEXT, BYTEA, BYTEA[], BYTEA[], TEXT[], TEXT[], TEXT[], TEXT[], TEXT[], TEXT[], TEXT[], BIGINT[], BIGINT)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', v_name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', v_name);
    END LOOP;
END$$;

SELECT audit_partitions_ahead(3);
