DROP TABLE database_adoptions;
