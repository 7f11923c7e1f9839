//! `ferry-bundle push` against Debian's docker-registry, an origin that fails, and a double of Harbor.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::{Lock, derived};
use ferry_bundler::origin::{
    Account, Action, Auth, Bearer, Fault, MemoryRegistry, Origin, OriginConfig, RegistryOptions as OriginOptions, When,
};
use tests::delivery::Delivery;
use tests::docker_registry::{DockerRegistry, PrivateCa, RegistryOptions};
use tests::ferry::{Ended, Ferry};
use tests::harbor::{Harbor, HarborOptions};
use tests::program::Program;
use tests::proxy;
use tokio::runtime::Runtime;

/// One bundle for all tests of this file: pushing does not change it.
struct Bundle {
    delivery: Delivery,
    lock: Lock,
}

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let delivery = Delivery::new();
    let lock = delivery.made();
    Bundle { delivery, lock }
});

impl Bundle {
    /// Names in a registry, `repository:tag`, and the digests they must have there.
    fn names(&self) -> Vec<(String, Digest)> {
        let images = self.lock.images.iter().map(|image| {
            (format!("{}:{}", image.name.repository(), image.name.tag().unwrap()), image.carried().digest)
        });
        let rest = derived::listed(&self.lock).into_iter().skip(self.lock.images.len());
        images.chain(rest.map(|listed| (listed.name, listed.pin.digest))).collect()
    }

    /// `push` to `target`, from a home of its own, with a password in the environment.
    fn push(&self, target: &str, more: &[&str]) -> Ended {
        self.push_from(&Ferry::new(), target, more)
    }

    fn push_from(&self, ferry: &Ferry, target: &str, more: &[&str]) -> Ended {
        let (bundle, key) = (self.delivery.ferry.path("site.ferry"), self.delivery.ferry.path("release.pub"));
        let paths = [bundle.to_str().unwrap(), target, "--trust", key.to_str().unwrap(), "--idle-timeout", "10"];
        let mut command = ferry.command(&[&["push"], &paths[..], more].concat());
        Ended::of(command.env("FERRY_PASSWORD", PASSWORD).output())
    }

    /// A push that must succeed, to `target` on a plain HTTP host.
    fn pushed(&self, target: &str, more: &[&str]) -> serde_json::Value {
        let host = target.split('/').next().unwrap();
        self.push(target, &[&["--json", "--plain-http", host], more].concat()).expect_code(0, target).data()
    }

    /// Has skopeo and crane pull everything below `target` back. `login` is `user:password`.
    fn comes_back(&self, target: &str, login: Option<&str>) {
        let (Some(skopeo), Some(crane)) = (Program::skopeo(), Program::crane()) else { return };
        if let Some((user, password)) = login.and_then(|login| login.split_once(':')) {
            let host = target.split('/').next().unwrap();
            crane.run(&["auth", "login", host, "--username", user, "--password", password]);
        }
        for (name, digest) in self.names() {
            let place = format!("{target}/{name}");
            assert_eq!(crane.run(&["digest", "--insecure", &place]).trim(), digest.to_string(), "{place}");
            let folder = tempfile::tempdir().unwrap();
            let (from, to) = (format!("docker://{place}"), format!("dir:{}", folder.path().display()));
            let creds = login.map_or(["--retry-times", "0"], |login| ["--src-creds", login]);
            let copy = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--all", &from, &to];
            skopeo.run(&[&copy[..], &creds].concat());
            assert_eq!(Digest::of(&std::fs::read(folder.path().join("manifest.json")).unwrap()), digest, "{place}");
        }
        for image in &self.lock.images {
            let name = format!("{target}/{}:{}", image.name.repository(), image.name.tag().unwrap());
            crane.run(&["validate", "--insecure", "--remote", &name]);
            for manifest in &image.manifests {
                let by_digest = format!("{target}/{}@{}", image.name.repository(), manifest.manifest.digest);
                crane.run(&["manifest", "--insecure", &by_digest]);
            }
        }
    }
}

/// What no output may show.
const PASSWORD: &str = "pl4nted-s3cret";

fn no_password_in(ended: &Ended) {
    // Also as `user:password` in Base64, which is what goes over the wire.
    for secret in [PASSWORD, "YWxpY2U6cGw0bnRlZC1zM2NyZXQ"] {
        assert!(!ended.all().contains(secret), "{}", ended.all());
    }
}

fn hints(ended: &Ended) -> Vec<&str> {
    ended.stderr.lines().filter(|line| line.starts_with("hint: ")).collect()
}

fn errors(ended: &Ended) -> usize {
    ended.stderr.lines().filter(|line| line.starts_with("error: ")).count()
}

#[test]
fn everything_pushed_comes_back_and_a_second_push_sends_nothing() {
    let Some(registry) = DockerRegistry::start(&RegistryOptions::default()) else { return };
    let bundle = &*BUNDLE;
    let first = bundle.pushed(&registry.host(), &[]);
    let narrowed = bundle.lock.images.iter().filter(|image| image.narrowed.is_some()).count();
    assert!(narrowed > 0 && first["refusedIndexes"] == narrowed, "{first}");
    assert!(first["sent"].as_u64().unwrap() > 10 && first["mounted"].as_u64().unwrap() > 0, "{first}");
    let blobs: u64 = ["sent", "mounted", "there"].iter().map(|key| first[key].as_u64().unwrap()).sum();

    let second = bundle.pushed(&registry.host(), &[]);
    assert_eq!((&second["sent"], &second["sentBytes"], &second["mounted"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(second["there"], blobs);
    bundle.comes_back(&registry.host(), None);

    let dry = bundle.push("registry.invalid:5000/platform", &["--dry-run"]).expect_code(0, "a plan needs no registry");
    assert!(
        dry.stdout.contains("registry.invalid:5000/platform/shop/api: 1.0") && dry.stdout.contains("nothing was sent")
    );
}

#[test]
fn one_project_holds_everything() {
    let Some(registry) = DockerRegistry::start(&RegistryOptions::default()) else { return };
    let target = format!("{}/platform/site-1", registry.host());
    BUNDLE.pushed(&target, &[]);
    BUNDLE.comes_back(&target, None);
    let Some(crane) = Program::crane() else { return };
    assert!(crane.run(&["catalog", &registry.host()]).lines().all(|line| line.starts_with("platform/site-1/")));
}

#[test]
fn a_user_pushes_and_the_password_shows_nowhere() {
    let user = Some(("alice".to_owned(), PASSWORD.to_owned()));
    let Some(registry) = DockerRegistry::start(&RegistryOptions { user, ..RegistryOptions::default() }) else { return };
    let (host, bundle) = (registry.host(), &*BUNDLE);
    let (alice, mallory) = (format!("{host}=alice"), format!("{host}=mallory"));

    let wrong = bundle.push(&host, &["--plain-http", &host, "--user", &mallory]).expect_code(8, "a wrong user");
    assert_eq!((errors(&wrong), hints(&wrong).len()), (1, 1), "{}", wrong.all());
    assert!(wrong.stderr.contains("refuses the credentials of mallory"), "{}", wrong.stderr);
    let nobody = bundle.push(&host, &["--plain-http", &host]).expect_code(8, "nobody");
    assert!(nobody.stderr.contains("wants credentials, and there are none"), "{}", nobody.stderr);
    assert_eq!(errors(&nobody), 1);
    let machine = bundle.push(&host, &["--json", "--plain-http", &host, "--user", &mallory]).expect_code(8, "json");
    let last = machine.events().pop().unwrap();
    assert_eq!((&last["event"], &last["exitCode"]), (&"error".into(), &8.into()));
    assert!(machine.stderr.is_empty(), "{}", machine.stderr);

    let good = bundle.push(&host, &["--plain-http", &host, "--user", &alice]).expect_code(0, "alice");
    let again = bundle.push(&host, &["--json", "--plain-http", &host, "--user", &alice]).expect_code(0, "again");
    assert_eq!(again.data()["sent"], 0);
    for ended in [wrong, nobody, machine, good, again] {
        no_password_in(&ended);
    }
    bundle.comes_back(&host, Some(&format!("alice:{PASSWORD}")));
}

#[test]
fn docker_login_is_enough() {
    let user = Some(("alice".to_owned(), PASSWORD.to_owned()));
    let Some(registry) = DockerRegistry::start(&RegistryOptions { user, ..RegistryOptions::default() }) else { return };
    let ferry = logged_in(&registry.host());
    let ended = BUNDLE.push_from(&ferry, &registry.host(), &["--plain-http", &registry.host()]);
    no_password_in(&ended.expect_code(0, "docker's own login"));
}

/// A home in which `docker login` was done as alice.
fn logged_in(host: &str) -> Ferry {
    let ferry = Ferry::new();
    let auth = "YWxpY2U6cGw0bnRlZC1zM2NyZXQ=";
    ferry.write("../.docker/config.json", serde_json::json!({"auths": {host: {"auth": auth}}}).to_string());
    ferry
}

#[test]
fn a_private_ca_is_trusted_by_file_only() {
    let (ca, other) = (PrivateCa::new(), PrivateCa::new());
    let tls = Some(ca.issue(&["127.0.0.1"]));
    let Some(registry) = DockerRegistry::start(&RegistryOptions { tls, ..RegistryOptions::default() }) else { return };
    let (host, bundle, ferry) = (registry.host(), &*BUNDLE, Ferry::new());
    ferry.write("ca.pem", ca.certificate());
    ferry.write("other.pem", other.certificate());

    for arguments in [&[][..], &["--ca-file", "other.pem"]] {
        let refused = bundle.push_from(&ferry, &host, arguments).expect_code(7, "an unknown CA");
        assert_eq!(errors(&refused), 1);
        assert!(matches!(hints(&refused)[..], [hint] if hint.contains("--ca-file")), "{}", refused.stderr);
        assert!(refused.stderr.contains(&format!("no trusted TLS connection to {host}")), "{}", refused.stderr);
    }
    let _ = bundle.push_from(&ferry, &host, &["--ca-file", "ca.pem"]).expect_code(0, "the right CA");
    bundle.comes_back(&host, None);
    let careless = bundle.push_from(&ferry, &host, &["--insecure-tls", &host]).expect_code(0, "no check at all");
    assert!(careless.stdout.contains("0 blobs sent"), "{}", careless.stdout);
}

#[test]
fn plain_http_has_to_be_asked_for() {
    let Some(registry) = DockerRegistry::start(&RegistryOptions::default()) else { return };
    let refused = BUNDLE.push(&registry.host(), &[]).expect_code(7, "a host that speaks no TLS");
    let hint = format!("--plain-http {}", registry.host());
    assert_eq!(errors(&refused), 1);
    assert!(matches!(hints(&refused)[..], [line] if line.contains(&hint)), "{}", refused.stderr);
}

/// An empty origin to push to.
fn target(config: OriginConfig) -> (Runtime, Origin) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let origin = runtime.block_on(Origin::start(config)).unwrap();
    (runtime, origin)
}

fn holds_everything(origin: &Origin) {
    origin.faults().clear();
    BUNDLE.comes_back(&origin.registry_host(), None);
}

#[test]
fn a_push_survives_broken_connections() {
    let (runtime, origin) = target(OriginConfig::default());
    let (host, broken) = runtime.block_on(proxy::breaking(origin.address().port(), 150_000, 5));
    let pushed = BUNDLE.pushed(&host, &[]);
    assert_eq!(broken.load(Ordering::Relaxed), 5);
    assert!(pushed["sent"].as_u64().unwrap() > 10);
    holds_everything(&origin);
}

#[test]
fn a_push_survives_a_server_in_trouble() {
    let trouble = |method: &str, path: &str, when| Fault::new(path, Action::status(503)).method(method).when(when);
    let faults = vec![
        trouble("POST", "/blobs/uploads/", When::Nth(2)),
        trouble("PATCH", "/blobs/uploads/", When::Nth(2)),
        trouble("PUT", "/blobs/uploads/", When::Nth(2)),
        trouble("PUT", "/manifests/", When::Nth(3)),
        trouble("HEAD", "/blobs/", When::Nth(4)),
        trouble("GET", "/manifests/", When::Nth(2)),
        Fault::new("/blobs/uploads/", Action::too_many(1)).method("POST").when(When::Nth(5)),
        Fault::new("/blobs/uploads/", Action::Delay(Duration::from_millis(300)))
            .when(When::Percent { chance: 10, seed: 1 }),
    ];
    let (_runtime, origin) = target(OriginConfig { faults, ..OriginConfig::default() });
    let host = origin.registry_host();
    let ended = BUNDLE.push(&host, &["--plain-http", &host]).expect_code(0, "push");
    assert!(ended.stderr.matches("retry: ").count() >= 4, "{}", ended.stderr);
    holds_everything(&origin);
}

#[test]
fn a_registry_that_does_not_mount_gets_the_blobs() {
    let options = OriginOptions { mounts: false, absolute_locations: true, ..OriginOptions::default() };
    let registry = Arc::new(MemoryRegistry::new(options));
    let (_runtime, origin) = target(OriginConfig { registry, ..OriginConfig::default() });
    let pushed = BUNDLE.pushed(&origin.registry_host(), &[]);
    assert_eq!(pushed["mounted"], 0);
    holds_everything(&origin);
}

#[test]
fn tokens_that_end_in_mid_push_are_renewed() {
    let expire = |method: &str, path: &str, n| Fault::new(path, Action::ExpireTokens).method(method).when(When::Nth(n));
    let apart = vec![
        expire("PATCH", "/blobs/uploads/", 1),
        expire("PUT", "/blobs/uploads/", 4),
        expire("POST", "/blobs/uploads/", 9),
        expire("PUT", "/manifests/", 3),
    ];
    // One at a time, any request may find the token gone; four at a time, all find it gone at once.
    for (jobs, faults) in [("1", apart), ("4", vec![expire("PUT", "/blobs/uploads/", 6)])] {
        let (account, expiries) = (Some(Account::new("alice", PASSWORD)), faults.len());
        let auth = Auth::Bearer(Bearer { account, ..Bearer::default() });
        let registry = Arc::new(MemoryRegistry::default());
        let config = OriginConfig { auth, faults, registry: registry.clone(), ..OriginConfig::default() };
        let (runtime, origin) = target(config);
        let host = origin.registry_host();
        let flags = ["--plain-http", &host, "--jobs", jobs, "--user", &format!("{host}=alice")];
        no_password_in(&BUNDLE.push(&host, &flags).expect_code(0, "push"));
        assert!(origin.requests().iter().filter(|request| request.status == 401).count() >= expiries);
        // An open door to the same shelves.
        let open = runtime.block_on(Origin::start(OriginConfig { registry, ..OriginConfig::default() })).unwrap();
        holds_everything(&open);
    }
}

#[test]
fn a_registry_that_gives_back_something_else_is_found_out() {
    let faults = vec![Fault::new("/manifests/1.0", Action::FlipByte { at: 20 }).method("GET")];
    let (_runtime, origin) = target(OriginConfig { faults, ..OriginConfig::default() });
    let host = origin.registry_host();
    let ended = BUNDLE.push(&host, &["--plain-http", &host, "--attempts", "1"]).expect_code(10, "other content");
    assert!(ended.stderr.contains("can't read") && ended.stderr.contains("back"), "{}", ended.stderr);
}

fn harbor(options: HarborOptions) -> (Runtime, Harbor) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let harbor = runtime.block_on(Harbor::start(options));
    (runtime, harbor)
}

const ALICE: Option<(&str, &str)> = Some(("alice", PASSWORD));

#[test]
fn harbors_projects_are_made_private() {
    let (_runtime, harbor) = harbor(HarborOptions { account: ALICE, ..HarborOptions::default() });
    let host = harbor.host();
    let target = format!("{host}/platform");
    let user = format!("{host}=alice");
    let flags = ["--plain-http", &host, "--user", &user];
    let ended = BUNDLE.push(&target, &flags).expect_code(0, "push");
    no_password_in(&ended);
    assert!(ended.stderr.contains(&format!("made the private project platform in {host}")), "{}", ended.stderr);
    assert_eq!(harbor.projects(), [("platform".to_owned(), false)].into());
    BUNDLE.comes_back(&target, Some(&format!("alice:{PASSWORD}")));
    let again = BUNDLE.push(&target, &flags).expect_code(0, "again");
    assert!(!again.stderr.contains("made the private project") && again.stdout.contains("0 blobs sent"));
}

#[test]
fn harbor_takes_the_login_of_docker() {
    // Its API says 401 without saying how to log in.
    let (_runtime, harbor) = harbor(HarborOptions { account: ALICE, ..HarborOptions::default() });
    let (ferry, target) = (logged_in(&harbor.host()), format!("{}/platform", harbor.host()));
    let ended = BUNDLE.push_from(&ferry, &target, &["--plain-http", &harbor.host()]).expect_code(0, "push");
    no_password_in(&ended);
    assert_eq!(harbor.projects().len(), 1);
}

#[test]
fn a_project_that_somebody_else_just_made_is_no_error() {
    let options = HarborOptions { projects: vec!["platform"], race: true, ..HarborOptions::default() };
    let (_runtime, harbor) = harbor(options);
    BUNDLE.pushed(&format!("{}/platform", harbor.host()), &[]);
}

#[test]
fn without_a_project_each_first_part_is_one_and_a_name_without_is_refused() {
    let (_runtime, harbor) = harbor(HarborOptions::default());
    let host = harbor.host();
    // `db:15.4` of docker.example has no first part.
    let refused = BUNDLE.push(&host, &["--plain-http", &host]).expect_code(3, "a name without project");
    assert_eq!(errors(&refused), 1);
    assert!(
        refused.stderr.contains("db has none") && hints(&refused)[0].contains("HOST/PROJECT"),
        "{}",
        refused.stderr
    );
    assert!(harbor.projects().is_empty(), "refused before anything is made");

    BUNDLE.pushed(&host, &["--full-names"]);
    let projects: Vec<_> = harbor.projects().into_keys().collect();
    assert_eq!(projects, ["charts", "docker.example", "files", "registry.example"]);
    assert!(harbor.projects().values().all(|public| !public));
    let Some(crane) = Program::crane() else { return };
    for image in &BUNDLE.lock.images {
        let digest = crane.run(&["digest", &format!("{host}/{}", image.name)]);
        assert_eq!(digest.trim(), image.carried().digest.to_string());
    }
}

#[test]
fn missing_rights_at_harbor_give_one_clear_line() {
    let options = HarborOptions { account: ALICE, no_new_projects: true, ..HarborOptions::default() };
    let (_runtime, harbor) = harbor(options);
    let (host, target) = (harbor.host(), format!("{}/platform", harbor.host()));
    let user = format!("{host}=alice");
    let refused = BUNDLE.push(&target, &["--plain-http", &host, "--user", &user]).expect_code(8, "no rights");
    assert_eq!((errors(&refused), hints(&refused).len()), (1, 1), "{}", refused.stderr);
    assert!(refused.stderr.contains("can't make project platform"), "{}", refused.stderr);
    assert!(refused.stderr.contains("Only system admin can create project"), "{}", refused.stderr);
    let mallory = format!("{host}=mallory");
    let unknown = BUNDLE.push(&target, &["--plain-http", &host, "--user", &mallory]).expect_code(8, "a stranger");
    assert!(unknown.stderr.contains("refuses the credentials of mallory"), "{}", unknown.stderr);
    for ended in [refused, unknown] {
        no_password_in(&ended);
    }
}
