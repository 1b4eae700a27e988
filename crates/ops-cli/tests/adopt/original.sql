-- The tables of the first system as its migrations leave them, written down from what is known of them.
CREATE TYPE "enum_quarantine_records_status" AS ENUM ('QUARANTINED', 'UNDER_REVIEW', 'RELEASED', 'DELETED', 'EXPIRED');

CREATE TABLE "encryption_keys" (
    "id" UUID PRIMARY KEY,
    "encrypted_data_key" TEXT NOT NULL,
    "iv" VARCHAR(64) NOT NULL,
    "auth_tag" VARCHAR(64) NOT NULL,
    "algorithm" VARCHAR(32) NOT NULL DEFAULT 'aes-256-gcm',
    "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()
);

CREATE TABLE "quarantine_records" (
    "id" UUID PRIMARY KEY,
    "s3_key" VARCHAR(512) NOT NULL,
    "status" "enum_quarantine_records_status" NOT NULL DEFAULT 'QUARANTINED',
    "tier" VARCHAR(16) NOT NULL,
    "labels" JSONB NOT NULL DEFAULT '[]',
    "content_type" VARCHAR(32),
    "source_id" VARCHAR(255),
    "encryption_key_id" UUID NOT NULL REFERENCES "encryption_keys" ("id") ON DELETE RESTRICT,
    "content_hash" VARCHAR(128) NOT NULL,
    "size_bytes" INTEGER NOT NULL,
    "expires_at" TIMESTAMP WITH TIME ZONE NOT NULL,
    "reviewed_by" VARCHAR(255),
    "reviewed_at" TIMESTAMP WITH TIME ZONE,
    "review_notes" TEXT,
    "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()
);
CREATE INDEX "quarantine_records_status" ON "quarantine_records" ("status");
CREATE INDEX "quarantine_records_tier" ON "quarantine_records" ("tier");
CREATE INDEX "quarantine_records_expires_at" ON "quarantine_records" ("expires_at");
CREATE INDEX "quarantine_records_source_id" ON "quarantine_records" ("source_id");

CREATE TABLE "audit_logs" (
    "id" UUID PRIMARY KEY,
    "event_type" VARCHAR(30) NOT NULL,
    "actor_id" VARCHAR(255) NOT NULL,
    "actor_type" VARCHAR(10) NOT NULL,
    "target_id" VARCHAR(255),
    "target_type" VARCHAR(50),
    "ip_address" VARCHAR(45),
    "metadata" JSON,
    "created_at" TIMESTAMP WITH TIME ZONE NOT NULL
);
CREATE INDEX "idx_audit_logs_event_type" ON "audit_logs" ("event_type");
CREATE INDEX "idx_audit_logs_actor_id" ON "audit_logs" ("actor_id");
CREATE INDEX "idx_audit_logs_target_id" ON "audit_logs" ("target_id");
CREATE INDEX "idx_audit_logs_created_at" ON "audit_logs" ("created_at");
CREATE INDEX "idx_audit_logs_actor_type_event_type" ON "audit_logs" ("actor_type", "event_type");

CREATE FUNCTION prevent_audit_log_modification() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'audit_logs table is append-only: % operations are not permitted', TG_OP; END$$;
CREATE TRIGGER audit_logs_prevent_update BEFORE UPDATE ON "audit_logs" FOR EACH ROW
EXECUTE FUNCTION prevent_audit_log_modification();
CREATE TRIGGER audit_logs_prevent_delete BEFORE DELETE ON "audit_logs" FOR EACH ROW
EXECUTE FUNCTION prevent_audit_log_modification();

CREATE TABLE "rate_limit_configs" (
    "id" SERIAL PRIMARY KEY,
    "endpoint_tier" VARCHAR(20) NOT NULL UNIQUE,
    "per_hour" INTEGER NOT NULL,
    "burst_per_minute" INTEGER NOT NULL,
    "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()
);

CREATE TABLE "tier_threshold_configs" (
    "id" SERIAL PRIMARY KEY,
    "trust_level" VARCHAR(20) NOT NULL UNIQUE,
    "multiplier" DECIMAL(5,2) NOT NULL,
    "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()
);
