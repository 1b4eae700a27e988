DROP INDEX encryption_keys_week;
ALTER TABLE encryption_keys DROP COLUMN week_key_id;
DROP TABLE quarantine_spent_week_keys;
DROP TABLE quarantine_week_keys;
