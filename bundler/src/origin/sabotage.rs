//! The deed: applies a fault's action to a request before it is answered, or to its answer.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::faults::Action;

/// The answer that replaces the real one, if the action is of that kind.
pub(super) fn instead(action: &Action, target: &str) -> Option<Response> {
    match action {
        Action::Status { code, headers } => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let document = serde_json::json!({ "errors": [{
                "code": if *code == 429 { "TOOMANYREQUESTS" } else { "UNKNOWN" }, "message": "scripted fault"
            }] });
            let mut response = (status, document.to_string()).into_response();
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    response.headers_mut().append(name, value);
                }
            }
            Some(response)
        }
        Action::Redirect { to } => {
            let location = HeaderValue::try_from(to.replace("{path}", target)).ok()?;
            Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response())
        }
        _ => None,
    }
}

/// The real answer, damaged.
pub(super) fn damaged(action: &Action, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let exact = body.size_hint().exact();
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let Some(length) = declared.or(exact) else { return Response::from_parts(parts, body) };
    match action {
        Action::WrongContentRange { shift } => {
            let moved = parts.headers.get(header::CONTENT_RANGE).and_then(|value| shifted(value, *shift));
            if let Some(moved) = moved {
                parts.headers.insert(header::CONTENT_RANGE, moved);
            }
            Response::from_parts(parts, body)
        }
        // An answer to HEAD has a length but no body to damage.
        _ if exact == Some(0) => Response::from_parts(parts, body),
        Action::Cut { .. }
        | Action::Stall { .. }
        | Action::Trickle { .. }
        | Action::FlipByte { .. }
        | Action::WrongLength { .. } => {
            let delta = if let Action::WrongLength { delta } = action { *delta } else { 0 };
            parts.headers.insert(header::CONTENT_LENGTH, length.saturating_add_signed(delta).into());
            let source = Source { body: body.into_data_stream(), held: Bytes::new(), sent: 0, length };
            let pieces = stream::unfold((source, action.clone(), false), |(mut source, action, mut done)| async move {
                let piece = source.next(&action, &mut done).await?;
                Some((piece, (source, action, done)))
            });
            Response::from_parts(parts, Body::from_stream(pieces))
        }
        _ => Response::from_parts(parts, body),
    }
}

/// What was sent before a connection breaks must leave this machine: the error drops what is buffered.
const FLUSH: Duration = Duration::from_millis(20);

/// A body that is passed on piece by piece.
struct Source {
    body: BodyDataStream,
    held: Bytes,
    sent: u64,
    length: u64,
}

impl Source {
    /// The next piece under `action`; `done` says that what happens once has happened.
    async fn next(&mut self, action: &Action, done: &mut bool) -> Option<io::Result<Bytes>> {
        match *action {
            Action::Cut { after } if self.sent >= after && after < self.length => {
                tokio::time::sleep(FLUSH).await;
                Some(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Action::Cut { after } => self.piece(after - self.sent.min(after)).await,
            Action::Stall { after, pause } => {
                if !*done && self.sent >= after {
                    *done = true;
                    tokio::time::sleep(pause).await;
                }
                self.piece(if *done { u64::MAX } else { after - self.sent }).await
            }
            Action::Trickle { bytes_per_second } => {
                let pace = u64::from(bytes_per_second.max(1));
                let step = (pace / 10).max(1);
                if self.sent > 0 {
                    tokio::time::sleep(Duration::from_micros(step * 1_000_000 / pace)).await;
                }
                self.piece(step).await
            }
            Action::FlipByte { at } => {
                let start = self.sent;
                let piece = self.piece(u64::MAX).await?;
                let place = usize::try_from((at % self.length).wrapping_sub(start)).unwrap_or(usize::MAX);
                Some(piece.map(|bytes| match bytes.get(place) {
                    Some(_) => {
                        let mut bytes = Vec::from(bytes);
                        bytes[place] ^= 0xff;
                        bytes.into()
                    }
                    None => bytes,
                }))
            }
            Action::WrongLength { .. } => {
                let piece = self.piece(u64::MAX).await;
                if piece.is_none() {
                    tokio::time::sleep(FLUSH).await;
                }
                piece
            }
            _ => self.piece(u64::MAX).await,
        }
    }

    /// At most `limit` (at least one) bytes of the real body.
    async fn piece(&mut self, limit: u64) -> Option<io::Result<Bytes>> {
        while self.held.is_empty() {
            match self.body.next().await? {
                Ok(bytes) => self.held = bytes,
                Err(e) => return Some(Err(io::Error::other(e))),
            }
        }
        let count = usize::try_from(limit.max(1)).unwrap_or(usize::MAX).min(self.held.len());
        self.sent += count as u64;
        Some(Ok(self.held.split_to(count)))
    }
}

/// `bytes a-b/size` with `a` and `b` moved.
fn shifted(value: &HeaderValue, shift: i64) -> Option<HeaderValue> {
    let (range, size) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let moved = |text: &str| text.parse().ok().map(|number: u64| number.saturating_add_signed(shift));
    HeaderValue::try_from(format!("bytes {}-{}/{size}", moved(first)?, moved(last)?)).ok()
}
