-- Rule packs of the deployment's own, by the SHA-256 of what they say. A row never changes.
CREATE TABLE database_rule_bundles (
    hash     TEXT    NOT NULL PRIMARY KEY CHECK (length(hash) = 64),
    content  BYTEA   NOT NULL CHECK (length(content) BETWEEN 1 AND 8388608),
    rules    BIGINT NOT NULL CHECK (rules >= 0),
    added_us BIGINT NOT NULL
);

-- Which packs were made to judge, in order; the last row holds. Rows are added and never change.
CREATE TABLE database_rule_activations (
    number       BIGINT NOT NULL PRIMARY KEY CHECK (number >= 1),
    -- None: the rules that ship, alone.
    hash         TEXT CHECK (length(hash) = 64),
    -- The activation whose packs it brings back, 0 what was before the first; its own number if it brings back none.
    restores     BIGINT NOT NULL CHECK (restores BETWEEN 0 AND number),
    -- What was signed, with its serial number and its end; all three or none.
    signature    TEXT CHECK (length(signature) BETWEEN 1 AND 65536),
    serial       BIGINT CHECK (serial >= 0),
    not_after_us BIGINT,
    activated_by TEXT    NOT NULL CHECK (length(activated_by) BETWEEN 1 AND 200),
    activated_us BIGINT NOT NULL,
    CHECK ((signature IS NULL) = (serial IS NULL)),
    CHECK ((signature IS NULL) = (not_after_us IS NULL)),
    CHECK (hash IS NOT NULL OR signature IS NULL)
);

-- What is not reported though a rule finds it: one value or one host, by a code that only the deployment's key can make.
CREATE TABLE database_rule_allowances (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    kind        TEXT    NOT NULL CHECK (kind IN ('VALUE', 'HOST')),
    -- Only findings of this rule; none: of any.
    rule        TEXT CHECK (length(rule) BETWEEN 1 AND 64),
    key_id      TEXT    NOT NULL,
    fingerprint BYTEA   NOT NULL CHECK (length(fingerprint) = 32),
    owner       TEXT    NOT NULL CHECK (length(owner) BETWEEN 1 AND 128),
    reason      TEXT    NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    created_by  TEXT    NOT NULL CHECK (length(created_by) BETWEEN 1 AND 200),
    created_us  BIGINT NOT NULL,
    expires_us  BIGINT NOT NULL CHECK (expires_us > created_us),
    ended_us    BIGINT,
    version     BIGINT NOT NULL CHECK (version >= 1),
    CHECK (kind = 'VALUE' OR rule IS NULL)
);

CREATE INDEX database_rule_allowances_live ON database_rule_allowances (expires_us) WHERE ended_us IS NULL;

-- A number that is another one after every change of activations and allowances, whoever makes it, so that looking for
-- changes is cheap.
CREATE TABLE database_rule_revision (
    one      BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    revision BIGINT NOT NULL
);

INSERT INTO database_rule_revision (one, revision) VALUES (1, 1);

CREATE FUNCTION database_rules_revised() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN UPDATE database_rule_revision SET revision = revision + 1; RETURN NULL; END$$;

CREATE TRIGGER revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON database_rule_activations
EXECUTE FUNCTION database_rules_revised();
CREATE TRIGGER revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON database_rule_allowances
EXECUTE FUNCTION database_rules_revised();

-- Whatever a session's search path is, the function finds the table beside it.
DO $$BEGIN
    EXECUTE format('ALTER FUNCTION database_rules_revised() SET search_path = %I, pg_temp', current_schema());
END$$;
