//! A blob or file on its way in, from an offset, held to its size.
//!
//! Checks what the server claims before the first byte (`Content-Range`, `Content-Length`) and counts what
//! it sends. It does not hash: the caller does, while it writes, and must compare the digest of the
//! *whole* content before using any of it. That also catches an error page served with 200.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};

use super::error::SourceError;
use super::host::shown;
use super::outgoing::Outgoing;
use super::reply::Reply;

/// Content under way. Ends with `Ok(None)` only when all of it has come.
pub struct BlobStream {
    // None: there is nothing left to read.
    reply: Option<Reply>,
    url: String,
    start: u64,
    position: u64,
    size: Option<u64>,
}

impl BlobStream {
    /// Where the bytes start: the offset that was asked for, or 0 if the server ignores ranges. Then the
    /// caller has to begin again with the file and the hash.
    #[must_use]
    pub fn starts_at(&self) -> u64 {
        self.start
    }

    /// The size of the whole content in bytes, as promised to us or else as the server says.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next bytes. Errors of kind `Unreachable` can be resumed from where the bytes ended.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        let Some(reply) = &mut self.reply else { return Ok(None) };
        match reply.chunk().await? {
            Some(bytes) => {
                self.position += bytes.len() as u64;
                if let Some(size) = self.size.filter(|&size| self.position > size) {
                    return Err(SourceError::Size { url: self.url.clone(), expected: size, actual: self.position });
                }
                Ok(Some(bytes))
            }
            None => match self.size {
                Some(expected) if self.position < expected => {
                    Err(SourceError::Short { url: self.url.clone(), got: self.position, expected })
                }
                _ => Ok(None),
            },
        }
    }

    /// Nothing to read: the caller has all `size` bytes.
    pub(super) fn complete(url: String, size: u64) -> Self {
        Self { reply: None, url, start: size, position: size, size: Some(size) }
    }

    /// Takes a successful answer to a request from `offset`.
    pub(super) fn begin(reply: Reply, offset: u64, size: Option<u64>) -> Result<Self, SourceError> {
        let url = shown(reply.url());
        let (start, total) = match reply.status() {
            StatusCode::OK => (0, reply.length()),
            StatusCode::PARTIAL_CONTENT if offset > 0 => (offset, partial_total(&reply, offset)?),
            status => return Err(reply.protocol(format!("it answers {status} to a request for content"))),
        };
        if let (Some(expected), Some(actual)) = (size, total)
            && expected != actual
        {
            return Err(SourceError::Size { url, expected, actual });
        }
        Ok(Self { reply: Some(reply), url, start, position: start, size: size.or(total) })
    }
}

/// Adds the `Range` header for everything from `offset`.
pub(super) fn from_offset(request: Outgoing, offset: u64) -> Outgoing {
    match HeaderValue::from_str(&format!("bytes={offset}-")) {
        Ok(range) if offset > 0 => request.header(RANGE, range),
        _ => request,
    }
}

/// The total in `Content-Range: bytes first-last/total`, after checking the rest of it.
fn partial_total(reply: &Reply, offset: u64) -> Result<Option<u64>, SourceError> {
    let text = reply.header(&CONTENT_RANGE).ok_or_else(|| reply.protocol("206 without Content-Range"))?;
    let wrong = || reply.protocol(format!("Content-Range {text:?} to a request from byte {offset}"));
    let (first, last, total) = content_range(text).ok_or_else(wrong)?;
    let whole = total.is_none_or(|total| last < total);
    let length_fits = reply.length().is_none_or(|length| last.checked_sub(first) == length.checked_sub(1));
    if first != offset || last < first || !whole || !length_fits {
        return Err(wrong());
    }
    Ok(total)
}

/// Parses `bytes first-last/total`; a total of `*` is none.
pub(super) fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.parse().ok()?, last.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_parse_strictly() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        for bad in ["5-9/10", "bytes 5-9", "bytes -9/10", "bytes */10", "bytes 5-9/-1", "bytes=5-9/10"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
