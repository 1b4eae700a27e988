//! Connections to Redis, and scripts over them. The only file that knows how its client is called.
//!
//! A connection carries many questions at once, so a few are kept and shared; a pool that lends each question one of its
//! own would send each alone.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::cluster::ClusterClientBuilder;
use deadpool_redis::redis::cluster_async::ClusterConnection;
use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue as _,
    IntoConnectionInfo as _, RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, TlsMode,
    Value, cmd,
};

use super::config::RedisConfig;
use super::keys::{Key, Salt};
use super::script::{Script, Scripts};
use super::url::RedisKind;
use crate::error::LimitError;

/// How often the client of a cluster follows a slot that moved, and how long it waits in between.
const CLUSTER_RETRIES: u32 = 3;
const CLUSTER_WAIT_MS: u64 = 5;

/// Why Redis did not answer a question.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no connection.
    Unconnected,
    /// It took too long. What was asked may have been done, or be done yet.
    Late,
    /// It said so, or the connection broke.
    Redis(RedisError),
    /// It answered, but nothing that we understand.
    Answer(LimitError),
}

impl From<Failure> for LimitError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unconnected => Self::Away("there is no connection".into()),
            Failure::Late => Self::Away("it did not answer in time".into()),
            Failure::Redis(error) => Self::Away(Box::new(error)),
            Failure::Answer(error) => error,
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        // The second where somebody put another sort of value there.
        if matches!(error.code(), Some("DAMAGED" | "WRONGTYPE")) {
            return Self::Answer(LimitError::RedisDamaged { what: "is none of what we keep there" });
        }
        Self::Redis(error)
    }
}

#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn ask(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

/// The connections that there are.
pub(super) struct Link {
    pub(super) config: RedisConfig,
    pub(super) scripts: Scripts,
    connections: RwLock<Vec<Connection>>,
    next: AtomicUsize,
    /// Of a cluster, once it was asked.
    salt: RwLock<Option<Salt>>,
    pub(super) made: AtomicU64,
    pub(super) script_losses: AtomicU64,
    pub(super) commands: AtomicU64,
}

impl Link {
    pub(super) fn new(config: RedisConfig) -> Self {
        Self {
            config,
            scripts: Scripts::new(),
            connections: RwLock::default(),
            next: AtomicUsize::new(0),
            salt: RwLock::default(),
            made: AtomicU64::new(0),
            script_losses: AtomicU64::new(0),
            commands: AtomicU64::new(0),
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.config.url.kind() == RedisKind::Cluster
    }

    /// Makes all connections anew, and only then lets go of the old ones. May take long.
    pub(super) async fn connect(&self) -> Result<(), RedisError> {
        let mut made = Vec::new();
        for _ in 0..self.config.connections {
            made.push(self.open().await?);
            self.made.fetch_add(1, Ordering::Relaxed);
        }
        *self.connections.write().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }

    pub(super) fn disconnect(&self) {
        self.connections.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn pick(&self) -> Option<Connection> {
        let all = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        turn.checked_rem(all.len()).and_then(|place| all.get(place)).cloned()
    }

    /// Runs a script, which is sent again within the call if Redis has lost it: it was not run then.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[Key],
        args: &[impl AsRef<[u8]> + Sync],
    ) -> Result<Value, Failure> {
        let mut connection = self.pick().ok_or(Failure::Unconnected)?;
        self.commands.fetch_add(1, Ordering::Relaxed);
        let wired: Vec<Key>;
        let keys = if self.is_cluster() {
            wired = keys.iter().map(|key| self.wire(key)).collect();
            &wired
        } else {
            keys
        };
        let known = command("EVALSHA", &script.hash, keys, args);
        match connection.ask(&known).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script_losses.fetch_add(1, Ordering::Relaxed);
                self.commands.fetch_add(1, Ordering::Relaxed);
                Ok(connection.ask(&command("EVAL", script.text, keys, args)).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Asks a plain command.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Failure> {
        let mut connection = self.pick().ok_or(Failure::Unconnected)?;
        Ok(connection.ask(command).await?)
    }

    /// What a key is called there.
    pub(super) fn wire(&self, key: &Key) -> Key {
        let salt = *self.salt.read().unwrap_or_else(PoisonError::into_inner);
        salt.map_or_else(|| key.clone(), |salt| salt.wire(key))
    }

    /// Agrees with the other clients of a cluster on the salt: that of the first, put there again if it was lost.
    pub(super) async fn agree_on_salt(&self, key: &Key) -> Result<(), Failure> {
        if !self.is_cluster() {
            return Ok(());
        }
        let known = *self.salt.read().unwrap_or_else(PoisonError::into_inner);
        let ours = known.unwrap_or_else(Salt::fresh);
        let mut command = cmd("SET");
        command.arg(&**key).arg(ours.as_bytes()).arg("NX").arg("GET");
        let agreed = match self.ask(&command).await? {
            Value::BulkString(bytes) => {
                let damaged = LimitError::RedisDamaged { what: "is no salt of ours" };
                Salt::of(&bytes).ok_or(Failure::Answer(damaged))?
            }
            _ => ours,
        };
        if known != Some(agreed) {
            *self.salt.write().unwrap_or_else(PoisonError::into_inner) = Some(agreed);
        }
        Ok(())
    }

    /// The servers that answer, by the names that they give themselves each time they start.
    pub(super) async fn servers(&self) -> Result<Vec<String>, Failure> {
        let answer = match self.ask(cmd("INFO").arg("server")).await {
            // Who may not ask that never knows that a server is another one.
            Err(Failure::Redis(error)) if error.code() == Some("NOPERM") => return Ok(Vec::new()),
            answer => answer?,
        };
        let nodes = match answer {
            Value::Map(nodes) => nodes.into_iter().map(|(_, info)| info).collect(),
            info => vec![info],
        };
        let mut names = Vec::new();
        for info in nodes {
            let text = String::from_redis_value(info).map_err(RedisError::from)?;
            let line = text.lines().find_map(|line| line.trim().strip_prefix("run_id:"));
            names.extend(line.map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Makes one connection.
    pub(super) async fn open(&self) -> Result<Connection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_deadline))
            // Whoever asks has a deadline of its own.
            .set_response_timeout(None);
        match self.config.url.kind() {
            RedisKind::Single => {
                let info = self.infos(true)?.pop().ok_or(ErrorKind::InvalidClientConfig);
                let info = info.map_err(|kind| RedisError::from((kind, "no host")))?;
                let client = match self.certificates() {
                    Some(certificates) => Client::build_with_tls(info, certificates)?,
                    None => Client::open(info)?,
                };
                Ok(Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
            RedisKind::Sentinel => Ok(Connection::One(self.by_sentinel(&config).await?)),
            RedisKind::Cluster => {
                let mut builder = ClusterClientBuilder::new(self.infos(true)?)
                    .retries(CLUSTER_RETRIES)
                    .min_retry_wait(CLUSTER_WAIT_MS)
                    .max_retry_wait(4 * CLUSTER_WAIT_MS)
                    .tcp_settings(tcp())
                    .connection_timeout(self.config.connect_deadline)
                    .response_timeout(Duration::from_secs(10).max(self.config.deadline));
                if let Some(certificates) = self.certificates() {
                    builder = builder.certs(certificates);
                }
                Ok(Connection::Cluster(builder.build()?.get_async_connection().await?))
            }
        }
    }

    /// A connection that gives no password, to see whether it is let in.
    pub(super) async fn open_as_stranger(&self) -> Result<MultiplexedConnection, RedisError> {
        let info = self.infos(false)?.into_iter().next();
        let info = info.ok_or_else(|| RedisError::from((ErrorKind::InvalidClientConfig, "no host")))?;
        let client = match self.certificates() {
            Some(certificates) => Client::build_with_tls(info, certificates)?,
            None => Client::open(info)?,
        };
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(self.config.connect_deadline));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn by_sentinel(&self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, RedisError> {
        let url = &self.config.url;
        let master = url.master().unwrap_or_default();
        let mut builder = SentinelClientBuilder::new(self.addresses(), master, SentinelServerType::Master)?
            .set_client_to_redis_db(i64::from(url.db()))
            .set_client_to_redis_tcp_settings(tcp())
            .set_client_to_sentinel_tcp_settings(tcp());
        if let Some(user) = url.user() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = url.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(password) = &self.config.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if url.is_tls() {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = self.certificates() {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        builder.build()?.get_async_connection_with_config(config).await
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let root_cert = self.config.tls_ca_pem.clone().filter(|_| self.config.url.is_tls())?;
        Some(TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
    }

    fn addresses(&self) -> Vec<ConnectionAddr> {
        let url = &self.config.url;
        let address = |(host, port): (&str, u16)| {
            let host = host.to_owned();
            if url.is_tls() {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host, port)
            }
        };
        url.nodes().map(address).collect()
    }

    fn infos(&self, with_password: bool) -> Result<Vec<ConnectionInfo>, RedisError> {
        let url = &self.config.url;
        let mut login = RedisConnectionInfo::default().set_db(i64::from(url.db()));
        if with_password {
            if let Some(user) = url.user() {
                login = login.set_username(user);
            }
            if let Some(password) = url.password() {
                login = login.set_password(password);
            }
        }
        let mut infos = Vec::new();
        for address in self.addresses() {
            let info = address.into_connection_info()?;
            infos.push(info.set_tcp_settings(tcp()).set_redis_settings(login.clone()));
        }
        Ok(infos)
    }
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn command(name: &str, script: &str, keys: &[Key], args: &[impl AsRef<[u8]>]) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(&**key);
    }
    for arg in args {
        command.arg(arg.as_ref());
    }
    command
}
