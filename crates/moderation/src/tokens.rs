//! Tokens: made once, shown once, kept as a hash, revoked for good.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clawexchange_database::{Database, STATE, STATE_CONTEXT, StateRow, Statements as _, outbox};
use clawexchange_quarantine::Note;
use clawexchange_ssg_core::{
    Actor, AgentId, AuditEvent, Clock, Cursor, EventId, EventKind, Fault as _, FaultKind, IdError, KeyId,
    KeyProvider, Mac, OwnerId, Page, PageLimit, SystemClock, Target, Timestamp, TrustLevel,
};
use serde::Serialize;
use subtle::ConstantTimeEq as _;

use crate::access::Role;
use crate::error::ModerationError;
use crate::principal::Principal;
use crate::token::Token;

mod cache;
mod rows;

use cache::Cache;
use rows::TokenRow;

/// What the events of a token have as the type of their target.
pub const TOKEN_TARGET: &str = "token";

/// Tokens that live at once, at most: more than a platform has staff and programs, and few enough to be looked through.
pub const TOKENS_MAX: u64 = 10_000;

/// What whoever makes a token locks, since how many there are is counted first. It comes before the row of a token, and
/// that before the outbox.
const CREATE: &str = "moderation/tokens";

/// The shortest and the longest time that a token may be given.
const TTL: [Duration; 2] = [Duration::from_mins(1), Duration::from_hours(24 * 3653)];

/// Why a token was revoked that was seen where it should not be.
const EXPOSED: &str = "EXPOSED";

/// The name of one token: a UUID of version 7.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct TokenId(EventId);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TokenId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// A token that is to be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewToken {
    /// Who speaks with it.
    pub id: AgentId,
    /// In what capacity.
    pub role: Role,
    /// How far an agent is trusted; NEW unless set, and for agents only.
    pub trust: TrustLevel,
    /// Who an agent belongs to; for agents only.
    pub owner: Option<OwnerId>,
    /// How long it lives: until it is revoked unless set, else 1 minute to 10 years.
    pub ttl: Option<Duration>,
}

impl NewToken {
    /// A token of which nothing else is said.
    pub const fn new(id: AgentId, role: Role) -> Self {
        Self { id, role, trust: TrustLevel::New, owner: None, ttl: None }
    }

    fn check(&self) -> Result<(), ModerationError> {
        if self.role != Role::Agent {
            if self.owner.is_some() {
                return Err(ModerationError::AgentsOnly { what: "an owner" });
            }
            if self.trust != TrustLevel::New {
                return Err(ModerationError::AgentsOnly { what: "a level of trust" });
            }
        }
        let [shortest, longest] = TTL;
        if self.ttl.is_some_and(|ttl| ttl < shortest || ttl > longest) {
            return Err(ModerationError::TokenTime);
        }
        Ok(())
    }
}

/// A token that was made: the only time that its text is there.
#[derive(Debug)]
#[non_exhaustive]
pub struct Created {
    /// The text, for whoever it was made for.
    pub token: Token,
    /// What is known about it from now on.
    pub info: TokenInfo,
}

/// Everything about a token, and nothing of it but how it begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TokenInfo {
    /// Its name.
    pub id: TokenId,
    /// Who speaks with it.
    pub principal: AgentId,
    /// In what capacity.
    pub role: Role,
    /// How far an agent is trusted.
    pub trust: TrustLevel,
    /// Who an agent belongs to.
    pub owner: Option<OwnerId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// By whom.
    pub revoked_by: Option<String>,
    /// Why.
    pub revoke_reason: Option<String>,
    /// How it begins.
    pub hint: String,
}

/// Which tokens a list shows; everything unless set.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TokenFilter {
    /// Only those of this principal.
    pub id: Option<AgentId>,
    /// Only those of this role.
    pub role: Option<Role>,
    /// Only those that open something.
    pub live_only: bool,
}

/// Makes tokens, knows them, and revokes them. Cheap to clone; clones forget a revoked token together.
///
/// Each change and its event commit together, with a code over the row: a row that somebody puts in or edits by hand
/// opens nothing. Who may make and revoke tokens is for the caller to ask: [`Act::ManageTokens`](crate::Act).
#[derive(Clone, Debug)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Database,
    keys: Arc<dyn KeyProvider>,
    clock: Arc<dyn Clock>,
    cache: Cache,
}

impl Tokens {
    /// The tokens in `db`; `keys` make the codes that fix each row.
    pub fn new(db: Database, keys: impl KeyProvider) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self(Arc::new(Inner { db, keys: Arc::new(keys), clock, cache: Cache::default() }))
    }

    /// The same, which take the time from `clock`. Clones that were made before keep theirs.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        let Inner { db, keys, .. } = &*self.0;
        let (db, keys) = (db.clone(), Arc::clone(keys));
        Self(Arc::new(Inner { db, keys, clock: Arc::new(clock), cache: Cache::default() }))
    }

    /// Makes a token. Its text is in the answer and nowhere else.
    pub async fn create(&self, by: &Actor, new: &NewToken) -> Result<Created, ModerationError> {
        let (token, row, event) = self.prepare(by, new).await?;
        let info = row.info()?;
        let tx = self.0.db.begin().await?;
        tx.lock(CREATE).await?;
        if rows::live(&tx, self.now()).await? >= TOKENS_MAX {
            return Err(ModerationError::TooManyTokens { max: TOKENS_MAX });
        }
        rows::insert(&tx, row).await?;
        outbox::put(&tx, &event).await?;
        tx.commit().await?;
        Ok(Created { token, info })
    }

    /// Makes an admin's token if none lives, so that a new deployment has somebody who can make all others. Of many
    /// processes that ask at once, one makes one.
    pub async fn ensure_admin(&self, id: &AgentId) -> Result<Option<Created>, ModerationError> {
        if rows::has_admin(&self.0.db.read(), self.now()).await? {
            return Ok(None);
        }
        let by = Actor::system("setup").ok().ok_or(ModerationError::Stopped)?;
        let (token, row, event) = self.prepare(&by, &NewToken::new(id.clone(), Role::Admin)).await?;
        let info = row.info()?;
        let tx = self.0.db.begin().await?;
        tx.lock(CREATE).await?;
        if rows::has_admin(&tx, self.now()).await? {
            return Ok(None);
        }
        rows::insert(&tx, row).await?;
        outbox::put(&tx, &event).await?;
        tx.commit().await?;
        Ok(Some(Created { token, info }))
    }

    /// Says who speaks with a text: `None` if it is no token, or one that is unknown, revoked or past its time; which of
    /// these is not said.
    ///
    /// A token that was seen within the last second costs no read. A revocation by this value or a clone of it holds at
    /// once, one by another process within that second. While the database is away, a token that was seen within the last
    /// quarter of an hour is still known: nobody can revoke one then.
    ///
    /// The row is looked for by the hash of the text, by an index and so not in constant time: what the time tells is
    /// how far a hash agrees with others, and nobody can choose a text by the beginning of its hash, let alone find a
    /// text of 238 random bits by it. The checksum is no secret. The code of the row is compared in constant time.
    ///
    /// # Errors
    ///
    /// A row that was put in or altered behind the log's back is an `Integrity` fault: it opens nothing.
    pub async fn authenticate(&self, text: &str) -> Result<Option<Principal>, ModerationError> {
        let Ok(token) = Token::parse(text) else { return Ok(None) };
        let (hash, now) = (token.hash(), self.now());
        let (seen, revocations) = self.0.cache.look(&hash, now);
        if seen.is_some() {
            return Ok(seen);
        }
        let row = match rows::by_hash(&self.0.db.read(), &hash).await {
            Ok(row) => row,
            Err(error) => {
                let known = self.0.cache.look_while_away(&hash, now);
                return known.filter(|_| error.kind() == FaultKind::Unavailable).map(Some).ok_or(error);
            }
        };
        let Some(row) = row else { return Ok(None) };
        self.check_state(&row).await?;
        if !row.is_live(now) {
            return Ok(None);
        }
        let principal = row.principal()?;
        self.0.cache.put(hash, (principal.clone(), row.expires_at), now, revocations);
        Ok(Some(principal))
    }

    /// Tokens, newest first; a page begins after `cursor`.
    pub async fn list(
        &self,
        filter: &TokenFilter,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<Page<TokenInfo>, ModerationError> {
        let before = cursor.map(read_cursor).transpose()?;
        let wanted = usize::from(limit.get());
        // One more than asked for tells whether there is a page after this one.
        let at_most = u32::from(limit.get()) + 1;
        let mut rows = rows::list(&self.0.db.replica(), filter, before, at_most, self.now()).await?;
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next =
            rows.last().filter(|_| more).map(|row| Cursor::new(format!("{}:{}", row.created_at, row.id)));
        Ok(Page::new(rows.iter().map(TokenRow::info).collect::<Result<_, _>>()?, next))
    }

    /// Revokes a token for good. One that is revoked already stays as it is, and has no second event.
    pub async fn revoke(&self, by: &Actor, id: TokenId, why: &Note) -> Result<TokenInfo, ModerationError> {
        let row = rows::by_id(&self.0.db.read(), id).await?.ok_or(ModerationError::TokenUnknown { id })?;
        self.end(by, row, Why::Noted(why)).await
    }

    /// Revokes a token that was seen where others may have read it. `None` if it is none of ours.
    pub async fn revoke_exposed(
        &self,
        by: &Actor,
        token: &Token,
    ) -> Result<Option<TokenInfo>, ModerationError> {
        match rows::by_hash(&self.0.db.read(), &token.hash()).await? {
            Some(row) => Ok(Some(self.end(by, row, Why::Exposed).await?)),
            None => Ok(None),
        }
    }

    /// Rows that their last event fixes, and what it fixes, in the order of their ids. Begins after `after`; none at
    /// the end.
    pub async fn state_rows(
        &self,
        after: Option<&Target>,
        at_most: u32,
    ) -> Result<Vec<StateRow>, ModerationError> {
        let last = after.map_or("", |target| target.id.as_str());
        let rows = rows::after(&self.0.db.read(), last, at_most).await?;
        Ok(rows
            .iter()
            .map(|row| StateRow::new("moderation_tokens", Target::new(TOKEN_TARGET, &row.id), row.state()))
            .collect())
    }

    /// A token with its row and its event, not stored yet.
    async fn prepare(
        &self,
        by: &Actor,
        new: &NewToken,
    ) -> Result<(Token, TokenRow, AuditEvent), ModerationError> {
        new.check()?;
        let (token, now) = (Token::fresh()?, self.now());
        let expires_at = new.ttl.map(|ttl| now.plus(ttl));
        let mut row = TokenRow {
            id: TokenId(EventId::fresh()).to_string(),
            token_hash: token.hash().to_vec(),
            hint: token.hint().to_owned(),
            principal_id: new.id.as_str().to_owned(),
            role: new.role.as_str().to_owned(),
            trust: new.trust.as_str().to_owned(),
            owner_id: new.owner.as_ref().map(|id| id.as_str().to_owned()),
            created_at: now.as_micros(),
            created_by: by.id.as_str().to_owned(),
            expires_at: expires_at.map(Timestamp::as_micros),
            revoked_at: None,
            revoked_by: None,
            revoke_reason: None,
            version: 1,
            state_mac: String::new(),
        };
        let is_agent = new.role == Role::Agent;
        // The log seals who it is for, and has an alias for the owner: neither stands there in clear.
        let event = AuditEvent::new(EventKind::TokenCreated, by.clone(), now)
            .of_owner(new.owner.clone())
            .with("role", new.role.as_str())?
            .with_some("trust", is_agent.then_some(new.trust.as_str()))?
            .with_some("expiresAt", expires_at.map(|at| at.to_string()))?
            .with_personal("principal", new.id.as_str())?;
        let event = self.sign(&mut row, event).await?;
        Ok((token, row, event))
    }

    /// Revokes the token of a row, and forgets that it was ever seen: whoever is told that it is revoked can rely on it.
    async fn end(&self, by: &Actor, row: TokenRow, why: Why<'_>) -> Result<TokenInfo, ModerationError> {
        self.check_state(&row).await?;
        let hash = row.token_hash.as_slice().try_into().ok().ok_or_else(|| row.altered())?;
        let ended = if row.revoked_at.is_some() { row.info() } else { self.put_end(by, row, why).await };
        // Whatever came of it: a commit that failed may have happened all the same.
        self.0.cache.forget(&hash);
        ended
    }

    async fn put_end(
        &self,
        by: &Actor,
        mut row: TokenRow,
        why: Why<'_>,
    ) -> Result<TokenInfo, ModerationError> {
        let (now, before) = (self.now(), row.clone());
        row.revoked_at = Some(now.as_micros());
        row.revoked_by = Some(by.id.as_str().to_owned());
        row.revoke_reason = Some(why.text().to_owned());
        row.version += 1;
        let mut event =
            AuditEvent::new(EventKind::TokenRevoked, by.clone(), now).with("role", row.role.as_str())?;
        event = match why {
            Why::Exposed => event.with("reason", EXPOSED)?,
            Why::Noted(note) => event.with_personal("note", note.as_str())?,
        };
        let event = self.sign(&mut row, event).await?;
        let info = row.info()?;
        let tx = self.0.db.begin().await?;
        if !rows::revoke(&tx, row).await? {
            // Somebody was faster: it is revoked, and they said why.
            return rows::by_id(&tx, info.id).await?.ok_or_else(|| before.altered())?.info();
        }
        outbox::put(&tx, &event).await?;
        tx.commit().await?;
        Ok(info)
    }

    /// How many rows have a code that was made with a key.
    pub async fn rows_by_key(&self, key: &KeyId) -> Result<u64, ModerationError> {
        let prefix = format!("{key}:");
        let length = prefix.len();
        let sql =
            format!("SELECT COUNT(*) AS n FROM moderation_tokens WHERE substr(state_mac, 1, {length}) = $1");
        let row = self.0.db.read().row(&sql, [prefix.into()]).await?;
        Ok(row.map_or(Ok(0), |row| row.get_u64("n"))?)
    }

    /// Completes a row with its code, and its event with the same.
    async fn sign(&self, row: &mut TokenRow, event: AuditEvent) -> Result<AuditEvent, ModerationError> {
        let keys = &self.0.keys;
        let mac =
            keys.mac(&keys.active(), STATE_CONTEXT, &row.state()).await.map_err(ModerationError::Key)?;
        row.state_mac = mac.to_string();
        Ok(event
            .on(Target::new(TOKEN_TARGET, &row.id))
            .with("version", row.version)?
            .with(STATE, row.state_mac.as_str())?)
    }

    /// Refuses a row that is not as its last change left it.
    async fn check_state(&self, row: &TokenRow) -> Result<(), ModerationError> {
        let said: Mac = row.state_mac.parse().ok().ok_or_else(|| row.altered())?;
        let found = self.0.keys.mac(&said.key, STATE_CONTEXT, &row.state()).await;
        let found = found.map_err(ModerationError::Key)?;
        if bool::from(found.tag.ct_eq(&said.tag)) { Ok(()) } else { Err(row.altered()) }
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// Why a token is revoked.
#[derive(Clone, Copy)]
enum Why<'a> {
    Exposed,
    Noted(&'a Note),
}

impl Why<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Exposed => EXPOSED,
            Self::Noted(note) => note.as_str(),
        }
    }
}

fn read_cursor(cursor: &Cursor) -> Result<(i64, String), ModerationError> {
    let read = || {
        let (micros, id) = cursor.as_str().split_once(':')?;
        Some((micros.parse().ok()?, id.parse::<TokenId>().ok()?.to_string()))
    };
    read().ok_or(ModerationError::Cursor)
}
