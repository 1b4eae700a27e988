DROP TABLE tier_threshold_configs;
DROP TABLE rate_limit_configs;
