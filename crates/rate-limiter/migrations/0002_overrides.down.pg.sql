DROP TRIGGER revised ON rate_limit_configs;
DROP TRIGGER revised ON tier_threshold_configs;
DROP TABLE rate_limit_overrides;
DROP TABLE rate_limit_revision;
DROP FUNCTION rate_limit_revised();
