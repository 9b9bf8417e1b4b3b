//! TLS settings: the built-in public roots, and those of the file that `SSL_CERT_FILE` names.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The largest file of certificates: all public authorities together take half a MiB.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// Why the certificates of `SSL_CERT_FILE` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate file {path} {problem}")]
pub struct BadCertificates {
    path: String,
    problem: String,
}

/// A client configuration that trusts the public roots compiled into this binary and, in addition,
/// every certificate in `extra` (a PEM file; companies that inspect TLS set it).
///
/// # Errors
/// [`BadCertificates`] if the file cannot be read or holds no certificate.
pub fn config(extra: Option<&Path>) -> Result<ClientConfig, BadCertificates> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra {
        let bad = |problem: String| BadCertificates { path: path.display().to_string(), problem };
        let text = crate::files::input::read(path, LARGEST_FILE).map_err(&bad)?;
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(format!("is not a PEM file: {error}")))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(bad("contains no usable certificate".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadCertificates { path: String::new(), problem: error.to_string() })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
