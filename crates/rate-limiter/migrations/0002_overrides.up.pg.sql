-- What single agents may do instead of the usual, until a moment. A row is a slot: when its override ends it stays,
-- empty, and the next override takes it. So the log's last event about a slot always has its row, there are never more
-- than that many, and a row that is taken out is missed.
CREATE TABLE rate_limit_overrides (
    slot          BIGINT NOT NULL PRIMARY KEY CHECK (slot BETWEEN 1 AND 10000),
    agent_id      TEXT CHECK (length(agent_id) BETWEEN 1 AND 128),
    endpoint_tier TEXT
        CHECK (length(endpoint_tier) <= 32 AND endpoint_tier ~ '^[A-Z][A-Z0-9_]*$'),
    per_hour      BIGINT CHECK (per_hour BETWEEN 0 AND 1000000),
    per_minute    BIGINT CHECK (per_minute BETWEEN 0 AND per_hour),
    reason        TEXT CHECK (length(reason) BETWEEN 1 AND 500),
    set_by        TEXT,
    created_at    BIGINT,
    expires_at    BIGINT CHECK (expires_at > created_at),
    updated_at    BIGINT NOT NULL,
    version       BIGINT NOT NULL CHECK (version >= 1),
    UNIQUE (agent_id, endpoint_tier),
    -- It is an override, or it is nothing.
    CHECK ((agent_id IS NULL) = (endpoint_tier IS NULL)),
    CHECK ((agent_id IS NULL) = (per_hour IS NULL)),
    CHECK ((agent_id IS NULL) = (per_minute IS NULL)),
    CHECK ((agent_id IS NULL) = (reason IS NULL)),
    CHECK ((agent_id IS NULL) = (set_by IS NULL)),
    CHECK ((agent_id IS NULL) = (created_at IS NULL)),
    CHECK ((agent_id IS NULL) = (expires_at IS NULL))
);

CREATE INDEX rate_limit_overrides_expires ON rate_limit_overrides (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX rate_limit_overrides_empty ON rate_limit_overrides (slot) WHERE agent_id IS NULL;

-- A number that is another one after every change of limits, whoever makes it, so that looking for changes is cheap.
CREATE TABLE rate_limit_revision (
    one      BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    revision BIGINT NOT NULL
);

INSERT INTO rate_limit_revision (one, revision) VALUES (1, 1);

CREATE FUNCTION rate_limit_revised() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN UPDATE rate_limit_revision SET revision = revision + 1; RETURN NULL; END$$;

CREATE TRIGGER revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rate_limit_configs
EXECUTE FUNCTION rate_limit_revised();
CREATE TRIGGER revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tier_threshold_configs
EXECUTE FUNCTION rate_limit_revised();
CREATE TRIGGER revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rate_limit_overrides
EXECUTE FUNCTION rate_limit_revised();

-- Whatever a session's search path is, the function finds the table beside it.
DO $$BEGIN
    EXECUTE format('ALTER FUNCTION rate_limit_revised() SET search_path = %I, pg_temp', current_schema());
END$$;
