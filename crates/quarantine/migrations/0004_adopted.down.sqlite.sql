DROP TRIGGER quarantine_records_born;

CREATE TRIGGER quarantine_records_born BEFORE INSERT ON quarantine_records
WHEN NEW.status <> 'QUARANTINED' OR NEW.blob_state = 'SHREDDED' OR NEW.version <> 1
BEGIN SELECT RAISE(ABORT, 'a record begins as QUARANTINED, with its content, at version 1'); END;
