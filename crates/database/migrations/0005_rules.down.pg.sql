DROP TABLE database_rule_bundles;
DROP TABLE database_rule_activations;
DROP TABLE database_rule_allowances;
DROP TABLE database_rule_revision;
DROP FUNCTION database_rules_revised();
