//! PostgreSQL: where it is, and one pool of connections with bounds on everything that waits.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use sea_orm::sqlx::{ConnectOptions as _, Executor as _};
use sea_orm::{ConnectOptions, DatabaseConnection, DbErr, RuntimeErr};

use crate::error::DatabaseError;
use crate::handle::DatabaseConfig;

/// Where a PostgreSQL database is and who asks. Prints no password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    url: String,
    shown: String,
    is_local: bool,
    tls: Tls,
}

/// How much of a connection's other end is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Tls {
    /// Nothing is encrypted, or only if the server likes.
    None,
    /// Encrypted, and whoever answers is believed.
    Encrypted,
    /// The certificate is one of a known authority's.
    Authority,
    /// The certificate is of a known authority and for this host. What a host beyond this machine gets unless the URL
    /// says something else.
    Full,
}

/// What may stand behind the question mark; anything else would be ignored by the driver, and a mistyped `sslmode` with
/// it.
const PARAMETERS: [&str; 10] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "user",
    "dbname",
    "application_name",
    "options",
];

impl PostgresUrl {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`.
    ///
    /// A host that begins with `/` (percent-encoded, or as the parameter `host`) is a folder with a socket. Without
    /// `sslmode` it is `verify-full`, but `disable` for this machine.
    ///
    /// # Errors
    ///
    /// `Configuration` if it is none, if it names no user, host or database, or a parameter that nobody knows. The
    /// message never repeats the URL, which has a password in it.
    pub fn parse(url: &str) -> Result<Self, DatabaseError> {
        let bad = |what: &'static str| DatabaseError::Url { what };
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or(bad("it does not begin with postgres://"))?;
        let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, query)| (place, query));
        let mut has_mode = false;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if !PARAMETERS.contains(&name) {
                return Err(bad(
                    "it has a parameter that is not one of sslmode, sslrootcert, sslcert, sslkey, host, port, \
                     user, dbname, application_name, options",
                ));
            }
            has_mode |= name == "sslmode";
        }
        if !place.contains('@') && !query.contains("user=") {
            return Err(bad("it names no user"));
        }
        let read = PgConnectOptions::from_str(url).ok().ok_or(bad("it cannot be read"))?;
        let database =
            read.get_database().filter(|name| !name.is_empty()).ok_or(bad("it names no database"))?;
        let is_local = read.get_socket().is_some() || is_this_machine(read.get_host());
        let tls = match (has_mode, read.get_ssl_mode()) {
            (false, _) if is_local => Tls::None,
            (false, _) | (true, PgSslMode::VerifyFull) => Tls::Full,
            (true, PgSslMode::VerifyCa) => Tls::Authority,
            (true, PgSslMode::Require) => Tls::Encrypted,
            (true, _) => Tls::None,
        };
        let shown = match read.get_socket() {
            Some(folder) => format!("{}@{}/{database}", read.get_username(), folder.display()),
            None => format!("{}@{}:{}/{database}", read.get_username(), read.get_host(), read.get_port()),
        };
        let shown = format!("postgres://{}", shown.escape_debug());
        Ok(Self { url: url.to_owned(), shown, is_local, tls })
    }

    /// Puts one together of its parts, for who has them apart.
    pub fn of_parts(
        host: &str,
        port: u16,
        user: &str,
        password: Option<&str>,
        database: &str,
    ) -> Result<Self, DatabaseError> {
        let password = password.map_or_else(String::new, |password| format!(":{}", encode(password)));
        let host = if host.contains(':') { format!("[{host}]") } else { encode(host) };
        Self::parse(&format!("postgres://{}{password}@{host}:{port}/{}", encode(user), encode(database)))
    }

    /// The port; `None` for a socket in a folder.
    pub fn port(&self) -> Option<u16> {
        let read = PgConnectOptions::from_str(&self.url).ok()?;
        read.get_socket().is_none().then(|| read.get_port())
    }

    /// Whether it is reached without a network.
    pub const fn is_local(&self) -> bool {
        self.is_local
    }

    /// What is asked of the connection.
    pub const fn tls(&self) -> Tls {
        self.tls
    }

    fn options(&self) -> Result<PgConnectOptions, DatabaseError> {
        let read = PgConnectOptions::from_str(&self.url).ok();
        let read = read.ok_or(DatabaseError::Url { what: "it cannot be read" })?;
        Ok(match self.tls {
            Tls::Full => read.ssl_mode(PgSslMode::VerifyFull),
            // As the URL says: there may be a difference between these that it wants.
            _ if self.url.contains("sslmode=") => read,
            _ => read.ssl_mode(PgSslMode::Disable),
        })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// RFC 3986, section 2.1: everything but unreserved characters.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |out, b| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            out + &char::from(b).to_string()
        }
        _ => out + &format!("%{b:02X}"),
    })
}

/// What every connection is told when it is made. Sent as a statement and not at the start, which a pooler would
/// refuse. A cluster that acknowledges what is not yet safe is overruled; one that does more is not.
fn settings(config: &DatabaseConfig) -> String {
    let millis = config.statement_timeout.as_millis();
    format!(
        "SET statement_timeout = {millis}; SET idle_in_transaction_session_timeout = 60000; \
         SET default_transaction_isolation = 'read committed'; SET TIME ZONE 'UTC'; SET client_min_messages = warning; \
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
}

/// When the first connection of a pool is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// At once: who cannot be reached is an error.
    Now,
    /// With the first statement: nothing else waits for a copy that is away.
    WhenAsked,
}

/// Opens a pool.
pub(crate) async fn connect(
    place: &PostgresUrl,
    config: &DatabaseConfig,
    reach: Reach,
) -> Result<DatabaseConnection, DatabaseError> {
    let (place, settings) = (place.options()?.disable_statement_logging(), settings(config));
    // A pooler refuses what it does not know at the start, and there are no floats here.
    let place = place.extra_float_digits(None);
    let direct = place.clone();
    let mut options = ConnectOptions::new("postgres://unused");
    options
        .min_connections(config.connections_min.min(config.connections_max))
        .max_connections(config.connections_max.max(2))
        .connect_lazy(reach == Reach::WhenAsked)
        .acquire_timeout(config.acquire_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        // One that was just used is believed; a round trip before each statement would double its cost.
        .test_before_acquire_if_idle_for(Duration::from_secs(1))
        .idle_timeout(Duration::from_mins(10))
        .max_lifetime(Duration::from_mins(30))
        .map_sqlx_postgres_opts(move |_| {
            let place = place.clone();
            if place.get_application_name().is_none() { place.application_name("claw") } else { place }
        })
        .map_sqlx_postgres_pool_opts(move |pool| {
            let settings = settings.clone();
            pool.after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(
                    async move { connection.execute(sea_orm::sqlx::AssertSqlSafe(settings)).await.map(drop) },
                )
            })
        });
    let pool = match sea_orm::Database::connect(options).await {
        Ok(pool) => pool,
        Err(error) => return Err(cause(error, direct).await.into()),
    };
    Ok(pool)
}

/// How long it is tried once more to find out what is wrong.
const LAST_TRY: Duration = Duration::from_secs(1);

/// A pool tells of nothing but its patience, so the server is asked once without one.
async fn cause(error: DbErr, direct: PgConnectOptions) -> DbErr {
    if !matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(RuntimeErr::SqlxError(_))) {
        return error;
    }
    match tokio::time::timeout(LAST_TRY, direct.connect()).await {
        Ok(Err(cause)) => DbErr::Conn(RuntimeErr::SqlxError(cause.into())),
        Ok(Ok(_)) | Err(_) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_elsewhere_is_checked_in_full_unless_the_url_says_otherwise() {
        let tls = |url: &str| PostgresUrl::parse(url).unwrap().tls();
        assert_eq!(tls("postgres://u:p@db.example/claw"), Tls::Full);
        assert_eq!(
            tls("postgresql://u@db.example:6432/claw?sslmode=verify-full&sslrootcert=/ca.pem"),
            Tls::Full
        );
        assert_eq!(tls("postgres://u@db.example/claw?sslmode=verify-ca"), Tls::Authority);
        assert_eq!(tls("postgres://u@db.example/claw?sslmode=require"), Tls::Encrypted);
        assert_eq!(tls("postgres://u@db.example/claw?sslmode=disable"), Tls::None);
        assert_eq!(tls("postgres://u@127.0.0.1:5432/claw"), Tls::None);
        assert_eq!(tls("postgres://u@[::1]/claw"), Tls::None);
        assert_eq!(tls("postgres://u@%2Frun%2Fpostgresql/claw"), Tls::None);
        assert_eq!(tls("postgres://u@localhost/claw?sslmode=verify-full"), Tls::Full);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_never_repeated() {
        for url in [
            "mysql://u:hunter2@h/d",
            "postgres://h/d",
            "postgres://u:hunter2@h",
            "postgres://u:hunter2@h/",
            "postgres://u:hunter2@h:99999/d",
            "postgres://u:hunter2@h/d?sslmod=disable",
            "postgres://u:hunter2@h/d?sslmode=hunter2",
            "postgres://u:hunter2@h/d?password=hunter2",
        ] {
            let said = PostgresUrl::parse(url).unwrap_err();
            assert!(!format!("{said} {said:?}").contains("hunter2"), "{url}");
        }
        let url = PostgresUrl::parse("postgres://u:hunter2@h/d").unwrap();
        assert_eq!(format!("{url} {url:?}"), "postgres://u@h:5432/d postgres://u@h:5432/d");
    }

    #[test]
    fn parts_are_put_together_whatever_is_in_them() {
        let url = PostgresUrl::of_parts("::1", 5433, "a:b", Some("p@/?#%"), "d e").unwrap();
        let read = PgConnectOptions::from_str(&url.url).unwrap();
        assert_eq!((read.get_username(), read.get_database(), read.get_port()), ("a:b", Some("d e"), 5433));
        assert!(url.is_local());
    }
}
