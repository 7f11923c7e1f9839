//! Manifests, retries, redirects and time-outs of small requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::oci::{Document, MAX_DOCUMENT, media_type};
use ferry_bundle_format::reference::Reference;
use reqwest::Method;

use super::{Answer, ClientSettings, SILENCE, Script, answer, client, owned, settings};
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::host::parse_url;
use crate::source::outgoing::Outgoing;
use crate::source::transport::Transport;

const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

fn image(server: &Script) -> Reference {
    Reference::parse(&format!("{}/team/app:1", server.host())).unwrap()
}

/// Answers `/v2/` with 200, and everything else with what `answers` gives for its count from 0.
async fn registry(answers: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Script {
    let count = AtomicUsize::new(0);
    Script::start(move |seen| match seen.target.as_str() {
        "/v2/" => answer(200, &[], "{}"),
        _ => answers(count.fetch_add(1, Ordering::Relaxed)),
    })
    .await
}

#[tokio::test]
async fn a_manifest_comes_with_its_bytes_type_and_digest() {
    let server =
        registry(|_| answer(200, &[("Content-Type", "application/vnd.oci.image.index.v1+json; x=y")], INDEX)).await;
    let document = client(&settings(&[&server])).0.manifest(&image(&server)).await.unwrap();
    assert_eq!(document.digest, Digest::of(INDEX.as_bytes()));
    assert_eq!(document.served_as.as_deref(), Some(media_type::OCI_INDEX));
    assert!(matches!(document.parse(), Ok(Document::Index(_))));
    let accept = server.seen()[1].header("accept").unwrap().to_owned();
    assert!(media_type::ACCEPT.iter().all(|t| accept.contains(t)), "{accept}");
    assert_eq!(server.seen()[1].header("accept-encoding"), Some("identity"));

    let vague = registry(|_| answer(200, &[("Content-Type", "application/json")], INDEX)).await;
    let document = client(&settings(&[&vague])).0.manifest(&image(&vague)).await.unwrap();
    assert_eq!(document.served_as, None);
    assert!(matches!(document.parse(), Ok(Document::Index(_))));
}

#[tokio::test]
async fn a_manifest_by_digest_is_that_manifest_or_an_error() {
    let wanted = Digest::of(INDEX.as_bytes());
    let honest = registry(|_| answer(200, &[], INDEX)).await;
    let name = image(&honest).at(wanted);
    client(&settings(&[&honest])).0.manifest(&name).await.unwrap();
    assert_eq!(honest.lines()[1], format!("GET /v2/team/app/manifests/{wanted}"));

    // CVE-2025-24882: the header agrees with the request, the content does not.
    let header = wanted.to_string();
    let liar = registry(move |_| answer(200, &[("Docker-Content-Digest", &header)], "{}")).await;
    let (client_, events) = client(&settings(&[&liar]));
    let error = client_.manifest(&image(&liar).at(wanted)).await.unwrap_err();
    assert!(matches!(error, SourceError::Digest { expected, .. } if expected == wanted), "{error:?}");
    assert_eq!(error.kind(), SourceErrorKind::Digest);
    assert!(events.lock().unwrap().is_empty(), "a lie is not asked for twice");

    let other = Digest::of(b"other").to_string();
    let confused = registry(move |_| answer(200, &[("Docker-Content-Digest", &other)], INDEX)).await;
    let error = client(&settings(&[&confused])).0.manifest(&image(&confused)).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Digest);

    let nonsense = registry(|_| answer(200, &[("Docker-Content-Digest", "sha512:00")], INDEX)).await;
    client(&settings(&[&nonsense])).0.manifest(&image(&nonsense)).await.unwrap();
}

#[tokio::test]
async fn a_manifest_without_end_is_not_read() {
    let huge = vec![b' '; usize::try_from(MAX_DOCUMENT).unwrap() + 1];
    let announced = {
        let huge = huge.clone();
        registry(move |_| answer(200, &[], &huge)).await
    };
    // Without a length the body ends with the connection.
    let unannounced = registry(move |_| {
        let chunked = [format!("{:x}\r\n", huge.len()).as_bytes(), &huge, b"\r\n0\r\n\r\n"].concat();
        Answer::Full(200, owned(&[("transfer-encoding", "chunked")]), chunked)
    })
    .await;
    for server in [announced, unannounced] {
        let error = client(&settings(&[&server])).0.manifest(&image(&server)).await.unwrap_err();
        assert!(matches!(error, SourceError::TooLarge { limit: MAX_DOCUMENT, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn head_asks_and_falls_back_to_get() {
    let digest = Digest::of(INDEX.as_bytes());
    let text = digest.to_string();
    let full = registry(move |_| answer(200, &[("Docker-Content-Digest", &text)], INDEX)).await;
    let head = client(&settings(&[&full])).0.head(&image(&full)).await.unwrap().unwrap();
    assert_eq!((head.digest, head.size), (digest, INDEX.len() as u64));
    assert_eq!(full.lines()[1], "HEAD /v2/team/app/manifests/1");

    let silent = registry(|_| answer(200, &[], INDEX)).await;
    let head = client(&settings(&[&silent])).0.head(&image(&silent)).await.unwrap().unwrap();
    assert_eq!((head.digest, head.size), (digest, INDEX.len() as u64));

    let empty = registry(|_| answer(404, &[], "")).await;
    assert_eq!(client(&settings(&[&empty])).0.head(&image(&empty)).await.unwrap(), None);

    let error = client(&settings(&[&full])).0.head(&image(&full).at(Digest::of(b"x"))).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Digest);
}

#[tokio::test]
async fn trap_05_a_busy_server_is_asked_again_when_it_says() {
    let server = registry(|n| match n {
        0 => answer(429, &[("Retry-After", "1")], r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#),
        1 => answer(503, &[("Retry-After", "0")], ""),
        _ => answer(200, &[], INDEX),
    })
    .await;
    let (client, events) = client(&settings(&[&server]));
    let started = Instant::now();
    client.manifest(&image(&server)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    let events = events.lock().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].attempt, events[0].attempts, events[0].delay), (2, 3, Duration::from_secs(1)));
    assert_eq!(events[0].host, server.host());
    assert!(events[0].why.contains("429: TOOMANYREQUESTS slow down"), "{}", events[0].why);
    assert_eq!(events[1].delay, Duration::ZERO);
}

#[tokio::test]
async fn trap_05_a_server_cannot_ask_for_an_endless_pause_and_attempts_end() {
    let server = registry(|_| answer(429, &[("Retry-After", "44786")], "")).await;
    let mut settings = settings(&[&server]);
    settings.retries.longest_asked = Duration::from_millis(10);
    let (client, events) = client(&settings);
    let error = client.manifest(&image(&server)).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::RateLimited);
    assert!(error.hint().unwrap().contains("mirror"));
    assert_eq!(events.lock().unwrap().len(), 2);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn broken_connections_are_tried_again_and_refusals_are_not() {
    let server = registry(|n| match n {
        0 => Answer::Drop,
        1 => Answer::Cut(200, Vec::new(), INDEX.into(), 5),
        _ => answer(200, &[], INDEX),
    })
    .await;
    client(&settings(&[&server])).0.manifest(&image(&server)).await.unwrap();
    for (status, kind) in
        [(400, SourceErrorKind::Protocol), (403, SourceErrorKind::Auth), (404, SourceErrorKind::NotFound)]
    {
        let server = registry(move |_| answer(status, &[], "why not")).await;
        let error = client(&settings(&[&server])).0.manifest(&image(&server)).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(&format!("{status}: why not")), "{error}");
        assert_eq!(server.seen().len(), 2);
    }
    let settings = settings(&[&server]);
    let name = image(&server);
    drop(server);
    tokio::task::yield_now().await;
    let error = client(&settings).0.manifest(&name).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unreachable, "{error:?}");
}

#[tokio::test]
async fn trap_06_a_silent_server_does_not_hang_us() {
    for sent in [0, 5] {
        let server = registry(move |_| Answer::Hang(200, Vec::new(), INDEX.into(), sent)).await;
        let settings = ClientSettings { idle_timeout: SILENCE, ..settings(&[&server]) };
        let error = client(&settings).0.manifest(&image(&server)).await.unwrap_err();
        assert!(matches!(error, SourceError::Idle { doing: "reading", .. }), "{error:?}");
        assert_eq!(error.kind(), SourceErrorKind::Unreachable);
    }
    // One that accepts and never answers.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = registry(|_| Answer::Drop).await;
    let mut settings = settings(&[&server]);
    let host = listener.local_addr().unwrap().to_string();
    settings.plain_http.insert(&host);
    settings.retries.attempts = 1;
    settings.idle_timeout = SILENCE;
    let error = client(&settings).0.manifest(&Reference::parse(&format!("{host}/a/b:1")).unwrap()).await.unwrap_err();
    assert!(matches!(error, SourceError::Idle { doing: "reaching", .. }), "{error:?}");
}

#[tokio::test]
async fn trap_12_without_any_root_plain_http_works() {
    let server = registry(|_| answer(200, &[], INDEX)).await;
    let transport = Transport::trusting(&settings(&[&server]), &[]).unwrap();
    let url = parse_url(&format!("http://{}/x", server.host())).unwrap();
    transport.send(Outgoing::new(Method::GET, url)).await.unwrap();
    // And HTTPS fails for want of trust, or because this server speaks none: as a TLS error, not a panic.
    let url = parse_url(&format!("https://{}/x", server.host())).unwrap();
    let error = transport.send(Outgoing::new(Method::GET, url)).await.err().unwrap();
    assert_eq!(error.kind(), SourceErrorKind::Tls, "{error:?}");
    assert!(error.hint().unwrap().contains("plain HTTP"), "{:?}", error.hint());
}

#[tokio::test]
async fn plain_http_is_spoken_only_with_listed_hosts() {
    let server = registry(|_| answer(200, &[], INDEX)).await;
    let mut settings = settings(&[&server]);
    settings.retries.attempts = 1;
    settings.plain_http = [server.host()].into_iter().collect();
    let (client_, _) = client(&settings);
    client_.manifest(&image(&server)).await.unwrap();
    let foreign = Reference::parse(&format!("{}/team/app:1", server.foreign())).unwrap();
    assert_eq!(client_.manifest(&foreign).await.unwrap_err().kind(), SourceErrorKind::Tls);

    // Nor after a redirect.
    let to = format!("http://{}/x", server.foreign());
    let mover = registry(move |_| answer(301, &[("Location", &to)], "")).await;
    settings.plain_http.insert(&mover.host());
    let before = server.seen().len();
    let error = client(&settings).0.manifest(&image(&mover)).await.unwrap_err();
    assert!(matches!(error, SourceError::PlainHttp { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains(&server.foreign()));
    assert_eq!(server.seen().len(), before);
}

#[tokio::test]
async fn redirects_end() {
    let circle = registry(|n| answer(302, &[("Location", &format!("/again?secret={n}"))], "")).await;
    let error = client(&settings(&[&circle])).0.manifest(&image(&circle)).await.unwrap_err();
    assert!(matches!(error, SourceError::Redirect { .. }), "{error:?}");
    assert_eq!(circle.seen().len(), 12, "the probe, the request and ten redirects");
    assert!(!format!("{error} {error:?}").contains("secret"));

    for location in ["ftp://files.example/x", "https://user:hunter2@elsewhere.example/x", "http://[broken"] {
        let server = registry(move |_| answer(302, &[("Location", location)], "")).await;
        let error = client(&settings(&[&server])).0.manifest(&image(&server)).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Refused, "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
