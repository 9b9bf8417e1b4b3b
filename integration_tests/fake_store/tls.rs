//! HTTPS with an authority created for each server.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::options::Tls;

/// The TLS state of a server.
pub struct Secured {
    /// Does the handshakes.
    pub acceptor: TlsAcceptor,
    issuer: Issuer<'static, KeyPair>,
    ca: NamedTempFile,
}

impl Secured {
    /// Creates an authority and a certificate.
    pub fn new(tls: &Tls) -> Secured {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(DnType::CommonName, "Fake Store Authority");
        let ca_certificate = ca.self_signed(&ca_key).expect("an authority");
        let issuer = Issuer::new(ca, ca_key);
        let file = NamedTempFile::with_suffix(".pem").expect("a temporary file");
        std::fs::write(file.path(), ca_certificate.pem()).expect("a temporary file");
        Secured { acceptor: acceptor(tls, &issuer), issuer, ca: file }
    }

    /// Uses another certificate of the same authority.
    pub(super) fn other(&self, tls: &Tls) -> TlsAcceptor {
        acceptor(tls, &self.issuer)
    }

    /// Returns the authority's certificate.
    pub fn ca_file(&self) -> &Path {
        self.ca.path()
    }
}

fn acceptor(tls: &Tls, issuer: &Issuer<'static, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let mut own = CertificateParams::new(tls.host_names.clone()).expect("host names");
    own.distinguished_name.push(DnType::CommonName, "Fake Store");
    own.use_authority_key_identifier_extension = true;
    own.not_before = date_time_ymd(2020, 1, 1);
    own.not_after = if tls.expired { date_time_ymd(2021, 1, 1) } else { date_time_ymd(2100, 1, 1) };
    let certificate = own.signed_by(&key, issuer).expect("a certificate");

    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate and its key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}
