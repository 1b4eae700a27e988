DROP TABLE database_instances;
DROP TABLE database_master_keys;
DROP TABLE database_root_keys;
