-- A record of another system, whose content nobody can open, begins as what was decided there, without content.
DROP TRIGGER quarantine_records_born;

CREATE TRIGGER quarantine_records_born BEFORE INSERT ON quarantine_records
WHEN NEW.version <> 1 OR NOT (
    (NEW.status = 'QUARANTINED' AND NEW.blob_state <> 'SHREDDED')
    OR (NEW.policy = 'adopted' AND NEW.status IN ('RELEASED', 'DELETED', 'EXPIRED') AND NEW.blob_state = 'SHREDDED')
)
BEGIN SELECT RAISE(ABORT, 'a record begins as QUARANTINED, with its content, or adopted and without, at version 1'); END;
