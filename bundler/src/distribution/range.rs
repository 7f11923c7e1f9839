//! The `Range` header: one byte range is served, everything else means the whole.

use axum::http::{HeaderMap, header};

/// Which bytes of a body are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, several ranges, another unit, or a syntax that RFC 9110 lets us ignore.
    Whole,
    /// From `start` to before `end`, which is at most the size; never empty.
    Part { start: u64, end: u64 },
    /// A well-formed range outside the content: 416.
    Outside,
}

impl Wanted {
    /// Reads `Range` and `If-Range` for content of `size` bytes with this (quoted, strong) entity tag.
    pub(crate) fn of(headers: &HeaderMap, size: u64, etag: &str) -> Self {
        if headers.get(header::IF_RANGE).is_some_and(|known| known.as_bytes() != etag.as_bytes()) {
            return Self::Whole;
        }
        let mut ranges = headers.get_all(header::RANGE).iter();
        match (ranges.next().and_then(|value| value.to_str().ok()), ranges.next()) {
            (Some(value), None) => Self::parse(value, size).unwrap_or(Self::Whole),
            _ => Self::Whole,
        }
    }

    fn parse(value: &str, size: u64) -> Option<Self> {
        let (unit, range) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        let part = match (first, last) {
            ("", suffix) => {
                let count = number(suffix)?.min(size);
                (size - count, size)
            }
            (first, "") => (number(first)?, size),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                (first, last.saturating_add(1).min(size))
            }
        };
        Some(if part.0 < part.1 { Self::Part { start: part.0, end: part.1 } } else { Self::Outside })
    }
}

/// Digits only: `u64::from_str` would take a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(range: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        Wanted::of(&headers, 1000, "\"e\"")
    }

    #[test]
    fn one_range_is_served_and_the_rest_is_the_whole() {
        let part = |start, end| Wanted::Part { start, end };
        assert_eq!(wanted("bytes=0-0"), part(0, 1));
        assert_eq!(wanted("bytes=0-999"), part(0, 1000));
        assert_eq!(wanted("bytes=10-"), part(10, 1000));
        assert_eq!(wanted("bytes=990-5000"), part(990, 1000));
        assert_eq!(wanted("bytes=-10"), part(990, 1000));
        assert_eq!(wanted("bytes=-5000"), part(0, 1000));
        assert_eq!(wanted("Bytes=1-2"), part(1, 3));
        assert_eq!(wanted("bytes=999999999999999999999-"), Wanted::Outside);
        assert_eq!(wanted("bytes=1000-"), Wanted::Outside);
        assert_eq!(wanted("bytes=-0"), Wanted::Outside);
        for ignored in ["bytes=2-1", "bytes=0-1,5-6", "lines=1-2", "bytes=+1-2", "bytes=a-b", "bytes", "bytes=--1"] {
            assert_eq!(wanted(ignored), Wanted::Whole, "{ignored}");
        }
    }

    #[test]
    fn a_range_of_other_content_is_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=1-2".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(Wanted::of(&headers, 1000, "\"e\""), Wanted::Whole);
        headers.insert(header::IF_RANGE, "\"e\"".parse().unwrap());
        assert_eq!(Wanted::of(&headers, 1000, "\"e\""), Wanted::Part { start: 1, end: 3 });
    }
}
