DROP TRIGGER rate_limit_configs_added;
DROP TRIGGER rate_limit_configs_changed;
DROP TRIGGER rate_limit_configs_gone;
DROP TRIGGER tier_threshold_configs_added;
DROP TRIGGER tier_threshold_configs_changed;
DROP TRIGGER tier_threshold_configs_gone;
DROP TABLE rate_limit_overrides;
DROP TABLE rate_limit_revision;
