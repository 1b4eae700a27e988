-- A record of another system, whose content nobody can open, begins as what was decided there, without content.
DROP TRIGGER born ON quarantine_records;

CREATE TRIGGER born BEFORE INSERT ON quarantine_records FOR EACH ROW
WHEN (NEW.version <> 1 OR NOT (
    (NEW.status = 'QUARANTINED' AND NEW.blob_state <> 'SHREDDED')
    OR (NEW.policy = 'adopted' AND NEW.status IN ('RELEASED', 'DELETED', 'EXPIRED') AND NEW.blob_state = 'SHREDDED')
))
EXECUTE FUNCTION quarantine_refuse('a record begins as QUARANTINED, with its content, or adopted and without, at version 1');
