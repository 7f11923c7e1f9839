//! The registry client against the distribution project's own registry: push, pull, mount, a broken upload,
//! users, private CAs, and registries set up wrongly.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::oci::{Document, media_type};
use ferry_bundle_format::reference::Reference;
use ferry_bundler::source::{
    ClientSettings, Credentials, FileSection, HostSet, Mount, ProxySetting, RegistryClient, Repository, RetryPolicy,
    Secret, SourceError, SourceErrorKind,
};
use tests::docker_registry::{DockerRegistry, PrivateCa, RegistryOptions};
use tests::proxy;
use tokio::net::TcpListener;

fn settings() -> ClientSettings {
    ClientSettings {
        proxy: ProxySetting::Direct,
        retries: RetryPolicy { base: std::time::Duration::from_millis(10), ..RetryPolicy::default() },
        ..ClientSettings::default()
    }
}

fn plain(hosts: &[String]) -> ClientSettings {
    ClientSettings { plain_http: hosts.iter().collect::<HostSet>(), ..settings() }
}

fn client(settings: &ClientSettings) -> RegistryClient {
    RegistryClient::new(settings, Arc::new(|_| {})).unwrap()
}

/// Bytes that do not repeat within any block.
fn content(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect::<Vec<_>>().into()
}

async fn push_blob(client: &RegistryClient, to: &Repository, blob: &Bytes) -> Digest {
    let digest = Digest::of(blob);
    client.upload_blob(to, &digest, blob.len() as u64, blob, None).await.unwrap();
    digest
}

#[tokio::test]
async fn what_is_pushed_can_be_pulled() {
    let Some(registry) = DockerRegistry::start(&RegistryOptions::default()) else { return };
    let client = client(&plain(&[registry.host()]));
    let repository = Repository::new(&registry.host(), "team/app").unwrap();
    let (config, layer) = (content(300), content(9_000_000));
    assert!(!client.has_blob(&repository, &Digest::of(&layer), layer.len() as u64).await.unwrap());

    push_blob(&client, &repository, &config).await;
    push_blob(&client, &repository, &Bytes::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    std::fs::write(&path, [b"before", &layer[..], b"after"].concat()).unwrap();
    let section = FileSection { path, start: 6, length: layer.len() as u64 };
    client.upload_blob(&repository, &Digest::of(&layer), layer.len() as u64, &section, None).await.unwrap();
    assert!(client.has_blob(&repository, &Digest::of(&layer), layer.len() as u64).await.unwrap());
    let damaged = client.has_blob(&repository, &Digest::of(&layer), 7).await.unwrap_err();
    assert_eq!(damaged.kind(), SourceErrorKind::Digest);

    let describe = |kind: &str, blob: &Bytes| serde_json::json!({"mediaType": kind, "digest": Digest::of(blob), "size": blob.len()});
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": describe(media_type::OCI_CONFIG, &config),
        "layers": [describe(media_type::OCI_LAYER_GZIP, &layer)],
    });
    let manifest = Bytes::from(manifest.to_string());
    let name = Reference::parse(&format!("{repository}:1.0")).unwrap();
    assert_eq!(client.head(&name).await.unwrap(), None);
    let digest = client.put_manifest(&name, media_type::OCI_MANIFEST, manifest.clone()).await.unwrap();

    let served = client.manifest(&name).await.unwrap();
    assert_eq!((served.bytes.clone(), served.digest), (manifest.clone(), digest));
    assert!(matches!(served.parse(), Ok(Document::Manifest(_))));
    assert_eq!(client.manifest(&name.at(digest)).await.unwrap(), served);
    let head = client.head(&name).await.unwrap().unwrap();
    assert_eq!((head.digest, head.size), (digest, manifest.len() as u64));
    assert_eq!(client.tags(&repository).await.unwrap(), ["1.0"]);
    assert_eq!(client.catalog(&registry.host()).await.unwrap(), ["team/app"]);
    assert!(client.referrers(&repository, &digest).await.unwrap().is_empty());
    assert_eq!(client.small_blob(&repository, &Digest::of(&config), 300).await.unwrap(), config);

    for offset in [0, 1, 8_999_999, 9_000_000] {
        let mut stream = client.blob_stream(&repository, &Digest::of(&layer), 9_000_000, offset).await.unwrap();
        assert_eq!(stream.starts_at(), offset);
        let mut got = Vec::new();
        while let Some(bytes) = stream.chunk().await.unwrap() {
            got.extend_from_slice(&bytes);
        }
        assert!(got == layer[usize::try_from(offset).unwrap()..], "from {offset}");
    }
    let missing = client.small_blob(&repository, &Digest::of(b"missing"), 7).await.unwrap_err();
    assert_eq!(missing.kind(), SourceErrorKind::NotFound);
    assert!(missing.to_string().contains("BLOB_UNKNOWN"), "{missing}");
    let unknown = Reference::parse(&format!("{repository}:2.0")).unwrap();
    assert_eq!(client.manifest(&unknown).await.unwrap_err().kind(), SourceErrorKind::NotFound);
}

#[tokio::test]
async fn a_manifest_without_its_blobs_is_refused_in_the_registrys_words() {
    let Some(registry) = DockerRegistry::start(&RegistryOptions::default()) else { return };
    let client = client(&plain(&[registry.host()]));
    let name = Reference::parse(&format!("{}/team/app:1", registry.host())).unwrap();
    let blob = serde_json::json!({"mediaType": "x/y", "digest": Digest::of(b"nowhere"), "size": 7});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": blob, "layers": [],
    });
    let error = client.put_manifest(&name, media_type::OCI_MANIFEST, manifest.to_string().into()).await.unwrap_err();
    assert!(error.to_string().contains("BLOB_UNKNOWN"), "{error}");
}

#[tokio::test]
async fn a_blob_is_mounted_from_another_repository_or_uploaded() {
    let Some(registry) = DockerRegistry::start(&RegistryOptions::default()) else { return };
    let client = client(&plain(&[registry.host()]));
    let (base, app) = ("library/base", "team/app").into_repositories(&registry);
    let blob = content(5_000_000);
    let digest = push_blob(&client, &base, &blob).await;
    assert!(matches!(client.mount(&app, &base, &digest).await.unwrap(), Mount::Mounted));
    assert!(client.has_blob(&app, &digest, 5_000_000).await.unwrap());

    for size in [1000, 6_000_000] {
        let other = content(size);
        let digest = Digest::of(&other);
        let Mount::Declined(opened) = client.mount(&app, &base, &digest).await.unwrap() else {
            panic!("it cannot have it")
        };
        client.upload_blob(&app, &digest, size as u64, &other, Some(opened)).await.unwrap();
        assert!(client.has_blob(&app, &digest, size as u64).await.unwrap());
    }
}

trait IntoRepositories {
    fn into_repositories(self, registry: &DockerRegistry) -> (Repository, Repository);
}

impl IntoRepositories for (&str, &str) {
    fn into_repositories(self, registry: &DockerRegistry) -> (Repository, Repository) {
        let repository = |name| Repository::new(&registry.host(), name).unwrap();
        (repository(self.0), repository(self.1))
    }
}

#[tokio::test]
async fn trap_08_an_upload_survives_broken_connections() {
    let Some(registry) = DockerRegistry::start(&RegistryOptions::default()) else { return };
    let (host, broken) = proxy::breaking(registry.port(), 4_000_000, 2).await;
    let client = client(&plain(&[host.clone(), registry.host()]));
    let blob = content(12_000_000);
    let through = Repository::new(&host, "team/app").unwrap();
    let digest = push_blob(&client, &through, &blob).await;
    assert_eq!(broken.load(Ordering::Relaxed), 2);
    let direct = Repository::new(&registry.host(), "team/app").unwrap();
    assert_eq!(client.small_blob(&direct, &digest, 12_000_000).await.unwrap(), blob);
}

#[tokio::test]
async fn users_are_let_in_and_others_are_told() {
    let user = Some(("alice".to_owned(), "hunter2".to_owned()));
    let Some(registry) = DockerRegistry::start(&RegistryOptions { user, ..RegistryOptions::default() }) else { return };
    let base = plain(&[registry.host()]);
    let with = |user: &str, password: &str| {
        let credentials = Credentials::none().with_password(&registry.host(), user, Secret::new(password));
        client(&ClientSettings { credentials, ..base.clone() })
    };
    let repository = Repository::new(&registry.host(), "team/app").unwrap();
    let alice = with("alice", "hunter2");
    let digest = push_blob(&alice, &repository, &content(5_000_000)).await;
    assert!(alice.has_blob(&repository, &digest, 5_000_000).await.unwrap());
    for (client, says) in [(client(&base), "there are none"), (with("mallory", "s3cret"), "mallory")] {
        let error = client.tags(&repository).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Auth);
        assert!(error.to_string().contains(says) && error.hint().is_some(), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"));
        let upload = client.upload_blob(&repository, &Digest::of(b"x"), 1, &Bytes::from_static(b"x"), None).await;
        assert_eq!(upload.unwrap_err().kind(), SourceErrorKind::Auth);
    }
}

#[tokio::test]
async fn trap_01_and_10_private_cas_are_trusted_by_file_and_checks_are_off_for_one_host_alone() {
    let (ca, other) = (PrivateCa::new(), PrivateCa::new());
    let start = |ca: &PrivateCa, name: &str| {
        DockerRegistry::start(&RegistryOptions { tls: Some(ca.issue(&[name])), ..RegistryOptions::default() })
    };
    let Some(registry) = start(&ca, "127.0.0.1") else { return };
    let (Some(misnamed), Some(foreign)) = (start(&ca, "registry.example"), start(&other, "127.0.0.1")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca.certificate()).unwrap();
    let trusting = ClientSettings { ca_files: vec![file.clone()], ..settings() };
    let catalog =
        async |settings: &ClientSettings, registry: &DockerRegistry| client(settings).catalog(&registry.host()).await;

    catalog(&trusting, &registry).await.unwrap();
    for (settings, registry, hint) in [
        (&settings(), &registry, "CA file"),
        (&trusting, &misnamed, "another name"),
        (&trusting, &foreign, "current CA certificate"),
    ] {
        let error = catalog(settings, registry).await.unwrap_err();
        assert!(matches!(error, SourceError::Tls { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        assert!(error.to_string().contains(&registry.host()), "{error}");
    }

    let insecure_tls = [misnamed.host()].into_iter().collect();
    let careless = ClientSettings { insecure_tls, ..trusting };
    catalog(&careless, &misnamed).await.unwrap();
    catalog(&careless, &registry).await.unwrap();
    assert_eq!(catalog(&careless, &foreign).await.unwrap_err().kind(), SourceErrorKind::Tls);

    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let error = RegistryClient::new(&careless, Arc::new(|_| {})).err().unwrap();
    assert!(error.kind() == SourceErrorKind::Local && error.to_string().contains("ca.pem"), "{error}");
}

#[tokio::test]
async fn plain_http_to_a_tls_registry_and_the_other_way_are_explained() {
    let tls = Some(PrivateCa::new().issue(&["127.0.0.1"]));
    let Some(secure) = DockerRegistry::start(&RegistryOptions { tls, ..RegistryOptions::default() }) else { return };
    let Some(open) = DockerRegistry::start(&RegistryOptions::default()) else { return };
    let error = client(&settings()).catalog(&open.host()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("plain HTTP"), "{error:?}");
    let error = client(&plain(&[secure.host()])).catalog(&secure.host()).await.unwrap_err();
    assert!(error.to_string().contains("400"), "{error}");
}

#[tokio::test]
async fn a_registry_with_a_wrong_external_url_is_not_followed_there() {
    let thief = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let elsewhere = format!("localhost:{}", thief.local_addr().unwrap().port());
    let options = RegistryOptions {
        user: Some(("alice".to_owned(), "hunter2".to_owned())),
        external_url: Some(format!("http://{elsewhere}")),
        ..RegistryOptions::default()
    };
    let Some(registry) = DockerRegistry::start(&options) else { return };
    let credentials = Credentials::none().with_password(&registry.host(), "alice", Secret::new("hunter2"));
    let client = client(&ClientSettings { credentials, ..plain(&[registry.host(), elsewhere.clone()]) });
    let repository = Repository::new(&registry.host(), "team/app").unwrap();
    let blob = content(10);
    let error = client.upload_blob(&repository, &Digest::of(&blob), 10, &blob, None).await.unwrap_err();
    assert!(matches!(error, SourceError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains(&elsewhere) && error.hint().unwrap().contains("external URL"), "{error}");
    let waited = tokio::time::timeout(std::time::Duration::from_millis(200), thief.accept()).await;
    assert!(waited.is_err(), "somebody called the foreign server");
}

#[tokio::test]
async fn a_redirect_from_tls_to_plain_http_is_not_followed() {
    let ca = PrivateCa::new();
    let store = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = store.local_addr().unwrap().to_string();
    let options = RegistryOptions {
        tls: Some(ca.issue(&["127.0.0.1"])),
        blobs_at: Some(format!("http://{at}/")),
        ..RegistryOptions::default()
    };
    let Some(registry) = DockerRegistry::start(&options) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca.certificate()).unwrap();
    let settings = ClientSettings { ca_files: vec![file], ..settings() };
    let repository = Repository::new(&registry.host(), "team/app").unwrap();
    let client = client(&settings);
    let digest = push_blob(&client, &repository, &content(10)).await;
    let error = client.blob_stream(&repository, &digest, 10, 0).await.err().unwrap();
    assert!(matches!(&error, SourceError::Redirect { to, .. } if to.contains(&at)), "{error:?}");
    let waited = tokio::time::timeout(std::time::Duration::from_millis(200), store.accept()).await;
    assert!(waited.is_err(), "somebody called the store");
}
