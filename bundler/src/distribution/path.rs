//! Request paths, parsed strictly: a repository has slashes, so the end of the path decides what it is.
//!
//! Each byte must be of the distribution grammar after one round of percent-decoding; an encoded slash, a
//! dot segment or an empty component is no repository and never reaches [`super::Content`].

use ferry_bundle_format::Digest;
use ferry_bundle_format::reference::is_repository;

use super::content::Selector;
use super::refusal::{Code, Refusal};

/// What a path below `/v2/` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags { repository: String },
    /// `/v2/<name>/manifests/<tag or digest>`
    Manifest { repository: String, selector: Selector },
    /// `/v2/<name>/blobs/<digest>`
    Blob { repository: String, digest: Digest },
    /// `/v2/<name>/blobs/uploads/`
    Uploads { repository: String },
    /// `/v2/<name>/blobs/uploads/<session>`
    Upload { repository: String, session: String },
    /// `/v2/<name>/referrers/<digest>`
    Referrers { repository: String, digest: Digest },
}

/// The longest repository name that is answered, in bytes, as everywhere else.
const MAX_NAME: usize = 255;

impl Endpoint {
    /// Parses the path of a request, which starts at `/v2`.
    pub(crate) fn parse(path: &str) -> Result<Self, Refusal> {
        let path = decode(path).ok_or_else(|| Refusal::not_found("the path has bytes no name can have"))?;
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Base),
            Some("/_catalog") => return Ok(Self::Catalog),
            Some(rest) if rest.starts_with('/') => &rest[1..],
            _ => return Err(Refusal::not_found("not a path of the distribution API")),
        };
        let segments: Vec<&str> = rest.split('/').collect();
        match segments.as_slice() {
            [name @ .., "tags", "list"] => Ok(Self::Tags { repository: repository(name)? }),
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads { repository: repository(name)? })
            }
            [name @ .., "blobs", "uploads", session] => {
                Ok(Self::Upload { repository: repository(name)?, session: (*session).to_owned() })
            }
            [name @ .., "manifests", selector] => {
                let repository = repository(name)?;
                let selector = Selector::parse(selector).ok_or_else(|| {
                    let code = if selector.contains(':') { Code::DigestInvalid } else { Code::TagInvalid };
                    Refusal::new(code, format!("{selector:?} is neither a tag nor a sha256 digest"))
                })?;
                Ok(Self::Manifest { repository, selector })
            }
            [name @ .., "blobs", text] => Ok(Self::Blob { repository: repository(name)?, digest: digest(text)? }),
            [name @ .., "referrers", text] => {
                Ok(Self::Referrers { repository: repository(name)?, digest: digest(text)? })
            }
            _ => Err(Refusal::not_found("not a path of the distribution API")),
        }
    }

    /// The repository it names, if any.
    pub(crate) fn repository(&self) -> Option<&str> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags { repository }
            | Self::Manifest { repository, .. }
            | Self::Blob { repository, .. }
            | Self::Uploads { repository }
            | Self::Upload { repository, .. }
            | Self::Referrers { repository, .. } => Some(repository),
        }
    }
}

fn repository(segments: &[&str]) -> Result<String, Refusal> {
    let name = segments.join("/");
    if name.len() <= MAX_NAME && is_repository(&name) {
        Ok(name)
    } else {
        Err(Refusal::new(Code::NameInvalid, format!("{name:?} is not a repository name")))
    }
}

fn digest(text: &str) -> Result<Digest, Refusal> {
    Digest::parse(text).map_err(|e| Refusal::new(Code::DigestInvalid, e.to_string()))
}

/// Decodes `%3A` and the like, but only to bytes a name, tag or digest can have.
fn decode(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let plain = if byte == b'%' {
            let hex = [bytes.next()?, bytes.next()?];
            if !hex.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            let decoded = u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?;
            if decoded == b'/' {
                return None;
            }
            decoded
        } else {
            byte
        };
        if !plain.is_ascii_alphanumeric() && !b"-._~:/+=".contains(&plain) {
            return None;
        }
        out.push(plain.into());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn repository_of(path: &str) -> Option<String> {
        Endpoint::parse(path).unwrap().repository().map(str::to_owned)
    }

    #[test]
    fn the_end_of_the_path_decides() {
        assert_eq!(Endpoint::parse("/v2").unwrap(), Endpoint::Base);
        assert_eq!(Endpoint::parse("/v2/").unwrap(), Endpoint::Base);
        assert_eq!(Endpoint::parse("/v2/_catalog").unwrap(), Endpoint::Catalog);
        for (path, name) in [
            ("/v2/a/tags/list".to_owned(), "a"),
            ("/v2/a/b/c/manifests/v1".to_owned(), "a/b/c"),
            ("/v2/tags/manifests/list".to_owned(), "tags"),
            ("/v2/manifests/tags/tags/list".to_owned(), "manifests/tags"),
            ("/v2/x/blobs/uploads/manifests/latest".to_owned(), "x/blobs/uploads"),
            (format!("/v2/blobs/blobs/sha256:{HEX}"), "blobs"),
            (format!("/v2/a/blobs/sha256%3A{HEX}"), "a"),
            (format!("/v2/a/referrers/sha256:{HEX}"), "a"),
            ("/v2/a/blobs/uploads/".to_owned(), "a"),
            ("/v2/a/blobs/uploads/0f-1".to_owned(), "a"),
        ] {
            assert_eq!(repository_of(&path).as_deref(), Some(name), "{path}");
        }
    }

    #[test]
    fn what_is_no_name_goes_no_further() {
        for (path, code) in [
            ("/v2/A/tags/list", Code::NameInvalid),
            ("/v2/a//b/manifests/v1", Code::NameInvalid),
            ("/v2/../etc/manifests/v1", Code::NameInvalid),
            ("/v2/%2e%2e/etc/manifests/v1", Code::NameInvalid),
            ("/v2//manifests/v1", Code::NameInvalid),
            ("/v2/a/manifests/-x", Code::TagInvalid),
            ("/v2/a/manifests/sha256:00", Code::DigestInvalid),
            ("/v2/a/blobs/latest", Code::DigestInvalid),
            ("/v2/a%2fb/manifests/v1", Code::NotFound),
            ("/v2/a%00/manifests/v1", Code::NotFound),
            ("/v2/a%zz/manifests/v1", Code::NotFound),
            ("/v2/a%+1/manifests/v1", Code::NotFound),
            ("/v2/a", Code::NotFound),
            ("/v2x/_catalog", Code::NotFound),
            ("/v1/", Code::NotFound),
        ] {
            assert_eq!(Endpoint::parse(path).unwrap_err().code(), code, "{path}");
        }
        let long = format!("/v2/{}/tags/list", "a/".repeat(200) + "a");
        assert_eq!(Endpoint::parse(&long).unwrap_err().code(), Code::NameInvalid);
    }
}
