//! What the server's process does.

use std::convert::Infallible;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpRequest, HttpResponse};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::backend::{Access, Backend};
use super::{FOLDER, REGION};

/// Serves until whoever started this process is gone, if it was started to; else does nothing.
///
/// # Panics
///
/// If it cannot.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub fn serve_if_asked() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let port = std::env::var("CLAW_TEST_S3_PORT").ok().and_then(|port| port.parse::<u16>().ok());
    let port = port.expect("who starts a server says at which port");
    let (gone, alone) = tokio::sync::oneshot::channel();
    std::thread::spawn(|| {
        // Ends when the other end of it is gone, however that happened.
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        drop::<tokio::sync::oneshot::Sender<()>>(gone);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be built").block_on(async {
        tokio::select! {
            () = serve(&folder, port) => {}
            _ = alone => {}
        }
    });
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
async fn serve(folder: &Path, port: u16) {
    let mut service = S3ServiceBuilder::new(Backend::new(folder));
    service.set_auth(Access::new(folder));
    service.set_access(Access::new(folder));
    service.set_host(Hosts);
    let service = service.build();
    let tls = tls_of(folder);
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _plain = stream.set_nodelay(true);
        let (service, tls) = (service.clone(), tls.clone());
        tokio::spawn(async move {
            let answer = hyper::service::service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(respond(&service, request).await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            // What was asked is done though whoever asked went away, as real servers do it.
            http.half_close(true);
            let _gone = match tls {
                None => http.serve_connection(TokioIo::new(stream), answer).await.is_ok(),
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => http.serve_connection(TokioIo::new(stream), answer).await.is_ok(),
                    Err(_) => false,
                },
            };
        });
    }
}

/// Refuses a request signed for another region, as servers that have one do, and asks the service.
async fn respond(service: &S3Service, request: hyper::Request<hyper::body::Incoming>) -> HttpResponse {
    let request: HttpRequest = request.map(Body::from);
    let signed = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let region = signed.and_then(|text| text.split("Credential=").nth(1)?.split('/').nth(2));
    if region.is_some_and(|region| region != REGION) {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AuthorizationHeaderMalformed</Code>\
             <Message>the region is wrong</Message><Region>{REGION}</Region></Error>"
        );
        let mut answer = HttpResponse::new(Body::from(text));
        *answer.status_mut() = hyper::StatusCode::BAD_REQUEST;
        return answer;
    }
    service.call(request).await.unwrap_or_else(|_| {
        let mut answer = HttpResponse::new(Body::empty());
        *answer.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        answer
    })
}

/// `<bucket>.s3.localhost` names a bucket; every other host has it in the path.
struct Hosts;

impl s3s::host::S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> s3s::S3Result<s3s::host::VirtualHost<'a>> {
        let name = host.split(':').next().unwrap_or(host);
        let named = s3s::host::VirtualHost::new(name);
        Ok(match name.strip_suffix(".s3.localhost") {
            Some(bucket) => named.with_bucket(bucket),
            None => named,
        })
    }
}

/// An authority, and a certificate of it for `localhost` and the buckets below.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub(super) fn make_certificates(folder: &Path) {
    let key = || rcgen::KeyPair::generate().expect("a key can be made");
    let mut authority = rcgen::CertificateParams::new([]).expect("no name is wrong");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = key();
    let root = authority.self_signed(&authority_key).expect("an authority signs itself");
    let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
    let names = ["localhost", "s3.localhost", "*.s3.localhost"].map(ToOwned::to_owned);
    let leaf_key = key();
    let named = rcgen::CertificateParams::new(names).expect("these are names");
    let leaf = named.signed_by(&leaf_key, &issuer).expect("an authority signs");
    for (name, text) in
        [("ca.pem", root.pem()), ("cert.pem", leaf.pem()), ("key.pem", leaf_key.serialize_pem())]
    {
        std::fs::write(folder.join(name), text).expect("the folder can be written");
    }
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn tls_of(folder: &Path) -> Option<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).ok()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).expect("its key lies beside it");
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("key and certificate belong together");
    Some(TlsAcceptor::from(Arc::new(config)))
}
