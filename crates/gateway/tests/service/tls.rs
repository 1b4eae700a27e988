//! With a certificate the public address speaks TLS and nothing else; the admin address does unless it is on loopback.

use std::sync::Arc;

use clawexchange_gateway::{Intent, Parts, PartsError, Server, Settings, Sources};
use clawexchange_moderation::Role;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

use crate::client::{Answer, Client};
use crate::server::{PASS, Running};

/// A certificate for `localhost`, and its key.
struct Certified {
    folder: TempDir,
    trusted: RootCertStore,
}

impl Certified {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let mut trusted = RootCertStore::empty();
        trusted.add(made.cert.der().clone()).unwrap();
        Self { folder, trusted }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn serve(&self) -> Running {
        let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
        Running::with(&[("CLAW_TLS_CERT_FILE", &cert), ("CLAW_TLS_KEY_FILE", &key)], "").await
    }
}

async fn shake(
    client: &Client,
    trusted: RootCertStore,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, client.connect().await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_submitted_over_tls_is_answered_over_tls() {
    let certified = Certified::new();
    let server = certified.serve().await;
    let body = json!({"text": PASS, "agentId": "a", "trustLevel": "PLATFORM_BOT"});
    let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
    for (version, spoken) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut stream = shake(&server.public, certified.trusted.clone(), version).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
        stream.write_all(&request.bytes("close")).await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert_eq!(Answer::parse(&said).of(200)["verdict"], "PASS");
    }
    // On loopback the admin address needs none: a sidecar or a tunnel brings it further.
    assert_eq!(server.admin.get("/readyz").send().await.of(200)["flags"]["tls"], true);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_speak_tls_or_does_not_trust_the_server_gets_nothing() {
    let certified = Certified::new();
    let server = certified.serve().await;
    let mut plain = server.public.connect().await;
    plain.write_all(&server.public.get("/livez").bytes("close")).await.unwrap();
    let mut said = Vec::new();
    // Closed or reset: nothing that was said before is an answer.
    drop(plain.read_to_end(&mut said).await);
    assert!(!said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));
    let stranger = Certified::new();
    assert!(shake(&server.public, stranger.trusted, &TLS13).await.is_err());
    shake(&server.public, certified.trusted.clone(), &TLS13).await.expect("the next one is served");
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_or_key_that_is_none_is_named_and_not_quoted() {
    let (one, other) = (Certified::new(), Certified::new());
    std::fs::write(one.folder.path().join("text.pem"), "SENTINEL is no certificate").unwrap();
    let tries = [
        (one.path("text.pem"), one.path("key.pem"), "text.pem"),
        (one.path("cert.pem"), one.path("text.pem"), "text.pem"),
        (one.path("cert.pem"), other.path("key.pem"), "cert.pem"),
    ];
    for (cert, key, named) in tries {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).into_os_string();
        let env = [
            ("XDG_STATE_HOME", path("state")),
            ("CLAW_DATA_DIR", path("data")),
            ("CLAW_LISTEN", "127.0.0.1:0".into()),
            ("CLAW_ADMIN_LISTEN", "127.0.0.1:0".into()),
            ("CLAW_TLS_CERT_FILE", cert.into()),
            ("CLAW_TLS_KEY_FILE", key.into()),
        ];
        let settings = Settings::read(&Sources::of_env(env.map(|(name, value)| (name.into(), value))));
        let parts = Parts::new(settings.unwrap(), Intent::Create);
        let Err(error) = Server::bind(&parts).await else { panic!("{named} was taken") };
        assert!(matches!(error, PartsError::Tls { .. }), "{error:?}");
        let said = format!("{error} {error:?}");
        assert!(said.contains(named) && !said.contains("SENTINEL") && !said.contains("PRIVATE"), "{said}");
    }
}
