DROP TABLE database_idempotency;
