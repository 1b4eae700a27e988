-- The order in which reviewers are given what is undecided: the highest tier first, of these the oldest.
CREATE INDEX quarantine_records_review ON quarantine_records (
    (CASE tier WHEN 'CRITICAL' THEN 0 WHEN 'HIGH' THEN 1 WHEN 'MODERATE' THEN 2 WHEN 'LOW' THEN 3 ELSE 4 END),
    created_at, id
) WHERE status IN ('QUARANTINED', 'UNDER_REVIEW') AND blob_state = 'PRESENT';

-- Released content that the platform said it published. A table of its own, so that what the log fixes of a record
-- keeps its form.
CREATE TABLE quarantine_publications (
    record_id    TEXT    NOT NULL PRIMARY KEY REFERENCES quarantine_records (id),
    confirmed_by TEXT    NOT NULL,
    confirmed_at INTEGER NOT NULL,
    state_mac    TEXT    NOT NULL
) STRICT;

CREATE TRIGGER quarantine_publications_fixed BEFORE UPDATE ON quarantine_publications
BEGIN SELECT RAISE(ABORT, 'what was published stays so'); END;

CREATE TRIGGER quarantine_publications_kept BEFORE DELETE ON quarantine_publications
BEGIN SELECT RAISE(ABORT, 'what was published stays so'); END;
