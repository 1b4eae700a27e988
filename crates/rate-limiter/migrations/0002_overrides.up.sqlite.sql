-- What single agents may do instead of the usual, until a moment. A row is a slot: when its override ends it stays,
-- empty, and the next override takes it. So the log's last event about a slot always has its row, there are never more
-- than that many, and a row that is taken out is missed.
CREATE TABLE rate_limit_overrides (
    slot          INTEGER NOT NULL PRIMARY KEY CHECK (slot BETWEEN 1 AND 10000),
    agent_id      TEXT CHECK (length(agent_id) BETWEEN 1 AND 128),
    endpoint_tier TEXT
        CHECK (length(endpoint_tier) <= 32 AND endpoint_tier GLOB '[A-Z]*' AND endpoint_tier NOT GLOB '*[^A-Z0-9_]*'),
    per_hour      INTEGER CHECK (per_hour BETWEEN 0 AND 1000000),
    per_minute    INTEGER CHECK (per_minute BETWEEN 0 AND per_hour),
    reason        TEXT CHECK (length(reason) BETWEEN 1 AND 500),
    set_by        TEXT,
    created_at    INTEGER,
    expires_at    INTEGER CHECK (expires_at > created_at),
    updated_at    INTEGER NOT NULL,
    version       INTEGER NOT NULL CHECK (version >= 1),
    UNIQUE (agent_id, endpoint_tier),
    -- It is an override, or it is nothing.
    CHECK ((agent_id IS NULL) = (endpoint_tier IS NULL)),
    CHECK ((agent_id IS NULL) = (per_hour IS NULL)),
    CHECK ((agent_id IS NULL) = (per_minute IS NULL)),
    CHECK ((agent_id IS NULL) = (reason IS NULL)),
    CHECK ((agent_id IS NULL) = (set_by IS NULL)),
    CHECK ((agent_id IS NULL) = (created_at IS NULL)),
    CHECK ((agent_id IS NULL) = (expires_at IS NULL))
) STRICT;

CREATE INDEX rate_limit_overrides_expires ON rate_limit_overrides (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX rate_limit_overrides_empty ON rate_limit_overrides (slot) WHERE agent_id IS NULL;

-- A number that is another one after every change of limits, whoever makes it, so that looking for changes is cheap.
CREATE TABLE rate_limit_revision (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO rate_limit_revision (one, revision) VALUES (1, 1);

CREATE TRIGGER rate_limit_configs_added AFTER INSERT ON rate_limit_configs
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
CREATE TRIGGER rate_limit_configs_changed AFTER UPDATE ON rate_limit_configs
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
CREATE TRIGGER rate_limit_configs_gone AFTER DELETE ON rate_limit_configs
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
CREATE TRIGGER tier_threshold_configs_added AFTER INSERT ON tier_threshold_configs
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
CREATE TRIGGER tier_threshold_configs_changed AFTER UPDATE ON tier_threshold_configs
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
CREATE TRIGGER tier_threshold_configs_gone AFTER DELETE ON tier_threshold_configs
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
CREATE TRIGGER rate_limit_overrides_added AFTER INSERT ON rate_limit_overrides
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
CREATE TRIGGER rate_limit_overrides_changed AFTER UPDATE ON rate_limit_overrides
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
CREATE TRIGGER rate_limit_overrides_gone AFTER DELETE ON rate_limit_overrides
BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END;
