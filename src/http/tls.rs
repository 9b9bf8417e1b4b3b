//! TLS settings: the built-in public root certificates, and those in the file from `SSL_CERT_FILE`.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};

use crate::files::input::{self, ReadError};

/// Maximum size of a certificate file, in bytes. All public certificate authorities together need half a MiB.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// The error of a certificate file (`SSL_CERT_FILE`) that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate file {path} {problem}")]
pub struct BadCertificates {
    path: String,
    #[source]
    problem: CertificatesProblem,
}

/// The reason why a certificate file cannot be used.
#[derive(Debug, thiserror::Error)]
enum CertificatesProblem {
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error("is not a PEM file: {0}")]
    NotPem(#[from] pem::Error),
    #[error("contains no usable certificate")]
    NoCertificate,
    /// The TLS library cannot be set up; a file is not the cause.
    #[error(transparent)]
    Setup(#[from] rustls::Error),
}

/// Returns a client configuration that trusts the public root certificates built into this binary and every
/// certificate in the PEM file `extra`. Companies that inspect TLS traffic need such a file.
///
/// # Errors
/// [`BadCertificates`] if the file cannot be read or contains no certificate.
pub fn config(extra: Option<&Path>) -> Result<ClientConfig, BadCertificates> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra {
        let bad = |problem| BadCertificates { path: path.display().to_string(), problem };
        let text = input::read(path, LARGEST_FILE).map_err(|error| bad(error.into()))?;
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(CertificatesProblem::NotPem(error)))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(bad(CertificatesProblem::NoCertificate));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadCertificates { path: String::new(), problem: error.into() })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
