-- Who may speak, as whom. Times are microseconds since 1970, UTC. Only a hash of a token is here.
CREATE TABLE moderation_tokens (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    token_hash    BYTEA    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    -- How the token begins, by which its owner knows it again.
    hint          TEXT    NOT NULL CHECK (length(hint) = 9),
    principal_id  TEXT    NOT NULL CHECK (length(principal_id) BETWEEN 1 AND 128),
    role          TEXT    NOT NULL CHECK (role IN ('platform', 'agent', 'bot', 'moderator', 'admin', 'auditor')),
    trust         TEXT    NOT NULL CHECK (trust IN ('NEW', 'ESTABLISHED', 'VERIFIED', 'PLATFORM_BOT')),
    owner_id      TEXT    CHECK (length(owner_id) BETWEEN 1 AND 128),
    created_at    BIGINT NOT NULL,
    created_by    TEXT    NOT NULL,
    expires_at    BIGINT,
    revoked_at    BIGINT,
    revoked_by    TEXT,
    revoke_reason TEXT,
    version       BIGINT NOT NULL CHECK (version >= 1),
    -- A code over everything in the row, as the last change left it: a row that was put in by hand opens nothing.
    state_mac     TEXT    NOT NULL,
    CHECK (role = 'agent' OR (trust = 'NEW' AND owner_id IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
);

CREATE INDEX moderation_tokens_newest ON moderation_tokens (created_at DESC, id DESC);
CREATE INDEX moderation_tokens_principal ON moderation_tokens (principal_id, created_at DESC, id DESC);
CREATE INDEX moderation_tokens_live ON moderation_tokens (role, expires_at) WHERE revoked_at IS NULL;

CREATE FUNCTION moderation_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END$$;

CREATE TRIGGER fixed BEFORE UPDATE ON moderation_tokens FOR EACH ROW
WHEN (OLD.revoked_at IS NOT NULL OR NEW.version <> OLD.version + 1 OR NEW.id <> OLD.id
    OR NEW.token_hash <> OLD.token_hash OR NEW.principal_id <> OLD.principal_id OR NEW.role <> OLD.role
    OR NEW.trust <> OLD.trust OR NEW.owner_id IS DISTINCT FROM OLD.owner_id
    OR NEW.expires_at IS DISTINCT FROM OLD.expires_at)
EXECUTE FUNCTION moderation_refuse('a token is only ever revoked, once');

CREATE TRIGGER kept BEFORE DELETE ON moderation_tokens FOR EACH ROW
EXECUTE FUNCTION moderation_refuse('who could speak stays known');

CREATE TRIGGER kept_whole BEFORE TRUNCATE ON moderation_tokens
EXECUTE FUNCTION moderation_refuse('who could speak stays known');
