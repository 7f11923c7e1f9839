//! Charts as they are found: folders compared with `helm package` file by file, archives with what Helm reads, indexes and
//! OCI registries with odd entries.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::{LockedChart, Timestamp};
use ferry_bundle_format::manifest::Manifest;
use ferry_bundle_format::oci::{Descriptor, media_type};
use ferry_bundler::distribution::StoredManifest;
use ferry_bundler::event::{Event, Recorder};
use ferry_bundler::failure::Failure;
use ferry_bundler::origin::{Entry, FileStore, MemoryRegistry, Origin, OriginConfig, Tarball};
use ferry_bundler::resolve::Resolver;
use ferry_bundler::resolve::chart::archive_folder;
use ferry_bundler::source::{ClientSettings, RegistryClient};
use ferry_bundler::vendor::VendorLists;
use tests::program::Program;

const CHART: &str = "apiVersion: v2\nname: app\nversion: 1.0.0\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn archive(members: &[(&str, &str)]) -> Vec<u8> {
    let tar = members.iter().fold(Tarball::new(), |tar, (path, text)| tar.file(path, text.as_bytes()));
    gzip(&tar.finish())
}

/// A chart folder: files, and links (`name -> target`), below a folder of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join("around/app").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, path).unwrap(),
                None => std::fs::write(path, text).unwrap(),
            }
        }
        Self(folder)
    }

    fn chart(&self) -> PathBuf {
        self.0.path().join("around/app")
    }
}

/// The files of an archive by their path in the chart, packed charts of `charts/` among them.
fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.tgz"), archive).unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let tar = Command::new("tar").args(["-xmzf", "x.tgz", "-C", "out"]).current_dir(folder.path()).status().unwrap();
    assert!(tar.success());
    let top = std::fs::read_dir(folder.path().join("out")).unwrap().next().unwrap().unwrap().path();
    let mut found = BTreeMap::new();
    collect(&top, &top, &mut found);
    let packed: Vec<_> = found
        .keys()
        .filter(|path| path.starts_with("charts/") && path.strip_suffix(".tgz").is_some())
        .cloned()
        .collect();
    for path in packed {
        let inner = files(&found.remove(&path).unwrap());
        let name = String::from_utf8(inner["Chart.yaml"].clone()).unwrap();
        let name = name.lines().find_map(|line| line.strip_prefix("name: ")).unwrap().to_owned();
        found.extend(inner.into_iter().map(|(path, bytes)| (format!("charts/{name}/{path}"), bytes)));
    }
    // Helm names the folders of `charts/` after the charts in them.
    found
        .iter()
        .map(|(path, bytes)| match path.strip_prefix("charts/").and_then(|path| path.split_once('/')) {
            Some((folder, rest)) => (format!("charts/{}/{rest}", name_in(&found, folder)), bytes.clone()),
            None => (path.clone(), bytes.clone()),
        })
        .collect()
}

/// The name of the chart in `charts/FOLDER`.
fn name_in(files: &BTreeMap<String, Vec<u8>>, folder: &str) -> String {
    let text =
        files.get(&format!("charts/{folder}/Chart.yaml")).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let name = text.and_then(|text| text.lines().find_map(|line| line.strip_prefix("name: ").map(str::to_owned)));
    name.unwrap_or_else(|| folder.to_owned())
}

fn collect(top: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(top, &path, found);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes).to_vec();
            found.insert(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned(), bytes);
        }
    }
}

const FILES: [(&str, &str); 12] = [
    ("Chart.yaml", CHART),
    ("values.yaml", "a: 1\n"),
    ("README.md", "read\n"),
    ("secret.key", "private\n"),
    ("docs/a.md", "a\n"),
    ("docs/deep/b.md", "b\n"),
    ("files/secret.key", "private too\n"),
    ("files/#odd", "odd\n"),
    (".git/config", "git\n"),
    ("templates/d.yaml", "kind: ConfigMap\n"),
    ("templates/.hidden", "hidden\n"),
    ("templates/sub/_helpers.tpl", "{{/* */}}\n"),
];

/// What is packed of `folder`, compared with what `helm package` takes of it where Helm is there.
fn compared(what: &str, folder: &Folder) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let ours = archive_folder(&folder.chart()).map(|bytes| files(&bytes)).map_err(|error| error.to_string());
    let Some(helm) = Program::helm() else { return ours };
    let output = helm.output(&["package", folder.chart().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), ours.is_ok(), "{what}: {ours:?}, but Helm says {said}");
    if let Ok(ours) = &ours {
        let theirs = files(&std::fs::read(helm.home().join("app-1.0.0.tgz")).unwrap());
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(ours), names(&theirs), "{what}");
        // Helm writes `Chart.yaml` anew.
        for (path, bytes) in ours.iter().filter(|(path, _)| !path.ends_with("Chart.yaml")) {
            assert!(*bytes == theirs[path], "{what}: {path}");
        }
    }
    ours
}

#[test]
fn what_helmignore_names_does_not_travel() {
    for (rules, gone) in [
        ("", &[][..]),
        ("*.key", &["secret.key", "files/secret.key"]),
        ("/secret.key", &["secret.key"]),
        ("files/*.key", &["files/secret.key"]),
        ("files/", &["files/secret.key", "files/#odd"]),
        ("files", &["files/secret.key", "files/#odd"]),
        ("files/*", &["files/secret.key", "files/#odd"]),
        ("docs/*", &["docs/a.md", "docs/deep/b.md"]),
        ("docs/*.md", &["docs/a.md"]),
        ("deep/", &["docs/deep/b.md"]),
        ("/deep/", &[]),
        ("docs/deep", &["docs/deep/b.md"]),
        ("b.md", &["docs/deep/b.md"]),
        ("[a-b].md", &["docs/a.md", "docs/deep/b.md"]),
        ("[^a].md", &["docs/deep/b.md"]),
        ("?.md", &["docs/a.md", "docs/deep/b.md"]),
        ("README*", &["README.md"]),
        ("readme.md", &[]),
        ("# README.md", &[]),
        ("\\#odd", &["files/#odd"]),
        ("  README.md  \n\n# x\n*.key", &["README.md", "secret.key", "files/secret.key"]),
        ("\u{feff}README.md\r\n*.key\r\n", &["README.md", "secret.key", "files/secret.key"]),
        (".git/", &[".git/config"]),
        (".git", &[".git/config"]),
        (".*", &[".git/config", ".helmignore"]),
        ("*.md\n!README.md", &["README.md", "docs/a.md", "docs/deep/b.md"]),
        (".helmignore", &[".helmignore"]),
        ("templates/_*", &[]),
        ("nothing/", &[]),
    ] {
        let mut all = FILES.to_vec();
        all.push((".helmignore", rules));
        let packed = compared(rules, &Folder::new(&all));
        if rules.contains('!') {
            // Helm's `!` leaves out all that it does not name, `Chart.yaml` too.
            assert!(packed.is_err(), "{rules}");
            continue;
        }
        let packed = packed.unwrap_or_else(|why| panic!("{rules:?}: {why}"));
        let mut expected: Vec<_> = all.iter().map(|(path, _)| *path).filter(|path| !gone.contains(path)).collect();
        expected.retain(|path| *path != "templates/.hidden");
        expected.sort_unstable();
        assert_eq!(packed.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{rules:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of folders")]
fn chart_folders_are_packed_as_helm_packs_them() {
    let needs =
        format!("{CHART}dependencies:\n- {{name: sub, version: 1.0.0, repository: \"https://charts.example\"}}\n");
    let old = "apiVersion: v1\nname: app\nversion: 1.0.0\n";
    let sub = "apiVersion: v2\nname: sub\nversion: 1.0.0\n";
    let requirements = "dependencies:\n- {name: sub, version: 1.0.0, repository: \"https://charts.example\"}\n";
    for (what, files, refused) in [
        ("plain", vec![("Chart.yaml", CHART), ("values.yaml", "a: 1\n")], None),
        (
            "byte order marks",
            vec![
                ("Chart.yaml", "\u{feff}apiVersion: v2\r\nname: app\r\nversion: 1.0.0\r\n"),
                ("values.yaml", "\u{feff}a: 1\n"),
            ],
            None,
        ),
        ("no Chart.yaml", vec![("values.yaml", "a: 1\n")], Some("has no Chart.yaml")),
        (
            "an ignored Chart.yaml",
            vec![("Chart.yaml", CHART), (".helmignore", "Chart.yaml")],
            Some("has no Chart.yaml"),
        ),
        ("two stars", vec![("Chart.yaml", CHART), (".helmignore", "a/**/b")], Some("`**`")),
        ("a bad pattern", vec![("Chart.yaml", CHART), (".helmignore", "a[")], Some("is no pattern")),
        (
            "a dependency as a folder",
            vec![("Chart.yaml", &needs), ("charts/sub/Chart.yaml", sub), ("charts/sub/values.yaml", "b: 1\n")],
            None,
        ),
        (
            "a dependency in a folder of another name",
            vec![("Chart.yaml", &needs), ("charts/other/Chart.yaml", sub)],
            None,
        ),
        (
            "a dependency of another name",
            vec![("Chart.yaml", &needs), ("charts/sub/Chart.yaml", "apiVersion: v2\nname: other\nversion: 1.0.0\n")],
            Some("charts/ lacks: sub"),
        ),
        ("no dependencies", vec![("Chart.yaml", &needs)], Some("charts/ lacks: sub")),
        (
            "an ignored dependency",
            vec![("Chart.yaml", &needs), ("charts/sub/Chart.yaml", sub), (".helmignore", "sub/")],
            Some("charts/ lacks: sub"),
        ),
        (
            "a hidden dependency",
            vec![("Chart.yaml", &needs), ("charts/_sub/Chart.yaml", sub)],
            Some("charts/ lacks: sub"),
        ),
        (
            "requirements.yaml",
            vec![("Chart.yaml", old), ("requirements.yaml", requirements)],
            Some("charts/ lacks: sub"),
        ),
        (
            "requirements.yaml that is met",
            vec![("Chart.yaml", old), ("requirements.yaml", requirements), ("charts/sub/Chart.yaml", sub)],
            None,
        ),
        (
            "what Helm leaves out of charts/",
            vec![("Chart.yaml", CHART), ("charts/_x/y", "y"), ("charts/.z", "z")],
            None,
        ),
        (
            "a text in charts/",
            vec![("Chart.yaml", CHART), ("charts/README.md", "x")],
            Some("charts/README.md is no chart"),
        ),
        (
            "a text in charts/, ignored",
            vec![("Chart.yaml", CHART), ("charts/README.md", "x"), (".helmignore", "charts/README.md")],
            None,
        ),
        ("a signature in charts/", vec![("Chart.yaml", CHART), ("charts/x.tgz.prov", "x")], None),
        (
            "a link to a folder beside the chart",
            vec![
                ("Chart.yaml", CHART),
                ("crds", "-> ../crds"),
                ("../crds/a.yaml", "kind: X\n"),
                ("../crds/b/c.yaml", "kind: Y\n"),
            ],
            None,
        ),
        ("a link to a file", vec![("Chart.yaml", CHART), ("LICENSE", "-> ../LICENSE"), ("../LICENSE", "free\n")], None),
        (
            "a link inside the chart",
            vec![("Chart.yaml", CHART), ("files/a", "-> ../values.yaml"), ("values.yaml", "a: 1\n")],
            None,
        ),
        (
            "an ignored link",
            vec![("Chart.yaml", CHART), ("crds", "-> ../crds"), ("../crds/a.yaml", "x"), (".helmignore", "crds/")],
            None,
        ),
        (
            "a rule below a link",
            vec![
                ("Chart.yaml", CHART),
                ("crds", "-> ../crds"),
                ("../crds/a.key", "x"),
                ("../crds/b", "x"),
                (".helmignore", "*.key"),
            ],
            None,
        ),
        ("a link to nowhere", vec![("Chart.yaml", CHART), ("crds", "-> ../nowhere")], Some("can't read")),
        ("a link to a link", vec![("Chart.yaml", CHART), ("a", "-> b"), ("b", "-> ../c"), ("../c", "c\n")], None),
    ] {
        let packed = compared(what, &Folder::new(&files));
        match (packed, refused) {
            (Ok(_), None) => {}
            (Err(why), Some(expected)) => assert!(why.contains(expected), "{what}: {why}"),
            (other, _) => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_packed_dependency_is_one() {
    let folder = Folder::new(&[(
        "Chart.yaml",
        "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- {name: sub, version: 1.0.0, repository: \"https://charts.example\"}\n",
    )]);
    let sub =
        archive(&[("sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n"), ("sub/values.yaml", "b: 1\n")]);
    std::fs::create_dir(folder.chart().join("charts")).unwrap();
    std::fs::write(folder.chart().join("charts/sub-1.0.0.tgz"), sub).unwrap();
    let packed = compared("a packed dependency", &folder).unwrap();
    assert!(packed.contains_key("charts/sub/values.yaml"));
}

#[test]
fn links_that_leave_the_checkout_and_what_is_no_file_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("id_rsa"), "private").unwrap();
    let folder = Folder::new(&[("Chart.yaml", CHART)]);
    symlink(outside.path().join("id_rsa"), folder.chart().join("key")).unwrap();
    let error = archive_folder(&folder.chart()).unwrap_err().to_string();
    assert!(error.contains("is a link to") && error.contains("outside of"), "{error}");
    // In a checkout the whole of it is in reach.
    let folder = Folder::new(&[("Chart.yaml", CHART), ("../../far/a", "a\n"), ("a", "-> ../../far/a")]);
    assert!(archive_folder(&folder.chart()).is_err());
    std::fs::create_dir(folder.0.path().join(".git")).unwrap();
    assert!(archive_folder(&folder.chart()).is_ok());

    let folder = Folder::new(&[("Chart.yaml", CHART), ("x/y", "-> ..")]);
    let error = archive_folder(&folder.chart()).unwrap_err().to_string();
    assert!(error.contains("leads back"), "{error}");

    let folder = Folder::new(&[("Chart.yaml", CHART)]);
    let socket = std::os::unix::net::UnixListener::bind(folder.chart().join("socket")).unwrap();
    let error = compared("a socket", &folder).unwrap_err();
    assert!(error.contains("neither a file nor a folder"), "{error}");
    drop(socket);
}

/// Resolves a manifest with one chart, `app 1.0.0`, from `source`; paths are relative to `base`.
async fn resolved(source: &str, base: &Path, plain: &str) -> (Result<LockedChart, Failure>, Vec<String>) {
    let text = format!(
        "apiVersion: ferry.dev/v1\nkind: Manifest\nproduct: {{name: x, version: \"1\", channel: stable}}\narches: [amd64]\n\
         charts:\n- {{name: app, version: 1.0.0, {source}}}\n"
    );
    let manifest = Manifest::parse(Path::new("x.yaml"), &text).unwrap_or_else(|problems| panic!("{problems}"));
    let mut settings = ClientSettings::default();
    settings.plain_http.insert(plain);
    settings.retries.attempts = 1;
    let client = RegistryClient::new(&settings, Arc::new(|_| ())).unwrap();
    let recorder = Arc::new(Recorder::default());
    let resolver = Resolver { client, reporter: recorder.clone(), jobs: 2, base: base.to_owned() };
    let vendors = VendorLists::load(&[]).unwrap();
    let lock = resolver.resolve(&manifest, &vendors, None, Timestamp::from_unix(0)).await;
    let notes = recorder.events().into_iter().filter_map(|event| match event {
        Event::Note { text } => Some(text),
        _ => None,
    });
    (lock.map(|mut lock| lock.charts.remove(0)).map_err(Failure::from), notes.collect())
}

/// What a failure says, with its hints.
fn said(failure: &Failure) -> String {
    failure.render()
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_read_as_helm_reads_them() {
    let app = |name: &str| archive(&[(name, CHART)]);
    let folder = tempfile::tempdir().unwrap();
    let link = Tarball::new().entry(&Entry::symlink("app/Chart.yaml", "x"), b"").finish();
    let with_folder = Tarball::new().directory("app/").file("app/Chart.yaml", CHART.as_bytes()).finish();
    for (what, bytes, refused) in [
        ("as usual", app("app/Chart.yaml"), None),
        ("from Windows", archive(&[("app\\Chart.yaml", CHART), ("app\\templates\\d.yaml", "kind: X\n")]), None),
        (
            "with a byte order mark",
            archive(&[("app/Chart.yaml", &format!("\u{feff}{}", CHART.replace('\n', "\r\n")))]),
            None,
        ),
        ("in a folder of another name", app("other/Chart.yaml"), None),
        ("with folders", gzip(&with_folder), None),
        ("Chart.yaml last", archive(&[("app/values.yaml", "a: 1\n"), ("app/Chart.yaml", CHART)]), None),
        ("in two parts of gzip", [gzip(&[]), app("app/Chart.yaml")].concat(), None),
        (
            "a chart in the chart",
            archive(&[
                ("app/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n"),
                ("app/Chart.yaml", CHART),
            ]),
            None,
        ),
        ("with a roundabout path", app("app/x/../Chart.yaml"), None),
        ("with a dot before it", app("./app/Chart.yaml"), Some("no Chart.yaml in its one folder")),
        ("in no folder", app("Chart.yaml"), Some("is in no folder")),
        (
            "out of the folder",
            archive(&[("app/Chart.yaml", CHART), ("app/../../x", "x")]),
            Some("leads out of the chart"),
        ),
        ("an absolute path", archive(&[("app/Chart.yaml", CHART), ("app//etc/passwd", "x")]), Some("absolute path")),
        ("a path of Windows", archive(&[("app/Chart.yaml", CHART), ("app/c:/x", "x")]), Some("path of Windows")),
        ("empty", archive(&[]), Some("no Chart.yaml")),
        ("a link as Chart.yaml", gzip(&link), Some("no Chart.yaml")),
        (
            "another name",
            archive(&[("app/Chart.yaml", "apiVersion: v2\nname: other\nversion: 2.0.0\n")]),
            Some("it is other 2.0.0"),
        ),
        ("no gzip", Tarball::new().file("app/Chart.yaml", CHART.as_bytes()).finish(), Some("no gzip")),
        ("a page", b"<!DOCTYPE html><html>".to_vec(), Some("a page of HTML")),
        ("a short one", app("app/Chart.yaml")[..40].to_vec(), Some("chart archive")),
        (
            "a number as version",
            archive(&[("app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0\n")]),
            Some("put it in quotes"),
        ),
        ("no name", archive(&[("app/Chart.yaml", "apiVersion: v2\nversion: 1.0.0\n")]), Some("has no name")),
        ("no YAML", archive(&[("app/Chart.yaml", "{{")]), Some("Chart.yaml")),
        ("a list", archive(&[("app/Chart.yaml", "[]")]), Some("no list of keys")),
    ] {
        let path = folder.path().join("app.tgz");
        std::fs::write(&path, &bytes).unwrap();
        let (chart, _) = resolved("path: app.tgz", folder.path(), "127.0.0.1").await;
        match (chart, refused) {
            (Ok(chart), None) => assert_eq!(chart.layers[0].digest, Digest::of(&bytes), "{what}"),
            (Err(failure), Some(expected)) => assert!(said(&failure).contains(expected), "{what}: {}", said(&failure)),
            (other, _) => panic!("{what}: {other:?}"),
        }
        // What Helm could not install is not carried, and the other way round.
        // Of a number it makes a text when it reads a file, but not when it reads what a registry has.
        let differ = ["another name", "no name", "a number as version"];
        if let Some(helm) = Program::helm().filter(|_| !differ.contains(&what)) {
            let output = helm.output(&["show", "chart", path.to_str().unwrap()]);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), refused.is_none(), "{what}: Helm says {text}");
        }
    }
}

/// An origin with an empty registry and chart repository.
async fn origin() -> (Origin, Arc<MemoryRegistry>, Arc<FileStore>) {
    let (registry, charts) = (Arc::<MemoryRegistry>::default(), Arc::<FileStore>::default());
    let config = OriginConfig { registry: registry.clone(), charts: charts.clone(), ..OriginConfig::default() };
    (Origin::start(config).await.unwrap(), registry, charts)
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_of_the_field_give_the_chart() {
    let (origin, registry, charts) = origin().await;
    let host = origin.registry_host();
    let bytes = archive(&[("app/Chart.yaml", CHART)]);
    let hex = Digest::of(&bytes).hex();
    charts.put("app-1.0.0.tgz", bytes.clone());
    charts.put("other.tgz", archive(&[("app/Chart.yaml", CHART), ("app/values.yaml", "")]));
    put_chart(&registry, "c/app", "1.0.0", CHART);
    let good = "{version: 1.0.0, urls: [app-1.0.0.tgz]}";
    let entry = |text: &str| format!("apiVersion: v1\nentries:\n  app: [{text}]\n");
    let beside = |text: &str| format!("apiVersion: v1\nentries:\n  other: {text}\n  app: [{good}]\n");
    for (what, index, refused) in [
        ("plain", entry(good), None),
        ("the digest", entry(&format!("{{version: 1.0.0, urls: [app-1.0.0.tgz], digest: {hex}}}")), None),
        ("sha256:", entry(&format!("{{version: 1.0.0, urls: [app-1.0.0.tgz], digest: 'sha256:{hex}'}}")), None),
        (
            "capitals",
            entry(&format!("{{version: 1.0.0, urls: [app-1.0.0.tgz], digest: {}}}", hex.to_uppercase())),
            None,
        ),
        ("an empty digest", entry("{version: 1.0.0, urls: [app-1.0.0.tgz], digest: ''}"), None),
        ("null", entry("{version: 1.0.0, urls: [app-1.0.0.tgz], digest: null}"), None),
        ("another digest", entry("{version: 1.0.0, urls: [app-1.0.0.tgz], digest: abc}"), Some("says abc")),
        ("v before it", entry("{version: v1.0.0, urls: [app-1.0.0.tgz]}"), None),
        ("a whole url", entry(&format!("{{version: 1.0.0, urls: ['{}']}}", origin.url("/charts/app-1.0.0.tgz"))), None),
        ("the second url", entry("{version: 1.0.0, urls: [gone.tgz, app-1.0.0.tgz]}"), None),
        ("oci", entry(&format!("{{version: 1.0.0, urls: ['oci://{host}/c/app:1.0.0']}}")), None),
        ("oci, no tag", entry(&format!("{{version: 1.0.0, urls: ['oci://{host}/c/app']}}")), None),
        (
            "oci, the digest",
            entry(&format!("{{version: 1.0.0, urls: ['oci://{host}/c/app:1.0.0'], digest: {hex}}}")),
            None,
        ),
        (
            "oci, another digest",
            entry(&format!("{{version: 1.0.0, urls: ['oci://{host}/c/app:1.0.0'], digest: abc}}")),
            Some("says abc"),
        ),
        ("oci, nonsense", entry("{version: 1.0.0, urls: ['oci://UPPER CASE/x']}"), Some("oci://UPPER CASE/x")),
        ("s3", entry("{version: 1.0.0, urls: ['s3://bucket/app.tgz']}"), Some("helm pull")),
        ("no url", entry("{version: 1.0.0}"), Some("app 1.0.0 has no url")),
        ("no such version", entry("{version: 2.0.0, urls: [x.tgz]}"), Some("it has: 2.0.0")),
        ("no such chart", "apiVersion: v1\nentries: {}\n".into(), Some("has no chart app")),
        ("no entries", "apiVersion: v1\n".into(), Some("has no chart app")),
        ("null beside it", beside("[null]"), None),
        ("nothing beside it", beside(""), None),
        ("no version beside it", beside("[{urls: [x.tgz]}]"), None),
        ("no urls beside it", beside("[{version: 1.0.0, urls: null}]"), None),
        ("a number beside it", beside("[{version: 1.2, urls: [x.tgz]}]"), None),
        ("a text beside it", beside("text"), None),
        ("wrong types beside it", beside("[{version: {a: b}, urls: 7}]"), None),
        ("a broken version beside it", entry(&format!("{{urls: [x.tgz]}}, null, {good}")), None),
        (
            "a key twice",
            "apiVersion: v1\nentries:\n  app: []\n  app: []\n".into(),
            Some("is no chart repository index"),
        ),
        ("a page", "<html></html>".into(), Some("is no chart repository index")),
    ] {
        charts.put("index.yaml", index);
        let (chart, notes) = resolved(&format!("repo: '{}'", origin.url("/charts")), Path::new("."), &host).await;
        match (chart, refused) {
            (Ok(chart), None) => assert_eq!(chart.layers[0].digest, Digest::of(&bytes), "{what}"),
            (Err(failure), Some(expected)) => assert!(said(&failure).contains(expected), "{what}: {}", said(&failure)),
            (other, _) => panic!("{what}: {other:?}"),
        }
        let broken = [
            "null beside it",
            "no version beside it",
            "a text beside it",
            "wrong types beside it",
            "a broken version beside it",
        ];
        assert_eq!(notes.iter().any(|note| note.contains("broken")), broken.contains(&what), "{what}: {notes:?}");
    }
}

/// Puts a chart whose config says what `chart_yaml` says.
fn put_chart(registry: &MemoryRegistry, repository: &str, tag: &str, chart_yaml: &str) -> Descriptor {
    let value = |key: &str| chart_yaml.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
    let config = serde_json::json!({ "name": value("name: "), "version": value("version: ") }).to_string();
    put_chart_with(registry, repository, tag, chart_yaml, &config, media_type::HELM_CONFIG)
}

fn put_chart_with(
    registry: &MemoryRegistry,
    repository: &str,
    tag: &str,
    chart_yaml: &str,
    config: &str,
    config_type: &str,
) -> Descriptor {
    let layer = archive(&[("app/Chart.yaml", chart_yaml)]);
    let document = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(config_type, config.as_bytes()), "layers": [Descriptor::of(media_type::HELM_CHART, &layer)],
    });
    registry.put_blob(repository, config.to_owned());
    registry.put_blob(repository, layer);
    put_document(registry, repository, tag, media_type::OCI_MANIFEST, &document)
}

fn put_document(
    registry: &MemoryRegistry,
    repository: &str,
    tag: &str,
    media_type: &str,
    document: &serde_json::Value,
) -> Descriptor {
    let stored = StoredManifest::new(media_type, document.to_string());
    let descriptor = Descriptor::new(media_type, stored.digest, stored.bytes.len() as u64);
    registry.put_tag(repository, tag, stored.digest);
    registry.put_manifest(repository, stored);
    descriptor
}

#[tokio::test(flavor = "multi_thread")]
async fn oci_tags_give_the_one_chart_behind_them() {
    let (origin, registry, _) = origin().await;
    let host = origin.registry_host();
    let other = "apiVersion: v2\nname: other\nversion: 2.0.0\n";
    let newer = "apiVersion: v2\nname: app\nversion: 1.0.1\n";
    let image = |repository: &str, n: u32| {
        let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "n": n }).to_string();
        put_chart_with(&registry, repository, &format!("image-{n}"), CHART, &config, media_type::OCI_CONFIG)
    };
    let index = |repository: &str, entries: &[Descriptor]| {
        let document =
            serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries });
        put_document(&registry, repository, "1.0.0", media_type::OCI_INDEX, &document);
    };
    put_chart(&registry, "plain/app", "1.0.0", CHART);
    put_chart(&registry, "other/app", "1.0.0", other);
    put_chart(&registry, "newer/app", "1.0.0", newer);
    put_chart_with(&registry, "empty/app", "1.0.0", CHART, "{}", media_type::HELM_CONFIG);
    put_chart_with(&registry, "empty-other/app", "1.0.0", other, "{}", media_type::HELM_CONFIG);
    image("image/app", 1);
    registry.put_tag("image/app", "1.0.0", image("image/app", 1).digest);
    let chart = put_chart(&registry, "index/app", "chart", CHART);
    index("index/app", &[image("index/app", 1), image("index/app", 2), chart]);
    let chart = put_chart(&registry, "only/app", "chart", CHART);
    index("only/app", &[chart]);
    let chart = put_chart(&registry, "same/app", "chart", CHART);
    index("same/app", &[chart.clone(), chart]);
    index("none/app", &[image("none/app", 1)]);
    index("nothing/app", &[]);
    let two = [put_chart(&registry, "two/app", "a", CHART), put_chart(&registry, "two/app", "b", newer)];
    index("two/app", &two);
    let chart = put_chart(&registry, "index-other/app", "chart", other);
    index("index-other/app", &[chart]);
    for (repository, refused) in [
        ("plain", None),
        ("index", None),
        ("only", None),
        ("same", None),
        ("empty", None),
        ("other", Some("it is other 2.0.0")),
        ("newer", Some("it is app 1.0.1")),
        ("empty-other", Some("it is other 2.0.0")),
        ("index-other", Some("it is other 2.0.0")),
        ("image", Some("is no chart: its config is")),
        ("none", Some("an index without a chart")),
        ("nothing", Some("an index without a chart; it has: nothing")),
        ("two", Some("several charts: sha256:")),
    ] {
        let (chart, _) = resolved(&format!("oci: 'oci://{host}/{repository}'"), Path::new("."), &host).await;
        match (chart, refused) {
            (Ok(chart), None) => assert_eq!(chart.layers[0].media_type, media_type::HELM_CHART, "{repository}"),
            (Err(failure), Some(expected)) => {
                assert!(said(&failure).contains(expected), "{repository}: {}", said(&failure));
            }
            (other, _) => panic!("{repository}: {other:?}"),
        }
    }
}
