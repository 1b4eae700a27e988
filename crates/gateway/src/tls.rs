//! TLS for the public listener: rustls with ring, certificates from files.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::PartsError;
use crate::settings::TlsFiles;

/// Reads chain and key. Only HTTP/1.1 is spoken above it.
pub(crate) fn config(files: &TlsFiles) -> Result<Arc<ServerConfig>, PartsError> {
    let unusable = |path: &Path, why: String| PartsError::Tls {
        path: path.to_owned(),
        why: why.chars().take(200).collect(),
    };
    let of_cert = |error: rustls::pki_types::pem::Error| unusable(&files.cert, error.to_string());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .map_err(of_cert)?
        .collect::<Result<_, _>>()
        .map_err(of_cert)?;
    // What the key's file holds is not said, whatever is wrong with it.
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .ok()
        .ok_or_else(|| unusable(&files.key, "it is no private key in PEM".to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| unusable(&files.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
