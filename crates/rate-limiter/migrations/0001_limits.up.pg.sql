-- How much is allowed in each tier, and what each level of trust multiplies. Times are microseconds since 1970, UTC.
-- A row is announced once an event in the log tells of it as it is; the rows below are not yet.
CREATE TABLE rate_limit_configs (
    endpoint_tier    TEXT    NOT NULL PRIMARY KEY
        CHECK (length(endpoint_tier) <= 32 AND endpoint_tier ~ '^[A-Z][A-Z0-9_]*$'),
    per_hour         BIGINT NOT NULL CHECK (per_hour BETWEEN 0 AND 1000000),
    burst_per_minute BIGINT NOT NULL CHECK (burst_per_minute BETWEEN 0 AND per_hour),
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    version          BIGINT NOT NULL CHECK (version >= 1),
    announced        BIGINT NOT NULL DEFAULT 0 CHECK (announced IN (0, 1))
);

CREATE TABLE tier_threshold_configs (
    trust_level           TEXT    NOT NULL PRIMARY KEY
        CHECK (trust_level IN ('NEW', 'ESTABLISHED', 'VERIFIED', 'PLATFORM_BOT')),
    multiplier_hundredths BIGINT NOT NULL CHECK (multiplier_hundredths BETWEEN 0 AND 100000),
    created_at            BIGINT NOT NULL,
    updated_at            BIGINT NOT NULL,
    version               BIGINT NOT NULL CHECK (version >= 1),
    announced             BIGINT NOT NULL DEFAULT 0 CHECK (announced IN (0, 1))
);

INSERT INTO rate_limit_configs (endpoint_tier, per_hour, burst_per_minute, created_at, updated_at, version)
SELECT tier, hour, minute, now, now, 1
FROM (SELECT 'POSTS' AS tier, 10 AS hour, 3 AS minute
      UNION ALL SELECT 'COMMENTS', 60, 10
      UNION ALL SELECT 'MESSAGES', 300, 30) AS tiers,
     (SELECT CAST(floor(extract(epoch FROM now())) AS BIGINT) * 1000000 AS now) AS clock;

INSERT INTO tier_threshold_configs (trust_level, multiplier_hundredths, created_at, updated_at, version)
SELECT level, hundredths, now, now, 1
FROM (SELECT 'NEW' AS level, 50 AS hundredths
      UNION ALL SELECT 'ESTABLISHED', 100
      UNION ALL SELECT 'VERIFIED', 200
      UNION ALL SELECT 'PLATFORM_BOT', 1000) AS levels,
     (SELECT CAST(floor(extract(epoch FROM now())) AS BIGINT) * 1000000 AS now) AS clock;
