//! What follows from an error: whether to try again, and what to tell the person.

use super::SourceError;
use crate::source::retry::Retry;

impl SourceError {
    /// Whether the same request may succeed later, and how long to wait for that.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Connection { .. } | Self::Idle { .. } | Self::Short { .. } => Retry::Backoff,
            Self::Status { status: 408 | 429 | 500 | 502 | 503 | 504, retry_after, .. } => {
                retry_after.map_or(Retry::Backoff, Retry::After)
            }
            Self::Token { source, .. } | Self::Proxied { source, .. } => source.retry(),
            Self::File { .. }
            | Self::CaFile { .. }
            | Self::CredentialFile { .. }
            | Self::Setting { .. }
            | Self::Client { .. }
            | Self::Content { .. }
            | Self::ContentChanged { .. }
            | Self::UrlRefused { .. }
            | Self::Repository { .. }
            | Self::PlainHttp { .. }
            | Self::Redirect { .. }
            | Self::Foreign { .. }
            | Self::ForeignRealm { .. }
            | Self::Tls { .. }
            | Self::Status { .. }
            | Self::Unauthorized { .. }
            | Self::NoRight { .. }
            | Self::RedirectWants { .. }
            | Self::Protocol { .. }
            | Self::Document { .. }
            | Self::TooLarge { .. }
            | Self::Size { .. }
            | Self::Digest { .. } => Retry::Never,
        }
    }

    /// What a person can do about it, if we know.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::CaFile { .. } => "give a PEM file with the CA certificate, from `-----BEGIN CERTIFICATE-----` on".into(),
            Self::CredentialFile { path, .. } => {
                format!("log in again, correct {}, or give user and password to ferry itself", path.display())
            }
            Self::PlainHttp { host, .. } => {
                format!("use https, or list it as a plain HTTP host (--plain-http {host}) if its network is trusted")
            }
            Self::UrlRefused { why, .. } if why.contains("password") => {
                "take user and password out of the URL and give them as credentials of that host".into()
            }
            Self::RedirectWants { to, .. } => format!("use {to} itself if that server is meant, without --plain-http if it begins with https"),
            Self::NoRight { .. } => {
                "user and password are right: have the right to push given there (a Harbor: a role from Developer up in the project, or a robot that may pull and push)".into()
            }
            Self::Redirect { to, .. } => format!("use {to} itself if that server is meant"),
            Self::Foreign { host, foreign, .. } => format!(
                "the external URL in the configuration of {host} looks wrong: it should be the address it is reached at, not {foreign}"
            ),
            Self::ForeignRealm { host, realm } => {
                format!("if {realm} really issues the tokens of {host}, allow it as its token realm")
            }
            Self::Tls { host, source } => tls_hint(host, source),
            Self::Connection { source, .. } if source.is_dns() => {
                "the name is not known to the DNS here: check it, and the proxy settings".into()
            }
            Self::Connection { .. } | Self::Idle { .. } => {
                "check the network, HTTPS_PROXY and NO_PROXY; a mirror may be nearer".into()
            }
            Self::Status { status: 407, .. } => "the proxy wants a user and password in its URL".into(),
            Self::Status { status: 429, .. } => {
                "log in to get a higher limit, use a mirror, or wait and run again: what is there is kept".into()
            }
            Self::Status { status: 413, .. } => {
                "a proxy before the registry limits the size of a request; raise its limit (client_max_body_size in nginx)"
                    .into()
            }
            Self::Status { .. } if self.rule().is_some() => return self.rule().map(|rule| rule.hint().to_owned()),
            Self::Status { status: 403, .. } => "the user may not do this there; check its rights on the repository".into(),
            Self::Unauthorized { host, user: None, .. } => {
                format!("log in to {host} with docker or podman, or give its user and password; a name that does not exist looks the same")
            }
            Self::Unauthorized { host, .. } => format!("check user, password and rights at {host}; a token may have expired"),
            Self::Token { source, .. } => return source.hint(),
            Self::Proxied { proxy, source } => match source.hint() {
                Some(hint) if matches!(**source, Self::Tls { .. } | Self::Status { .. }) => hint,
                _ => format!(
                    "check that {proxy} is the right proxy and works; hosts that are reached without it belong into NO_PROXY"
                ),
            },
            Self::Size { .. } | Self::Digest { .. } => {
                "the server has other content under this name now, or something on the way changed it: ask another mirror".into()
            }
            Self::ContentChanged { .. } => "the local copy is damaged: check it, and fetch it again".into(),
            Self::File { .. }
            | Self::Setting { .. }
            | Self::Client { .. }
            | Self::Content { .. }
            | Self::UrlRefused { .. }
            | Self::Repository { .. }
            | Self::Short { .. }
            | Self::Status { .. }
            | Self::Protocol { .. }
            | Self::Document { .. }
            | Self::TooLarge { .. } => return None,
        })
    }
}

fn tls_hint(host: &str, error: &reqwest::Error) -> String {
    use rustls::CertificateError as Cert;
    match super::of_request::tls_error(error) {
        Some(rustls::Error::InvalidCertificate(Cert::UnknownIssuer)) => {
            format!("give the certificate of the CA that signed {host} as a CA file (--ca-file FILE)")
        }
        Some(rustls::Error::InvalidCertificate(Cert::BadSignature)) => format!(
            "a CA of the right name is trusted, but not its present key: give the current CA certificate of {host} as a CA file (--ca-file FILE)"
        ),
        Some(rustls::Error::InvalidCertificate(Cert::NotValidForName | Cert::NotValidForNameContext { .. })) => {
            format!("the certificate is for another name than {host}: use the name it is made for")
        }
        Some(rustls::Error::InvalidCertificate(
            Cert::Expired | Cert::ExpiredContext { .. } | Cert::NotValidYet | Cert::NotValidYetContext { .. },
        )) => "check the clock of this machine; if it is right, the server needs a new certificate".into(),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!(
                "{host} may speak plain HTTP on this port: list it as a plain HTTP host (--plain-http {host}) if that is meant"
            )
        }
        _ => "check that this is the right server; a proxy on the way may break TLS open".into(),
    }
}
