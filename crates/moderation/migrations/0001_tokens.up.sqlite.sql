-- Who may speak, as whom. Times are microseconds since 1970, UTC. Only a hash of a token is here.
CREATE TABLE moderation_tokens (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    token_hash    BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    -- How the token begins, by which its owner knows it again.
    hint          TEXT    NOT NULL CHECK (length(hint) = 9),
    principal_id  TEXT    NOT NULL CHECK (length(principal_id) BETWEEN 1 AND 128),
    role          TEXT    NOT NULL CHECK (role IN ('platform', 'agent', 'bot', 'moderator', 'admin', 'auditor')),
    trust         TEXT    NOT NULL CHECK (trust IN ('NEW', 'ESTABLISHED', 'VERIFIED', 'PLATFORM_BOT')),
    owner_id      TEXT    CHECK (length(owner_id) BETWEEN 1 AND 128),
    created_at    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    revoked_by    TEXT,
    revoke_reason TEXT,
    version       INTEGER NOT NULL CHECK (version >= 1),
    -- A code over everything in the row, as the last change left it: a row that was put in by hand opens nothing.
    state_mac     TEXT    NOT NULL,
    CHECK (role = 'agent' OR (trust = 'NEW' AND owner_id IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
) STRICT;

CREATE INDEX moderation_tokens_newest ON moderation_tokens (created_at DESC, id DESC);
CREATE INDEX moderation_tokens_principal ON moderation_tokens (principal_id, created_at DESC, id DESC);
CREATE INDEX moderation_tokens_live ON moderation_tokens (role, expires_at) WHERE revoked_at IS NULL;

CREATE TRIGGER moderation_tokens_fixed BEFORE UPDATE ON moderation_tokens
WHEN OLD.revoked_at IS NOT NULL OR NEW.version <> OLD.version + 1 OR NEW.id <> OLD.id
    OR NEW.token_hash <> OLD.token_hash OR NEW.principal_id <> OLD.principal_id OR NEW.role <> OLD.role
    OR NEW.trust <> OLD.trust OR NEW.owner_id IS NOT OLD.owner_id OR NEW.expires_at IS NOT OLD.expires_at
BEGIN SELECT RAISE(ABORT, 'a token is only ever revoked, once'); END;

CREATE TRIGGER moderation_tokens_kept BEFORE DELETE ON moderation_tokens
BEGIN SELECT RAISE(ABORT, 'who could speak stays known'); END;
