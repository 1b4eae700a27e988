DROP TABLE database_leases;
DROP TABLE database_outbox;
DROP TABLE database_deployment;
