-- Up to 256 hashes that stand beside each other in the Merkle tree over the leaves of a log. At level 0 these are leaf
-- hashes, above it roots of full tiles. A tile only grows, and so a full one stays.
CREATE TABLE audit_tiles (
    log        TEXT   NOT NULL CHECK (log IN ('decisions', 'verdicts')),
    level      BIGINT NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile_index BIGINT NOT NULL CHECK (tile_index >= 0),
    width      BIGINT NOT NULL CHECK (width BETWEEN 1 AND 256),
    hashes     BYTEA  NOT NULL CHECK (length(hashes) = 32 * width),
    PRIMARY KEY (log, level, tile_index)
);

-- Hashes do not compress.
ALTER TABLE audit_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- What was signed. Two of one log that do not fit each other would be proof against it, so each is larger than all
-- before. `committed_us` is when the last event that it covers was committed; `key_id` is the master key from which the
-- key that signed is derived.
CREATE TABLE audit_checkpoints (
    log          TEXT   NOT NULL CHECK (log IN ('decisions', 'verdicts')),
    size         BIGINT NOT NULL CHECK (size > 0),
    root         BYTEA  NOT NULL CHECK (length(root) = 32),
    note         TEXT   NOT NULL,
    key_id       TEXT   NOT NULL,
    committed_us BIGINT NOT NULL,
    PRIMARY KEY (log, size)
);

CREATE TRIGGER audit_only_grows BEFORE UPDATE ON audit_tiles FOR EACH ROW
WHEN (NEW.log <> OLD.log OR NEW.level <> OLD.level OR NEW.tile_index <> OLD.tile_index OR NEW.width <= OLD.width
    OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes)
EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_tiles FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_tiles EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_tiles ENABLE ALWAYS TRIGGER audit_only_grows;
ALTER TABLE audit_tiles ENABLE ALWAYS TRIGGER audit_no_delete;
ALTER TABLE audit_tiles ENABLE ALWAYS TRIGGER audit_no_truncate;

CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_checkpoints FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_checkpoints EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_checkpoints ENABLE ALWAYS TRIGGER audit_no_change;
ALTER TABLE audit_checkpoints ENABLE ALWAYS TRIGGER audit_no_truncate;

-- Writes tiles of a log, each as wide as its hashes are. What is there already, or wider, must begin with the same
-- hashes and stays as it is.
CREATE FUNCTION audit_put_tiles(p_log TEXT, p_levels BIGINT[], p_indexes BIGINT[], p_hashes BYTEA[])
RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER AS
$$BEGIN
    IF cardinality(p_levels) <> ALL (ARRAY[cardinality(p_indexes), cardinality(p_hashes)]) THEN
        RAISE EXCEPTION 'tiles whose parts have different lengths';
    END IF;
    INSERT INTO audit_tiles (log, level, tile_index, width, hashes)
    SELECT p_log, t.level, t.tile_index, length(t.hashes) / 32, t.hashes
    FROM unnest(p_levels, p_indexes, p_hashes) AS t (level, tile_index, hashes)
    ON CONFLICT (log, level, tile_index) DO UPDATE SET width = excluded.width, hashes = excluded.hashes
    WHERE audit_tiles.width < excluded.width;
    IF EXISTS (
        SELECT 1 FROM unnest(p_levels, p_indexes, p_hashes) AS t (level, tile_index, hashes)
        JOIN audit_tiles s ON s.log = p_log AND s.level = t.level AND s.tile_index = t.tile_index
        WHERE substr(s.hashes, 1, length(t.hashes)) <> t.hashes
    ) THEN
        RAISE EXCEPTION 'append-only: a tile has other hashes';
    END IF;
END$$;

-- Writes a checkpoint. One that is there already may be written again; any other must be larger than all before, and no
-- larger than the log.
CREATE FUNCTION audit_put_checkpoint(
    p_log TEXT, p_size BIGINT, p_root BYTEA, p_note TEXT, p_key_id TEXT, p_committed_us BIGINT
) RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER AS
$$BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit_put_checkpoint', 0));
    IF EXISTS (SELECT 1 FROM audit_checkpoints WHERE log = p_log AND size = p_size AND root = p_root AND note = p_note
               AND key_id = p_key_id AND committed_us = p_committed_us) THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT 1 FROM audit_checkpoints WHERE log = p_log AND size >= p_size)
        OR NOT EXISTS (SELECT 1 FROM audit_head WHERE log = p_log AND size >= p_size) THEN
        RAISE EXCEPTION 'append-only: a checkpoint covers more than all before, and no more than there is';
    END IF;
    INSERT INTO audit_checkpoints (log, size, root, note, key_id, committed_us)
    VALUES (p_log, p_size, p_root, p_note, p_key_id, p_committed_us);
END$$;

DO $$DECLARE
    v_name TEXT;
BEGIN
    FOREACH v_name IN ARRAY ARRAY['audit_put_tiles(TEXT, BIGINT[], BIGINT[], BYTEA[])',
        'audit_put_checkpoint(TEXT, BIGINT, BYTEA, TEXT, TEXT, BIGINT)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', v_name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', v_name);
    END LOOP;
END$$;
