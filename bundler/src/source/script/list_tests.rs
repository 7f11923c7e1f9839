//! Lists and their pages.

use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::oci::media_type;

use super::{Answer, Script, Seen, answer, client, settings};
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::registry::Repository;

async fn serving(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Script {
    Script::start(move |seen| if seen.target == "/v2/" { answer(200, &[], "{}") } else { handler(seen) }).await
}

fn repository(server: &Script) -> Repository {
    Repository::new(&server.host(), "team/app").unwrap()
}

#[tokio::test]
async fn trap_05_all_pages_of_tags_are_read() {
    let server = serving(|seen| match seen.target.as_str() {
        "/v2/team/app/tags/list?n=1000" => answer(
            200,
            &[("Link", r#"</v2/team/app/tags/list?n=2&last=b>; rel="next""#)],
            r#"{"name":"x","tags":["a","b"]}"#,
        ),
        "/v2/team/app/tags/list?n=2&last=b" => {
            answer(200, &[("Link", "<list?last=c>; rel=next")], r#"{"name":"x","tags":["c"]}"#)
        }
        "/v2/team/app/tags/list?last=c" => answer(200, &[], r#"{"name":"x","tags":null}"#),
        _ => answer(404, &[], ""),
    })
    .await;
    assert_eq!(client(&settings(&[&server])).0.tags(&repository(&server)).await.unwrap(), ["a", "b", "c"]);
    let missing = Repository::new(&server.host(), "no/such").unwrap();
    let error = client(&settings(&[&server])).0.tags(&missing).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::NotFound);
}

#[tokio::test]
async fn the_catalog_is_read_and_garbage_is_not() {
    let server = serving(|_| answer(200, &[], r#"{"repositories":["a/b","c"]}"#)).await;
    assert_eq!(client(&settings(&[&server])).0.catalog(&server.host()).await.unwrap(), ["a/b", "c"]);
    assert_eq!(server.lines()[1], "GET /v2/_catalog?n=1000");
    let garbage = serving(|_| answer(200, &[], "<html>")).await;
    let error = client(&settings(&[&garbage])).0.catalog(&garbage.host()).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Protocol);
}

#[tokio::test]
async fn pages_stay_on_the_server_and_end() {
    let thief = serving(|_| answer(200, &[], r#"{"tags":["x"]}"#)).await;
    let next = format!("<http://{}/v2/team/app/tags/list>; rel=next", thief.foreign());
    let server = serving(move |_| answer(200, &[("Link", &next)], r#"{"tags":["a"]}"#)).await;
    let error = client(&settings(&[&server, &thief])).0.tags(&repository(&server)).await.unwrap_err();
    assert!(matches!(&error, SourceError::Foreign { foreign, .. } if *foreign == thief.foreign()), "{error:?}");
    assert!(thief.seen().is_empty());

    let circle = serving(|seen| {
        let next = if seen.target.ends_with("?a") {
            "</v2/team/app/tags/list?b>; rel=next"
        } else {
            "</v2/team/app/tags/list?a>; rel=next"
        };
        answer(200, &[("Link", next)], r#"{"tags":["a"]}"#)
    })
    .await;
    let error = client(&settings(&[&circle])).0.tags(&repository(&circle)).await.unwrap_err();
    assert!(error.to_string().contains("lead back"), "{error}");
}

#[tokio::test]
async fn referrers_come_from_the_api_or_from_the_tag() {
    let subject = Digest::of(b"image");
    let signature = Digest::of(b"signature");
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"{signature}","size":9}}]}}"#,
        media_type::OCI_INDEX,
        media_type::OCI_MANIFEST
    );
    let json = [("Content-Type", media_type::OCI_INDEX)];
    let tag = format!("/v2/team/app/manifests/sha256-{}", subject.hex());
    let api = {
        let index = index.clone();
        serving(
            move |seen| {
                if seen.target.contains("/referrers/") { answer(200, &json, &index) } else { answer(404, &[], "") }
            },
        )
        .await
    };
    let old =
        {
            let (index, tag) = (index.clone(), tag.clone());
            serving(move |seen| {
                if seen.target == tag { answer(200, &json, &index) } else { answer(404, &[], "404 page not found") }
            })
            .await
        };
    let page = {
        let index = index.clone();
        serving(move |seen| {
            if seen.target == tag {
                answer(200, &json, &index)
            } else {
                answer(200, &[("Content-Type", "text/html")], "<html>")
            }
        })
        .await
    };
    for server in [api, old, page] {
        let found = client(&settings(&[&server])).0.referrers(&repository(&server), &subject).await.unwrap();
        assert_eq!(found.iter().map(|d| d.digest).collect::<Vec<_>>(), [signature]);
    }
    let none = serving(|_| answer(404, &[], "")).await;
    assert!(client(&settings(&[&none])).0.referrers(&repository(&none), &subject).await.unwrap().is_empty());
}
