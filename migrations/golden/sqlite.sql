-- The schema after all steps. A change of it is meant or a mistake; see tests/plan.rs.
-- index audit_logs_by_actor
CREATE INDEX audit_logs_by_actor ON audit_logs (actor_id, created_us)
-- index audit_logs_by_id
CREATE INDEX audit_logs_by_id ON audit_logs (id)
-- index audit_logs_by_target
CREATE INDEX audit_logs_by_target ON audit_logs (target_id, created_us)
-- index audit_logs_by_time
CREATE INDEX audit_logs_by_time ON audit_logs (created_us)
-- index audit_logs_by_type
CREATE INDEX audit_logs_by_type ON audit_logs (event_type, created_us)
-- index database_idempotency_until
CREATE INDEX database_idempotency_until ON database_idempotency (until_us)
-- index database_master_keys_active
CREATE UNIQUE INDEX database_master_keys_active ON database_master_keys (state) WHERE state = 'ACTIVE'
-- index database_rule_allowances_live
CREATE INDEX database_rule_allowances_live ON database_rule_allowances (expires_us) WHERE ended_us IS NULL
-- index encryption_keys_master
CREATE INDEX encryption_keys_master ON encryption_keys (master_key_id)
-- index encryption_keys_week
CREATE INDEX encryption_keys_week ON encryption_keys (week_key_id, record_id) WHERE week_key_id IS NOT NULL
-- index moderation_tokens_live
CREATE INDEX moderation_tokens_live ON moderation_tokens (role, expires_at) WHERE revoked_at IS NULL
-- index moderation_tokens_newest
CREATE INDEX moderation_tokens_newest ON moderation_tokens (created_at DESC, id DESC)
-- index moderation_tokens_principal
CREATE INDEX moderation_tokens_principal ON moderation_tokens (principal_id, created_at DESC, id DESC)
-- index quarantine_grants_expires
CREATE INDEX quarantine_grants_expires ON quarantine_grants (expires_at)
-- index quarantine_records_agent
CREATE INDEX quarantine_records_agent ON quarantine_records (agent_id, created_at DESC, id DESC)
-- index quarantine_records_newest
CREATE INDEX quarantine_records_newest ON quarantine_records (created_at DESC, id DESC)
-- index quarantine_records_open_agent
CREATE INDEX quarantine_records_open_agent ON quarantine_records (agent_id, size_bytes) WHERE status IN ('QUARANTINED', 'UNDER_REVIEW')
-- index quarantine_records_open_due
CREATE INDEX quarantine_records_open_due ON quarantine_records (blob_state, expires_at) WHERE status IN ('QUARANTINED', 'UNDER_REVIEW')
-- index quarantine_records_open_owner
CREATE INDEX quarantine_records_open_owner ON quarantine_records (owner_id, size_bytes) WHERE status IN ('QUARANTINED', 'UNDER_REVIEW') AND owner_id IS NOT NULL
-- index quarantine_records_owner
CREATE INDEX quarantine_records_owner ON quarantine_records (owner_id, created_at DESC, id DESC) WHERE owner_id IS NOT NULL
-- index quarantine_records_pending
CREATE INDEX quarantine_records_pending ON quarantine_records (created_at) WHERE blob_state = 'PENDING'
-- index quarantine_records_review
CREATE INDEX quarantine_records_review ON quarantine_records ( (CASE tier WHEN 'CRITICAL' THEN 0 WHEN 'HIGH' THEN 1 WHEN 'MODERATE' THEN 2 WHEN 'LOW' THEN 3 ELSE 4 END), created_at, id ) WHERE status NOT IN ('RELEASED', 'DELETED', 'EXPIRED') AND blob_state <> 'PENDING'
-- index quarantine_records_shred
CREATE INDEX quarantine_records_shred ON quarantine_records (shred_at) WHERE blob_state = 'PRESENT' AND shred_at IS NOT NULL
-- index quarantine_records_source
CREATE INDEX quarantine_records_source ON quarantine_records (source_id) WHERE source_id IS NOT NULL
-- index quarantine_records_status
CREATE INDEX quarantine_records_status ON quarantine_records ( status, created_at DESC, id DESC, size_bytes, blob_state, tier )
-- index quarantine_repeats_record
CREATE INDEX quarantine_repeats_record ON quarantine_repeats (record_id)
-- index quarantine_tombstones_due
CREATE INDEX quarantine_tombstones_due ON quarantine_tombstones (not_before)
-- index quarantine_week_keys_open
CREATE UNIQUE INDEX quarantine_week_keys_open ON quarantine_week_keys (week_at) WHERE closed_at IS NULL
-- index rate_limit_overrides_empty
CREATE INDEX rate_limit_overrides_empty ON rate_limit_overrides (slot) WHERE agent_id IS NULL
-- index rate_limit_overrides_expires
CREATE INDEX rate_limit_overrides_expires ON rate_limit_overrides (expires_at) WHERE expires_at IS NOT NULL
-- index sqlite_autoindex_audit_batches_1

-- index sqlite_autoindex_audit_batches_3

-- index sqlite_autoindex_audit_head_1

-- index sqlite_autoindex_audit_head_2

-- index sqlite_autoindex_audit_subjects_2

-- index sqlite_autoindex_audit_tiles_1

-- index sqlite_autoindex_database_adoptions_1

-- index sqlite_autoindex_database_leases_1

-- index sqlite_autoindex_encryption_keys_1

-- index sqlite_autoindex_encryption_keys_2

-- index sqlite_autoindex_moderation_tokens_1

-- index sqlite_autoindex_moderation_tokens_2

-- index sqlite_autoindex_quarantine_grants_1

-- index sqlite_autoindex_quarantine_holds_1

-- index sqlite_autoindex_quarantine_publications_1

-- index sqlite_autoindex_quarantine_records_1

-- index sqlite_autoindex_quarantine_records_2

-- index sqlite_autoindex_quarantine_records_3

-- index sqlite_autoindex_quarantine_records_4

-- index sqlite_autoindex_quarantine_repeats_1

-- index sqlite_autoindex_quarantine_spent_week_keys_1

-- index sqlite_autoindex_quarantine_tombstones_1

-- index sqlite_autoindex_quarantine_week_keys_1

-- index sqlite_autoindex_rate_limit_configs_1

-- index sqlite_autoindex_rate_limit_overrides_1

-- index sqlite_autoindex_tier_threshold_configs_1

-- table audit_batches
CREATE TABLE audit_batches ( log TEXT NOT NULL CHECK (log IN ('decisions', 'verdicts')), start_index INTEGER NOT NULL CHECK (start_index >= 0), n INTEGER NOT NULL CHECK (n > 0), batch_id INTEGER NOT NULL CHECK (batch_id >= 0), month INTEGER NOT NULL, batch_uuid BLOB NOT NULL UNIQUE CHECK (length(batch_uuid) = 16), committed_us INTEGER NOT NULL, prev_hash BLOB NOT NULL CHECK (length(prev_hash) = 32), batch_hash BLOB NOT NULL CHECK (length(batch_hash) = 32), PRIMARY KEY (log, start_index), UNIQUE (log, batch_id) ) STRICT, WITHOUT ROWID
-- table audit_checkpoints
CREATE TABLE audit_checkpoints ( log TEXT NOT NULL CHECK (log IN ('decisions', 'verdicts')), size INTEGER NOT NULL CHECK (size > 0), root BLOB NOT NULL CHECK (length(root) = 32), note TEXT NOT NULL, key_id TEXT NOT NULL, committed_us INTEGER NOT NULL, PRIMARY KEY (log, size) ) STRICT, WITHOUT ROWID
-- table audit_head
CREATE TABLE audit_head ( log TEXT NOT NULL PRIMARY KEY CHECK (log IN ('decisions', 'verdicts')), origin TEXT NOT NULL UNIQUE, batches INTEGER NOT NULL CHECK (batches >= 0), size INTEGER NOT NULL CHECK (size >= batches), committed_us INTEGER NOT NULL, head_hash BLOB NOT NULL CHECK (length(head_hash) = 32) ) STRICT
-- table audit_logs
CREATE TABLE audit_logs ( log TEXT NOT NULL CHECK (log IN ('decisions', 'verdicts')), batch_id INTEGER NOT NULL, ord INTEGER NOT NULL CHECK (ord >= 0), month INTEGER NOT NULL, leaf BLOB NOT NULL CHECK (length(leaf) BETWEEN 1 AND 60000), leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32), id TEXT NOT NULL, event_type TEXT NOT NULL, actor_type TEXT NOT NULL CHECK (actor_type IN ('agent', 'bot', 'human', 'system')), actor_id TEXT NOT NULL, target_type TEXT, target_id TEXT, ip_address TEXT, created_us INTEGER NOT NULL, PRIMARY KEY (log, batch_id, ord) ) STRICT, WITHOUT ROWID
-- table audit_subjects
CREATE TABLE audit_subjects ( subject_id TEXT NOT NULL PRIMARY KEY, ref TEXT NOT NULL UNIQUE CHECK (length(ref) = 32), key_id TEXT NOT NULL, wrapped_key BLOB NOT NULL, mac TEXT NOT NULL ) STRICT, WITHOUT ROWID
-- table audit_tiles
CREATE TABLE audit_tiles ( log TEXT NOT NULL CHECK (log IN ('decisions', 'verdicts')), level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 7), tile_index INTEGER NOT NULL CHECK (tile_index >= 0), width INTEGER NOT NULL CHECK (width BETWEEN 1 AND 256), hashes BLOB NOT NULL CHECK (length(hashes) = 32 * width), PRIMARY KEY (log, level, tile_index) ) STRICT
-- table database_adoptions
CREATE TABLE database_adoptions ( what TEXT NOT NULL PRIMARY KEY CHECK (what IN ('events', 'records', 'limits')), -- The other system's name of what was taken over last, in its order. last_id TEXT, done INTEGER NOT NULL CHECK (done >= 0), -- How many of these had something that could not be taken over as it was. flawed INTEGER NOT NULL CHECK (flawed BETWEEN 0 AND done), begun_us INTEGER NOT NULL, finished_us INTEGER ) STRICT
-- table database_deployment
CREATE TABLE database_deployment ( one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL CHECK (length(id) = 16), key_id TEXT, created_us INTEGER NOT NULL ) STRICT
-- table database_idempotency
CREATE TABLE database_idempotency ( principal TEXT NOT NULL, route TEXT NOT NULL, key TEXT NOT NULL, body_hash BLOB NOT NULL CHECK (length(body_hash) = 32), -- What the work makes gets these names, so that work cut short is done again as the same. inspection_id BLOB NOT NULL CHECK (length(inspection_id) = 16), hold_id BLOB NOT NULL CHECK (length(hold_id) = 16), -- The process that does it; another one takes over what it left undone. holder TEXT NOT NULL, status INTEGER, answer BLOB, created_us INTEGER NOT NULL, until_us INTEGER NOT NULL, PRIMARY KEY (principal, route, key), CHECK ((status IS NULL) = (answer IS NULL)) ) STRICT, WITHOUT ROWID
-- table database_instances
CREATE TABLE database_instances ( id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, keys TEXT NOT NULL, active TEXT NOT NULL, started_us INTEGER NOT NULL, seen_us INTEGER NOT NULL ) STRICT, WITHOUT ROWID
-- table database_leases
CREATE TABLE database_leases ( name TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL, until_us INTEGER NOT NULL ) STRICT
-- table database_master_keys
CREATE TABLE database_master_keys ( id TEXT NOT NULL PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('ACTIVE', 'FORMER', 'RETIRED')), activated_us INTEGER NOT NULL, retired_us INTEGER, CHECK ((state = 'RETIRED') = (retired_us IS NOT NULL)) ) STRICT, WITHOUT ROWID
-- table database_outbox
CREATE TABLE database_outbox ( seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, event BLOB NOT NULL, created_us INTEGER NOT NULL, aside INTEGER NOT NULL DEFAULT 0 CHECK (aside IN (0, 1)) ) STRICT
-- table database_root_keys
CREATE TABLE database_root_keys ( id TEXT NOT NULL PRIMARY KEY, wrapped BLOB NOT NULL, master_key_id TEXT NOT NULL, created_us INTEGER NOT NULL, wrapped_us INTEGER NOT NULL ) STRICT, WITHOUT ROWID
-- table database_rule_activations
CREATE TABLE database_rule_activations ( number INTEGER NOT NULL PRIMARY KEY CHECK (number >= 1), -- None: the rules that ship, alone. hash TEXT CHECK (length(hash) = 64), -- The activation whose packs it brings back, 0 what was before the first; its own number if it brings back none. restores INTEGER NOT NULL CHECK (restores BETWEEN 0 AND number), -- What was signed, with its serial number and its end; all three or none. signature TEXT CHECK (length(signature) BETWEEN 1 AND 65536), serial INTEGER CHECK (serial >= 0), not_after_us INTEGER, activated_by TEXT NOT NULL CHECK (length(activated_by) BETWEEN 1 AND 200), activated_us INTEGER NOT NULL, CHECK ((signature IS NULL) = (serial IS NULL)), CHECK ((signature IS NULL) = (not_after_us IS NULL)), CHECK (hash IS NOT NULL OR signature IS NULL) ) STRICT
-- table database_rule_allowances
CREATE TABLE database_rule_allowances ( id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36), kind TEXT NOT NULL CHECK (kind IN ('VALUE', 'HOST')), -- Only findings of this rule; none: of any. rule TEXT CHECK (length(rule) BETWEEN 1 AND 64), key_id TEXT NOT NULL, fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32), owner TEXT NOT NULL CHECK (length(owner) BETWEEN 1 AND 128), reason TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 500), created_by TEXT NOT NULL CHECK (length(created_by) BETWEEN 1 AND 200), created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL CHECK (expires_us > created_us), ended_us INTEGER, version INTEGER NOT NULL CHECK (version >= 1), CHECK (kind = 'VALUE' OR rule IS NULL) ) STRICT, WITHOUT ROWID
-- table database_rule_bundles
CREATE TABLE database_rule_bundles ( hash TEXT NOT NULL PRIMARY KEY CHECK (length(hash) = 64), content BLOB NOT NULL CHECK (length(content) BETWEEN 1 AND 8388608), rules INTEGER NOT NULL CHECK (rules >= 0), added_us INTEGER NOT NULL ) STRICT, WITHOUT ROWID
-- table database_rule_revision
CREATE TABLE database_rule_revision ( one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL ) STRICT
-- table encryption_keys
CREATE TABLE encryption_keys ( id TEXT NOT NULL PRIMARY KEY, record_id TEXT NOT NULL UNIQUE REFERENCES quarantine_records (id), encrypted_data_key BLOB NOT NULL, master_key_id TEXT NOT NULL, algorithm TEXT NOT NULL, created_at INTEGER NOT NULL, wrapped_at INTEGER NOT NULL , week_key_id TEXT REFERENCES quarantine_week_keys (id)) STRICT
-- table moderation_tokens
CREATE TABLE moderation_tokens ( id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36), token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32), -- How the token begins, by which its owner knows it again. hint TEXT NOT NULL CHECK (length(hint) = 9), principal_id TEXT NOT NULL CHECK (length(principal_id) BETWEEN 1 AND 128), role TEXT NOT NULL CHECK (role IN ('platform', 'agent', 'bot', 'moderator', 'admin', 'auditor')), trust TEXT NOT NULL CHECK (trust IN ('NEW', 'ESTABLISHED', 'VERIFIED', 'PLATFORM_BOT')), owner_id TEXT CHECK (length(owner_id) BETWEEN 1 AND 128), created_at INTEGER NOT NULL, created_by TEXT NOT NULL, expires_at INTEGER, revoked_at INTEGER, revoked_by TEXT, revoke_reason TEXT, version INTEGER NOT NULL CHECK (version >= 1), -- A code over everything in the row, as the last change left it: a row that was put in by hand opens nothing. state_mac TEXT NOT NULL, CHECK (role = 'agent' OR (trust = 'NEW' AND owner_id IS NULL)), CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)), CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL)) ) STRICT
-- table quarantine_grants
CREATE TABLE quarantine_grants ( token_hash BLOB NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32), record_id TEXT NOT NULL REFERENCES quarantine_records (id), actor_type TEXT NOT NULL, actor_id TEXT NOT NULL, purpose TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER ) STRICT
-- table quarantine_holds
CREATE TABLE quarantine_holds ( record_id TEXT NOT NULL PRIMARY KEY REFERENCES quarantine_records (id), placed_by TEXT NOT NULL, placed_at INTEGER NOT NULL, reason TEXT NOT NULL, lifted_by TEXT, lifted_at INTEGER, lift_reason TEXT, version INTEGER NOT NULL CHECK (version >= 1), state_mac TEXT NOT NULL, CHECK ((lifted_by IS NULL) = (lifted_at IS NULL)), CHECK (lifted_at IS NOT NULL OR lift_reason IS NULL) ) STRICT
-- table quarantine_publications
CREATE TABLE quarantine_publications ( record_id TEXT NOT NULL PRIMARY KEY REFERENCES quarantine_records (id), confirmed_by TEXT NOT NULL, confirmed_at INTEGER NOT NULL, state_mac TEXT NOT NULL ) STRICT
-- table quarantine_records
CREATE TABLE quarantine_records ( id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36), s3_key TEXT UNIQUE, status TEXT NOT NULL CHECK (status IN ('QUARANTINED', 'UNDER_REVIEW', 'RELEASED', 'DELETED', 'EXPIRED')), blob_state TEXT NOT NULL CHECK (blob_state IN ('PENDING', 'PRESENT', 'SHREDDED')), tier TEXT NOT NULL CHECK (tier IN ('CLEAR', 'LOW', 'MODERATE', 'HIGH', 'CRITICAL')), labels TEXT NOT NULL CHECK (json_valid(labels)), -- Places and rules, never a character of what was found beyond a format's public prefix. matches TEXT NOT NULL CHECK (json_valid(matches)), policy TEXT NOT NULL, content_type TEXT NOT NULL CHECK (content_type IN ('POST', 'COMMENT', 'MESSAGE', 'PROFILE')), size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0), agent_id TEXT NOT NULL, owner_id TEXT, source_id TEXT, inspection_id TEXT NOT NULL UNIQUE, -- A code under a key, not a plain hash: whoever has the table cannot try guesses. Gone with the content. content_hmac BLOB CHECK (length(content_hmac) = 32), hmac_key_id TEXT NOT NULL, encryption_key_id TEXT UNIQUE, expires_at INTEGER NOT NULL, shred_at INTEGER, reviewed_by TEXT, reviewed_at INTEGER, reason TEXT, review_notes TEXT, version INTEGER NOT NULL CHECK (version >= 1), -- Who looks at it now. Orthogonal to its status, and not part of what the log fixes. claimed_by TEXT, lease_until INTEGER, fence INTEGER, queue TEXT, -- A code over everything in the row that the log fixes, as the last change left it. state_mac TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, -- The event that commits with the second half of a store. pending_event BLOB, -- Last, since what stands behind it would be reached through all of it. inline_ciphertext BLOB, -- Content is there with its key and in one place, or it is not there. CHECK ((blob_state = 'SHREDDED') = (encryption_key_id IS NULL)), CHECK ((blob_state = 'SHREDDED') = (content_hmac IS NULL)), CHECK (blob_state <> 'SHREDDED' OR inline_ciphertext IS NULL), CHECK (blob_state = 'SHREDDED' OR (s3_key IS NULL) <> (inline_ciphertext IS NULL)), CHECK ((blob_state = 'PENDING') = (pending_event IS NOT NULL)), CHECK ((blob_state = 'PENDING') = (state_mac IS NULL)) ) STRICT
-- table quarantine_repeats
CREATE TABLE quarantine_repeats ( inspection_id TEXT NOT NULL PRIMARY KEY, record_id TEXT NOT NULL REFERENCES quarantine_records (id), created_at INTEGER NOT NULL ) STRICT
-- table quarantine_spent_week_keys
CREATE TABLE quarantine_spent_week_keys ( id TEXT NOT NULL PRIMARY KEY, week_at INTEGER NOT NULL, destroyed_at INTEGER NOT NULL, erased_at INTEGER ) STRICT
-- table quarantine_tombstones
CREATE TABLE quarantine_tombstones ( object_key TEXT NOT NULL PRIMARY KEY, not_before INTEGER NOT NULL, last_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), created_at INTEGER NOT NULL ) STRICT
-- table quarantine_week_keys
CREATE TABLE quarantine_week_keys ( id TEXT NOT NULL PRIMARY KEY, -- Monday, 00:00. week_at INTEGER NOT NULL, master_key_id TEXT NOT NULL, -- Only where nothing else keeps it. wrapped BLOB, created_at INTEGER NOT NULL, wrapped_at INTEGER NOT NULL, -- From then on it wraps nothing new. closed_at INTEGER ) STRICT
-- table rate_limit_configs
CREATE TABLE rate_limit_configs ( endpoint_tier TEXT NOT NULL PRIMARY KEY CHECK (length(endpoint_tier) <= 32 AND endpoint_tier GLOB '[A-Z]*' AND endpoint_tier NOT GLOB '*[^A-Z0-9_]*'), per_hour INTEGER NOT NULL CHECK (per_hour BETWEEN 0 AND 1000000), burst_per_minute INTEGER NOT NULL CHECK (burst_per_minute BETWEEN 0 AND per_hour), created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, version INTEGER NOT NULL CHECK (version >= 1), announced INTEGER NOT NULL DEFAULT 0 CHECK (announced IN (0, 1)) ) STRICT
-- table rate_limit_overrides
CREATE TABLE rate_limit_overrides ( slot INTEGER NOT NULL PRIMARY KEY CHECK (slot BETWEEN 1 AND 10000), agent_id TEXT CHECK (length(agent_id) BETWEEN 1 AND 128), endpoint_tier TEXT CHECK (length(endpoint_tier) <= 32 AND endpoint_tier GLOB '[A-Z]*' AND endpoint_tier NOT GLOB '*[^A-Z0-9_]*'), per_hour INTEGER CHECK (per_hour BETWEEN 0 AND 1000000), per_minute INTEGER CHECK (per_minute BETWEEN 0 AND per_hour), reason TEXT CHECK (length(reason) BETWEEN 1 AND 500), set_by TEXT, created_at INTEGER, expires_at INTEGER CHECK (expires_at > created_at), updated_at INTEGER NOT NULL, version INTEGER NOT NULL CHECK (version >= 1), UNIQUE (agent_id, endpoint_tier), -- It is an override, or it is nothing. CHECK ((agent_id IS NULL) = (endpoint_tier IS NULL)), CHECK ((agent_id IS NULL) = (per_hour IS NULL)), CHECK ((agent_id IS NULL) = (per_minute IS NULL)), CHECK ((agent_id IS NULL) = (reason IS NULL)), CHECK ((agent_id IS NULL) = (set_by IS NULL)), CHECK ((agent_id IS NULL) = (created_at IS NULL)), CHECK ((agent_id IS NULL) = (expires_at IS NULL)) ) STRICT
-- table rate_limit_revision
CREATE TABLE rate_limit_revision ( one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL ) STRICT
-- table tier_threshold_configs
CREATE TABLE tier_threshold_configs ( trust_level TEXT NOT NULL PRIMARY KEY CHECK (trust_level IN ('NEW', 'ESTABLISHED', 'VERIFIED', 'PLATFORM_BOT')), multiplier_hundredths INTEGER NOT NULL CHECK (multiplier_hundredths BETWEEN 0 AND 100000), created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, version INTEGER NOT NULL CHECK (version >= 1), announced INTEGER NOT NULL DEFAULT 0 CHECK (announced IN (0, 1)) ) STRICT
-- trigger audit_batches_no_delete
CREATE TRIGGER audit_batches_no_delete BEFORE DELETE ON audit_batches BEGIN SELECT RAISE(ABORT, 'append-only: batches stay'); END
-- trigger audit_batches_no_replace
CREATE TRIGGER audit_batches_no_replace BEFORE INSERT ON audit_batches WHEN EXISTS (SELECT 1 FROM audit_batches WHERE (log = NEW.log AND start_index = NEW.start_index) OR (log = NEW.log AND batch_id = NEW.batch_id) OR batch_uuid = NEW.batch_uuid) BEGIN SELECT RAISE(ABORT, 'append-only: batches are not replaced'); END
-- trigger audit_batches_no_update
CREATE TRIGGER audit_batches_no_update BEFORE UPDATE ON audit_batches BEGIN SELECT RAISE(ABORT, 'append-only: batches do not change'); END
-- trigger audit_checkpoints_no_delete
CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'append-only: checkpoints stay'); END
-- trigger audit_checkpoints_no_update
CREATE TRIGGER audit_checkpoints_no_update BEFORE UPDATE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'append-only: checkpoints do not change'); END
-- trigger audit_checkpoints_only_grow
CREATE TRIGGER audit_checkpoints_only_grow BEFORE INSERT ON audit_checkpoints WHEN EXISTS (SELECT 1 FROM audit_checkpoints WHERE log = NEW.log AND size >= NEW.size) BEGIN SELECT RAISE(ABORT, 'append-only: a checkpoint covers more than all before'); END
-- trigger audit_head_once
CREATE TRIGGER audit_head_once BEFORE INSERT ON audit_head WHEN EXISTS (SELECT 1 FROM audit_head WHERE log = NEW.log OR origin = NEW.origin) BEGIN SELECT RAISE(ABORT, 'append-only: a log has one end'); END
-- trigger audit_head_only_grows
CREATE TRIGGER audit_head_only_grows BEFORE UPDATE ON audit_head WHEN NEW.log <> OLD.log OR NEW.origin <> OLD.origin OR NEW.size <= OLD.size OR NEW.batches <> OLD.batches + 1 OR NEW.committed_us < OLD.committed_us BEGIN SELECT RAISE(ABORT, 'append-only: the end of a log only grows'); END
-- trigger audit_head_stays
CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head BEGIN SELECT RAISE(ABORT, 'append-only: the end of a log stays'); END
-- trigger audit_logs_no_delete
CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs BEGIN SELECT RAISE(ABORT, 'append-only: events stay'); END
-- trigger audit_logs_no_replace
CREATE TRIGGER audit_logs_no_replace BEFORE INSERT ON audit_logs WHEN EXISTS (SELECT 1 FROM audit_logs WHERE log = NEW.log AND batch_id = NEW.batch_id AND ord = NEW.ord) BEGIN SELECT RAISE(ABORT, 'append-only: events are not replaced'); END
-- trigger audit_logs_no_update
CREATE TRIGGER audit_logs_no_update BEFORE UPDATE ON audit_logs BEGIN SELECT RAISE(ABORT, 'append-only: events do not change'); END
-- trigger audit_subjects_no_replace
CREATE TRIGGER audit_subjects_no_replace BEFORE INSERT ON audit_subjects WHEN EXISTS (SELECT 1 FROM audit_subjects WHERE subject_id = NEW.subject_id OR ref = NEW.ref) BEGIN SELECT RAISE(ABORT, 'append-only: an alias is not replaced'); END
-- trigger audit_subjects_stay
CREATE TRIGGER audit_subjects_stay BEFORE UPDATE ON audit_subjects WHEN NEW.subject_id <> OLD.subject_id OR NEW.ref <> OLD.ref BEGIN SELECT RAISE(ABORT, 'append-only: an alias does not change'); END
-- trigger audit_tiles_no_delete
CREATE TRIGGER audit_tiles_no_delete BEFORE DELETE ON audit_tiles BEGIN SELECT RAISE(ABORT, 'append-only: tiles stay'); END
-- trigger audit_tiles_no_replace
CREATE TRIGGER audit_tiles_no_replace BEFORE INSERT ON audit_tiles WHEN EXISTS (SELECT 1 FROM audit_tiles WHERE (log = NEW.log AND level = NEW.level AND tile_index = NEW.tile_index) OR rowid = NEW.rowid) BEGIN SELECT RAISE(ABORT, 'append-only: tiles are not replaced'); END
-- trigger audit_tiles_only_grow
CREATE TRIGGER audit_tiles_only_grow BEFORE UPDATE ON audit_tiles WHEN NEW.log <> OLD.log OR NEW.level <> OLD.level OR NEW.tile_index <> OLD.tile_index OR NEW.width <= OLD.width OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes BEGIN SELECT RAISE(ABORT, 'append-only: a tile only grows'); END
-- trigger database_rule_activations_added
CREATE TRIGGER database_rule_activations_added AFTER INSERT ON database_rule_activations BEGIN UPDATE database_rule_revision SET revision = revision + 1; END
-- trigger database_rule_activations_changed
CREATE TRIGGER database_rule_activations_changed AFTER UPDATE ON database_rule_activations BEGIN UPDATE database_rule_revision SET revision = revision + 1; END
-- trigger database_rule_activations_gone
CREATE TRIGGER database_rule_activations_gone AFTER DELETE ON database_rule_activations BEGIN UPDATE database_rule_revision SET revision = revision + 1; END
-- trigger database_rule_allowances_added
CREATE TRIGGER database_rule_allowances_added AFTER INSERT ON database_rule_allowances BEGIN UPDATE database_rule_revision SET revision = revision + 1; END
-- trigger database_rule_allowances_changed
CREATE TRIGGER database_rule_allowances_changed AFTER UPDATE ON database_rule_allowances BEGIN UPDATE database_rule_revision SET revision = revision + 1; END
-- trigger database_rule_allowances_gone
CREATE TRIGGER database_rule_allowances_gone AFTER DELETE ON database_rule_allowances BEGIN UPDATE database_rule_revision SET revision = revision + 1; END
-- trigger encryption_keys_held
CREATE TRIGGER encryption_keys_held BEFORE DELETE ON encryption_keys WHEN EXISTS (SELECT 1 FROM quarantine_holds h WHERE h.record_id = OLD.record_id AND h.lifted_at IS NULL) BEGIN SELECT RAISE(ABORT, 'a legal hold keeps this key'); END
-- trigger moderation_tokens_fixed
CREATE TRIGGER moderation_tokens_fixed BEFORE UPDATE ON moderation_tokens WHEN OLD.revoked_at IS NOT NULL OR NEW.version <> OLD.version + 1 OR NEW.id <> OLD.id OR NEW.token_hash <> OLD.token_hash OR NEW.principal_id <> OLD.principal_id OR NEW.role <> OLD.role OR NEW.trust <> OLD.trust OR NEW.owner_id IS NOT OLD.owner_id OR NEW.expires_at IS NOT OLD.expires_at BEGIN SELECT RAISE(ABORT, 'a token is only ever revoked, once'); END
-- trigger moderation_tokens_kept
CREATE TRIGGER moderation_tokens_kept BEFORE DELETE ON moderation_tokens BEGIN SELECT RAISE(ABORT, 'who could speak stays known'); END
-- trigger quarantine_publications_fixed
CREATE TRIGGER quarantine_publications_fixed BEFORE UPDATE ON quarantine_publications BEGIN SELECT RAISE(ABORT, 'what was published stays so'); END
-- trigger quarantine_publications_kept
CREATE TRIGGER quarantine_publications_kept BEFORE DELETE ON quarantine_publications BEGIN SELECT RAISE(ABORT, 'what was published stays so'); END
-- trigger quarantine_records_blob
CREATE TRIGGER quarantine_records_blob BEFORE UPDATE OF blob_state ON quarantine_records WHEN NEW.blob_state <> OLD.blob_state AND NOT ( (OLD.blob_state = 'PENDING' AND NEW.blob_state = 'PRESENT') OR (OLD.blob_state = 'PRESENT' AND NEW.blob_state = 'SHREDDED') ) BEGIN SELECT RAISE(ABORT, 'this state of content may not follow that one'); END
-- trigger quarantine_records_born
CREATE TRIGGER quarantine_records_born BEFORE INSERT ON quarantine_records WHEN NEW.version <> 1 OR NOT ( (NEW.status = 'QUARANTINED' AND NEW.blob_state <> 'SHREDDED') OR (NEW.policy = 'adopted' AND NEW.status IN ('RELEASED', 'DELETED', 'EXPIRED') AND NEW.blob_state = 'SHREDDED') ) BEGIN SELECT RAISE(ABORT, 'a record begins as QUARANTINED, with its content, or adopted and without, at version 1'); END
-- trigger quarantine_records_kept
CREATE TRIGGER quarantine_records_kept BEFORE DELETE ON quarantine_records WHEN OLD.blob_state <> 'PENDING' BEGIN SELECT RAISE(ABORT, 'a record that was acknowledged is kept'); END
-- trigger quarantine_records_status
CREATE TRIGGER quarantine_records_status BEFORE UPDATE OF status ON quarantine_records WHEN NEW.status <> OLD.status AND NOT ( (OLD.status = 'QUARANTINED' AND NEW.status IN ('UNDER_REVIEW', 'RELEASED', 'DELETED', 'EXPIRED')) OR (OLD.status = 'UNDER_REVIEW' AND NEW.status IN ('RELEASED', 'DELETED', 'EXPIRED')) OR (OLD.status IN ('DELETED', 'EXPIRED') AND NEW.status = 'UNDER_REVIEW' AND OLD.blob_state = 'PRESENT') ) BEGIN SELECT RAISE(ABORT, 'this status may not follow that one'); END
-- trigger quarantine_records_version
CREATE TRIGGER quarantine_records_version BEFORE UPDATE OF status, blob_state ON quarantine_records WHEN (NEW.status <> OLD.status OR OLD.blob_state = 'PRESENT' AND NEW.blob_state <> 'PRESENT') AND NEW.version <> OLD.version + 1 BEGIN SELECT RAISE(ABORT, 'a change of a record raises its version by one'); END
-- trigger rate_limit_configs_added
CREATE TRIGGER rate_limit_configs_added AFTER INSERT ON rate_limit_configs BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
-- trigger rate_limit_configs_changed
CREATE TRIGGER rate_limit_configs_changed AFTER UPDATE ON rate_limit_configs BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
-- trigger rate_limit_configs_gone
CREATE TRIGGER rate_limit_configs_gone AFTER DELETE ON rate_limit_configs BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
-- trigger rate_limit_overrides_added
CREATE TRIGGER rate_limit_overrides_added AFTER INSERT ON rate_limit_overrides BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
-- trigger rate_limit_overrides_changed
CREATE TRIGGER rate_limit_overrides_changed AFTER UPDATE ON rate_limit_overrides BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
-- trigger rate_limit_overrides_gone
CREATE TRIGGER rate_limit_overrides_gone AFTER DELETE ON rate_limit_overrides BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
-- trigger tier_threshold_configs_added
CREATE TRIGGER tier_threshold_configs_added AFTER INSERT ON tier_threshold_configs BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
-- trigger tier_threshold_configs_changed
CREATE TRIGGER tier_threshold_configs_changed AFTER UPDATE ON tier_threshold_configs BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
-- trigger tier_threshold_configs_gone
CREATE TRIGGER tier_threshold_configs_gone AFTER DELETE ON tier_threshold_configs BEGIN UPDATE rate_limit_revision SET revision = revision + 1; END
