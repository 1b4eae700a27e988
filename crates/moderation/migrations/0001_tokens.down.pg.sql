DROP TABLE moderation_tokens;
DROP FUNCTION moderation_refuse();
