//! Blobs on their way in: ranges, sizes, cuts.

use bytes::Bytes;
use ferry_bundle_format::digest::Digest;

use super::{Answer, ClientSettings, SILENCE, Script, answer, client, owned, settings};
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::registry::Repository;
use crate::source::retry::Retry;
use crate::source::stream::BlobStream;

const BLOB: &[u8] = b"0123456789abcdef";
const SIZE: u64 = 16;

fn repository(server: &Script) -> Repository {
    Repository::new(&server.host(), "team/app").unwrap()
}

async fn serving(handler: impl Fn(&super::Seen) -> Answer + Send + Sync + 'static) -> Script {
    Script::start(move |seen| if seen.target == "/v2/" { answer(200, &[], "{}") } else { handler(seen) }).await
}

/// Serves `BLOB` and its ranges, as it should be.
fn honest(seen: &super::Seen) -> Answer {
    match seen.range_start() {
        None => answer(200, &[], BLOB),
        Some(start) => answer(206, &[("Content-Range", &format!("bytes {start}-15/16"))], &BLOB[start..]),
    }
}

async fn open(server: &Script, offset: u64) -> Result<BlobStream, SourceError> {
    let (client, _) = client(&settings(&[server]));
    client.blob_stream(&repository(server), &Digest::of(BLOB), SIZE, offset).await
}

async fn all(stream: &mut BlobStream) -> Result<Vec<u8>, (Vec<u8>, SourceError)> {
    let mut out = Vec::new();
    loop {
        match stream.chunk().await {
            Ok(Some(bytes)) => out.extend_from_slice(&bytes),
            Ok(None) => return Ok(out),
            Err(error) => return Err((out, error)),
        }
    }
}

#[tokio::test]
async fn a_blob_comes_from_any_offset() {
    let server = serving(honest).await;
    for offset in [0, 1, 15] {
        let mut stream = open(&server, offset).await.unwrap();
        assert_eq!((stream.starts_at(), stream.size()), (offset, Some(SIZE)));
        assert_eq!(all(&mut stream).await.unwrap(), BLOB[usize::try_from(offset).unwrap()..]);
    }
    let before = server.seen().len();
    let mut complete = open(&server, SIZE).await.unwrap();
    assert_eq!((complete.starts_at(), all(&mut complete).await.unwrap().len()), (SIZE, 0));
    assert_eq!(server.seen().len(), before, "there is nothing to ask for");
    assert_eq!(open(&server, SIZE + 1).await.unwrap().starts_at(), 0);
}

#[tokio::test]
async fn trap_07_a_server_that_ignores_ranges_is_noticed() {
    let server = serving(|_| answer(200, &[], BLOB)).await;
    let mut stream = open(&server, 7).await.unwrap();
    assert_eq!(stream.starts_at(), 0);
    assert_eq!(all(&mut stream).await.unwrap(), BLOB);
    let refusing = serving(|seen| if seen.range_start().is_some() { answer(416, &[], "") } else { honest(seen) }).await;
    assert_eq!(open(&refusing, 7).await.unwrap().starts_at(), 0);
}

#[tokio::test]
async fn trap_07_a_wrong_content_range_is_refused() {
    for range in [
        "bytes 6-15/16",
        "bytes 8-15/16",
        "bytes 7-15/15",
        "bytes 7-15/17",
        "bytes 7-14/16",
        "bytes 7-6/16",
        "7-15/16",
        "",
    ] {
        let server = serving(move |_| answer(206, &[("Content-Range", range)], &BLOB[7..])).await;
        let error = open(&server, 7).await.err().unwrap();
        assert!(matches!(error.kind(), SourceErrorKind::Protocol | SourceErrorKind::Digest), "{range}: {error:?}");
        assert_eq!(error.retry(), Retry::Never);
    }
    let missing = serving(|_| answer(206, &[], &BLOB[7..])).await;
    assert_eq!(open(&missing, 7).await.err().unwrap().kind(), SourceErrorKind::Protocol);
    let unasked = serving(|_| answer(206, &[("Content-Range", "bytes 0-15/16")], BLOB)).await;
    assert_eq!(open(&unasked, 0).await.err().unwrap().kind(), SourceErrorKind::Protocol);
}

#[tokio::test]
async fn lying_sizes_are_noticed() {
    let longer = serving(|_| answer(200, &[], [BLOB, b"!"].concat())).await;
    let error = open(&longer, 0).await.err().unwrap();
    assert!(matches!(error, SourceError::Size { expected: SIZE, actual: 17, .. }), "{error:?}");
    let shorter = serving(|_| answer(200, &[], &BLOB[1..])).await;
    assert!(matches!(open(&shorter, 0).await.err().unwrap(), SourceError::Size { actual: 15, .. }));

    // Without a length only counting helps.
    let chunked = |body: Vec<u8>| {
        let text = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
        Answer::Full(200, owned(&[("transfer-encoding", "chunked")]), text)
    };
    let endless = serving(move |_| chunked(vec![b'x'; 1_000_000])).await;
    let (got, error) = all(&mut open(&endless, 0).await.unwrap()).await.unwrap_err();
    assert!(matches!(error, SourceError::Size { expected: SIZE, .. }) && got.len() as u64 <= SIZE, "{error:?}");
    let short = serving(move |_| chunked(BLOB[..4].to_vec())).await;
    let (got, error) = all(&mut open(&short, 0).await.unwrap()).await.unwrap_err();
    assert!(matches!(error, SourceError::Short { got: 4, expected: SIZE, .. }), "{error:?}");
    assert_eq!((got.len(), error.retry()), (4, Retry::Backoff));
}

#[tokio::test]
async fn a_cut_transfer_can_be_resumed_where_it_ended() {
    let server = serving(|seen| match seen.range_start() {
        None => Answer::Cut(200, Vec::new(), BLOB.to_vec(), 6),
        Some(_) => honest(seen),
    })
    .await;
    let (mut got, error) = all(&mut open(&server, 0).await.unwrap()).await.unwrap_err();
    assert_eq!((got.as_slice(), error.retry()), (&BLOB[..6], Retry::Backoff));
    let mut rest = open(&server, got.len() as u64).await.unwrap();
    assert_eq!(rest.starts_at(), 6);
    got.extend(all(&mut rest).await.unwrap());
    assert_eq!(Digest::of(&got), Digest::of(BLOB));
}

#[tokio::test]
async fn trap_06_a_transfer_that_stops_moving_ends() {
    let server = serving(|_| Answer::Hang(200, Vec::new(), BLOB.to_vec(), 3)).await;
    let (client, _) = client(&ClientSettings { idle_timeout: SILENCE, ..settings(&[&server]) });
    let mut stream = client.blob_stream(&repository(&server), &Digest::of(BLOB), SIZE, 0).await.unwrap();
    let (got, error) = all(&mut stream).await.unwrap_err();
    assert!(matches!(error, SourceError::Idle { .. }) && error.retry() == Retry::Backoff, "{error:?}");
    assert_eq!(got, b"012");
}

#[tokio::test]
async fn trap_11_a_small_blob_is_verified_or_nothing() {
    let server = serving(honest).await;
    let (client_, _) = client(&settings(&[&server]));
    let blob = client_.small_blob(&repository(&server), &Digest::of(BLOB), SIZE).await.unwrap();
    assert_eq!(blob, Bytes::from_static(BLOB));

    // An error page of the right length, served with 200.
    let liar = serving(|_| answer(200, &[("Content-Type", "text/html")], b"<html>sorry</ht>")).await;
    let (client_, events) = client(&settings(&[&liar]));
    let error = client_.small_blob(&repository(&liar), &Digest::of(BLOB), SIZE).await.unwrap_err();
    assert!(matches!(error, SourceError::Digest { .. }), "{error:?}");
    assert!(events.lock().unwrap().is_empty());

    let flaky = serving({
        let count = std::sync::atomic::AtomicUsize::new(0);
        move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Answer::Cut(200, Vec::new(), BLOB.to_vec(), 6),
            _ => answer(200, &[], BLOB),
        }
    })
    .await;
    let (client_, events) = client(&settings(&[&flaky]));
    client_.small_blob(&repository(&flaky), &Digest::of(BLOB), SIZE).await.unwrap();
    assert_eq!(events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn whether_a_blob_is_there() {
    let digest = Digest::of(BLOB);
    let store = Script::start(|_| answer(403, &[], "")).await;
    for (status, location, expected) in
        [(200, None, Some(true)), (404, None, Some(false)), (307, Some(store.foreign()), Some(true)), (403, None, None)]
    {
        let server = serving(move |_| {
            let location = location.as_ref().map(|host| format!("http://{host}/signed")).unwrap_or_default();
            answer(status, &[("Location", &location)], BLOB)
        })
        .await;
        let has = client(&settings(&[&server, &store])).0.has_blob(&repository(&server), &digest, SIZE).await;
        assert_eq!(has.ok(), expected, "{status}");
        assert_eq!(server.lines()[1], format!("HEAD /v2/team/app/blobs/{digest}"));
    }
    assert!(store.seen().is_empty());
    let damaged = serving(|_| answer(200, &[], &BLOB[..3])).await;
    let error = client(&settings(&[&damaged])).0.has_blob(&repository(&damaged), &digest, SIZE).await.unwrap_err();
    assert!(matches!(error, SourceError::Size { actual: 3, .. }), "{error:?}");
}
