-- The order in which reviewers are given what is undecided: the highest tier first, of these the oldest. Said as what
-- it is not, so that no other index is taken for it, whose rows would have to be sorted.
CREATE INDEX quarantine_records_review ON quarantine_records (
    (CASE tier WHEN 'CRITICAL' THEN 0 WHEN 'HIGH' THEN 1 WHEN 'MODERATE' THEN 2 WHEN 'LOW' THEN 3 ELSE 4 END),
    created_at, id
) WHERE status NOT IN ('RELEASED', 'DELETED', 'EXPIRED') AND blob_state <> 'PENDING';

-- Released content that the platform said it published. A table of its own, so that what the log fixes of a record
-- keeps its form.
CREATE TABLE quarantine_publications (
    record_id    TEXT    NOT NULL PRIMARY KEY REFERENCES quarantine_records (id),
    confirmed_by TEXT    NOT NULL,
    confirmed_at BIGINT NOT NULL,
    state_mac    TEXT    NOT NULL
);

CREATE TRIGGER fixed BEFORE UPDATE OR DELETE ON quarantine_publications FOR EACH ROW
EXECUTE FUNCTION quarantine_refuse('what was published stays so');

CREATE TRIGGER kept_whole BEFORE TRUNCATE ON quarantine_publications
EXECUTE FUNCTION quarantine_refuse('what was published stays so');
