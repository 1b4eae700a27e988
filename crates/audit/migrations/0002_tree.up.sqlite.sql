-- Up to 256 hashes that stand beside each other in the Merkle tree over the leaves of a log. At level 0 these are leaf
-- hashes, above it roots of full tiles. A tile only grows, and so a full one stays.
CREATE TABLE audit_tiles (
    log        TEXT    NOT NULL CHECK (log IN ('decisions', 'verdicts')),
    level      INTEGER NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile_index INTEGER NOT NULL CHECK (tile_index >= 0),
    width      INTEGER NOT NULL CHECK (width BETWEEN 1 AND 256),
    hashes     BLOB    NOT NULL CHECK (length(hashes) = 32 * width),
    PRIMARY KEY (log, level, tile_index)
) STRICT;

CREATE TRIGGER audit_tiles_only_grow BEFORE UPDATE ON audit_tiles
WHEN NEW.log <> OLD.log OR NEW.level <> OLD.level OR NEW.tile_index <> OLD.tile_index OR NEW.width <= OLD.width
    OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes
BEGIN SELECT RAISE(ABORT, 'append-only: a tile only grows'); END;

CREATE TRIGGER audit_tiles_no_delete BEFORE DELETE ON audit_tiles
BEGIN SELECT RAISE(ABORT, 'append-only: tiles stay'); END;

CREATE TRIGGER audit_tiles_no_replace BEFORE INSERT ON audit_tiles
WHEN EXISTS (SELECT 1 FROM audit_tiles
             WHERE (log = NEW.log AND level = NEW.level AND tile_index = NEW.tile_index) OR rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'append-only: tiles are not replaced'); END;

-- What was signed. Two of one log that do not fit each other would be proof against it, so each is larger than all
-- before. `committed_us` is when the last event that it covers was committed; `key_id` is the master key from which the
-- key that signed is derived.
CREATE TABLE audit_checkpoints (
    log          TEXT    NOT NULL CHECK (log IN ('decisions', 'verdicts')),
    size         INTEGER NOT NULL CHECK (size > 0),
    root         BLOB    NOT NULL CHECK (length(root) = 32),
    note         TEXT    NOT NULL,
    key_id       TEXT    NOT NULL,
    committed_us INTEGER NOT NULL,
    PRIMARY KEY (log, size)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_checkpoints_no_update BEFORE UPDATE ON audit_checkpoints
BEGIN SELECT RAISE(ABORT, 'append-only: checkpoints do not change'); END;

CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints
BEGIN SELECT RAISE(ABORT, 'append-only: checkpoints stay'); END;

CREATE TRIGGER audit_checkpoints_only_grow BEFORE INSERT ON audit_checkpoints
WHEN EXISTS (SELECT 1 FROM audit_checkpoints WHERE log = NEW.log AND size >= NEW.size)
BEGIN SELECT RAISE(ABORT, 'append-only: a checkpoint covers more than all before'); END;
