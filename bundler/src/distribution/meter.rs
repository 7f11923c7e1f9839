//! Counts what leaves: a body that adds up its bytes and says when it is over.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;

/// Counts the body of `response` into `sent` as it goes; `over` runs when its last byte was handed to the
/// network, or when the client is gone.
pub(crate) fn metered(
    response: Response,
    sent: Arc<AtomicU64>,
    over: impl FnOnce(u64) + Send + Sync + 'static,
) -> Response {
    let (mut parts, body) = response.into_parts();
    let size = body.size_hint().exact();
    if size == Some(0) {
        over(0);
        return Response::from_parts(parts, body);
    }
    if let Some(size) = size {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(size.into());
    }
    let metered = Metered { body: body.into_data_stream(), sent, over: Some(Box::new(over)) };
    Response::from_parts(parts, Body::from_stream(metered))
}

struct Metered {
    body: BodyDataStream,
    sent: Arc<AtomicU64>,
    over: Option<Box<dyn FnOnce(u64) + Send + Sync>>,
}

impl Stream for Metered {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(Pin::new(&mut self.body).poll_next(cx));
        if let Some(Ok(bytes)) = &item {
            self.sent.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        }
        Poll::Ready(item)
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        if let Some(over) = self.over.take() {
            over(self.sent.load(Ordering::Acquire));
        }
    }
}
