//! The serving side of the distribution API: on the wire, and as other people's programs see it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferry_bundle_format::Arch;
use ferry_bundler::distribution::{BlobReader as _, Content as _, Selector, Service, StoredManifest};
use ferry_bundler::origin::{
    ChartSpec, Flavour, GeneratedBlob, Image, ImageSpec, MemoryRegistry, Origin, OriginConfig, Quirk,
};
use serde_json::{Value, json};
use tests::docker_archive::{self, Saved};
use tests::http::{get, request};
use tests::members::Members;
use tests::oci_layout;
use tests::program::Program;

async fn origin() -> Origin {
    Origin::start(OriginConfig::default()).await.unwrap()
}

/// An image of each ordinary kind.
fn ordinary() -> Vec<ImageSpec> {
    vec![
        ImageSpec::new("team/oci", "v1"),
        ImageSpec { flavour: Flavour::Docker, ..ImageSpec::new("team/docker", "v1") },
        ImageSpec { arches: vec![Arch::Amd64], ..ImageSpec::new("single", "v1") },
        ImageSpec::new("team/sub/attested", "v1").quirk(Quirk::Attestations),
        ImageSpec { layers: vec![20_000, 9 << 20], ..ImageSpec::new("team/large", "v1") },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_and_blobs_answer_as_the_specification_says() {
    let origin = origin().await;
    let image = ImageSpec::new("team/app", "v1").publish(origin.registry()).unwrap();
    let at = origin.address();
    assert_eq!(get(at, "/v2/").header("docker-distribution-api-version"), Some("registry/2.0"));

    let by_tag = get(at, "/v2/team/app/manifests/v1");
    let digest = image.root.digest.to_string();
    assert_eq!((by_tag.status, by_tag.header("docker-content-digest")), (200, Some(digest.as_str())));
    assert_eq!(by_tag.header("content-type"), Some(image.root.media_type.as_str()));
    assert_eq!(by_tag.body, image.root.bytes);
    let by_digest = get(at, &format!("/v2/team/app/manifests/{digest}"));
    assert_eq!(by_digest.body, image.root.bytes);
    let head = request(at, "HEAD", "/v2/team/app/manifests/v1", &[], &[]);
    let length = image.root.bytes.len().to_string();
    assert_eq!((head.header("content-length"), head.body.len()), (Some(length.as_str()), 0));
    let etag = by_tag.header("etag").unwrap();
    assert_eq!(request(at, "GET", "/v2/team/app/manifests/v1", &[("If-None-Match", etag)], &[]).status, 304);

    let layer = &image.variants[0].layers[0];
    let path = format!("/v2/team/app/blobs/{}", layer.digest);
    let bytes = layer.packed.read_all().unwrap();
    let whole = get(at, &path);
    assert_eq!((whole.status, whole.header("accept-ranges"), whole.complete), (200, Some("bytes"), true));
    assert_eq!(whole.body, bytes);
    let head = request(at, "HEAD", &path, &[], &[]);
    assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()));
    let part = request(at, "GET", &path, &[("Range", "bytes=100-299")], &[]);
    assert_eq!((part.status, &part.body[..]), (206, &bytes[100..300]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-299/{}", bytes.len()).as_str()));
    let outside = request(at, "GET", &path, &[("Range", "bytes=99999999-")], &[]);
    assert_eq!((outside.status, outside.code().as_deref()), (416, Some("RANGE_INVALID")));
    assert_eq!(outside.header("content-range"), Some(format!("bytes */{}", bytes.len()).as_str()));
    let several = request(at, "GET", &path, &[("Range", "bytes=0-1,5-6")], &[]);
    assert_eq!((several.status, several.body), (200, bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_has_its_own_code() {
    let origin = origin().await;
    ImageSpec::new("team/app", "v1").publish(origin.registry()).unwrap();
    ImageSpec::new("team/other", "v1").publish(origin.registry()).unwrap();
    let no_digest = format!("sha256:{}", "0".repeat(64));
    for (path, status, code) in [
        ("/v2/team/app/manifests/v2".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (format!("/v2/team/app/manifests/{no_digest}"), 404, "MANIFEST_UNKNOWN"),
        (format!("/v2/team/app/blobs/{no_digest}"), 404, "BLOB_UNKNOWN"),
        ("/v2/nobody/manifests/v1".to_owned(), 404, "NAME_UNKNOWN"),
        ("/v2/nobody/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        ("/v2/UPPER/tags/list".to_owned(), 400, "NAME_INVALID"),
        ("/v2/team/app/blobs/sha512:00".to_owned(), 400, "DIGEST_INVALID"),
        ("/v2/_catalog?n=x".to_owned(), 400, "PAGINATION_NUMBER_INVALID"),
        ("/etc/passwd".to_owned(), 404, "NOT_FOUND"),
    ] {
        let answer = get(origin.address(), &path);
        assert_eq!((answer.status, answer.code().as_deref()), (status, Some(code)), "{path}");
    }
    let page = get(origin.address(), "/v2/_catalog?n=1");
    assert_eq!(page.text(), r#"{"repositories":["team/app"]}"#);
    assert_eq!(page.header("link"), Some("</v2/_catalog?n=1&last=team%2Fapp>; rel=\"next\""));
    let tags: Value = serde_json::from_str(&get(origin.address(), "/v2/team/app/tags/list").text()).unwrap();
    assert_eq!(tags, json!({ "name": "team/app", "tags": ["v1"] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn referrers_are_found_and_filtered() {
    let origin = origin().await;
    let image = ImageSpec::new("app", "v1").publish(origin.registry()).unwrap();
    for kind in ["application/vnd.test.sbom", "application/vnd.test.signature"] {
        let empty = origin.registry().put_blob("app", "{}");
        let document = json!({
            "schemaVersion": 2, "artifactType": kind, "layers": [], "subject": image.root.descriptor(),
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 }
        });
        let manifest = StoredManifest::new("application/vnd.oci.image.manifest.v1+json", document.to_string());
        origin.registry().put_manifest("app", manifest);
    }
    let path = format!("/v2/app/referrers/{}", image.root.digest);
    let list = |query: &str| {
        let answer = get(origin.address(), &format!("{path}{query}"));
        let index: Value = serde_json::from_slice(&answer.body).unwrap();
        (index["manifests"].as_array().unwrap().len(), answer.header("oci-filters-applied").map(str::to_owned))
    };
    assert_eq!(list(""), (2, None));
    assert_eq!(list("?artifactType=application%2Fvnd.test.sbom"), (1, Some("artifactType".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_service_refuses_writes_logs_and_ends() {
    let registry = Arc::new(MemoryRegistry::default());
    let image = ImageSpec::new("app", "v1").publish(&registry).unwrap();
    // Below the range that the kernel gives ports from: nobody takes it once the service has ended, not even for all addresses.
    let listener = (10_000..20_000).find_map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).ok()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let at = listener.local_addr().unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let service = Service::new(registry).with_access_log(move |access| {
        lines.lock().unwrap().push(format!("{} {} {} {}", access.method, access.target, access.status, access.sent));
    });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(service.serve(listener, async move { drop(stopped.await) }));

    for (method, path) in [
        ("POST", "/v2/app/blobs/uploads/"),
        ("PUT", "/v2/app/manifests/v2"),
        ("DELETE", "/v2/app/manifests/v1"),
        ("GET", "/v2/app/blobs/uploads/1"),
    ] {
        let answer = request(at, method, path, &[], b"");
        assert_eq!((answer.status, answer.code().as_deref()), (405, Some("UNSUPPORTED")), "{method} {path}");
    }
    assert_eq!(get(at, "/v2/app/manifests/v1").status, 200);
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
    assert!(std::net::TcpStream::connect(at).is_err());
    let expected = format!("GET /v2/app/manifests/v1 200 {}", image.root.bytes.len());
    assert_eq!(log.lock().unwrap().last(), Some(&expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gigabytes_are_served_from_nothing() {
    let origin = origin().await;
    let blob = GeneratedBlob::new(42, 3 << 30);
    let digest = ferry_bundle_format::Digest::of(b"a name for it; hashing 3 GiB is not the point");
    origin.registry().put_blob_as("big", digest, Arc::new(blob));
    let path = format!("/v2/big/blobs/{digest}");
    let offset = (3 << 30) - 1_000_003_u64;
    let tail = request(origin.address(), "GET", &path, &[("Range", &format!("bytes={offset}-"))], &[]);
    let mut expected = vec![0; 1_000_003];
    assert_eq!(blob.read_at(offset, &mut expected).unwrap(), expected.len());
    assert!(tail.status == 206 && tail.body == expected);

    let layer = ferry_bundler::origin::Layer::generate("app", 64 << 20, 1).unwrap();
    origin.registry().put_blob_as("big", layer.digest, Arc::clone(&layer.packed));
    let started = Instant::now();
    let whole = get(origin.address(), &format!("/v2/big/blobs/{}", layer.digest));
    assert_eq!(ferry_bundle_format::Digest::of(&whole.body), layer.digest);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_reads_all_and_writes_it_back() {
    let Some(skopeo) = Program::skopeo() else { return };
    let origin = origin().await;
    let host = origin.registry_host();
    for spec in ordinary() {
        let image = spec.publish(origin.registry()).unwrap();
        let source = format!("docker://{host}/{}", image.name());
        let raw = skopeo.run(&["inspect", "--tls-verify=false", "--raw", &source]);
        assert_eq!(raw.as_bytes(), &image.root.bytes[..]);
        // Everything, verbatim, into another repository of the same registry.
        let copy = format!("docker://{host}/copies/{}", image.name());
        let flags = ["--insecure-policy", "copy", "--all", "--preserve-digests"];
        let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        skopeo.run(&[&flags[..], &tls[..], &[source.as_str(), copy.as_str()]].concat());
        let found = origin.registry().manifest(&format!("copies/{}", image.repository), &tag()).unwrap().unwrap();
        assert_eq!(found.digest, image.root.digest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_pushes_from_a_folder_and_takes_what_it_pushed() {
    let Some(skopeo) = Program::skopeo() else { return };
    let origin = origin().await;
    // Above the memory limit, so that the upload goes through a file.
    let spec = ImageSpec { layers: vec![20_000, 9 << 20], ..ImageSpec::new("team/app", "v1") };
    let image = spec.generate().unwrap();
    let layout = skopeo.home().join("layout");
    std::fs::create_dir(&layout).unwrap();
    oci_layout::all_platforms(&[&image]).write_to(&layout).unwrap();
    let source = format!("oci:{}:v1", layout.display());
    let target = format!("docker://{}/pushed/app:v1", origin.registry_host());
    let copy = ["--insecure-policy", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false"];
    skopeo.run(&[&copy[..], &[source.as_str(), target.as_str()]].concat());
    let found = origin.registry().manifest("pushed/app", &tag()).unwrap().unwrap();
    assert_eq!(found, image.root);
    for (digest, reader) in image.blobs() {
        let pushed = origin.registry().blob_bytes("pushed/app", &digest).unwrap().unwrap();
        assert!(pushed == reader.read_all().unwrap());
    }
    let methods: Vec<String> = origin.requests().into_iter().map(|seen| seen.method).collect();
    for method in ["HEAD", "POST", "PATCH", "PUT"] {
        assert!(methods.iter().any(|seen| seen == method), "{method} in {methods:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crane_finds_every_image_valid() {
    let Some(crane) = Program::crane() else { return };
    let origin = origin().await;
    let host = origin.registry_host();
    for spec in ordinary() {
        let image = spec.publish(origin.registry()).unwrap();
        let name = format!("{host}/{}", image.name());
        // crane does not count in-toto layers but their diff IDs: it finds no image with attestations valid.
        let validate = |name: &str| {
            if !spec.quirks.contains(&Quirk::Attestations) {
                crane.run(&["validate", "--insecure", "--remote", name]);
            }
        };
        validate(&name);
        assert_eq!(crane.run(&["digest", "--insecure", &name]).trim(), image.root.digest.to_string());
        let copy = format!("{host}/crane/{}", image.name());
        crane.run(&["copy", "--insecure", &name, &copy]);
        assert_eq!(crane.run(&["digest", "--insecure", &copy]).trim(), image.root.digest.to_string());
        validate(&copy);
    }
    assert_eq!(crane.run(&["catalog", "--insecure", &host]).lines().count(), 2 * ordinary().len());
    assert_eq!(crane.run(&["ls", "--insecure", &format!("{host}/team/oci")]).trim(), "v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_pulls_and_renders_both_kinds_of_chart() {
    let Some(helm) = Program::helm() else { return };
    let origin = origin().await;
    let chart = ChartSpec::new("web", "1.2.3+up1", "registry.example/team/app", "v1");
    chart.publish_oci(origin.registry(), "charts").unwrap();
    chart.publish_file(origin.charts()).unwrap();
    ChartSpec::write_index(origin.charts(), std::slice::from_ref(&chart), None).unwrap();

    let oci = format!("oci://{}/charts/web", origin.registry_host());
    helm.run(&["pull", "--plain-http", &oci, "--version", "1.2.3+up1"]);
    let pulled = helm.home().join(chart.file_name());
    assert_eq!(std::fs::read(&pulled).unwrap(), chart.archive().unwrap());
    std::fs::remove_file(&pulled).unwrap();
    helm.run(&["pull", "web", "--repo", &origin.url("/charts/"), "--version", "1.2.3+up1"]);
    let rendered = helm.run(&["template", "demo", &pulled.display().to_string()]);
    assert!(rendered.contains("image: \"registry.example/team/app:v1\""), "{rendered}");
}

#[test]
fn skopeo_reads_the_archives_we_write() {
    let Some(skopeo) = Program::skopeo() else { return };
    let (app, web) = (ImageSpec::new("team/app", "v1").generate().unwrap(), web());
    let saved = |image| Saved { variant: oci_layout::variant(image, Arch::Amd64), tags: vec![image.name()] };
    let both = [saved(&app), saved(&web)];
    let pulled = oci_layout::variant(&app, Arch::Amd64);
    let write = |name: &str, members: &Members| {
        let path = skopeo.home().join(name);
        std::fs::write(&path, members.tar()).unwrap();
        path.display().to_string()
    };
    let classic = write("classic.tar", &docker_archive::classic(&both));
    let modern = write("modern.tar", &docker_archive::modern(&both));
    let containerd = write("containerd.tar", &docker_archive::containerd(&app, pulled, &["team/app:v1"]));
    let one = write("one.tar", &oci_layout::one_platform(&app, Arch::Amd64));
    let all = write("all.tar", &oci_layout::all_platforms(&[&app]));
    for (source, image) in [
        (format!("docker-archive:{classic}:team/app:v1"), &app),
        (format!("docker-archive:{classic}:team/web:v1"), &web),
        (format!("docker-archive:{modern}:team/app:v1"), &app),
        (format!("docker-archive:{modern}:team/web:v1"), &web),
        (format!("docker-archive:{containerd}:team/app:v1"), &app),
        (format!("oci-archive:{one}:v1"), &app),
        (format!("oci-archive:{all}:v1"), &app),
    ] {
        let amd64 = oci_layout::variant(image, Arch::Amd64);
        let config = skopeo.run(&["inspect", "--override-arch", "amd64", "--config", "--raw", &source]);
        assert_eq!(config.as_bytes(), &amd64.config[..], "{source}");
        let target = skopeo.home().join("unpacked");
        let target_text = format!("dir:{}", target.display());
        skopeo.run(&["--insecure-policy", "--override-arch", "amd64", "copy", &source, &target_text]);
        std::fs::remove_dir_all(target).unwrap();
    }
}

/// Shares its base layer with `team/app`.
fn web() -> Image {
    ImageSpec::new("team/web", "v1").generate().unwrap()
}

fn tag() -> Selector {
    Selector::Tag("v1".to_owned())
}
