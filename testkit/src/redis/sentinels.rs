//! A master and a replica that three sentinels watch.

use super::{Role, Server, Setup, addresses, value_of, wait_for};

/// A master, its replica and three sentinels, all of which run until this is dropped. A master that does not answer for
/// a second is replaced.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<Server>,
    sentinels: Vec<Server>,
}

/// What the sentinels call the master.
const NAME: &str = "claw";

impl Sentinels {
    /// Starts them.
    pub fn start() -> Self {
        Self::with(&Setup::new())
    }

    /// Starts them with a password, which master, replica and sentinels have in common.
    ///
    /// # Panics
    ///
    /// If that cannot be done: a test without its servers has nothing to say.
    pub fn with(setup: &Setup) -> Self {
        let master = Server::with(setup);
        let port = master.port();
        let mut setup = setup.clone();
        setup.certificates = Some(master.folder.clone());
        let replica = Server::with(&setup.clone().line(&format!("replicaof 127.0.0.1 {port}")));
        setup.lines = vec![
            format!("sentinel monitor {NAME} 127.0.0.1 {port} 2"),
            format!("sentinel down-after-milliseconds {NAME} 1000"),
            format!("sentinel failover-timeout {NAME} 5000"),
            format!("sentinel parallel-syncs {NAME} 1"),
        ];
        if let Some(password) = &setup.password {
            setup.lines.push(format!("sentinel auth-pass {NAME} {password}"));
            setup.lines.push(format!("sentinel sentinel-pass {password}"));
        }
        let sentinels = (0..3).map(|_| Server::began(Role::Sentinel, &setup)).collect();
        let servers = vec![master, replica];
        Self { servers, sentinels }.settled()
    }

    fn settled(self) -> Self {
        for server in &self.servers {
            wait_for("the replica has what its master has", || {
                server.info("role") == "master" || server.info("master_link_status") == "up"
            });
        }
        for sentinel in &self.sentinels {
            wait_for("the sentinels know of each other and of the replica", || {
                let known = sentinel.cli(&["SENTINEL", "MASTER", NAME]);
                field(&known, "num-slaves") == "1" && field(&known, "num-other-sentinels") == "2"
            });
        }
        self
    }

    /// Where they are, with the password: every sentinel, and the master's name.
    pub fn url(&self) -> String {
        let first = self.sentinels.first();
        let scheme = if first.is_some_and(|one| one.setup.is_tls) { "rediss" } else { "redis" };
        let credentials = first.map(Server::credentials).unwrap_or_default();
        format!("{scheme}+sentinel://{credentials}{}/{NAME}", addresses(self.sentinels.iter()))
    }

    /// The server that was started as the master, and its replica.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// One of these two, to be killed and restarted: 0 was started as the master.
    ///
    /// # Panics
    ///
    /// If there is none of this number.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn server(&mut self, number: usize) -> &mut Server {
        self.servers.get_mut(number).expect("there are two")
    }

    /// Waits until the sentinels agree that the server of this number is the master, and it says so itself.
    ///
    /// # Panics
    ///
    /// If they do not within a minute.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn wait_for_master(&self, number: usize) {
        let server = self.servers.get(number).expect("there are two");
        let port = server.port().to_string();
        for sentinel in &self.sentinels {
            wait_for("the sentinels have another master", || {
                sentinel
                    .try_cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME])
                    .is_ok_and(|said| said.lines().nth(1) == Some(&port))
            });
        }
        wait_for("the replica is the master", || {
            server.try_cli(&["INFO", "replication"]).is_ok_and(|said| value_of(&said, "role") == "master")
        });
    }
}

/// The line after the one that names it.
fn field(lines: &str, name: &str) -> String {
    let mut lines = lines.lines().skip_while(|line| *line != name);
    lines.nth(1).unwrap_or_default().to_owned()
}
