//! Clusters.

use std::process::{Command, Stdio};

use super::{Role, Server, Setup, addresses, failed, free_port, value_of, wait_for};

/// A cluster that runs until it is dropped. A master that does not answer for two seconds is replaced by its replica, if
/// it has one.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// One node that has all slots: it speaks as a cluster does and is there in under a second.
    pub fn of_one() -> Self {
        Self::of_one_with(&Setup::new())
    }

    /// As [`of_one`](Self::of_one), with a password or TLS.
    pub fn of_one_with(setup: &Setup) -> Self {
        let cluster = Self { nodes: nodes(1, setup) };
        for node in &cluster.nodes {
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        }
        cluster.settled()
    }

    /// Three masters, each with so many replicas.
    pub fn start(replicas: u8) -> Self {
        Self::with(&Setup::new(), replicas)
    }

    /// As [`start`](Self::start), with a password or TLS.
    ///
    /// # Panics
    ///
    /// If that cannot be done: a test without its servers has nothing to say.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn with(setup: &Setup, replicas: u8) -> Self {
        let cluster = Self { nodes: nodes(3 + 3 * usize::from(replicas), setup) };
        let mut command = Command::new("redis-cli");
        if let Some(first) = cluster.nodes.first() {
            first.as_client(&mut command);
        }
        command.args(["--cluster", "create"]).args(addresses(cluster.nodes.iter()).split(','));
        command.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]).stdin(Stdio::null());
        let made = command.output().expect("redis-cli can be started");
        if !made.status.success() {
            failed("no cluster could be made", &String::from_utf8_lossy(&made.stdout));
        }
        cluster.settled()
    }

    fn settled(self) -> Self {
        for node in &self.nodes {
            wait_for("every slot has a node", || {
                value_of(&node.cli(&["CLUSTER", "INFO"]), "cluster_state") == "ok"
            });
            wait_for("a replica has what its master has", || {
                node.info("role") == "master" || node.info("master_link_status") == "up"
            });
        }
        self
    }

    /// Where it is, with the password: every node.
    pub fn url(&self) -> String {
        let first = self.nodes.first();
        let scheme = if first.is_some_and(|node| node.setup.is_tls) { "rediss" } else { "redis" };
        let credentials = first.map(Server::credentials).unwrap_or_default();
        format!("{scheme}+cluster://{credentials}{}", addresses(self.nodes.iter()))
    }

    /// Its nodes: masters first, as they were at the start.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// A node, to be killed and restarted.
    ///
    /// # Panics
    ///
    /// If there is none of this number.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn node(&mut self, number: usize) -> &mut Server {
        self.nodes.get_mut(number).expect("there is a node of this number")
    }

    /// The number of the node that has a key now; `None` while none has.
    pub fn master_of(&self, key: &str) -> Option<usize> {
        // A replica sends on, and a node whose cluster is not whole refuses.
        let has = |node: &Server| node.try_cli(&["EXISTS", key]).is_ok();
        self.nodes.iter().position(has)
    }
}

fn nodes(count: usize, setup: &Setup) -> Vec<Server> {
    let mut setup = setup.clone();
    if setup.is_tls {
        setup = setup.line("tls-cluster yes");
    }
    for line in ["cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000"] {
        setup = setup.line(line);
    }
    let mut nodes: Vec<Server> = Vec::new();
    while nodes.len() < count {
        // One authority for all: they prove themselves to each other.
        setup.certificates = nodes.first().map(|first| first.folder.clone());
        // A port of our own choice: the usual one, 10,000 above, may not exist.
        let bus = setup.clone().line(&format!("cluster-port {}", free_port()));
        nodes.push(Server::began(Role::Server, &bus));
    }
    nodes
}
