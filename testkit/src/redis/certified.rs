//! Certificates that an authority of ours alone signed.

use std::path::Path;

/// Writes `ca.crt`, `server.crt` and `server.key`, for `localhost` and 127.0.0.1.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub(super) fn write_into(folder: &Path) {
    let key = || rcgen::KeyPair::generate().expect("a key can be made");
    let (authority_key, server_key) = (key(), key());
    let mut authority = rcgen::CertificateParams::new([]).expect("no name is a valid list of names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Redis tests");
    let ca = authority.self_signed(&authority_key).expect("an authority signs itself");
    let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let named = rcgen::CertificateParams::new(names).expect("these are names");
    let certificate = named.signed_by(&server_key, &issuer).expect("an authority signs");
    for (name, text) in
        [("ca.crt", ca.pem()), ("server.crt", certificate.pem()), ("server.key", server_key.serialize_pem())]
    {
        std::fs::write(folder.join(name), text).expect("the folder can be written");
    }
}
