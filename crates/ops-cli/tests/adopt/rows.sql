-- Rows as the first system and those who write past it leave them.
INSERT INTO "rate_limit_configs" ("endpoint_tier", "per_hour", "burst_per_minute") VALUES
    ('POSTS', 12, 4), ('COMMENTS', 60, 10), ('MESSAGES', 300, 30),
    ('SEARCHES', 100, 20), ('uploads', 5, 1), ('BURSTY', 1, 9), ('NEGATIVE', -1, -1);
INSERT INTO "tier_threshold_configs" ("trust_level", "multiplier") VALUES
    ('NEW', 0.25), ('ESTABLISHED', 1.00), ('VERIFIED', 2.00), ('PLATFORM_BOT', 10.00), ('ROOT', 999.99);

INSERT INTO "encryption_keys" ("id", "encrypted_data_key", "iv", "auth_tag")
SELECT CAST(format('aaaaaaaa-0000-4000-8000-%s', lpad(CAST(n AS TEXT), 12, '0')) AS UUID), 'd2hhdCB3YXMgd3JhcHBlZA==', 'aXY=', 'dGFn'
FROM generate_series(1, 7) n;

INSERT INTO "quarantine_records" ("id", "s3_key", "status", "tier", "labels", "content_type", "source_id",
    "encryption_key_id", "content_hash", "size_bytes", "expires_at", "reviewed_by", "reviewed_at", "review_notes",
    "created_at", "updated_at")
SELECT CAST(format('bbbbbbbb-0000-4000-8000-%s', lpad(CAST(n AS TEXT), 12, '0')) AS UUID),
       coalesce(key, format('quarantine/2025/11/%s/bbbbbbbb-0000-4000-8000-%s', lpad(CAST(n AS TEXT), 2, '0'),
                            lpad(CAST(n AS TEXT), 12, '0'))),
       CAST(status AS "enum_quarantine_records_status"), tier, CAST(labels AS JSONB), content_type, source_id,
       CAST(format('aaaaaaaa-0000-4000-8000-%s', lpad(CAST(n AS TEXT), 12, '0')) AS UUID), repeat('0', 64), size,
       CAST(expires AS TIMESTAMPTZ), by, CAST(at AS TIMESTAMPTZ), notes, '2025-11-01 10:00:00+00', '2025-11-02 10:00:00+00'
FROM (VALUES
    (1, NULL, 'QUARANTINED', 'HIGH', '["AWS_KEY","CREDENTIAL"]', NULL, NULL, 120, '2025-11-04 10:00:00+00', NULL, NULL, NULL),
    (2, NULL, 'UNDER_REVIEW', 'HIGH', '["PII"]', 'COMMENT', 'comment-9', 80, '2025-11-04 10:00:00+00', NULL, NULL, NULL),
    (3, NULL, 'RELEASED', 'HIGH', '[]', 'POST', 'post-3', 9, '2025-11-04 10:00:00+00', 'ann', '2025-11-02 10:00:00+00', 'Looks fine, Bob asked.'),
    (4, NULL, 'DELETED', 'CRITICAL', '["API_KEY"]', 'POST', 'post-4', 9, '2025-11-04 10:00:00+00', 'mod-bot', '2025-11-02 10:00:00+00', NULL),
    (5, NULL, 'EXPIRED', 'HIGH', '[]', 'POST', NULL, 9, '2025-11-04 10:00:00+00', NULL, NULL, NULL),
    -- Nothing in it is as it should be.
    (6, E'../../etc/passwd\n', 'RELEASED', 'severe', '{"a": [1, "\u001b[2J"]}', 'text/html', E'a b\u202e', -5, 'infinity', 'Bob Jones <bob@example.com>', '-infinity', E'first line\nsecond \u001b[2J line'),
    (7, NULL, 'DELETED', 'CLEAR', '["lower case", "OK"]', 'MESSAGE', repeat('x', 255), 2147483647, '2025-11-04 10:00:00+00', repeat('y', 255), NULL, repeat(U&'\+01F980', 1500))
) AS rows (n, key, status, tier, labels, content_type, source_id, size, expires, by, at, notes);

-- An ordinary day, several events at one moment.
INSERT INTO "audit_logs" ("id", "event_type", "actor_id", "actor_type", "target_id", "target_type", "ip_address", "metadata", "created_at")
SELECT CAST(md5(CAST(n AS TEXT)) AS UUID), 'SSG_PASS', format('agent-%s', n % 7), 'agent', format('post-%s', n), 'content',
       '203.0.113.77', '{"tier":"CLEAR","labels":["PII"]}', timestamptz '2025-11-01 00:00:00+00' + (n / 5) * interval '1 minute'
FROM generate_series(1, 1200) n;
INSERT INTO "audit_logs" VALUES
    ('cccccccc-0000-4000-8000-000000000001', 'HUMAN_RELEASE', 'ann', 'human', 'bbbbbbbb-0000-4000-8000-000000000003',
     'quarantine_record', '2001:db8:1:2:3:4:5:0', '{"reason":"FALSE_POSITIVE","notes":"Looks fine, Bob asked.","confidence":0.93}',
     '2025-11-02 10:00:00.123456+00'),
    ('cccccccc-0000-4000-8000-000000000002', 'BOT_DELETE', 'mod-bot', 'bot', 'bbbbbbbb-0000-4000-8000-000000000004',
     'quarantine_record', NULL, NULL, '2025-11-02 10:00:00+00'),
    -- What was inserted past its model.
    ('dddddddd-0000-4000-8000-000000000001', 'SSG_PASS', 'x', 'martian', NULL, NULL, '999.1.1.0', 'null', 'infinity'),
    ('dddddddd-0000-4000-8000-000000000002', E'rm -rf\n/', E'Ann O''Neil \u202e', 'human', E'a b\u0007', 'a b', 'not:an:ip', '[1.5, 1e400]', '-infinity'),
    ('dddddddd-0000-4000-8000-000000000003', 'SSG_PASS', repeat('a', 255), 'agent', repeat('b', 255), repeat('c', 50), '[2001:db8::1]:443', '"a string"', '2036-01-01 00:00:00+00'),
    ('dddddddd-0000-4000-8000-000000000004', 'SSG_WARN', 'agent-1', 'agent', NULL, NULL, NULL, '{"nul":"a\u0000b","lone":"\ud800"}', '2025-11-03 00:00:00+00'),
    ('dddddddd-0000-4000-8000-000000000005', 'SSG_WARN', 'agent-1', 'agent', NULL, NULL, NULL,
     CAST('{"large":"' || repeat(U&'\+01F980', 300000) || '"}' AS JSON), '2025-11-03 00:00:00+00'),
    ('dddddddd-0000-4000-8000-000000000006', 'SSG_WARN', 'agent-1', 'agent', NULL, NULL, NULL,
     CAST(repeat('[', 1500) || repeat(']', 1500) AS JSON), '2025-11-03 00:00:00+00'),
    ('dddddddd-0000-4000-8000-000000000007', '', '', '', '', '', '', '{}', '0044-03-15 12:00:00+00 BC');
