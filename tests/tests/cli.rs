//! Whole commands as a person meets them: exit codes, what is printed where, what is refused and with which hint.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::Lock;
use ferry_bundle_format::manifest::Manifest;
use ferry_bundle_format::yaml;
use ferry_bundler::failure::ExitCode;
use ferry_bundler::origin::{Account, Action, Auth, Fault, Origin, OriginConfig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::delivery::{AGENT, Delivery, api, content};
use tests::ferry::{Ended, Ferry};

const VERBS: [&str; 17] = [
    "keygen",
    "lock",
    "fetch",
    "pack",
    "make",
    "verify",
    "show",
    "diff",
    "export",
    "serve",
    "push",
    "split",
    "receive",
    "resend",
    "demo",
    "schema",
    "completions",
];

/// Ended with this code, which is also what `--json` would say; one error line, unless all is well.
fn ends(ended: Ended, code: ExitCode) -> Ended {
    let ended = ended.expect_code(i32::from(code as u8), &format!("{code:?}"));
    let errors = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, usize::from(code != ExitCode::Success), "{}", ended.stderr);
    ended
}

/// An empty origin with these settings, and the flags to reach it.
fn broken_origin(config: OriginConfig) -> Delivery {
    Delivery::with(OriginConfig { faults: config.faults, auth: config.auth, ..content() })
}

#[test]
fn each_exit_code_is_reached() {
    let delivery = Delivery::new();
    let ferry = &delivery.ferry;
    ends(delivery.make("site.ferry", &[]), ExitCode::Success);
    ends(ferry.ends(&["pack", "site.lock.yaml"]), ExitCode::Usage);
    ends(ferry.ends(&["make", "site.yaml", "-o", "x.ferry"]), ExitCode::Usage);
    ends(ferry.ends(&["fetch", "site.yaml"]), ExitCode::Input);

    let mut damaged = ferry.read("site.ferry");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    ferry.write("damaged.ferry", damaged);
    let refused = ends(ferry.ends(&["verify", "damaged.ferry", "--trust", "release.pub"]), ExitCode::Refused);
    assert!(refused.stderr.contains("step 7, content: 1 member is damaged"), "{}", refused.stderr);

    delivery.keygen("other");
    ends(ferry.ends(&["verify", "site.ferry", "--trust", "other.pub"]), ExitCode::Untrusted);
    ends(ferry.ends(&["verify", "site.ferry"]), ExitCode::Untrusted);
    ferry.write("new.yaml", String::from_utf8(ferry.read("site.yaml")).unwrap().replace("\"1.0\"", "\"1.1\""));
    ends(
        ferry.ends(&delivery.resolving(&["lock", "new.yaml", "--lock", "site.lock.yaml", "--check"])),
        ExitCode::Drift,
    );
    ends(ferry.ends(&["verify", "nowhere.ferry", "--trust", "release.pub"]), ExitCode::Machine);
}

#[test]
fn each_exit_code_of_the_network_is_reached() {
    let mut gone = Delivery::new();
    gone.origin = None;
    // Straight to the origin, which is no more.
    let host = gone.network().iter().find_map(|flag| flag.strip_prefix("registry.example=")).unwrap().to_owned();
    gone.ferry.write("direct.yaml", direct(&host, &["api"]));
    let ended = gone.ferry.ends(&["lock", "direct.yaml", "--plain-http", &host, "--attempts", "1"]);
    let ended = ends(ended, ExitCode::Network);
    assert!(ended.stderr.contains(&host) && ended.stderr.contains("\nhint: "), "{}", ended.stderr);

    let locked = broken_origin(OriginConfig { auth: Auth::Basic(Account::new("a", "b")), ..OriginConfig::default() });
    let host = locked.origin().registry_host();
    for names in [&["api"][..], &["api", "web"]] {
        locked.ferry.write("direct.yaml", direct(&host, names));
        let ended = locked.ferry.ends(&["lock", "direct.yaml", "--plain-http", &host]);
        let ended = ends(ended, ExitCode::Credentials);
        assert!(ended.stderr.contains("wants credentials, and there are none"), "{}", ended.stderr);
        assert_eq!(ended.stderr.matches("\nhint: ").count(), 1, "{}", ended.stderr);
    }

    // Also straight from the origin: after a mirror that lies, the origin itself would be asked.
    let lying = Delivery::new();
    let host = lying.origin().registry_host();
    let agent = format!("{HEAD}files:\n- {{name: agent, url: \"{}\", sha256: ", lying.origin().url("/files/agent"));
    lying.ferry.write("direct.yaml", format!("{agent}{}}}\n", Digest::of(AGENT).hex()));
    ends(lying.ferry.ends(&["lock", "direct.yaml", "--plain-http", &host]), ExitCode::Success);
    lying.origin().faults().add(Fault::new("/files/agent", Action::FlipByte { at: 3 }));
    let arguments = ["fetch", "direct.lock.yaml", "--store", "store", "--attempts", "2", "--plain-http", &host];
    ends(lying.ferry.ends(&arguments), ExitCode::Content);
}

/// A manifest that asks `host` itself for images.
fn direct(host: &str, names: &[&str]) -> String {
    let images: Vec<_> = names.iter().map(|name| format!("- name: {host}/shop/{name}:1.0")).collect();
    format!("{HEAD}images:\n{}\n", images.join("\n"))
}

#[test]
fn ctrl_c_ends_cleanly_and_a_rerun_goes_on() {
    let slow = Fault::new("/manifests/", Action::Delay(Duration::from_secs(60)));
    let delivery = broken_origin(OriginConfig { faults: vec![slow], ..OriginConfig::default() });
    let mut command = delivery.ferry.command(&delivery.resolving(&["lock", "site.yaml"]));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while delivery.origin().requests().is_empty() {
        assert!(Instant::now() < deadline, "it asks nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = ends(Ended::of(child.wait_with_output()), ExitCode::Interrupted);
    assert!(ended.stderr.contains("error: interrupted\nhint: run the same command again"), "{}", ended.stderr);
    assert!(!delivery.ferry.path("site.lock.yaml").exists());
    delivery.origin().faults().clear();
    ends(delivery.lock(&[]), ExitCode::Success);
}

#[test]
fn a_lock_says_what_moved_and_its_serial_rises_only_then() {
    let delivery = Delivery::new();
    let first = ends(delivery.lock(&[]), ExitCode::Success);
    assert!(first.stdout.starts_with("site.lock.yaml written: serial 1, 3 images, 2 charts, "), "{}", first.stdout);
    let bytes = delivery.ferry.read("site.lock.yaml");
    for flags in [&[][..], &["--check"], &["--frozen"]] {
        let again = ends(delivery.lock(flags), ExitCode::Success);
        let says = if flags == ["--frozen"] { "is what the manifest asks for" } else { "is up to date" };
        assert!(again.stdout.starts_with(&format!("site.lock.yaml {says}: serial 1, ")), "{}", again.stdout);
        assert_eq!(delivery.ferry.read("site.lock.yaml"), bytes);
    }

    let moved = api("another build").publish(delivery.origin().registry()).unwrap();
    let drift = ends(delivery.lock(&["--check"]), ExitCode::Drift);
    let change = drift.stderr.lines().find(|line| line.contains("moved")).unwrap_or_else(|| panic!("{}", drift.stderr));
    assert!(change.contains("registry.example/shop/api") && change.contains(&moved.root.digest.short()), "{change}");
    assert_eq!(delivery.ferry.read("site.lock.yaml"), bytes, "--check writes nothing");
    let told = ends_json(&delivery.lock(&["--check", "--json"]), ExitCode::Drift);
    assert!(told.iter().any(|event| event["event"] == "change" && event["kind"] == "moved"), "{told:?}");

    ends(delivery.lock(&[]), ExitCode::Success);
    let lock = delivery.locked();
    assert_eq!((lock.serial, lock.images.iter().any(|i| i.target.digest == moved.root.digest)), (2, true));
}

/// The events of a run with `--json` that failed; the last one is the error.
fn ends_json(ended: &Ended, code: ExitCode) -> Vec<Value> {
    let events = ended.events();
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["exitCode"]), (&"error".into(), &(code as u8).into()), "{last}");
    assert_eq!((ended.code, ended.stderr.as_str()), (i32::from(code as u8), ""));
    events
}

#[test]
fn lock_never_asks_for_a_layer() {
    let delivery = Delivery::new();
    ends(delivery.lock(&[]), ExitCode::Success);
    let lock = delivery.locked();
    let layers: Vec<_> =
        lock.images.iter().flat_map(|i| &i.manifests).flat_map(|m| &m.layers).map(|l| l.digest).collect();
    assert!(layers.len() >= 12);
    for request in delivery.origin().requests() {
        let asked = layers.iter().find(|digest| request.path.contains(&digest.to_string()));
        assert!(asked.is_none(), "{} {}", request.method, request.path);
        assert!(request.sent < 20_000, "{} bytes of {}", request.sent, request.path);
    }
}

#[test]
fn frozen_needs_no_network_and_refuses_what_the_lock_does_not_hold() {
    let mut delivery = Delivery::new();
    ends(delivery.lock(&[]), ExitCode::Success);
    let fetch = [&["fetch", "site.lock.yaml", "--store", "store"], &delivery.network()[..]].concat();
    ends(delivery.ferry.ends(&fetch), ExitCode::Success);
    delivery.origin = None;
    ends(delivery.lock(&["--frozen"]), ExitCode::Success);
    // Everything is in the store: not even bundling needs the origin.
    ends(delivery.make("site.ferry", &["--frozen", "--store", "store"]), ExitCode::Success);

    let manifest = String::from_utf8(delivery.ferry.read("site.yaml")).unwrap();
    let more = manifest.replace("images:\n", "images:\n- name: registry.example/shop/more:2.0\n");
    delivery.ferry.write("site.yaml", more);
    for refused in [delivery.lock(&["--frozen"]), delivery.make("more.ferry", &["--frozen"])] {
        let refused = ends(refused, ExitCode::Drift);
        assert!(refused.stderr.contains("\n  image registry.example/shop/more:2.0"), "{}", refused.stderr);
    }
    assert!(!delivery.ferry.path("more.ferry").exists());
    fs::remove_file(delivery.ferry.path("site.lock.yaml")).unwrap();
    let refused = ends(delivery.lock(&["--frozen"]), ExitCode::Drift);
    assert!(refused.stderr.contains("site.lock.yaml is not there"), "{}", refused.stderr);
}

const HEAD: &str =
    "apiVersion: ferry.dev/v1\nkind: Manifest\nproduct: {name: shop, version: \"1.0\"}\narches: [amd64]\n";

#[test]
fn manifest_errors_show_the_place_the_line_and_a_hint() {
    let ferry = Ferry::new();
    let body = |text: &str| format!("{HEAD}{text}\n");
    let bad = [
        ("an unknown key", body("imagse: []")),
        ("an unknown key below", body("images:\n- name: a.example/b:1\n  digest: x")),
        ("a key twice", body("images: []\ncharts: []\nimages: []")),
        ("a version read as a number", HEAD.replace("\"1.0\"", "1.30")),
        ("a Kubernetes version read as a number", body("kubernetes: {version: 1.30}")),
        ("a reference without tag", body("images:\n- name: docker.io/library/nginx")),
        ("a bad reference", body("images:\n- name: docker.io/Library/nginx:1.27")),
        ("an image twice", body("images:\n- name: a.example/b:1\n- name: a.example/b:1")),
        ("an unknown architecture", HEAD.replace("amd64", "sparc")),
        ("another version of the format", HEAD.replace("ferry.dev/v1", "ferry.dev/v9")),
        ("a file without digest", body("files:\n- name: a\n  url: https://dl.example/a")),
        ("a digest cut off", body("files:\n- {name: a, url: \"https://dl.example/a\", sha256: abcd}")),
        ("a chart from two places", body("charts:\n- {name: a, version: 1.0.0, path: a, repo: \"https://c.example\"}")),
        ("a group that is not declared", body("images:\n- name: a.example/b:1\n  groups: [tools]")),
        ("a path out of the folder", body("files:\n- {name: \"../a\", path: a}")),
        ("broken YAML", body("images: [")),
        ("an empty file", String::new()),
    ];
    let mut told = String::new();
    for (what, manifest) in bad {
        ferry.write("site.yaml", manifest);
        let ended = ends(ferry.ends(&["lock", "site.yaml"]), ExitCode::Input);
        assert!(ended.stdout.is_empty() && !ended.stderr.contains('\u{1b}'), "{}", ended.all());
        writeln!(told, "## {what}\n{}", ended.stderr).unwrap();
    }
    insta::assert_snapshot!("manifest_errors", told);
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_force() {
    let delivery = Delivery::new();
    delivery.ferry.write("site.ferry", "precious");
    for arguments in [&["make", "site.yaml"][..], &["pack", "site.lock.yaml"]] {
        let signed = ["-o", "site.ferry", "--sign", "release.key", "--age-identity", "identity.txt"];
        let all = [arguments, &signed].concat();
        let all = if arguments[0] == "make" { delivery.resolving(&all) } else { all };
        let refused = ends(delivery.ferry.ends(&all), ExitCode::Input);
        assert!(refused.stderr.contains("site.ferry exists already"), "{}", refused.stderr);
        assert!(refused.stderr.contains("\nhint: ") && refused.stderr.contains("--force"), "{}", refused.stderr);
        assert_eq!(delivery.ferry.read("site.ferry"), b"precious");
    }
    ends(delivery.make("site.ferry", &["--force"]), ExitCode::Success);
    let verified = delivery.ferry.ends(&["verify", "site.ferry", "--trust", "release.pub"]);
    assert!(ends(verified, ExitCode::Success).stdout.starts_with("OK: shop 1.0"));
    let refused = ends(delivery.ferry.ends(&["keygen", "release"]), ExitCode::Input);
    assert!(refused.stderr.contains("release.key exists already"), "{}", refused.stderr);
}

#[test]
fn what_nobody_signed_is_refused_or_shows_everywhere() {
    let delivery = Delivery::new();
    let ferry = &delivery.ferry;
    let arguments = delivery.resolving(&["make", "site.yaml", "-o", "site.ferry", "--insecure-unsigned"]);
    let made = ends(ferry.ends(&arguments), ExitCode::Success);
    assert!(made.all().contains("UNSIGNED"), "{}", made.all());
    let target = delivery.runtime.block_on(Origin::start(OriginConfig::default())).unwrap();
    let host = target.registry_host();
    let verbs: [&[&str]; 4] = [
        &["verify", "site.ferry"],
        &["show", "site.ferry"],
        &["export", "site.ferry", "--oci", "layout"],
        &["push", "site.ferry", &host, "--plain-http", &host],
    ];
    for verb in verbs {
        let refused = ends(ferry.ends(&[verb, &["--trust", "release.pub"]].concat()), ExitCode::Untrusted);
        assert!(refused.stderr.contains("the bundle is not signed"), "{}", refused.stderr);
        for flag in ["--plain", "--quiet"] {
            let shown = ends(ferry.ends(&[verb, &["--insecure-unsigned", flag]].concat()), ExitCode::Success);
            assert!(
                shown.all().contains("UNSIGNED: let in by --insecure-unsigned"),
                "{verb:?} {flag}: {}",
                shown.all()
            );
        }
        let told = ferry.ends(&[verb, &["--insecure-unsigned", "--json"]].concat()).expect_code(0, "json");
        assert_eq!(told.data()["trusted"], false, "{verb:?}: {}", told.stdout);
    }
    let refused = ferry.ends(&["serve", "site.ferry", "--listen", "127.0.0.1:0", "--trust", "release.pub"]);
    ends(refused, ExitCode::Untrusted);
    let (_, said) = ferry.serve(&["site.ferry", "--insecure-unsigned"]).terminate();
    assert!(said.contains("UNSIGNED: let in by --insecure-unsigned") && said.contains("\"trusted\":false"), "{said}");
    // To look is allowed to everybody, and says what it is worth.
    let looked = ends(ferry.ends(&["show", "site.ferry"]), ExitCode::Success);
    assert!(looked.stdout.contains("trust: UNSIGNED"), "{}", looked.stdout);
}

#[test]
fn a_threshold_of_two_needs_two_different_keys() {
    let delivery = Delivery::new();
    delivery.keygen("second");
    ends(delivery.make("one.ferry", &[]), ExitCode::Success);
    ends(delivery.make("two.ferry", &["--sign", "second.key"]), ExitCode::Success);
    let both = ["--trust", "release.pub", "--trust", "second.pub", "--threshold", "2"];
    let verify = |bundle, trust: &[&str]| delivery.ferry.ends(&[&["verify", bundle], trust].concat());
    ends(verify("two.ferry", &both), ExitCode::Success);
    let refused = ends(verify("one.ferry", &both), ExitCode::Untrusted);
    assert!(refused.stderr.contains("1 of the needed 2 trusted keys signed"), "{}", refused.stderr);
    let twice = ["--trust", "release.pub", "--trust", "release.pub", "--threshold", "2"];
    let refused = ends(verify("two.ferry", &twice), ExitCode::Untrusted);
    assert!(refused.stderr.contains("can't be met by 1 different trusted keys"), "{}", refused.stderr);
    ends(delivery.make("again.ferry", &["--sign", "release.key"]), ExitCode::Success);
    let refused = ends(verify("again.ferry", &both), ExitCode::Untrusted);
    assert!(refused.stderr.contains("1 of the needed 2 trusted keys signed"), "{}", refused.stderr);
}

#[test]
fn a_site_that_remembers_refuses_to_go_back() {
    let delivery = Delivery::new();
    ends(delivery.make("1.ferry", &[]), ExitCode::Success);
    fs::copy(delivery.ferry.path("site.lock.yaml"), delivery.ferry.path("1.lock.yaml")).unwrap();
    let _ = api("another build").publish(delivery.origin().registry()).unwrap();
    ends(delivery.make("2.ferry", &[]), ExitCode::Success);
    let verify = |bundle| delivery.ferry.ends(&["verify", bundle, "--trust", "release.pub", "--state", "seen.json"]);
    ends(verify("1.ferry"), ExitCode::Success);
    ends(verify("2.ferry"), ExitCode::Success);
    ends(verify("2.ferry"), ExitCode::Success);
    let refused = ends(verify("1.ferry"), ExitCode::Untrusted);
    assert!(refused.stderr.contains("serial 1 of shop (stable) is older than 2"), "{}", refused.stderr);
    let mut damaged = delivery.ferry.read("1.ferry");
    *damaged.last_mut().unwrap() ^= 1;
    delivery.ferry.write("damaged.ferry", damaged);
    let fresh = ["verify", "damaged.ferry", "--trust", "release.pub", "--state", "fresh.json"];
    ends(delivery.ferry.ends(&fresh), ExitCode::Refused);
    assert!(!delivery.ferry.path("fresh.json").exists(), "only what passed every check is remembered");

    // Bundles and locks compare alike, in any mixture.
    for (old, new) in [("1.ferry", "2.ferry"), ("1.lock.yaml", "site.lock.yaml"), ("1.ferry", "site.lock.yaml")] {
        let told = ends(delivery.ferry.ends(&["diff", old, new, "--trust", "release.pub"]), ExitCode::Success);
        assert!(
            told.stdout.contains("registry.example/shop/api") && told.stdout.contains("1 changes;"),
            "{}",
            told.stdout
        );
        let told = delivery.ferry.run(&["diff", old, new, "--trust", "release.pub", "--json"]).data();
        assert_eq!(told["changes"].as_array().unwrap().len(), 1, "{told}");
        assert!(told["newBlobs"].as_u64().unwrap() >= 4, "{told}");
    }
    let same = delivery.ferry.run(&["diff", "2.ferry", "site.lock.yaml", "--trust", "release.pub"]);
    assert!(same.stdout.starts_with("0 changes; 0 blobs are new"), "{}", same.stdout);
}

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

#[test]
fn the_published_schema_is_the_programs_and_judges_as_it_does() {
    let ferry = Ferry::new();
    let printed = ferry.run(&["schema", "manifest"]).stdout;
    let published = fs::read_to_string(workspace("docs/manifest.schema.json")).unwrap();
    assert!(printed == published, "run: ferry-bundle schema manifest > docs/manifest.schema.json");
    assert!(ferry.run(&["schema", "vendor-list"]).stdout.contains("VendorList"));

    let validator = jsonschema::validator_for(&serde_json::from_str(&printed).unwrap()).unwrap();
    let errors = |path: &Path, text: &str| -> Vec<String> {
        let document: Value = yaml::read_foreign(path, text).unwrap();
        validator.iter_errors(&document).map(|error| error.to_string()).collect()
    };
    let mut examples = 0;
    for entry in fs::read_dir(workspace("manifests")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(errors(&path, &text), [""; 0], "{}", path.display());
        Manifest::parse(&path, &text).unwrap_or_else(|problems| panic!("{problems}"));
        examples += 1;
    }
    assert!(examples >= 2);
    let delivery = Delivery::new();
    let full = String::from_utf8(delivery.ferry.read("site.yaml")).unwrap();
    assert_eq!(errors(Path::new("site.yaml"), &full), [""; 0]);
    for bad in [
        format!("{HEAD}imagse: []\n"),
        format!("{HEAD}images: [{{name: 5}}]\n"),
        format!("{HEAD}kubernetes: {{version: 1.30}}\n"),
        format!("{HEAD}files: [{{path: a}}]\n"),
        HEAD.replace("1.0\"", "\"").replace("\"\"", "[]"),
        HEAD.replace("amd64", "sparc"),
        HEAD.replace("ferry.dev/v1", "ferry.dev/v9"),
        HEAD.replace("arches: [amd64]\n", ""),
        HEAD.replace("name: shop", "name: Shop!"),
    ] {
        assert_ne!(errors(Path::new("bad.yaml"), &bad), [""; 0], "the schema takes {bad}");
        assert!(Manifest::parse(Path::new("bad.yaml"), &bad).is_err(), "ferry takes {bad}");
    }
}

#[test]
fn the_example_manifests_ask_for_what_the_vendor_lists_know() {
    let ferry = Ferry::new();
    for entry in fs::read_dir(workspace("manifests")).unwrap() {
        let path = entry.unwrap().path();
        // As far as it goes without a network.
        let flags = ["--attempts", "1", "--lock", "x.lock.yaml"];
        let ended = ferry.ends(&[&["lock", path.to_str().unwrap()], &flags[..]].concat());
        if ["core", "networks"].iter().any(|one| path.ends_with(format!("kubernetes-1.34-{one}.yaml"))) {
            // They carry programs that are built first, and a component whose digests no vendor publishes as a list.
            let ended = ends(ended, ExitCode::Input);
            let known = [
                "no vendor list knows component registry;",
                "dist/ferry-probe-linux-amd64",
                "dist/ferry-install-linux-amd64",
            ];
            let other = |line: &&str| {
                // Where the programs have been built, they are read.
                !line.starts_with("  file ")
                    && !line.contains("Connection refused")
                    && !line.contains("reaching ")
                    && !known.iter().any(|one| line.contains(one))
            };
            let unknown: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("  ")).filter(other).collect();
            assert!(unknown.is_empty() && ended.stderr.contains(known[0]), "{unknown:?}");
            continue;
        }
        let ended = ends(ended, ExitCode::Network);
        assert!(ended.stderr.contains("resolve: "), "{}", ended.stderr);
    }
}

#[test]
fn completions_and_man_pages_know_every_verb() {
    let ferry = Ferry::new();
    for shell in ["bash", "zsh", "fish"] {
        let text = ferry.run(&["completions", shell]).stdout;
        assert!(VERBS.iter().all(|verb| text.contains(verb)), "{shell}");
    }
    ferry.run(&["completions", "--man", "man"]);
    for verb in VERBS {
        let page = String::from_utf8(ferry.read(&format!("man/ferry-bundle-{verb}.1"))).unwrap();
        assert!(page.contains(".SH"), "{verb}");
    }
    ends(ferry.ends(&["completions"]), ExitCode::Usage);
}

#[test]
fn every_verb_is_explained_with_an_example() {
    let ferry = Ferry::new();
    let all = ferry.run(&["--help"]).stdout;
    assert!(all.contains("Exit codes: 0 all is well"), "{all}");
    for verb in VERBS {
        assert!(all.contains(&format!("\n  {verb} ")), "{verb} in {all}");
        let help = ferry.run(&[verb, "--help"]).stdout;
        let (_, examples) = help.split_once("\nExample").unwrap_or_else(|| panic!("no example for {verb}"));
        assert!(examples.contains(&format!("\n  ferry-bundle {verb}")), "{examples}");
    }
}

#[test]
fn the_demo_makes_a_delivery_that_is_trusted_at_each_step() {
    let ferry = Ferry::new();
    let ended = ferry.run(&["demo", "shown", "--json"]);
    let events = ended.events();
    let results: Vec<_> = events.iter().filter(|event| event["event"] == "result").collect();
    let trusted: Vec<_> = results.iter().map(|result| &result["data"]["trusted"]).filter(|t| !t.is_null()).collect();
    assert_eq!(trusted, [true; 4], "verify, show, push, and verify what came out of the upgrade");
    assert!(events.iter().all(|event| event["event"] != "warning") && ended.stderr.is_empty());
    assert!(!ended.stdout.contains("UNSIGNED") && !ended.stdout.contains("NOT TRUSTED"));
    assert_eq!(ended.data()["bundle"], "shown/shop-1.0.ferry");
    assert_eq!(ended.data()["folder"], "shown");
    for name in ["site.yaml", "site.lock.yaml", "transfer-list.txt", "transfer-list.csv", "sbom.json", "release.pub"] {
        assert!(!ferry.read(&format!("shown/{name}")).is_empty());
    }
    // What it says to try next works.
    let verified = ferry.ends(&["verify", "shown/shop-1.0.ferry", "--trust", "shown/release.pub"]);
    ends(verified, ExitCode::Success);
    let lock = String::from_utf8(ferry.read("shown/site.lock.yaml")).unwrap();
    assert_eq!(Lock::parse(Path::new("site.lock.yaml"), &lock).unwrap().serial, 2, "1.0, then 1.1");
    the_upgrade_of_the_demo(&ferry, &results);
    // Its own folder it makes anew; a folder of somebody else it leaves alone.
    ferry.run(&["demo", "shown"]);
    ferry.write("mine/notes.txt", "keep me");
    let refused = ends(ferry.ends(&["demo", "mine"]), ExitCode::Input);
    assert!(refused.stderr.contains("not of an earlier demo"), "{}", refused.stderr);
    assert_eq!(ferry.read("mine/notes.txt"), b"keep me");
}

/// What the last chapters left: volumes of which some are gone, the package that came out of the rest, the bundle made of it.
fn the_upgrade_of_the_demo(ferry: &Ferry, results: &[&serde_json::Value]) {
    let full = ferry.read("shown/shop-1.1.ferry");
    let package = ferry.read("shown/shop-1.1-upgrade.ferry");
    assert!(ferry.read("shown/received/shop-1.1-upgrade.ferry") == package, "received as it was sent");
    assert!(ferry.read("shown/received/shop-1.1.ferry") == full, "applied, it is the full bundle to the byte");
    let (applied, trust) = ("shown/received/shop-1.1.ferry", ["--trust", "shown/release.pub"]);
    ends(ferry.ends(&["verify", applied, trust[0], trust[1]]), ExitCode::Success);
    ends(ferry.ends(&["diff", applied, "shown/shop-1.1.ferry", trust[0], trust[1]]), ExitCode::Success);
    let volumes: Vec<String> = std::fs::read_dir(ferry.path("shown/volumes"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| std::path::Path::new(name).extension().is_some_and(|end| end == "bin"))
        .collect();
    let sizes = results.iter().map(|result| &result["data"]).find(|data| data["applied"].is_u64()).expect("the sizes");
    let of = |name: &str| sizes[name].as_u64().unwrap_or_else(|| panic!("{name}: {sizes}"));
    assert_eq!(of("full"), full.len() as u64);
    assert_eq!(of("upgrade"), package.len() as u64);
    assert!(of("arrived") < of("volumes") && volumes.len() >= 8, "{volumes:?}");
    // Far below what leaving out by digest alone would carry, and that far below the whole.
    assert!(of("upgrade") * 2 < of("changed") && of("changed") < of("full"), "{sizes}");
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let ferry = Ferry::new();
    let mut command = ferry.command(&["completions", "bash"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = Ended::of(child.wait_with_output());
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}
