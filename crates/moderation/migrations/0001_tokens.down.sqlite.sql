DROP TABLE moderation_tokens;
