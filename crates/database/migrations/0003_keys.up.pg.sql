-- Keys of the deployment as rows, none of them readable here: a root key is wrapped by a master key, and of master keys
-- there are names alone.

-- What codes, aliases and the signing key of the log hang on. It stays when master keys are exchanged: then it is wrapped
-- anew.
CREATE TABLE database_root_keys (
    id            TEXT   NOT NULL PRIMARY KEY,
    wrapped       BYTEA  NOT NULL,
    master_key_id TEXT   NOT NULL,
    created_us    BIGINT NOT NULL,
    wrapped_us    BIGINT NOT NULL
);

-- Which master key wraps what is new, which did before, and which never will again.
CREATE TABLE database_master_keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    state        TEXT   NOT NULL CHECK (state IN ('ACTIVE', 'FORMER', 'RETIRED')),
    activated_us BIGINT NOT NULL,
    retired_us   BIGINT,
    CHECK ((state = 'RETIRED') = (retired_us IS NOT NULL))
);

CREATE UNIQUE INDEX database_master_keys_active ON database_master_keys (state) WHERE state = 'ACTIVE';

-- Processes that serve, with the master keys that each of them has. A row that is not renewed is of one that is gone.
CREATE TABLE database_instances (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    keys       TEXT   NOT NULL,
    active     TEXT   NOT NULL,
    started_us BIGINT NOT NULL,
    seen_us    BIGINT NOT NULL
);
