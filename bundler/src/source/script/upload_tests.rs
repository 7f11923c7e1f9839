//! Blobs on their way out.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::reference::Reference;

use super::{Answer, SILENCE, Script, Seen, answer, client, settings};
use crate::source::credentials::Credentials;
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::payload::{BlobSource, FileSection};
use crate::source::registry::{Mount, Repository};
use crate::source::secret::Secret;

/// Larger than what is sent in one piece.
const LARGE: usize = 5 * 1024 * 1024;

fn repository(server: &Script) -> Repository {
    Repository::new(&server.host(), "team/app").unwrap()
}

fn large() -> Bytes {
    (0..LARGE).map(|n| u8::try_from(n % 251).unwrap_or_default()).collect::<Vec<_>>().into()
}

/// Opens uploads at `/up/1`, takes PATCH and PUT, has no blob, and can say how far an upload got.
fn registry(seen: &Seen, offset: usize) -> Answer {
    let path = seen.target.split('?').next().unwrap_or_default();
    match (seen.method.as_str(), path) {
        ("GET", "/v2/") => answer(200, &[], "{}"),
        ("POST", _) => answer(202, &[("Location", "/up/1?state=a")], ""),
        ("PATCH", "/up/1") => {
            let last = LARGE - 1;
            answer(202, &[("Location", "/up/1?state=b"), ("Range", &format!("0-{last}"))], "")
        }
        ("GET", "/up/1") => {
            answer(204, &[("Location", "/up/1?state=c"), ("Range", &format!("0-{}", offset.saturating_sub(1)))], "")
        }
        ("PUT", "/up/1") => answer(201, &[], ""),
        _ => answer(404, &[], ""),
    }
}

async fn upload(server: &Script, content: &dyn BlobSource, digest: Digest, size: u64) -> Result<(), SourceError> {
    let (client, _) = client(&settings(&[server]));
    client.upload_blob(&repository(server), &digest, size, content, None).await
}

#[tokio::test]
async fn a_small_blob_goes_in_one_piece() {
    let server = Script::start(|seen| registry(seen, 0)).await;
    let digest = Digest::of(b"config");
    upload(&server, &Bytes::from_static(b"config"), digest, 6).await.unwrap();
    let put = format!("PUT /up/1?state=a&digest=sha256%3A{}", digest.hex());
    assert_eq!(server.lines(), ["GET /v2/", "POST /v2/team/app/blobs/uploads/", &put]);
    assert_eq!(server.seen()[2].body, b"config");
    upload(&server, &Bytes::new(), Digest::of(b""), 0).await.unwrap();

    // What is damaged here is not sent.
    let error = upload(&server, &Bytes::from_static(b"c0nfig"), digest, 6).await.unwrap_err();
    assert!(matches!(error, SourceError::ContentChanged { .. }) && error.kind() == SourceErrorKind::Local, "{error:?}");
    assert!(upload(&server, &Bytes::from_static(b"config!"), digest, 6).await.is_err());
}

#[tokio::test]
async fn trap_08_a_large_blob_is_one_streamed_request() {
    let server = Script::start(|seen| registry(seen, 0)).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blob");
    std::fs::write(&path, [b"head".as_slice(), &large(), b"tail"].concat()).unwrap();
    let section = FileSection { path: path.clone(), start: 4, length: LARGE as u64 };
    upload(&server, &section, Digest::of(&large()), LARGE as u64).await.unwrap();
    let seen = server.seen();
    let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["GET", "POST", "PATCH", "PUT"]);
    assert_eq!(Digest::of(&seen[2].body), Digest::of(&large()));
    assert_eq!(seen[2].header("content-type"), Some("application/octet-stream"));
    assert!(seen[3].line().starts_with("PUT /up/1?state=b&digest="), "{}", seen[3].line());

    // A file that has become shorter is our fault, and is not tried again.
    std::fs::write(&path, b"head").unwrap();
    let before = server.seen().len();
    let error = upload(&server, &section, Digest::of(&large()), LARGE as u64).await.unwrap_err();
    assert!(matches!(error, SourceError::Content { .. }), "{error:?}");
    assert!(server.seen().len() - before <= 2);
}

#[tokio::test]
async fn trap_08_a_broken_patch_is_continued_where_the_registry_is() {
    let patches = AtomicUsize::new(0);
    let server = Script::start_cutting(
        |seen| registry(seen, 3_000_000),
        move |seen| (seen.method == "PATCH" && patches.fetch_add(1, Ordering::Relaxed) == 0).then_some(3_000_000),
    )
    .await;
    let (client, events) = client(&settings(&[&server]));
    let blob = large();
    client.upload_blob(&repository(&server), &Digest::of(&blob), LARGE as u64, &blob, None).await.unwrap();
    let seen = server.seen();
    let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["GET", "POST", "PATCH", "HEAD", "GET", "PATCH", "PUT"]);
    assert_eq!(seen[5].header("content-range"), Some(format!("3000000-{}", LARGE - 1).as_str()));
    assert_eq!(seen[5].target, "/up/1?state=c");
    assert_eq!([&seen[2].body[..], &seen[5].body].concat(), blob);
    assert_eq!(events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_registry_that_cannot_resume_gets_the_blob_anew() {
    let patches = AtomicUsize::new(0);
    let server = Script::start_cutting(
        |seen| if seen.line().starts_with("GET /up/") { answer(404, &[], "") } else { registry(seen, 0) },
        move |seen| (seen.method == "PATCH" && patches.fetch_add(1, Ordering::Relaxed) == 0).then_some(1000),
    )
    .await;
    let blob = large();
    upload(&server, &blob, Digest::of(&blob), LARGE as u64).await.unwrap();
    let methods: Vec<_> = server.seen().iter().map(|seen| seen.method.clone()).collect();
    assert_eq!(methods, ["GET", "POST", "PATCH", "HEAD", "GET", "POST", "PATCH", "PUT"]);
    assert_eq!(server.seen()[6].body, blob);
}

#[tokio::test]
async fn a_lost_answer_to_the_last_request_is_no_second_upload() {
    let committed = AtomicUsize::new(0);
    let server = Script::start(move |seen| match seen.method.as_str() {
        "PUT" => {
            committed.store(1, Ordering::Relaxed);
            Answer::Drop
        }
        "HEAD" if committed.load(Ordering::Relaxed) == 1 => answer(200, &[], "config"),
        _ => registry(seen, 0),
    })
    .await;
    upload(&server, &Bytes::from_static(b"config"), Digest::of(b"config"), 6).await.unwrap();
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("PUT")).count(), 1);
}

#[tokio::test]
async fn trap_06_an_upload_that_stops_moving_ends() {
    // Accepts the connection of the PATCH and never reads it.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = Script::start(|seen| registry(seen, 0)).await;
    let mut settings = settings(&[&server]);
    settings.plain_http.insert(&host);
    settings.retries.attempts = 1;
    settings.idle_timeout = SILENCE;
    let (transport, url) = (
        crate::source::transport::Transport::new(&settings).unwrap(),
        crate::source::host::parse_url(&format!("http://{host}/up")).unwrap(),
    );
    let size = 64 * 1024 * 1024;
    let reader = Bytes::from(vec![0; size]).open(0).await.unwrap();
    let outflow = crate::source::payload::Outflow::new(reader, size as u64);
    let request = crate::source::outgoing::Outgoing::new(reqwest::Method::PATCH, url)
        .payload(crate::source::payload::Payload::Stream(outflow));
    let error = transport.send(request).await.err().unwrap();
    assert!(matches!(error, SourceError::Idle { doing: "sending to", .. }), "{error:?}");
}

#[tokio::test]
async fn trap_09_a_declined_mount_gives_its_upload_for_use() {
    let server = Script::start(|seen| registry(seen, 0)).await;
    let (client_, _) = client(&settings(&[&server]));
    let to = repository(&server);
    let from = Repository::new(&server.host(), "library/base").unwrap();
    let digest = Digest::of(b"config");
    let Mount::Declined(opened) = client_.mount(&to, &from, &digest).await.unwrap() else { panic!("mounted") };
    assert!(!format!("{opened:?}").contains("state"), "{opened:?}");
    let mount = format!("POST /v2/team/app/blobs/uploads/?mount=sha256%3A{}&from=library%2Fbase", digest.hex());
    assert_eq!(server.lines()[1], mount);
    client_.upload_blob(&to, &digest, 6, &Bytes::from_static(b"config"), Some(opened)).await.unwrap();
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("POST")).count(), 1, "no second upload is opened");

    let taker =
        Script::start(|seen| if seen.method == "POST" { answer(201, &[], "") } else { registry(seen, 0) }).await;
    let from = Repository::new(&taker.host(), "library/base").unwrap();
    let mount = client(&settings(&[&taker])).0.mount(&repository(&taker), &from, &digest).await.unwrap();
    assert!(matches!(mount, Mount::Mounted));

    let error = client_.mount(&to, &from, &digest).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Local, "two registries cannot mount from each other");
}

#[tokio::test]
async fn trap_09_a_mount_asks_for_both_repositories_and_a_stale_upload_is_replaced() {
    let server = Script::start(|seen| match (seen.line().as_str(), seen.header("authorization")) {
        (line, _) if line.starts_with("GET /token") => answer(200, &[], r#"{"token":"t"}"#),
        (_, None) => {
            let realm = format!(r#"Bearer realm="http://{}/token""#, seen.header("host").unwrap_or_default());
            answer(401, &[("WWW-Authenticate", &realm)], "")
        }
        ("POST /v2/team/app/blobs/uploads/", _) => answer(202, &[("Location", "/up/2")], ""),
        (line, _) if line.starts_with("POST") => answer(202, &[("Location", "/up/gone")], ""),
        (line, _) if line.starts_with("PUT /up/2") => answer(201, &[], ""),
        _ => answer(404, &[], ""),
    })
    .await;
    let (client, _) = client(&settings(&[&server]));
    let from = Repository::new(&server.host(), "library/base").unwrap();
    let digest = Digest::of(b"config");
    let Mount::Declined(opened) = client.mount(&repository(&server), &from, &digest).await.unwrap() else {
        panic!("mounted")
    };
    let token = server.lines().into_iter().find(|line| line.contains("/token")).unwrap();
    assert!(token.contains("team%2Fapp%3Apull%2Cpush") && token.contains("library%2Fbase%3Apull"), "{token}");
    let config = Bytes::from_static(b"config");
    client.upload_blob(&repository(&server), &digest, 6, &config, Some(opened)).await.unwrap();
    assert!(server.lines().last().unwrap().starts_with("PUT /up/2"));
}

#[tokio::test]
async fn an_upload_location_on_another_server_is_refused() {
    let thief = Script::start(|_| answer(201, &[], "")).await;
    let to = format!("http://{}/up/1", thief.foreign());
    let server = Script::start(move |seen| match (seen.method.as_str(), seen.header("authorization")) {
        (_, None) => answer(401, &[("WWW-Authenticate", "Basic")], ""),
        ("POST", _) => answer(202, &[("Location", &to)], ""),
        _ => answer(404, &[], ""),
    })
    .await;
    let mut settings = settings(&[&server, &thief]);
    settings.credentials = Credentials::none().with_password(&server.host(), "alice", Secret::new("hunter2"));
    let (client, _) = client(&settings);
    let digest = Digest::of(b"config");
    let config = Bytes::from_static(b"config");
    let error = client.upload_blob(&repository(&server), &digest, 6, &config, None).await.unwrap_err();
    assert!(matches!(error, SourceError::Foreign { .. }) && error.kind() == SourceErrorKind::Refused, "{error:?}");
    assert!(error.hint().unwrap().contains("external URL"), "{:?}", error.hint());
    let from = Repository::new(&server.host(), "library/base").unwrap();
    client.mount(&repository(&server), &from, &digest).await.unwrap_err();
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn an_upload_is_not_redirected() {
    let thief = Script::start(|_| answer(201, &[], "")).await;
    let to = format!("http://{}/up", thief.foreign());
    let server = Script::start(move |seen| match seen.method.as_str() {
        "PUT" => answer(307, &[("Location", &to)], ""),
        _ => registry(seen, 0),
    })
    .await;
    let (client, _) = client(&settings(&[&server, &thief]));
    let config = Bytes::from_static(b"config");
    let digest = Digest::of(b"config");
    let error = client.upload_blob(&repository(&server), &digest, 6, &config, None).await.unwrap_err();
    assert!(matches!(error, SourceError::Redirect { .. }), "{error:?}");
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn a_token_that_dies_during_an_upload_is_renewed() {
    let (tokens, patches) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let server = Script::start(move |seen| {
        let realm = format!(r#"Bearer realm="http://{}/token""#, seen.header("host").unwrap_or_default());
        let unauthorized = || answer(401, &[("WWW-Authenticate", &realm)], "");
        if seen.target.starts_with("/token") {
            let n = tokens.fetch_add(1, Ordering::Relaxed) + 1;
            return answer(200, &[], format!(r#"{{"token":"t{n}"}}"#));
        }
        match seen.header("authorization") {
            None => unauthorized(),
            Some("Bearer t1") if seen.method == "PATCH" && patches.fetch_add(1, Ordering::Relaxed) == 0 => {
                unauthorized()
            }
            Some(_) => registry(seen, 0),
        }
    })
    .await;
    let blob = large();
    upload(&server, &blob, Digest::of(&blob), LARGE as u64).await.unwrap();
    assert_eq!(server.lines().iter().filter(|line| line.contains("/token")).count(), 2);
}

#[tokio::test]
async fn a_refused_upload_says_why() {
    let server = Script::start(|seen| match seen.method.as_str() {
        "PUT" => {
            answer(400, &[], r#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}"#)
        }
        _ => registry(seen, 0),
    })
    .await;
    let error = upload(&server, &Bytes::from_static(b"config"), Digest::of(b"config"), 6).await.unwrap_err();
    assert!(error.to_string().contains("400: DIGEST_INVALID provided digest did not match"), "{error}");
    assert_eq!(server.seen().len(), 3, "it is not tried again");
}

#[tokio::test]
async fn a_manifest_is_put_under_its_tag_and_what_is_stored_is_compared() {
    let bytes = Bytes::from_static(b"{}");
    let digest = Digest::of(&bytes);
    let server = Script::start(|_| answer(201, &[], "")).await;
    let (client_, _) = client(&settings(&[&server]));
    let name = Reference::parse(&format!("{}/team/app:1", server.host())).unwrap();
    assert_eq!(client_.put_manifest(&name, "application/x", bytes.clone()).await.unwrap(), digest);
    let seen = server.seen();
    assert_eq!(seen[1].line(), "PUT /v2/team/app/manifests/1");
    assert_eq!((seen[1].header("content-type"), &seen[1].body[..]), (Some("application/x"), &b"{}"[..]));
    client_.put_manifest(&name.at(digest), "application/x", bytes.clone()).await.unwrap();
    assert_eq!(server.lines()[2], format!("PUT /v2/team/app/manifests/{digest}"));
    let error = client_.put_manifest(&name.at(Digest::of(b"x")), "application/x", bytes.clone()).await.unwrap_err();
    assert_eq!((error.kind(), server.seen().len()), (SourceErrorKind::Local, 3));

    let other = Digest::of(b"x").to_string();
    let changer = Script::start(move |_| answer(201, &[("Docker-Content-Digest", &other)], "")).await;
    let name = Reference::parse(&format!("{}/team/app:1", changer.host())).unwrap();
    let error = client(&settings(&[&changer])).0.put_manifest(&name, "application/x", bytes).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Digest);
}

#[test]
fn everything_can_be_spawned() {
    fn spawnable<T: Send>(_: impl Fn(&crate::source::RegistryClient) -> T) {}
    let repository = Repository::new("r.example", "a/b").unwrap();
    let (digest, blob) = (Digest::of(b""), Bytes::new());
    let name = Reference::parse("r.example/a/b:1").unwrap();
    spawnable(|client| {
        let (client, repository, name, blob) = (client.clone(), repository.clone(), name.clone(), blob.clone());
        async move {
            let opened = match client.mount(&repository, &repository, &digest).await? {
                Mount::Mounted => None,
                Mount::Declined(opened) => Some(opened),
            };
            client.upload_blob(&repository, &digest, 0, &blob, opened).await?;
            client.put_manifest(&name, "x/y", blob).await?;
            client.manifest(&name).await?;
            client.head(&name).await?;
            client.tags(&repository).await?;
            client.referrers(&repository, &digest).await?;
            client.small_blob(&repository, &digest, 0).await?;
            client.blob_stream(&repository, &digest, 0, 0).await?.chunk().await
        }
    });
}
