//! A finished request as it is logged: without any content of the response.

use std::fmt;
use std::time::Duration;

use super::throttle::CallLimit;

/// A finished request, with or without a response.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request, as it is logged.
    pub request: String,
    /// The HTTP status, if a response arrived.
    pub status: Option<u16>,
    /// Number of body bytes that were read, after decompression.
    pub bytes: usize,
    /// Time from sending the request to the end of the response.
    pub took: Duration,
    /// The call count that the response reported.
    pub limit: Option<CallLimit>,
}

impl fmt::Display for Exchange {
    /// Writes one line without any content of the response: the request, status, size, time and call count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}: ", self.request)?;
        match self.status {
            Some(status) => write!(f, "HTTP {status}, {} bytes", self.bytes)?,
            None => f.write_str("no answer")?,
        }
        write!(f, ", {} ms", self.took.as_millis())?;
        self.limit.map_or(Ok(()), |CallLimit { used, allowed }| write!(f, ", call limit {used}/{allowed}"))
    }
}
