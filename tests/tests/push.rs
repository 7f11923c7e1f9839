//! `ferry-bundle push` against Debian's docker-registry, an origin that fails, and a double of Harbor.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::lock::{Lock, derived};
use ferry_bundle_format::sign::secret::generate_identity;
use ferry_bundle_format::store::Store;
use ferry_bundle_format::{Digest, Reference};
use ferry_bundler::distribution::{Content as _, StoredManifest};
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
    assert!(hints(&refused)[0].contains("have the project made"), "{}", refused.stderr);
    let mallory = format!("{host}=mallory");
    let unknown = BUNDLE.push(&target, &["--plain-http", &host, "--user", &mallory]).expect_code(8, "a stranger");
    assert!(unknown.stderr.contains("refuses the credentials of mallory"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("can't look at project platform"), "{}", unknown.stderr);
    for ended in [refused, unknown] {
        no_password_in(&ended);
    }
}

/// A Harbor for alice, with the flags that lead a push there.
struct Site {
    _runtime: Runtime,
    harbor: Harbor,
    host: String,
    user: String,
}

impl Site {
    fn new(options: HarborOptions) -> Self {
        let (runtime, harbor) = harbor(HarborOptions { account: ALICE, ..options });
        let host = harbor.host();
        Self { _runtime: runtime, harbor, user: format!("{host}=alice"), host }
    }

    fn push(&self, path: &str, more: &[&str]) -> Ended {
        let flags = ["--plain-http", &self.host, "--user", &self.user];
        let ended = BUNDLE.push(&format!("{}{path}", self.host), &[&flags[..], more].concat());
        no_password_in(&ended);
        ended
    }

    fn asked(&self, start: &str) -> usize {
        self.harbor.asked().iter().filter(|line| line.starts_with(start)).count()
    }
}

/// A push that is refused: the code, and what error and hint say.
fn is_refused(ended: Ended, code: i32, error: &str, hint: &str) -> Ended {
    let ended = ended.expect_code(code, error);
    assert_eq!(errors(&ended), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(error), "{error:?} is not in {}", ended.stderr);
    assert!(hints(&ended).iter().any(|line| line.contains(hint)), "{hint:?} is no hint of {}", ended.stderr);
    ended
}

#[test]
fn fixed_tags_let_a_push_be_repeated_and_completed() {
    let site = Site::new(HarborOptions { immutable: true, ..HarborOptions::default() });
    // The third document and those that follow in its repository are not put: a push that broke in the middle.
    site.harbor.origin.faults().add(Fault::new("/manifests/", Action::status(500)).method("PUT").when(When::Nth(3)));
    let _ = site.push("/platform", &["--attempts", "1", "--jobs", "1"]).expect_code(7, "a broken push");
    site.harbor.origin.faults().clear();
    let _ = site.push("/platform", &[]).expect_code(0, "the rest");
    let again = site.push("/platform", &[]).expect_code(0, "all of it again");
    assert!(again.stdout.contains("0 manifests put"), "{}", again.stdout);
    BUNDLE.comes_back(&format!("{}/platform", site.host), Some(&format!("alice:{PASSWORD}")));
}

#[test]
fn a_fixed_tag_with_other_content_is_said_and_the_others_are_put() {
    let site = Site::new(HarborOptions { immutable: true, projects: vec!["platform"], ..HarborOptions::default() });
    let other = StoredManifest::new("application/vnd.oci.image.manifest.v1+json", "{}");
    let registry = site.harbor.origin.registry();
    registry.put_tag("platform/charts/shop", "1.0.0", other.digest);
    registry.put_manifest("platform/charts/shop", other);
    let refused = site.push("/platform", &[]);
    let refused = is_refused(refused, 7, "'platform/charts/shop:1.0.0' configured as immutable", "fixed by a rule");
    assert!(!refused.stderr.contains("push again"), "{}", refused.stderr);
    for name in ["platform/shop/api", "platform/shop/web", "platform/db"] {
        assert!(registry.tags(name).is_some_and(|tags| !tags.is_empty()), "{name}");
    }
}

#[test]
fn projects_that_a_harbor_does_not_take_are_refused_before_anything_is_sent() {
    let site = Site::new(HarborOptions::default());
    for path in ["/my__proj", "/my--proj", "/my---proj/below"] {
        let name = path.split('/').nth(1).unwrap();
        let _ = is_refused(site.push(path, &[]), 3, name, "HOST/PROJECT");
    }
    assert!(site.harbor.projects().is_empty());
    assert_eq!(site.asked("POST"), 0);
}

#[test]
fn rules_of_a_harbor_are_told_as_what_they_are() {
    let plain = HarborOptions::default();
    let there = HarborOptions { projects: vec!["platform"], ..plain.clone() };
    for (options, code, error, hint) in [
        (HarborOptions { quota: Some(1000), ..plain.clone() }, 7, "configured upper limit", "quota"),
        (
            HarborOptions { caches: vec!["platform"], ..there.clone() },
            3,
            "cache of another registry",
            "another project",
        ),
        (HarborOptions { signed_only: true, ..plain.clone() }, 7, "not signed by cosign", "signed or scanned"),
        (
            HarborOptions { rights: [("platform", "pull")].into(), ..there.clone() },
            8,
            "alice has no right",
            "are right",
        ),
        (HarborOptions { rights: [("other", "pull")].into(), ..there.clone() }, 8, "alice has no right", "are right"),
        (HarborOptions { no_tokens: true, ..plain.clone() }, 7, "no token for", "check the network"),
    ] {
        let site = Site::new(options);
        let ended = site.push("/platform", &["--attempts", "1"]).expect_code(code, error);
        assert!(!ended.stderr.contains("refuses the credentials"), "{}", ended.stderr);
        assert_eq!(errors(&ended), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(error), "{error:?} is not in {}", ended.stderr);
        if error == "no token for" {
            assert!(site.harbor.projects().is_empty(), "no project is made that nothing can be pushed to");
        } else {
            assert!(hints(&ended).iter().any(|line| line.contains(hint)), "{hint:?}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_project_that_was_made_in_vain_is_said() {
    let site = Site::new(HarborOptions { rights: [("other", "pull,push")].into(), ..HarborOptions::default() });
    let refused = site.push("/platform", &[]);
    let refused = is_refused(refused, 8, "alice has no right", "have the right to push given there");
    assert!(
        refused.stderr.contains("left as it is in") && refused.stderr.contains(": project platform"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_harbor_that_only_reads_lets_a_push_be_repeated() {
    let site = Site::new(HarborOptions::default());
    site.harbor.read_only(true);
    let _ = is_refused(site.push("/platform", &[]), 7, "read only mode", "read-only mode");
    site.harbor.read_only(false);
    let _ = site.push("/platform", &[]).expect_code(0, "it takes everything");
    site.harbor.read_only(true);
    let _ = site.push("/platform", &[]).expect_code(0, "everything is there");
    let _ = is_refused(site.push("/second", &[]), 7, "read only mode", "read-only mode");
}

#[test]
fn the_password_is_checked_once_and_not_once_a_repository() {
    let site = Site::new(HarborOptions::default());
    let _ = site.push("/platform", &[]).expect_code(0, "push");
    // Before the project is made, and with the rights in it.
    assert_eq!(site.asked("GET /service/token"), 2, "{:?}", site.harbor.asked());
    site.harbor.forget();
    let _ = site.push("/platform", &[]).expect_code(0, "again");
    assert_eq!(site.asked("GET /service/token"), 1, "{:?}", site.harbor.asked());
    assert_eq!(site.asked("PUT"), BUNDLE.lock.images.iter().filter(|image| image.narrowed.is_some()).count());
}

#[test]
fn a_public_project_is_said() {
    let options = HarborOptions { projects: vec!["library"], public: vec!["library"], ..HarborOptions::default() };
    let site = Site::new(options);
    let ended = site.push("/library", &[]).expect_code(0, "push");
    assert!(ended.stderr.contains("project library in") && ended.stderr.contains("is public"), "{}", ended.stderr);
    let other = site.push("/platform", &[]).expect_code(0, "push");
    assert!(!other.stderr.contains("is public"), "{}", other.stderr);
}

#[test]
fn a_login_for_the_project_alone_is_enough() {
    let site = Site::new(HarborOptions::default());
    let ferry = logged_in(&format!("{}/platform", site.host));
    let target = format!("{}/platform", site.host);
    let ended = BUNDLE.push_from(&ferry, &target, &["--plain-http", &site.host]).expect_code(0, "podman's login");
    no_password_in(&ended);
    assert_eq!(site.harbor.projects().len(), 1);
}

#[test]
fn a_dry_run_says_which_projects_would_be_made_and_makes_none() {
    let options = HarborOptions { projects: vec!["library"], public: vec!["library"], ..HarborOptions::default() };
    let site = Site::new(options);
    let dry = site.push("/platform", &["--dry-run"]).expect_code(0, "a plan");
    assert!(dry.stdout.contains("private project platform would be made"), "{}", dry.stdout);
    let dry = site.push("/library", &["--dry-run"]).expect_code(0, "a plan");
    assert!(dry.stdout.contains("is public") && !dry.stdout.contains("would be made"), "{}", dry.stdout);
    let _ = is_refused(site.push("/my__proj", &["--dry-run"]), 3, "my__proj", "HOST/PROJECT");
    let _ = is_refused(site.push("", &["--dry-run"]), 3, "db has none", "HOST/PROJECT");
    assert_eq!((site.asked("POST"), site.asked("PUT")), (0, 0));
    assert_eq!(site.harbor.projects().len(), 1);
    let far = BUNDLE.push("registry.invalid/my__proj", &["--dry-run"]).expect_code(0, "nobody is there");
    assert!(far.stdout.contains("a Harbor takes no project named my__proj"), "{}", far.stdout);
}

#[test]
fn an_upgrade_may_bring_a_project_of_its_own() {
    let ferry = Ferry::new();
    let (identity, recipient) = generate_identity();
    ferry.write("identity.txt", identity.as_bytes());
    let _ = ferry.run(&["keygen", "release", "--age-recipient", &recipient]);
    let store = Store::open(&ferry.path("store")).unwrap();
    let mut fake = Fake::release(1, 50_000);
    fake.blobs.values().for_each(|blob| assert_eq!(store.put(blob).unwrap(), Digest::of(blob)));
    let pack = |lock: &Lock, name: &str, more: &[&str]| {
        ferry.write(&format!("{name}.lock.yaml"), lock.to_yaml());
        let (lock, output) = (format!("{name}.lock.yaml"), format!("{name}.ferry"));
        let all = [
            "pack",
            &lock,
            "-o",
            &output,
            "--store",
            "store",
            "--sign",
            "release.key",
            "--age-identity",
            "identity.txt",
        ];
        let _ = ferry.run(&[&all[..], more].concat());
    };
    pack(&fake.lock, "one", &[]);
    // The same layers under a name that comes before all others.
    let mut second = fake.lock.images[0].clone();
    second.name = Reference::parse("registry.example/alib/second:1.0").unwrap();
    fake.lock.images.push(second);
    fake.lock.serial += 1;
    fake.lock.sort();
    pack(&fake.lock, "two", &["--since", "one.ferry"]);

    let site = Site::new(HarborOptions::default());
    let push = |bundle: &str, path: &str| {
        let target = format!("{}{path}", site.host);
        let flags =
            ["push", bundle, &target, "--trust", "release.pub", "--plain-http", &site.host, "--user", &site.user];
        Ended::of(ferry.command(&flags).env("FERRY_PASSWORD", PASSWORD).output())
    };
    let _ = push("one.ferry", "").expect_code(0, "release 1");
    assert!(!site.harbor.projects().contains_key("alib"));
    // Nothing is there below a project that is not: that is a base that is missing, and no wrong password.
    let _ = is_refused(push("two.ferry", "/newproject"), 3, "missing", "--base");
    assert!(!site.harbor.projects().contains_key("newproject"));
    let _ = push("two.ferry", "").expect_code(0, "release 2 brings a project");
    assert!(site.harbor.projects().contains_key("alib"));
    let tags = site.harbor.origin.registry().tags("alib/second").unwrap();
    assert_eq!(tags, ["1.0"]);
}

#[test]
fn a_chart_and_an_image_under_one_name_are_refused_before_anything_is_sent() {
    let ferry = Ferry::new();
    let mut fake = Fake::new(1, 50);
    let chart = &fake.lock.charts[0];
    let name = format!("example.com/charts/{}:{}", chart.name, chart.version.as_tag());
    let (chart, mut image) = (format!("chart {} {}", chart.name, chart.version), fake.lock.images[0].clone());
    image.name = Reference::parse(&name).unwrap();
    fake.lock.images.push(image);
    fake.lock.sort();
    let store = Store::open(&ferry.path("store")).unwrap();
    fake.blobs.values().for_each(|blob| assert_eq!(store.put(blob).unwrap(), Digest::of(blob)));
    ferry.write("x.lock.yaml", fake.lock.to_yaml());
    let packed = ferry.ends(&["pack", "x.lock.yaml", "-o", "x.ferry", "--store", "store", "--insecure-unsigned"]);
    let packed = packed.expect_code(0, "other names can tell them apart");
    assert!(packed.stderr.contains(&format!("image {name} and {chart}")), "{}", packed.stderr);
    let (_runtime, origin) = target(OriginConfig::default());
    let host = origin.registry_host();
    let push = |more: &[&str]| {
        let flags = ["push", "x.ferry", &host, "--insecure-unsigned", "--plain-http", &host];
        ferry.ends(&[&flags[..], more].concat())
    };
    let refused = is_refused(push(&[]), 3, &format!("image {name}"), "--full-names");
    assert!(refused.stderr.contains(&chart), "{}", refused.stderr);
    assert!(origin.requests().is_empty());
    let _ = push(&["--full-names"]).expect_code(0, "with names of their own");
}
