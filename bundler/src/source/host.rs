//! Hosts as people write them, and URLs as they may be shown.
//!
//! [`HostSet`] is how a person lists exceptions (plain HTTP, unchecked certificates): `host` means every
//! port of it, `host:port` that one. [`shown`] is the only form in which a URL gets into a message:
//! without userinfo, query and fragment, where passwords and signatures live.

use std::collections::BTreeSet;

use reqwest::Url;

use super::error::SourceError;

/// A set of `host` or `host:port` entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSet(BTreeSet<String>);

impl HostSet {
    /// Adds `host` (every port) or `host:port`; `docker.io` and its aliases are one.
    pub fn insert(&mut self, host: &str) {
        self.0.insert(normalized(host));
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `authority` (`host[:port]`, as in an image reference) is listed.
    #[must_use]
    pub fn lists(&self, authority: &str) -> bool {
        let authority = normalized(authority);
        self.0.contains(&authority)
            || split_port(&authority).1.is_some_and(|_| self.0.contains(split_port(&authority).0))
    }

    /// Whether the host of `url` is listed, with its port or without.
    #[must_use]
    pub fn lists_url(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let port = url.port_or_known_default().unwrap_or_default();
        self.0.contains(host) || self.0.contains(&format!("{host}:{port}"))
    }
}

impl<T: AsRef<str>> FromIterator<T> for HostSet {
    fn from_iter<I: IntoIterator<Item = T>>(hosts: I) -> Self {
        let mut set = Self::default();
        for host in hosts {
            set.insert(host.as_ref());
        }
        set
    }
}

/// `host[:port]` in lower case; the names of Docker Hub become `docker.io`.
pub(super) fn normalized(authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    match lower.as_str() {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io".to_owned(),
        _ => lower,
    }
}

/// Splits `host:port`; an IPv6 address keeps its brackets.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// The URL without userinfo, query and fragment: the form for messages.
pub(super) fn shown(url: &Url) -> String {
    if url.host_str().is_none() {
        // Such as `user:password@host`, which is a URL of the scheme `user`.
        return format!("{}:…", url.scheme());
    }
    format!("{}://{}{}", url.scheme(), authority(url), url.path())
}

/// `host[:port]` of `url`; the scheme's own port is left out.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Parses `text` as an HTTP(S) URL without userinfo.
pub(super) fn parse_url(text: &str) -> Result<Url, SourceError> {
    let refused = |why| SourceError::UrlRefused { url: text_shown(text), why };
    let url = Url::parse(text).map_err(|_| refused("it is not a URL"))?;
    check_url(&url)?;
    Ok(url)
}

/// Refuses what is no HTTP(S) URL with a host, and one that carries a user or password.
pub(super) fn check_url(url: &Url) -> Result<(), SourceError> {
    let refused = |why| SourceError::UrlRefused { url: shown(url), why };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("only http and https are spoken"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it carries a user or password"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refused("it names no host"));
    }
    Ok(())
}

/// What can be shown of a text that may be no URL at all: nothing after `?`, nothing before `@`.
fn text_shown(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_port_means_every_port() {
        let set: HostSet = ["Registry.Example", "127.0.0.1:5000", "[::1]"].into_iter().collect();
        assert!(set.lists("registry.example") && set.lists("registry.example:8443"));
        assert!(set.lists("127.0.0.1:5000") && !set.lists("127.0.0.1:5001") && !set.lists("127.0.0.1"));
        assert!(set.lists("[::1]:5000"));
        assert!(set.lists_url(&Url::parse("http://127.0.0.1:5000/x").unwrap()));
        assert!(!set.lists_url(&Url::parse("http://127.0.0.1/x").unwrap()));
        assert!(set.lists_url(&Url::parse("http://REGISTRY.example/x").unwrap()));
    }

    #[test]
    fn a_shown_url_has_no_secrets() {
        let url = Url::parse("https://user:pw@host.example:8443/a/b?sig=SECRET#frag").unwrap();
        assert_eq!(shown(&url), "https://host.example:8443/a/b");
        assert_eq!(shown(&Url::parse("https://host.example:443/").unwrap()), "https://host.example/");
    }

    #[test]
    fn urls_with_a_password_are_refused_without_showing_it() {
        for text in ["https://user:hunter2@host.example/x", "https://hunter2@host.example/", "ftp://user:hunter2@h/x"] {
            let error = parse_url(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(!format!("{:?}", parse_url("user:hunter2@not a url?x=hunter2").unwrap_err()).contains("hunter2"));
        assert!(parse_url("https://host.example/x").is_ok());
    }
}
