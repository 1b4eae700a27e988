DROP TABLE quarantine_tombstones;
DROP TABLE quarantine_grants;
DROP TABLE quarantine_holds;
DROP TABLE quarantine_repeats;
DROP TABLE encryption_keys;
DROP TABLE quarantine_records;
DROP FUNCTION quarantine_key_held();
DROP FUNCTION quarantine_refuse();
