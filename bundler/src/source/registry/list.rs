//! Lists: tags, repositories, referrers; page by page.
//!
//! A server decides how long a list is, so pages, their size and their number are bounded, a page that
//! leads back is an error, and the next page must be on the same server: the request carries our token.

use std::collections::BTreeSet;

use bytes::Bytes;
use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::oci::{Descriptor, Document, media_type};
use reqwest::header::{ACCEPT, HeaderValue, LINK};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::manifest::telling_type;
use super::{RegistryClient, Repository};
use crate::source::auth::Scope;
use crate::source::error::SourceError;
use crate::source::host::{authority, normalized, shown};
use crate::source::outgoing::Outgoing;
use crate::source::reply::Reply;

/// The largest page that is read, in bytes.
const MAX_PAGE: u64 = 16 * 1024 * 1024;

/// How many pages are read.
const MAX_PAGES: usize = 2000;

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

/// One page as it came.
struct Page {
    status: StatusCode,
    media_type: Option<String>,
    body: Bytes,
    next: Option<Url>,
}

impl RegistryClient {
    /// All tags of `repository`, in the registry's order. Repeats itself.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, SourceError> {
        let first = self.url(repository, "tags/list?n=1000")?;
        let pages = self.pages(repository.registry(), &Scope::pull(repository.name()), first).await?;
        let mut all = Vec::new();
        for (url, page) in pages {
            all.extend(json::<Tags>(&url, &page)?.tags.unwrap_or_default());
        }
        Ok(all)
    }

    /// All repositories of `registry`, in its order; many registries allow this to administrators only.
    /// Repeats itself.
    pub async fn catalog(&self, registry: &str) -> Result<Vec<String>, SourceError> {
        let registry = normalized(registry);
        let first = self
            .base(&registry)?
            .join("/v2/_catalog?n=1000")
            .map_err(|_| SourceError::Setting { setting: "the registry", why: format!("{registry} is no host") })?;
        let mut all = Vec::new();
        for (url, page) in self.pages(&registry, &Scope::catalog(), first).await? {
            all.extend(json::<Catalog>(&url, &page)?.repositories.unwrap_or_default());
        }
        Ok(all)
    }

    /// What refers to the manifest `digest` (signatures, SBOMs): from the referrers API, or where there is
    /// none from the index under the tag `sha256-<hex>`. Repeats itself.
    pub async fn referrers(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Descriptor>, SourceError> {
        let scope = Scope::pull(repository.name());
        let first = self.url(repository, &format!("referrers/{digest}"))?;
        let mut pages = self.pages(repository.registry(), &scope, first).await?;
        // A registry that does not know the API says 404, or something that is no index.
        if pages.iter().any(|(_, page)| page.media_type.as_deref() != Some(media_type::OCI_INDEX)) {
            let tag = self.url(repository, &format!("manifests/sha256-{}", digest.hex()))?;
            pages = self.pages(repository.registry(), &scope, tag).await?;
        }
        let mut all = Vec::new();
        for (url, page) in pages.iter().filter(|(_, page)| page.status == StatusCode::OK) {
            match Document::parse(&page.body, page.media_type.as_deref()) {
                Ok(Document::Index(index)) => all.extend(index.manifests),
                Ok(Document::Manifest(_)) => {
                    let why = "the list of referrers is an image".to_owned();
                    return Err(SourceError::Protocol { url: shown(url), why });
                }
                Err(source) => return Err(SourceError::Document { url: shown(url), source }),
            }
        }
        Ok(all)
    }

    /// The page at `first` and those it leads to. A 404 is a page too.
    async fn pages(&self, registry: &str, scope: &Scope, first: Url) -> Result<Vec<(Url, Page)>, SourceError> {
        let mut seen = BTreeSet::new();
        let mut pages = Vec::new();
        let mut next = Some(first);
        while let Some(url) = next {
            let endless = |why: &str| SourceError::Protocol { url: shown(&url), why: why.to_owned() };
            if !seen.insert(url.to_string()) {
                return Err(endless("its pages lead back to one that was read"));
            }
            if pages.len() == MAX_PAGES {
                return Err(endless("its list has more than 2000 pages"));
            }
            let mut page = self.page(registry, scope, &url).await?;
            next = page.next.take();
            pages.push((url, page));
        }
        Ok(pages)
    }

    async fn page(&self, registry: &str, scope: &Scope, url: &Url) -> Result<Page, SourceError> {
        let mut attempts = self.attempts(registry);
        loop {
            match self.page_once(registry, scope, url).await {
                Ok(page) => return Ok(page),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    async fn page_once(&self, registry: &str, scope: &Scope, url: &Url) -> Result<Page, SourceError> {
        const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/json;q=0.9";
        let make = || Outgoing::new(Method::GET, url.clone()).header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let mut reply = self.call(registry, scope, make).await?;
        let status = reply.status();
        if status != StatusCode::OK && status != StatusCode::NOT_FOUND {
            return Err(reply.into_failure().await);
        }
        let next = next_page(&reply, url)?;
        Ok(Page { status, media_type: telling_type(&reply), body: reply.bytes(MAX_PAGE).await?, next })
    }
}

fn json<T: for<'de> Deserialize<'de>>(url: &Url, page: &Page) -> Result<T, SourceError> {
    if page.status == StatusCode::NOT_FOUND {
        return Err(SourceError::Status { url: shown(url), status: 404, detail: None, retry_after: None });
    }
    let malformed = |e: serde_json::Error| SourceError::Protocol { url: shown(url), why: format!("its list: {e}") };
    serde_json::from_slice(&page.body).map_err(malformed)
}

/// The target of `Link: <…>; rel="next"`, which must be on the server of `url`.
fn next_page(reply: &Reply, url: &Url) -> Result<Option<Url>, SourceError> {
    let Some(target) = reply.headers(&LINK).iter().find_map(|header| next_link(header).map(str::to_owned)) else {
        return Ok(None);
    };
    let next = url.join(&target).map_err(|_| reply.protocol("its link to the next page is no URL"))?;
    if next.origin() != url.origin() {
        return Err(SourceError::Foreign { host: authority(url), foreign: authority(&next), what: "its next page" });
    }
    Ok(Some(next))
}

fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = |p: &str| {
            let (name, value) = p.split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        };
        parameters.split(';').any(is_next).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found() {
        assert_eq!(next_link(r#"</v2/a/tags/list?n=2&last=b>; rel="next""#), Some("/v2/a/tags/list?n=2&last=b"));
        assert_eq!(
            next_link(r#"</first>; rel="first", <https://r.example/x>; a=b; REL=next"#),
            Some("https://r.example/x")
        );
        assert_eq!(next_link(r#"</x>; rel="prev""#), None);
        assert_eq!(next_link("nonsense"), None);
    }
}
