//! `[tcp:|udp:][HOST:]PORT` as an argument.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::arguments::Misuse;

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// A protocol, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) protocol: Protocol,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Endpoint {
    /// Reads one; without a host it is all addresses of this machine.
    pub(crate) fn parse(text: &str) -> Result<Self, Misuse> {
        let (protocol, rest) = match text.split_once(':') {
            Some(("tcp", rest)) => (Protocol::Tcp, rest),
            Some(("udp", rest)) => (Protocol::Udp, rest),
            _ => (Protocol::Tcp, text),
        };
        let (host, port) = rest.rsplit_once(':').unwrap_or(("", rest));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().map_err(|_| Misuse(format!("{text:?} is no [tcp:|udp:][HOST:]PORT")))?;
        Ok(Self { protocol, host: if host.is_empty() { "0.0.0.0" } else { host }.to_owned(), port })
    }

    /// Its address; a name is looked up.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        let mut found = (self.host.as_str(), self.port).to_socket_addrs()?;
        found.next().ok_or_else(|| std::io::Error::other(format!("{} has no address", self.host)))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        let read = |text: &str| {
            let endpoint = Endpoint::parse(text).unwrap();
            (endpoint.protocol, endpoint.host, endpoint.port)
        };
        assert_eq!(read("80"), (Protocol::Tcp, "0.0.0.0".into(), 80));
        assert_eq!(read("udp:4789"), (Protocol::Udp, "0.0.0.0".into(), 4789));
        assert_eq!(read("tcp:h.example:80"), (Protocol::Tcp, "h.example".into(), 80));
        assert_eq!(read("tcp:[::1]:80"), (Protocol::Tcp, "::1".into(), 80));
        assert_eq!(read(":8080"), (Protocol::Tcp, "0.0.0.0".into(), 8080));
        assert!(Endpoint::parse("tcp:h").is_err() && Endpoint::parse("99999").is_err());
    }
}
