//! Replaces TLS in builds without the feature `tls`, with types that have no values.

use std::io;
use std::path::Path;

use tokio::net::TcpStream;

use super::options::Tls;

/// State of a server with TLS. It cannot be constructed in this build.
pub struct Secured {
    /// Makes the handshakes.
    pub acceptor: Acceptor,
}

/// Makes handshakes. It has no values.
#[derive(Clone)]
pub enum Acceptor {}

impl Acceptor {
    /// Makes a handshake.
    #[expect(clippy::unused_async, reason = "as the other one")]
    pub(super) async fn accept(&self, _: TcpStream) -> io::Result<TcpStream> {
        match *self {}
    }
}

impl Secured {
    /// Panics: a program that asks for TLS has to ask for the feature as well.
    pub fn new(_: &Tls) -> Secured {
        panic!("the sample store is built without its feature `tls`")
    }

    /// Shows another certificate of the same authority.
    pub(super) fn other(&self, _: &Tls) -> Acceptor {
        match self.acceptor {}
    }

    /// The authority's certificate.
    pub fn ca_file(&self) -> &Path {
        match self.acceptor {}
    }
}
