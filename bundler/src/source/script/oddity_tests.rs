//! Registries and proxies of the field that say odd things about what they hold and take, and take everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::reference::Reference;
use reqwest::Url;

use super::{Answer, Script, Seen, answer, client, settings};
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::registry::Repository;
use crate::source::secret::Secret;
use crate::source::settings::ProxySetting;

const LARGE: usize = 5 * 1024 * 1024;
const MANIFEST: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

fn blob() -> Bytes {
    (0..LARGE).map(|n| u8::try_from(n % 241).unwrap_or_default()).collect::<Vec<_>>().into()
}

fn repository(server: &Script) -> Repository {
    Repository::new(&server.host(), "team/app").unwrap()
}

/// Takes uploads, and answers a PATCH with `range`. A PUT is refused unless all of the content has come.
fn taking(range: Option<String>) -> impl Fn(&Seen) -> Answer {
    let got = Arc::new(AtomicUsize::new(0));
    move |seen| match (seen.method.as_str(), seen.target.split('?').next().unwrap_or_default()) {
        ("GET", "/v2/") => answer(200, &[], "{}"),
        ("POST", _) => {
            got.store(0, Ordering::Relaxed);
            answer(202, &[("Location", "/up/1")], "")
        }
        ("PATCH", "/up/1") => {
            got.fetch_add(seen.body.len(), Ordering::Relaxed);
            let range = range.as_ref().map(|range| ("Range", range.as_str()));
            answer(202, &range.into_iter().chain([("Location", "/up/1")]).collect::<Vec<_>>(), "")
        }
        ("PUT", "/up/1") if got.load(Ordering::Relaxed) == LARGE => answer(201, &[], ""),
        ("PUT", "/up/1") => answer(400, &[], r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#),
        _ => answer(404, &[], ""),
    }
}

#[tokio::test]
async fn what_a_patch_answers_is_not_believed_where_the_digest_decides() {
    let last = LARGE - 1;
    for range in [
        None,
        Some(format!("0-{last}")),
        Some(format!("0-{LARGE}")),
        Some(format!("0-{}", LARGE + 1000)),
        Some(format!("bytes=0-{last}")),
        Some(format!("bytes 0-{last}/{LARGE}")),
        Some(format!("bytes=0-{last}/*")),
        Some("0-0".to_owned()),
        Some("bytes=0-0".to_owned()),
        Some("0--1".to_owned()),
        Some(String::new()),
        Some("nonsense".to_owned()),
        Some(format!("1-{last}")),
        Some(format!("0-{last}, 0-{last}")),
    ] {
        let shown = format!("{range:?}");
        let server = Script::start(taking(range)).await;
        let blob = blob();
        let (client, events) = client(&settings(&[&server]));
        let done = client.upload_blob(&repository(&server), &Digest::of(&blob), LARGE as u64, &blob, None).await;
        assert!(done.is_ok(), "{shown}: {done:?}");
        let methods: Vec<_> = server.seen().iter().map(|seen| seen.method.clone()).collect();
        assert_eq!(
            (methods, events.lock().unwrap().len()),
            (vec!["GET".into(), "POST".into(), "PATCH".into(), "PUT".into()], 0),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_part_that_is_taken_is_followed_by_the_rest() {
    let half = LARGE / 2;
    let patches = AtomicUsize::new(0);
    let server = Script::start(move |seen| match seen.method.as_str() {
        "PATCH" if patches.fetch_add(1, Ordering::Relaxed) == 0 => {
            answer(202, &[("Location", "/up/1"), ("Range", &format!("0-{}", half - 1))], "")
        }
        "PATCH" => answer(202, &[("Location", "/up/1"), ("Range", &format!("0-{}", LARGE - 1))], ""),
        "POST" => answer(202, &[("Location", "/up/1")], ""),
        "PUT" => answer(201, &[], ""),
        _ => answer(200, &[], "{}"),
    })
    .await;
    let blob = blob();
    let (client, _) = client(&settings(&[&server]));
    client.upload_blob(&repository(&server), &Digest::of(&blob), LARGE as u64, &blob, None).await.unwrap();
    assert_eq!(server.seen()[3].header("content-range"), Some(format!("{half}-{}", LARGE - 1).as_str()));
}

#[tokio::test]
async fn an_upload_that_was_not_what_it_seemed_is_made_again() {
    // The first upload really holds nothing, as its `0-0` says.
    let (posts, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let server = Script::start(move |seen| match seen.method.as_str() {
        "POST" => {
            posts.fetch_add(1, Ordering::Relaxed);
            answer(202, &[("Location", "/up/1")], "")
        }
        "PATCH" => {
            if posts.load(Ordering::Relaxed) > 1 {
                got.store(seen.body.len(), Ordering::Relaxed);
            }
            answer(202, &[("Location", "/up/1"), ("Range", "0-0")], "")
        }
        "PUT" if got.load(Ordering::Relaxed) == LARGE => answer(201, &[], ""),
        "PUT" => answer(400, &[], r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#),
        "HEAD" => answer(404, &[], ""),
        _ => answer(200, &[], "{}"),
    })
    .await;
    let blob = blob();
    let (client, events) = client(&settings(&[&server]));
    client.upload_blob(&repository(&server), &Digest::of(&blob), LARGE as u64, &blob, None).await.unwrap();
    assert_eq!(events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_head_that_says_nothing_of_a_blob_is_asked_again_with_get() {
    let content = b"content of a blob";
    let digest = Digest::of(content);
    // Answer to HEAD, length it says; answer to GET; whether the blob is there.
    for (head, length, get, there) in [
        (200, Some("0"), 200, Some(true)),
        (200, Some("0"), 404, Some(false)),
        (200, Some("0"), 307, Some(true)),
        (200, Some("0"), 500, Some(false)),
        (200, Some("17"), 404, Some(true)),
        (405, None, 200, Some(true)),
        (405, None, 404, Some(false)),
        (405, Some("0"), 405, Some(false)),
        (501, None, 200, Some(true)),
        (404, None, 200, Some(false)),
        (403, None, 200, None),
    ] {
        let server = Script::start(move |seen| match (seen.method.as_str(), seen.target.as_str()) {
            (_, "/v2/") => answer(200, &[], "{}"),
            ("HEAD", _) => answer(head, &length.map(|n| ("content-length", n)).into_iter().collect::<Vec<_>>(), ""),
            _ => answer(get, &[("Location", "http://store.example/x")], content),
        })
        .await;
        let has = client(&settings(&[&server])).0.has_blob(&repository(&server), &digest, 17).await;
        assert_eq!(has.as_ref().ok().copied(), there, "HEAD {head} {length:?}, GET {get}: {has:?}");
    }
    // A blob that has lost its content is not there.
    let server = Script::start(|seen| answer(200, &[], if seen.target == "/v2/" { "{}" } else { "" })).await;
    let has = client(&settings(&[&server])).0.has_blob(&repository(&server), &digest, 17).await;
    assert_eq!(has.ok(), Some(false));
}

#[tokio::test]
async fn a_head_that_says_nothing_of_a_manifest_is_asked_again_with_get() {
    let digest = Digest::of(MANIFEST.as_bytes());
    for (head, length, get, there) in [
        (200, Some("0"), 200, true),
        (200, None, 200, true),
        (405, None, 200, true),
        (501, None, 200, true),
        (405, None, 404, false),
        (404, None, 200, false),
    ] {
        let server = Script::start(move |seen| match (seen.method.as_str(), seen.target.as_str()) {
            (_, "/v2/") => answer(200, &[], "{}"),
            ("HEAD", _) => {
                let announced = (
                    "Docker-Content-Digest",
                    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                );
                let length = length.map(|n| ("content-length", n));
                answer(head, &length.into_iter().chain(length.is_some().then_some(announced)).collect::<Vec<_>>(), "")
            }
            _ => answer(get, &[], MANIFEST),
        })
        .await;
        let name = Reference::parse(&format!("{}/team/app:1", server.host())).unwrap();
        let said = client(&settings(&[&server])).0.head(&name).await.unwrap();
        assert_eq!(said.map(|head| head.digest), there.then_some(digest), "HEAD {head} {length:?}, GET {get}");
    }
}

#[tokio::test]
async fn an_error_on_the_way_through_a_proxy_names_the_proxy() {
    let dropping = Script::start(|_| Answer::Drop).await;
    let cutting = Script::start(|_| Answer::Cut(200, Vec::new(), b"12345".to_vec(), 2)).await;
    let silent = Script::start(|_| answer(504, &[], "")).await;
    let wants_password = Script::start(|_| answer(407, &[], "")).await;
    for (proxy, hint) in
        [(&dropping, "NO_PROXY"), (&cutting, "NO_PROXY"), (&silent, "NO_PROXY"), (&wants_password, "user and password")]
    {
        let mut settings = settings(&[proxy]);
        settings.plain_http.insert("files.example");
        settings.proxy = ProxySetting::Url(Secret::new(format!("http://me:hunter2@{}", proxy.host())));
        let url = Url::parse("http://files.example/f").unwrap();
        let error = client(&settings).0.files().get(&url, 9).await.unwrap_err();
        let SourceError::Proxied { proxy: named, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*named, format!("http://{}", proxy.host()));
        assert_ne!(error.kind(), SourceErrorKind::Local);
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
    // What the server itself says is not laid at the proxy's door.
    let proxy = Script::start(|_| answer(404, &[], "")).await;
    let mut settings = settings(&[&proxy]);
    settings.plain_http.insert("files.example");
    settings.proxy = ProxySetting::Url(Secret::new(format!("http://{}", proxy.host())));
    let error = client(&settings).0.files().get(&Url::parse("http://files.example/f").unwrap(), 9).await.unwrap_err();
    assert!(matches!(error, SourceError::Status { status: 404, .. }), "{error:?}");
}

#[tokio::test]
async fn loopback_does_not_go_through_a_proxy() {
    let server = Script::start(|_| answer(200, &[], "direct")).await;
    let mut settings = settings(&[&server]);
    // Nothing listens on the discard port.
    settings.proxy = ProxySetting::Url(Secret::new("http://127.0.0.1:9"));
    for host in [server.host(), server.foreign()] {
        let url = Url::parse(&format!("http://{host}/f")).unwrap();
        assert_eq!(client(&settings).0.files().get(&url, 9).await.unwrap(), "direct");
    }
}
