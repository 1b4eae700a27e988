DROP TABLE audit_checkpoints;
DROP TABLE audit_tiles;
DROP FUNCTION audit_put_checkpoint(TEXT, BIGINT, BYTEA, TEXT, TEXT, BIGINT);
DROP FUNCTION audit_put_tiles(TEXT, BIGINT[], BIGINT[], BYTEA[]);
