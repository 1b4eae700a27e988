DROP TABLE audit_subjects;
DROP TABLE audit_logs;
DROP TABLE audit_batches;
DROP TABLE audit_head;
