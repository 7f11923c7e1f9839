//! The embedded origin: uploads, credentials and faults, as they look on the wire.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ferry_bundle_format::Digest;
use ferry_bundler::distribution::TlsIdentity;
use ferry_bundler::origin::{
    Account, Action, Auth, Bearer, Fault, ImageSpec, MemoryRegistry, Origin, OriginConfig, RegistryOptions, When,
};
use serde_json::Value;
use tests::http::{Answer, get, request};
use tests::program::Program;

const USER: &str = "Basic dXNlcjpwYXNzd29yZC1vZi10aGUtdGVzdA==";

fn account() -> Account {
    Account::new("user", "password-of-the-test")
}

async fn with_faults(faults: Vec<Fault>) -> (Origin, String) {
    let origin = Origin::start(OriginConfig { faults, ..OriginConfig::default() }).await.unwrap();
    let digest = origin.registry().put_blob("app", content());
    (origin, format!("/v2/app/blobs/{digest}"))
}

/// Three chunks of a body and a bit.
fn content() -> Vec<u8> {
    (0..1_600_000_u32).map(|n| (n % 251) as u8).collect()
}

fn ranged(at: SocketAddr, path: &str, range: &str) -> Answer {
    request(at, "GET", path, &[("Range", range)], &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_leaves_exactly_so_many_bytes() {
    for after in [0, 1, 1000, 524_288, 524_289, 1_599_999] {
        let (origin, path) = with_faults(vec![Fault::new("/blobs/", Action::Cut { after }).when(When::Nth(1))]).await;
        let cut = get(origin.address(), &path);
        assert_eq!((cut.status, cut.complete, cut.body.len() as u64), (200, false, after));
        assert!(cut.body == content()[..cut.body.len()]);
        assert_eq!(cut.header("content-length"), Some("1600000"));
        assert_eq!(origin.requests()[0].sent, after);
        let range = format!("bytes={after}-");
        let rest = ranged(origin.address(), &path, &range);
        assert!(rest.status == 206 && rest.complete && rest.body[..] == content()[cut.body.len()..]);
        let seen = origin.requests();
        assert_eq!((seen[1].range.as_ref(), seen[1].status), (Some(&range), 206));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_lie_as_they_are_told() {
    let body = |action| async move {
        let (origin, path) = with_faults(vec![Fault::new("/blobs/", action)]).await;
        ranged(origin.address(), &path, "bytes=100-199")
    };
    let wanted = content()[100..200].to_vec();
    let ignored = body(Action::IgnoreRange).await;
    assert!(ignored.status == 200 && ignored.body == content());
    let shifted = body(Action::WrongContentRange { shift: 7 }).await;
    assert_eq!((shifted.header("content-range"), &shifted.body), (Some("bytes 107-206/1600000"), &wanted));
    let flipped = body(Action::FlipByte { at: 1010 }).await;
    let mut damaged = wanted.clone();
    damaged[10] ^= 0xff;
    assert_eq!((flipped.status, flipped.body), (206, damaged));
    let long = body(Action::WrongLength { delta: 5 }).await;
    assert_eq!((long.header("content-length"), long.complete, &long.body), (Some("105"), false, &wanted));
    let short = body(Action::WrongLength { delta: -5 }).await;
    assert_eq!((short.header("content-length"), &short.body[..]), (Some("95"), &wanted[..95]));
    let busy = body(Action::too_many(3)).await;
    assert_eq!(
        (busy.status, busy.header("retry-after"), busy.code().as_deref()),
        (429, Some("3"), Some("TOOMANYREQUESTS"))
    );
    let sent_away = body(Action::Redirect { to: "http://elsewhere.invalid{path}?signed".into() }).await;
    let location = sent_away.header("location").unwrap();
    assert_eq!(sent_away.status, 307);
    assert!(location.starts_with("http://elsewhere.invalid/v2/app/blobs/sha256:") && location.ends_with("?signed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_is_slow_and_still_right() {
    let pause = Duration::from_millis(400);
    for action in [Action::Stall { after: 50, pause }, Action::Trickle { bytes_per_second: 200 }, Action::Delay(pause)]
    {
        let (origin, path) = with_faults(vec![Fault::new("/blobs/", action)]).await;
        let started = Instant::now();
        let answer = ranged(origin.address(), &path, "bytes=100-199");
        assert!(answer.complete && answer.body == content()[100..200]);
        assert!(started.elapsed() >= pause, "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_origin_cuts_what_is_under_way() {
    let slow = Fault::new("/blobs/", Action::Trickle { bytes_per_second: 1 });
    // Below the range that the kernel gives ports from: no other test takes it once this origin has gone.
    let port = (20_000..30_000).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
    let origin = Origin::start(OriginConfig { port, faults: vec![slow], ..OriginConfig::default() }).await.unwrap();
    let path = format!("/v2/app/blobs/{}", origin.registry().put_blob("app", content()));
    let at = origin.address();
    let client = std::thread::spawn(move || get(at, &path));
    while origin.requests().first().is_none_or(|seen| seen.sent == 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(origin);
    let answer = tokio::task::spawn_blocking(|| client.join().unwrap()).await.unwrap();
    assert!(!answer.complete && answer.body.len() < 10);
    assert!(std::net::TcpStream::connect(at).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_go_in_order_and_hold_their_digest() {
    let (origin, _) = with_faults(vec![]).await;
    let at = origin.address();
    let digest = Digest::of(b"hello world");
    let start = || {
        let answer = request(at, "POST", "/v2/new/blobs/uploads/", &[], b"");
        assert_eq!((answer.status, answer.header("range")), (202, Some("0-0")));
        answer.header("location").unwrap().to_owned()
    };
    let location = start();
    let patch = |range: &str, body: &[u8]| request(at, "PATCH", &location, &[("Content-Range", range)], body);
    let first = patch("0-4", b"hello");
    assert_eq!((first.status, first.header("range")), (202, Some("0-4")));
    let again = patch("0-4", b"hello");
    assert_eq!((again.status, again.header("range")), (416, Some("0-4")));
    assert_eq!(patch("5-99", b" wo").code().as_deref(), Some("SIZE_INVALID"));
    assert_eq!(patch("5-7", b" wo").header("range"), Some("0-7"));
    let status = get(at, &location);
    assert_eq!((status.status, status.header("range")), (204, Some("0-7")));
    let done = request(at, "PUT", &format!("{location}&digest={digest}"), &[("Content-Range", "8-10")], b"rld");
    let blob = format!("/v2/new/blobs/{digest}");
    assert_eq!((done.status, done.header("location")), (201, Some(blob.as_str())));
    assert_eq!(get(at, &blob).body, b"hello world");
    assert_eq!(get(at, &location).code().as_deref(), Some("BLOB_UPLOAD_UNKNOWN"));

    let location = start();
    let wrong = request(at, "PUT", &format!("{location}&digest={digest}"), &[], b"hello w0rld");
    assert_eq!((wrong.status, wrong.code().as_deref()), (400, Some("DIGEST_INVALID")));
    let location = start();
    assert_eq!(request(at, "DELETE", &location, &[], b"").status, 204);

    let at_once = request(at, "POST", &format!("/v2/other/blobs/uploads/?digest={digest}"), &[], b"hello world");
    assert_eq!(at_once.status, 201);
    let mount =
        |from: &str| request(at, "POST", &format!("/v2/third/blobs/uploads/?mount={digest}&from={from}"), &[], b"");
    assert_eq!(mount("nobody").status, 202);
    assert_eq!(mount("new").status, 201);
    assert_eq!(get(at, &format!("/v2/third/blobs/{digest}")).body, b"hello world");
    assert_eq!(request(at, "DELETE", &format!("/v2/third/blobs/{digest}"), &[], b"").status, 202);
    assert_eq!(get(at, &format!("/v2/third/blobs/{digest}")).status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_wanted_and_not_kept() {
    let config =
        OriginConfig { auth: Auth::Basic(account()), files_account: Some(account()), ..OriginConfig::default() };
    let origin = Origin::start(config).await.unwrap();
    origin.files().put("tools/app", "binary");
    let refused = get(origin.address(), "/v2/");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic realm=\"ferry-origin\"")));
    assert_eq!(get(origin.address(), "/files/tools/app").status, 401);
    for path in ["/v2/", "/files/tools/app"] {
        assert_eq!(request(origin.address(), "GET", path, &[("Authorization", USER)], &[]).status, 200, "{path}");
    }
    let seen = origin.requests();
    assert_eq!(seen[0].authorization, None);
    let authorization = seen[2].authorization.as_ref().unwrap();
    assert_eq!((authorization.scheme.as_str(), authorization.fingerprint), ("Basic", Digest::of(USER.as_bytes())));
    let shown = format!("{origin:?} {seen:?}");
    assert!(!shown.contains("password-of-the-test") && !shown.contains("dXNlcjpw"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_issued_scoped_and_expire() {
    let bearer = Bearer { account: Some(account()), anonymous_pull: true, ..Bearer::default() };
    let config = OriginConfig { auth: Auth::Bearer(bearer), ..OriginConfig::default() };
    let origin = Origin::start(config).await.unwrap();
    ImageSpec::new("team/app", "v1").publish(origin.registry()).unwrap();
    let at = origin.address();
    let challenge = |answer: &Answer| answer.header("www-authenticate").unwrap().to_owned();
    let manifest = "/v2/team/app/manifests/v1";
    let first = get(at, manifest);
    assert_eq!(first.status, 401);
    let expected =
        format!("Bearer realm=\"http://{at}/token\",service=\"ferry-origin\",scope=\"repository:team/app:pull\"");
    assert_eq!(challenge(&first), expected);
    let token = |scope: &str, headers: &[(&str, &str)]| {
        let answer = request(at, "GET", &format!("/token?service=ferry-origin&scope={scope}"), headers, &[]);
        let document: Value = serde_json::from_slice(&answer.body).unwrap();
        document["token"].as_str().map(|token| format!("Bearer {token}"))
    };
    let ask = |method: &str, path: &str, token: &str| request(at, method, path, &[("Authorization", token)], &[]);
    let pull = token("repository:team/app:pull,push", &[]).unwrap();
    assert_eq!(ask("GET", manifest, &pull).status, 200);
    let push = ask("POST", "/v2/team/app/blobs/uploads/", &pull);
    assert!(push.status == 401 && challenge(&push).ends_with("error=\"insufficient_scope\""));
    assert!(challenge(&ask("GET", "/v2/team/other/tags/list", &pull)).ends_with("error=\"insufficient_scope\""));
    let both = token("repository:team/app:pull,push", &[("Authorization", USER)]).unwrap();
    assert_eq!(ask("POST", "/v2/team/app/blobs/uploads/", &both).status, 202);
    assert_eq!(token("repository:team/app:pull", &[("Authorization", "Basic d3Jvbmc6")]), None);

    origin.faults().add(Fault::new("/manifests/", Action::ExpireTokens).when(When::Nth(1)));
    let expired = ask("GET", manifest, &both);
    assert!(expired.status == 401 && challenge(&expired).ends_with("error=\"invalid_token\""));
    assert_eq!(ask("GET", manifest, &both).status, 401);
    let fresh = token("repository:team/app:pull", &[]).unwrap();
    assert_eq!(ask("GET", manifest, &fresh).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_realm_can_point_elsewhere() {
    let realm = "https://collector.invalid/token".to_owned();
    let bearer = Bearer { realm: Some(realm.clone()), lifetime: Duration::ZERO, ..Bearer::default() };
    let config = OriginConfig { auth: Auth::Bearer(bearer), ..OriginConfig::default() };
    let origin = Origin::start(config).await.unwrap();
    assert!(get(origin.address(), "/v2/").header("www-authenticate").unwrap().contains(&realm));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_served_by_path() {
    let (origin, _) = with_faults(vec![]).await;
    let digest = origin.files().put("tools/v1+2/app", content());
    let at = origin.address();
    let head = request(at, "HEAD", "/files/tools/v1%2B2/app", &[], &[]);
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("1600000"), 0));
    assert_eq!(head.header("etag"), Some(format!("\"{}\"", digest.hex()).as_str()));
    assert!(ranged(at, "/files/tools/v1+2/app", "bytes=-5").body == content()[1_599_995..]);
    assert_eq!(get(at, "/files/tools/../../etc/passwd").status, 404);
    assert_eq!(request(at, "PUT", "/files/x", &[], b"x").status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_logs_in_with_passwords_and_tokens_and_survives_absolute_locations() {
    let Some(skopeo) = Program::skopeo() else { return };
    for auth in [Auth::Basic(account()), Auth::Bearer(Bearer { account: Some(account()), ..Bearer::default() })] {
        let options = RegistryOptions { absolute_locations: true, mounts: false, ..RegistryOptions::default() };
        let registry = MemoryRegistry::new(options).into();
        let origin = Origin::start(OriginConfig { auth, registry, ..OriginConfig::default() }).await.unwrap();
        let image = ImageSpec::new("team/app", "v1").publish(origin.registry()).unwrap();
        let name = |repository: &str| format!("docker://{}/{repository}:v1", origin.registry_host());
        let (source, target) = (name("team/app"), name("copy"));
        let flags = ["--insecure-policy", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"];
        let secret = "user:password-of-the-test";
        let credentials = ["--src-creds", secret, "--dest-creds", secret];
        skopeo.run(&[&flags[..], &credentials[..], &[source.as_str(), target.as_str()]].concat());
        assert!(origin.registry().blob_bytes("copy", &image.variants[0].layers[1].digest).unwrap().is_some());
        assert!(!skopeo.output(&[&flags[..], &[source.as_str(), target.as_str()]].concat()).status.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_trusts_the_certificate_it_is_given_and_no_other() {
    let Some(skopeo) = Program::skopeo() else { return };
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let tls = Some(TlsIdentity::from_pem(&certificate, &key).unwrap());
    let bearer = Bearer { account: Some(account()), ..Bearer::default() };
    let config = OriginConfig { tls, auth: Auth::Bearer(bearer), ..OriginConfig::default() };
    let origin = Origin::start(config).await.unwrap();
    let image = ImageSpec { layers: vec![20_000, 9 << 20], ..ImageSpec::new("team/app", "v1") };
    image.publish(origin.registry()).unwrap();
    let source = format!("docker://{}/team/app:v1", origin.registry_host());
    let target = format!("dir:{}", skopeo.home().join("image").display());
    let copy = ["--insecure-policy", "copy", "--all", "--src-creds", "user:password-of-the-test"];
    let refused = skopeo.output(&[&copy[..], &[source.as_str(), target.as_str()]].concat());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("x509"), "{refused:?}");
    std::fs::write(skopeo.home().join("ca.crt"), certificate).unwrap();
    let trusted = ["--src-cert-dir", "."];
    skopeo.run(&[&copy[..], &trusted[..], &[source.as_str(), target.as_str()]].concat());
    assert!(!format!("{origin:?}").contains("PRIVATE"));
}
