DROP TABLE quarantine_publications;
DROP INDEX quarantine_records_review;
