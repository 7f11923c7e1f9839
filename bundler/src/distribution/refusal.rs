//! The error documents of the distribution API: a code, a status, a message.

use std::fmt;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The codes of the distribution specification that ferry answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// No such blob in the repository.
    BlobUnknown,
    /// The upload cannot go on.
    BlobUploadInvalid,
    /// No such upload.
    BlobUploadUnknown,
    /// Not allowed with these credentials.
    Denied,
    /// A digest that is none, or not that of the content.
    DigestInvalid,
    /// A manifest refers to what the repository does not hold.
    ManifestBlobUnknown,
    /// Not a manifest.
    ManifestInvalid,
    /// No such manifest in the repository.
    ManifestUnknown,
    /// Not a repository name.
    NameInvalid,
    /// No such repository.
    NameUnknown,
    /// Not a path of the API.
    NotFound,
    /// `n` is no number.
    PaginationNumberInvalid,
    /// A range that cannot be served or appended.
    RangeInvalid,
    /// Lengths that contradict each other, or too large.
    SizeInvalid,
    /// Not a tag.
    TagInvalid,
    /// Credentials are wanted.
    Unauthorized,
    /// Reading the content failed on this side.
    Unknown,
    /// The method or media type is not served.
    Unsupported,
}

impl Code {
    /// As it stands in the document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.table().0
    }

    fn table(self) -> (&'static str, StatusCode) {
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", StatusCode::NOT_FOUND),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", StatusCode::BAD_REQUEST),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", StatusCode::NOT_FOUND),
            Self::Denied => ("DENIED", StatusCode::FORBIDDEN),
            Self::DigestInvalid => ("DIGEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", StatusCode::BAD_REQUEST),
            Self::ManifestInvalid => ("MANIFEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", StatusCode::NOT_FOUND),
            Self::NameInvalid => ("NAME_INVALID", StatusCode::BAD_REQUEST),
            Self::NameUnknown => ("NAME_UNKNOWN", StatusCode::NOT_FOUND),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::PaginationNumberInvalid => ("PAGINATION_NUMBER_INVALID", StatusCode::BAD_REQUEST),
            Self::RangeInvalid => ("RANGE_INVALID", StatusCode::RANGE_NOT_SATISFIABLE),
            Self::SizeInvalid => ("SIZE_INVALID", StatusCode::BAD_REQUEST),
            Self::TagInvalid => ("TAG_INVALID", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("UNAUTHORIZED", StatusCode::UNAUTHORIZED),
            Self::Unknown => ("UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Unsupported => ("UNSUPPORTED", StatusCode::METHOD_NOT_ALLOWED),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that is not served, as the client is told.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    code: Code,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with the status that belongs to `code`.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), headers: Vec::new() }
    }

    /// A path or file that is not served.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// A failed read on this side; the reason stays here, the client learns only that.
    #[must_use]
    pub fn broken(what: &str) -> Self {
        Self::new(Code::Unknown, format!("reading {what} failed on the server"))
    }

    /// The same with one more header, such as `Content-Range` or `WWW-Authenticate`.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let document = serde_json::json!({
            "errors": [{ "code": self.code.as_str(), "message": self.message, "detail": null }]
        });
        let json = (header::CONTENT_TYPE, "application/json");
        let mut response = (self.code.table().1, [json], document.to_string()).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
