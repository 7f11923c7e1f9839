//! From what `reqwest` reports to a [`SourceError`], without the URL it would print.

use std::error::Error;
use std::io;

use reqwest::Url;

use super::SourceError;
use crate::source::host::{authority, shown};

/// The error of a request to `url` while `doing` something.
pub(in crate::source) fn of_request(doing: &'static str, url: &Url, error: reqwest::Error) -> SourceError {
    // `reqwest` prints the whole URL, with the signature in its query.
    let source = error.without_url();
    if tls_error(&source).is_some() {
        SourceError::Tls { host: authority(url), source }
    } else {
        SourceError::Connection { doing, url: shown(url), source }
    }
}

/// The TLS error at the bottom of `error`, if there is one.
pub(super) fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An `io::Error` hides the error it wraps from `source()`.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// A text of a server as it may be shown: one line, no control characters, at most 300 of them.
pub(in crate::source) fn printable(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.chars().count() > 300 {
            return line.chars().take(300).collect::<String>() + "…";
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\u{9b}d"), "a [2Jb c d");
        assert_eq!(printable(&"x".repeat(1000)).chars().count(), 301);
    }
}
