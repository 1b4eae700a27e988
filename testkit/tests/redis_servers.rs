//! The servers that the tests of counters stand on do what these tests have them do.

use clawexchange_testkit::redis::{Cluster, Sentinels, Server, Setup, empty};

#[test]
fn a_killed_server_comes_back_where_it_was_and_keeps_what_it_was_told_to_keep() {
    for (setup, left) in [(Setup::new(), "0"), (Setup::new().kept(), "1")] {
        let mut server = Server::with(&setup);
        let (port, url) = (server.port(), server.url());
        server.cli(&["SET", "key", "value"]);
        server.kill();
        assert!(server.try_cli(&["PING"]).is_err(), "nobody answers");
        server.restart();
        assert_eq!((server.port(), server.url()), (port, url));
        assert_eq!(server.cli(&["DBSIZE"]), left);
    }
}

#[test]
fn a_server_with_a_password_and_a_certificate_lets_nobody_else_in() {
    let server = Server::with(&Setup::new().password("quite-secret").tls());
    assert_eq!(server.cli(&["PING"]), "PONG");
    assert_eq!(server.url(), format!("rediss://:quite-secret@127.0.0.1:{}", server.port()));
    let mut bare = std::process::Command::new("redis-cli");
    bare.args(["-e", "-p", &server.port().to_string(), "--tls", "--cacert"])
        .arg(server.authority())
        .arg("PING");
    let said = bare.output().map(|ran| String::from_utf8_lossy(&ran.stderr).into_owned()).unwrap_or_default();
    assert!(said.contains("NOAUTH"), "{said}");
}

#[test]
fn a_cluster_has_every_slot_and_puts_a_replica_in_the_place_of_a_dead_master() {
    let one = Cluster::of_one_with(&Setup::new().password("quite-secret").tls());
    assert!(one.url().starts_with("rediss+cluster://:quite-secret@127.0.0.1:"), "{}", one.url());
    let mut cluster = Cluster::start(1);
    let had = cluster.master_of("key");
    cluster.node(had.unwrap()).kill();
    let started = std::time::Instant::now();
    let has = loop {
        match cluster.master_of("key") {
            Some(has) if Some(has) != had => break has,
            _ => assert!(started.elapsed().as_secs() < 60, "nobody takes the place of the dead one"),
        }
    };
    assert!(has >= 3, "a replica did: {has}");
}

#[test]
fn sentinels_put_the_replica_in_the_place_of_a_dead_master() {
    let mut sentinels = Sentinels::with(&Setup::new().password("quite-secret"));
    assert!(sentinels.url().ends_with("/claw"), "{}", sentinels.url());
    sentinels.wait_for_master(0);
    sentinels.server(0).kill();
    sentinels.wait_for_master(1);
}

#[test]
fn every_test_has_a_database_of_its_own() {
    assert_ne!(empty(), empty());
}
