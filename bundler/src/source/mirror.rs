//! Other places to ask first: rules `FROM=TO` for image names and for file URLs.
//!
//! ```text
//!  registry.k8s.io=mirror.example/k8s                 registry.k8s.io/pause:3.10 → mirror.example/k8s/pause:3.10
//!  https://github.com=https://mirror.example/github   https://github.com/a/b → https://mirror.example/github/a/b
//! ```
//! The longest FROM that ends at a `/` of the name applies; several rules with that FROM are tried in
//! order, the origin last. A mirror is not trusted: the digest, from the lock or the origin, decides.

use ferry_bundle_format::reference::{Reference, is_repository};
use reqwest::Url;

use super::host::{normalized, parse_url};
use super::registry::Repository;

/// Rules where to ask before the origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    names: Vec<Rule>,
    urls: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    from: String,
    to: String,
}

/// Why a text is not a mirror rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a mirror rule: {why}")]
pub struct MirrorError {
    text: String,
    why: &'static str,
}

impl Mirrors {
    /// Parses rules `FROM=TO`, both sides image names (`registry[/path]`) or both URLs. Later rules with the
    /// same FROM are asked later.
    pub fn parse<T: AsRef<str>>(rules: impl IntoIterator<Item = T>) -> Result<Self, MirrorError> {
        let mut mirrors = Self::default();
        for text in rules {
            let text = text.as_ref();
            let fail = |why| {
                // Nothing before an `@` is shown: it may be a password.
                let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
                MirrorError { text: text.chars().take(200).collect(), why }
            };
            let (from, to) = text.split_once('=').ok_or_else(|| fail("expected FROM=TO"))?;
            let (from, to) = (from.trim_end_matches('/'), to.trim_end_matches('/'));
            match (from.contains("://"), to.contains("://")) {
                (true, true) => {
                    for side in [from, to] {
                        parse_url(side)
                            .map_err(|_| fail("a URL must be http or https, with a host and no password"))?;
                        if side.contains(['?', '#']) {
                            return Err(fail("a URL prefix has no query"));
                        }
                    }
                    mirrors.urls.push(Rule { from: from.to_owned(), to: to.to_owned() });
                }
                (false, false) => {
                    let from = name_prefix(from).ok_or_else(|| fail("FROM must be registry[/path]"))?;
                    let to = name_prefix(to).ok_or_else(|| fail("TO must be registry[/path]"))?;
                    mirrors.names.push(Rule { from, to });
                }
                _ => return Err(fail("both sides must be URLs, or both image names")),
            }
        }
        Ok(mirrors)
    }

    /// Where to ask for `reference`: mirrors first, the origin last.
    #[must_use]
    pub fn references(&self, reference: &Reference) -> Vec<Reference> {
        let repositories = self.repositories(&Repository::from(reference));
        repositories.iter().map(|there| reference.moved_to(there.registry(), there.name())).collect()
    }

    /// Where to ask for content of `repository`: mirrors first, the origin last. A rule that would leave no
    /// repository name (a whole name mirrored to a bare host) gives no candidate.
    #[must_use]
    pub fn repositories(&self, repository: &Repository) -> Vec<Repository> {
        let name = repository.to_string();
        let moved = rewritten(&self.names, &name).into_iter().filter_map(|name| {
            let (registry, path) = name.split_once('/')?;
            Repository::new(registry, path).ok()
        });
        moved.chain([repository.clone()]).collect()
    }

    /// Where to ask for the file at `url`: mirrors first, the origin last.
    #[must_use]
    pub fn urls(&self, url: &Url) -> Vec<Url> {
        let moved = rewritten(&self.urls, url.as_str()).into_iter().filter_map(|text| Url::parse(&text).ok());
        moved.chain([url.clone()]).collect()
    }
}

/// `registry[/path]`, normalized; the registry must look like one (a dot, a port, or `localhost`).
fn name_prefix(text: &str) -> Option<String> {
    let (registry, path) = text.split_once('/').map_or((text, None), |(registry, path)| (registry, Some(path)));
    let registry = normalized(registry);
    // The grammar of the host is that of a reference.
    let probe = format!("{registry}/x/x:x");
    let looks = registry.contains(['.', ':']) || registry == "localhost";
    if !looks || Reference::parse(&probe).ok()?.registry() != registry || !path.is_none_or(is_repository) {
        return None;
    }
    Some(path.map_or_else(|| registry.clone(), |path| format!("{registry}/{path}")))
}

fn rewritten(rules: &[Rule], text: &str) -> Vec<String> {
    let rest = |rule: &Rule| {
        let rest = text.strip_prefix(rule.from.as_str())?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| rest.to_owned())
    };
    let longest = rules.iter().filter(|rule| rest(rule).is_some()).map(|rule| rule.from.len()).max();
    let applying = rules.iter().filter(|rule| Some(rule.from.len()) == longest);
    applying.filter_map(|rule| Some(format!("{}{}", rule.to, rest(rule)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rules: &[&str], reference: &str) -> Vec<String> {
        let mirrors = Mirrors::parse(rules).unwrap();
        mirrors.references(&Reference::parse(reference).unwrap()).iter().map(Reference::to_string).collect()
    }

    #[test]
    fn the_longest_prefix_at_a_boundary_applies_and_the_origin_is_last() {
        let rules = [
            "registry.k8s.io=mirror.example/k8s",
            "registry.k8s.io=second.example:5000",
            "registry.k8s.io/coredns=dns.example/c",
            "docker.io/library=hub.example",
        ];
        assert_eq!(
            names(&rules, "registry.k8s.io/pause:3.10"),
            ["mirror.example/k8s/pause:3.10", "second.example:5000/pause:3.10", "registry.k8s.io/pause:3.10"]
        );
        assert_eq!(
            names(&rules, "registry.k8s.io/coredns/coredns:v1"),
            ["dns.example/c/coredns:v1", "registry.k8s.io/coredns/coredns:v1"]
        );
        assert_eq!(names(&rules, "registry.k8s.io/corednsx:v1").len(), 3);
        assert_eq!(names(&rules, "nginx:1"), ["hub.example/nginx:1", "docker.io/library/nginx:1"]);
        assert_eq!(names(&rules, "registry.k8s.io.evil.example/x:1"), ["registry.k8s.io.evil.example/x:1"]);
        assert_eq!(names(&["quay.io/a/b=bare.example"], "quay.io/a/b:1"), ["quay.io/a/b:1"]);
    }

    #[test]
    fn files_are_moved_too() {
        let mirrors = Mirrors::parse(["https://github.com=https://proxy.example/https://github.com"]).unwrap();
        let urls = |text: &str| -> Vec<String> {
            mirrors.urls(&Url::parse(text).unwrap()).iter().map(Url::to_string).collect()
        };
        assert_eq!(
            urls("https://github.com/a/b.tgz"),
            ["https://proxy.example/https://github.com/a/b.tgz", "https://github.com/a/b.tgz"]
        );
        assert_eq!(urls("https://github.com.evil.example/a").len(), 1);
        assert_eq!(urls("http://github.com/a").len(), 1);
    }

    #[test]
    fn what_is_no_rule_is_refused_without_its_password() {
        for text in [
            "registry.k8s.io",
            "registry.k8s.io=https://mirror.example",
            "https://a.example=b.example",
            "nginx=mirror.example",
            "quay.io=mirror",
            "quay.io=mirror.example/UPPER",
            "https://a.example=ftp://b.example",
            "https://a.example?x=https://b.example",
            "https://a.example=https://user:hunter2@b.example",
        ] {
            let error = Mirrors::parse([text]).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
