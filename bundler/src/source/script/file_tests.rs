//! Plain files.

use super::{Answer, Script, answer, client, settings};
use crate::source::Url;
use crate::source::credentials::Credentials;
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::secret::Secret;
use crate::source::settings::ProxySetting;

fn url(server: &Script, path: &str) -> Url {
    Url::parse(&format!("http://{}{path}", server.host())).unwrap()
}

#[tokio::test]
async fn a_size_is_had_by_head_or_by_the_first_byte() {
    let head = Script::start(|_| answer(200, &[], "12345")).await;
    let files = client(&settings(&[&head])).0.files();
    assert_eq!(files.head(&url(&head, "/f")).await.unwrap(), Some(5));
    assert_eq!(head.lines(), ["HEAD /f"]);

    let signed = Script::start(|seen| match (seen.method.as_str(), seen.header("range")) {
        ("GET", Some("bytes=0-0")) => answer(206, &[("Content-Range", "bytes 0-0/12345")], "1"),
        _ => answer(403, &[], ""),
    })
    .await;
    let files = client(&settings(&[&signed])).0.files();
    assert_eq!(files.head(&url(&signed, "/f?sig=1")).await.unwrap(), Some(12345));

    let missing = Script::start(|_| answer(404, &[], "")).await;
    let error = client(&settings(&[&missing])).0.files().head(&url(&missing, "/f")).await.unwrap_err();
    assert_eq!((error.kind(), missing.seen().len()), (SourceErrorKind::NotFound, 1));
}

#[tokio::test]
async fn a_small_file_is_read_up_to_its_limit() {
    let server = Script::start(|_| answer(200, &[], "12345")).await;
    let files = client(&settings(&[&server])).0.files();
    assert_eq!(files.get(&url(&server, "/index.yaml"), 5).await.unwrap(), "12345");
    assert!(matches!(files.get(&url(&server, "/x"), 4).await, Err(SourceError::TooLarge { limit: 4, .. })));
}

#[tokio::test]
async fn a_file_streams_from_an_offset_with_or_without_a_known_size() {
    let server = Script::start(|seen| match seen.range_start() {
        Some(start) => answer(206, &[("Content-Range", &format!("bytes {start}-4/5"))], &"12345"[start..]),
        None => answer(200, &[], "12345"),
    })
    .await;
    let files = client(&settings(&[&server])).0.files();
    for (size, offset, expected) in [(None, 0, "12345"), (Some(5), 3, "45"), (None, 3, "45"), (Some(5), 5, "")] {
        let mut stream = files.stream(&url(&server, "/f"), size, offset).await.unwrap();
        assert_eq!((stream.starts_at(), stream.size()), (offset, Some(5)));
        let mut got = Vec::new();
        while let Some(bytes) = stream.chunk().await.unwrap() {
            got.extend_from_slice(&bytes);
        }
        assert_eq!(got, expected.as_bytes());
    }
    assert!(matches!(files.stream(&url(&server, "/f"), Some(6), 0).await, Err(SourceError::Size { .. })));
}

#[tokio::test]
async fn a_password_goes_to_its_host_alone() {
    let wants = |seen: &super::Seen| -> Answer {
        match seen.header("authorization") {
            // base64 of alice:hunter2
            Some("Basic YWxpY2U6aHVudGVyMg==") => answer(200, &[], "chart"),
            _ => answer(401, &[("WWW-Authenticate", "Basic realm=\"charts\"")], ""),
        }
    };
    let server = Script::start(wants).await;
    let mut base = settings(&[&server]);
    let error = client(&base).0.files().get(&url(&server, "/c"), 99).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Auth);

    // Given for the host: sent at once.
    base.credentials = Credentials::none().with_password(&server.host(), "alice", Secret::new("hunter2"));
    let before = server.seen().len();
    client(&base).0.files().get(&url(&server, "/c"), 99).await.unwrap();
    assert_eq!(server.seen().len() - before, 1);

    // From a file: sent once it is asked for, and then kept.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    std::fs::write(&file, format!(r#"{{"auths":{{"{}":{{"auth":"YWxpY2U6aHVudGVyMg=="}}}}}}"#, server.host())).unwrap();
    base.credentials = Credentials::none().with_file(file);
    let files = client(&base).0.files();
    let before = server.seen().len();
    files.get(&url(&server, "/c"), 99).await.unwrap();
    files.get(&url(&server, "/c"), 99).await.unwrap();
    assert_eq!(server.seen().len() - before, 3);

    // A server that redirects away gives nothing of it to the other one.
    let thief = Script::start(|_| answer(401, &[("WWW-Authenticate", "Basic")], "")).await;
    let to = format!("http://{}/x", thief.foreign());
    let redirector = Script::start(move |_| answer(302, &[("Location", &to)], "")).await;
    let mut moved = settings(&[&redirector, &thief]);
    moved.credentials = Credentials::none()
        .with_password(&redirector.host(), "alice", Secret::new("hunter2"))
        .with_password(&thief.foreign(), "alice", Secret::new("hunter2"));
    client(&moved).0.files().get(&url(&redirector, "/c"), 99).await.unwrap_err();
    thief.assert_saw_no_credentials();
}

#[tokio::test]
async fn a_url_with_a_password_is_refused() {
    let server = Script::start(|_| answer(200, &[], "")).await;
    let files = client(&settings(&[&server])).0.files();
    let url = Url::parse(&format!("http://alice:hunter2@{}/c?token=hunter2", server.host())).unwrap();
    for error in [
        files.get(&url, 9).await.unwrap_err(),
        files.head(&url).await.unwrap_err(),
        files.stream(&url, Some(5), 5).await.err().unwrap(),
    ] {
        assert_eq!(error.kind(), SourceErrorKind::Refused);
        assert!(error.hint().unwrap().contains("credentials"));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn the_secrets_of_a_signed_url_are_in_no_error() {
    let server =
        Script::start(|seen| if seen.target.contains("drop") { Answer::Drop } else { answer(403, &[], "no") }).await;
    let (client, events) = client(&settings(&[&server]));
    let files = client.files();
    for path in ["/f?sig=SECRET", "/drop?sig=SECRET"] {
        let error = files.get(&url(&server, path), 9).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    }
    assert!(!format!("{:?}", events.lock().unwrap()).contains("SECRET"));
}

#[tokio::test]
async fn a_proxy_is_used_and_its_password_stays_with_it() {
    let proxy = Script::start(|_| answer(200, &[], "through")).await;
    let mut settings = settings(&[&proxy]);
    settings.plain_http.insert("files.example");
    settings.proxy = ProxySetting::Url(Secret::new(format!("http://me:hunter2@{}", proxy.host())));
    assert!(!format!("{settings:?}").contains("hunter2"));
    let target = Url::parse("http://files.example/f").unwrap();
    assert_eq!(client(&settings).0.files().get(&target, 99).await.unwrap(), "through");
    let seen = proxy.seen();
    assert_eq!(seen[0].line(), "GET http://files.example/f");
    // base64 of me:hunter2
    assert_eq!(seen[0].header("proxy-authorization"), Some("Basic bWU6aHVudGVyMg=="));

    // HTTPS asks it for a tunnel; one that is refused says so.
    let error = client(&settings).0.files().get(&Url::parse("https://files.example/f").unwrap(), 99).await.unwrap_err();
    assert_eq!(proxy.seen()[1].line(), "CONNECT files.example:443");
    assert!(!format!("{error:?}").contains("hunter2"));
    settings.proxy = ProxySetting::Url(Secret::new("http://me:hunter2@"));
    let error = crate::source::FileClient::new(&settings, std::sync::Arc::new(|_| {})).err().unwrap();
    assert!(error.kind() == SourceErrorKind::Local && !format!("{error:?}").contains("hunter2"), "{error:?}");
}
