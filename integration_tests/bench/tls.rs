//! Listens with TLS on a free port, reads the heads of requests, and talks to the script: the parts that both stores of
//! the benchmarks share.
//! Their responses are not here.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

/// A socket that listens, and the certificate that clients have to trust.
pub(crate) struct Listening {
    /// Socket.
    listener: std::net::TcpListener,
    /// Its TLS.
    acceptor: TlsAcceptor,
    /// Its port.
    pub(crate) port: u16,
    /// Certificate of the authority. The file is deleted with this value.
    authority: tempfile::NamedTempFile,
}

impl Listening {
    /// Listens on a free port of this machine.
    pub(crate) fn start() -> io::Result<Listening> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let (acceptor, pem) = secured().map_err(io::Error::other)?;
        let authority = tempfile::NamedTempFile::with_suffix(".pem")?;
        std::fs::write(authority.path(), pem)?;
        Ok(Listening { listener, acceptor, port, authority })
    }

    /// Serves each connection in a task of its own, as long as the returned runtime exists.
    pub(crate) fn serve<S>(
        &self,
        serve: impl Fn(TcpStream, TlsAcceptor) -> S + Send + 'static,
    ) -> io::Result<tokio::runtime::Runtime>
    where
        S: Future<Output = io::Result<()>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (listener, acceptor) = (self.listener.try_clone()?, self.acceptor.clone());
        runtime.spawn(accept(listener, move |tcp| serve(tcp, acceptor.clone())));
        Ok(runtime)
    }

    /// Returns the first line for the script that started the store: `PORT PATH-OF-ITS-AUTHORITY`.
    pub(crate) fn address(&self) -> String {
        format!("{} {}", self.port, self.authority.path().display())
    }
}

/// Creates a certificate for `localhost`, and the authority that signed it.
fn secured() -> Result<(TlsAcceptor, String), Box<dyn std::error::Error + Send + Sync>> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "Bench Store Authority");
    let pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let mut own = CertificateParams::new(vec!["localhost".to_owned()])?;
    own.use_authority_key_identifier_extension = true;
    let certificate = own.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), pem))
}

/// Accepts connections, and serves each in a task of its own.
async fn accept<S>(listener: std::net::TcpListener, serve: impl Fn(TcpStream) -> S + Send + 'static) -> io::Result<()>
where
    S: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        tokio::spawn(serve(tcp));
    }
}

/// A connection of a client.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Accepts the TLS of a connection.
    pub(crate) async fn open(tcp: TcpStream, acceptor: &TlsAcceptor) -> io::Result<Connection> {
        tcp.set_nodelay(true)?;
        Ok(Connection { stream: acceptor.accept(tcp).await?, buffer: Vec::with_capacity(4096) })
    }

    /// Returns the head of the next request, with the empty line at its end; `None` if the client closed the
    /// connection. Requests have no body.
    pub(crate) async fn next_request(&mut self) -> io::Result<Option<String>> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end);
        Ok(Some(head))
    }

    /// Sends a part of a response.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends a response.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().await
    }
}

/// Returns the exit code of a store, after writing its error to stderr.
pub(crate) fn exit_code(ended: io::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

/// Writes a line for the script.
pub(crate) fn say(text: &str) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a program of its own, which speaks no protocol")]
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
