//! Image references: `registry/repository[:tag][@digest]`, strictly parsed and always complete.
//!
//! `nginx:1.27` is understood as everybody does (`docker.io/library/nginx:1.27`), and written back in
//! full, so that a name means one thing in lock, index, layout and registry. The grammar is that of
//! the distribution project; userinfo, control bytes and anything outside it are refused.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A complete image reference. At least one of tag and digest is set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image reference: {why}")]
pub struct ReferenceError {
    text: String,
    why: &'static str,
}

impl Reference {
    /// Parses a reference. A bare name gets `docker.io` (and `library/`); a reference with neither tag nor
    /// digest is refused: `latest` is never implied, because it never says what was meant.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let fail = |why| ReferenceError { text: text.chars().take(200).collect(), why };
        if !text.is_ascii() || text.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return Err(fail("only printable ASCII without blanks is allowed"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (
                name,
                Some(Digest::parse(digest).map_err(|_| fail("what follows `@` must be `sha256:` and 64 hex digits"))?),
            ),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((head, tail)) if !tail.contains('/') => (head, Some(tail)),
            _ => (name, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(fail("a tag is 1 to 128 of [A-Za-z0-9_.-] and does not start with `.` or `-`"));
        }
        if tag.is_none() && digest.is_none() {
            return Err(fail("name a tag or a digest; `latest` is never implied"));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, Cow::Borrowed(rest)),
            Some(_) => ("docker.io", Cow::Borrowed(name)),
            None => ("docker.io", Cow::Owned(format!("library/{name}"))),
        };
        let (registry, repository) = match registry {
            "index.docker.io" | "registry-1.docker.io" | "docker.io" if !repository.contains('/') => {
                ("docker.io", Cow::Owned(format!("library/{repository}")))
            }
            "index.docker.io" | "registry-1.docker.io" => ("docker.io", repository),
            other => (other, repository),
        };
        if !is_registry(registry) {
            return Err(fail("the registry must be host or host:port"));
        }
        if !is_repository(&repository) {
            return Err(fail(
                "a repository is lower-case path components of [a-z0-9], separated inside by `.`, `_`, `__` or `-`",
            ));
        }
        if registry.len() + repository.len() > 255 {
            return Err(fail("the name is longer than 255 characters"));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.into_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The registry's `host[:port]`; Docker Hub is `docker.io`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path inside the registry, such as `library/nginx`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What follows `/manifests/` in a request: the digest if there is one, else the tag.
    #[must_use]
    pub fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => unreachable!("a Reference has a tag or a digest"),
        }
    }

    /// The same name, pinned to `digest` and without a tag.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository and tag in another registry: how a mirror is asked.
    #[must_use]
    pub fn moved_to(&self, registry: &str, repository: &str) -> Self {
        Self { registry: registry.to_owned(), repository: repository.to_owned(), ..self.clone() }
    }

    /// `registry/repository` without tag and digest.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

/// Whether `text` is a valid tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    matches!(text.as_bytes(), [first, rest @ ..]
        if word(*first) && rest.len() < 128 && rest.iter().all(|&b| word(b) || b == b'.' || b == b'-'))
}

/// Whether `text` is a valid repository path of the distribution grammar.
#[must_use]
pub fn is_repository(text: &str) -> bool {
    !text.is_empty() && text.split('/').all(is_path_component)
}

fn is_path_component(text: &str) -> bool {
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alnum(first) || !alnum(last) {
        return false;
    }
    // Between two alphanumeric runs stands one separator: `.`, `_`, `__`, or any number of `-`.
    let mut separators = bytes.split(|b| alnum(b)).filter(|run| !run.is_empty());
    separators.all(|run| matches!(run, b"." | b"_" | b"__") || run.iter().all(|&b| b == b'-'))
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_ok = port.is_none_or(|p| !p.is_empty() && p.len() <= 5 && p.bytes().all(|b| b.is_ascii_digit()));
    let host_ok = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    port_ok && host_ok
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        Reference::parse(text).unwrap().to_string()
    }

    #[test]
    fn short_names_become_complete_ones() {
        assert_eq!(full("nginx:1.27"), "docker.io/library/nginx:1.27");
        assert_eq!(full("docker.io/nginx:1.27"), "docker.io/library/nginx:1.27");
        assert_eq!(full("bitnami/redis:7"), "docker.io/bitnami/redis:7");
        assert_eq!(full("localhost/a:1"), "localhost/a:1");
        assert_eq!(full("127.0.0.1:5000/a/b:1"), "127.0.0.1:5000/a/b:1");
        assert_eq!(full("[::1]:5000/a:1"), "[::1]:5000/a:1");
        let digest = Digest::of(b"x");
        assert_eq!(full(&format!("quay.io/a/b:1@{digest}")), format!("quay.io/a/b:1@{digest}"));
    }

    #[test]
    fn hostile_references_are_refused() {
        for bad in [
            "",
            ":",
            "nginx",
            "nginx:",
            "nginx:-1",
            "NGINX:1",
            "a//b:1",
            "/a:1",
            "a/:1",
            "../a:1",
            "a/../b:1",
            "a/./b:1",
            "user:pw@host/a:1",
            "user@host/a:1",
            "host/a:1@sha256:abc",
            "host/a@sha512:00",
            "ho st/a:1",
            "a\u{202e}:1",
            "a\n:1",
            "a\u{1b}[2J:1",
            "host:123456/a:1",
            "host:/a:1",
            "-a.b/c:1",
            "a..b/c:1",
            "a.b/c___d:1",
            "a.b/c..d:1",
            "http://a.b/c:1",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?} must be refused");
        }
        assert!(Reference::parse(&format!("a.b/{}:1", "a".repeat(300))).is_err());
    }
}
