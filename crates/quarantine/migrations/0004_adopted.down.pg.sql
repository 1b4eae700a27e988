DROP TRIGGER born ON quarantine_records;

CREATE TRIGGER born BEFORE INSERT ON quarantine_records FOR EACH ROW
WHEN (NEW.status <> 'QUARANTINED' OR NEW.blob_state = 'SHREDDED' OR NEW.version <> 1)
EXECUTE FUNCTION quarantine_refuse('a record begins as QUARANTINED, with its content, at version 1');
