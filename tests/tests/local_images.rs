//! Local image sources: archives and layouts of every flavour in the field, resolved and compared with the images
//! they were made from and with what skopeo reads; and hostile ones, refused.

use std::fs;
use std::path::Path;

use ferry_bundle_format::lock::{Origin, Pin, derived};
use ferry_bundle_format::manifest::Image as Wanted;
use ferry_bundle_format::oci::{Descriptor, Document, media_type};
use ferry_bundle_format::{Arch, Digest, Reference};
use ferry_bundler::choice::ChoiceError;
use ferry_bundler::local::{LocalBlobs, LocalError, LocalImage, resolve};
use ferry_bundler::origin::{Image, ImageSpec, Quirk, Variant};
use serde_json::{Value, json};
use tests::docker_archive::{self, Saved};
use tests::members::{Member, Members};
use tests::oci_layout;
use tests::program::Program;

/// Bends an archive before it is written; with its manifest.json.
type BendBoth<'a> = Box<dyn Fn(&mut Members, &mut Value) + 'a>;

/// Bends a layout before it is written.
type Bend<'a> = Box<dyn Fn(&mut Members) + 'a>;

const BOTH: [Arch; 2] = [Arch::Amd64, Arch::Arm64];

/// A folder with one source in it, as an archive and as a layout.
struct Place(tempfile::TempDir);

impl Place {
    fn of(members: &Members) -> Self {
        let place = Self::bytes(&members.tar());
        let layout = place.0.path().join("layout");
        fs::create_dir(&layout).unwrap();
        members.write_to(&layout).unwrap();
        place
    }

    fn bytes(tar: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("image.tar"), tar).unwrap();
        Self(folder)
    }

    fn docker(&self, name: &str, arches: &[Arch]) -> Result<LocalImage, LocalError> {
        self.resolve(&Origin::DockerArchive("image.tar".into()), name, arches)
    }

    fn archive(&self, name: &str, arches: &[Arch]) -> Result<LocalImage, LocalError> {
        self.resolve(&Origin::OciArchive("image.tar".into()), name, arches)
    }

    fn layout(&self, name: &str, arches: &[Arch]) -> Result<LocalImage, LocalError> {
        self.resolve(&Origin::OciLayout("layout".into()), name, arches)
    }

    fn resolve(&self, origin: &Origin, name: &str, arches: &[Arch]) -> Result<LocalImage, LocalError> {
        self.wanted(origin, &wanted(name, arches))
    }

    /// The image `any/name:9`, stored under another name.
    fn stored(&self, origin: &Origin, stored_as: &str, arches: &[Arch]) -> Result<LocalImage, LocalError> {
        self.wanted(origin, &Wanted { stored_as: Some(stored_as.to_owned()), ..wanted("any/name:9", arches) })
    }

    /// Resolves; whatever comes out, each of its blobs must come out of the source too.
    fn wanted(&self, origin: &Origin, image: &Wanted) -> Result<LocalImage, LocalError> {
        let image = resolve(origin, self.path(), image)?;
        let blobs = LocalBlobs::open(origin, self.path())?;
        let made_here = matches!(origin, Origin::DockerArchive(_));
        let mut pins: Vec<&Pin> =
            image.manifests.iter().flat_map(|one| one.layers.iter().chain([&one.config])).collect();
        if !made_here {
            pins.extend(image.manifests.iter().map(|one| &one.manifest));
        }
        for pin in pins {
            let bytes = blobs.get(&pin.digest)?.read_all().unwrap();
            assert_eq!((Digest::of(&bytes), bytes.len() as u64), (pin.digest, pin.size));
        }
        Ok(image)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn wanted(name: &str, arches: &[Arch]) -> Wanted {
    Wanted::of_registry(Reference::parse(name).unwrap(), arches)
}

fn image() -> Image {
    ImageSpec::new("shop/app", "1.0").quirk(Quirk::Attestations).generate().unwrap()
}

fn saved<'a>(variant: &'a Variant, tags: &[&str]) -> Saved<'a> {
    Saved { variant, tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
}

fn digests(pins: &[Pin]) -> Vec<Digest> {
    pins.iter().map(|pin| pin.digest).collect()
}

fn text(error: &LocalError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

#[test]
fn layouts_and_oci_archives_give_the_images_they_were_made_from() {
    let (app, web) = (image(), ImageSpec::new("shop/web", "2.0").generate().unwrap());
    let place = Place::of(&oci_layout::all_platforms(&[&app, &web]));
    let from_archive = place.archive("registry.example/shop/app:1.0", &BOTH).unwrap();
    assert_eq!(from_archive, place.layout("registry.example/shop/app:1.0", &BOTH).unwrap());
    assert_eq!(from_archive.target.digest, app.root.digest);
    // Two of four: the attestations stay behind.
    let narrowed = from_archive.narrowed.unwrap();
    assert_eq!(narrowed.digest, Digest::of(&derived::narrowed_index(&from_archive.manifests)));
    for (one, variant) in from_archive.manifests.iter().zip(&app.variants) {
        assert_eq!(one.manifest.digest, variant.manifest.digest);
        assert_eq!(one.config.digest, Digest::of(&variant.config));
        assert_eq!(digests(&one.layers), variant.layers.iter().map(|layer| layer.digest).collect::<Vec<_>>());
    }
    let whole = place.archive("shop/web:2.0", &BOTH).unwrap();
    assert_eq!((whole.target.digest, whole.narrowed), (web.root.digest, None));
    let one = place.archive("shop/web:2.0", &[Arch::Arm64]).unwrap();
    assert_eq!(
        (one.manifests.len(), one.narrowed.is_some(), one.manifests[0].variant.as_deref()),
        (1, true, Some("v8"))
    );
    let pinned = place.layout(&format!("anything/else@{}", app.root.digest), &BOTH).unwrap();
    assert_eq!(pinned.target.digest, app.root.digest);
    let error = place.archive("shop/other:3", &BOTH).unwrap_err();
    assert!(text(&error).contains("1.0 (") && text(&error).contains("2.0 ("), "{error}");
    let error = place.archive("shop/app:1.0", &[Arch::S390x]).unwrap_err();
    assert!(matches!(error, LocalError::Choice { source: ChoiceError::NoArch { .. }, .. }), "{error}");
}

#[test]
fn single_platforms_and_platforms_side_by_side_are_understood() {
    let app = image();
    let place = Place::of(&oci_layout::one_platform(&app, Arch::Arm64));
    let here = Origin::OciLayout("layout".into());
    let one = place.archive("any/name:1.0", &[Arch::Arm64]).unwrap();
    assert_eq!((one.target.digest, &one.narrowed), (app.variants[1].manifest.digest, &None));
    assert_eq!(place.stored(&here, "1.0", &[Arch::Arm64]).unwrap(), one);
    assert!(matches!(place.layout("any/name:1.0", &BOTH), Err(LocalError::Choice { .. })));
    assert!(matches!(place.layout("any/name:1.0", &[Arch::Amd64]), Err(LocalError::Choice { .. })));
    let other = place.layout("any/name:9", &[Arch::Arm64]).unwrap_err();
    assert!(matches!(other, LocalError::OtherName { .. }) && text(&other).contains("it is 1.0 ("), "{other}");
    assert!(other.hint().unwrap().contains("storedAs"));
    assert!(matches!(place.stored(&here, "1.1", &[Arch::Arm64]), Err(LocalError::NotFound { .. })));

    let mut members = oci_layout::all_platforms(&[&app]);
    let roots: Vec<_> = app.variants.iter().map(|variant| oci_layout::named(variant.descriptor(), "1.0")).collect();
    set_index(&mut members, &roots);
    let place = Place::of(&members);
    let joined = place.archive("shop/app:1.0", &BOTH).unwrap();
    assert_eq!(joined.narrowed.as_ref(), Some(&joined.target));
    assert_eq!(joined.target.digest, Digest::of(&derived::narrowed_index(&joined.manifests)));
    let one = place.archive("shop/app:1.0", &[Arch::Amd64]).unwrap();
    assert_eq!((one.target.digest, one.narrowed), (app.variants[0].manifest.digest, None));
}

#[test]
fn docker_archives_old_and_new_give_one_image() {
    let app = image();
    let (amd, arm) = (oci_layout::variant(&app, Arch::Amd64), oci_layout::variant(&app, Arch::Arm64));
    let two = [saved(amd, &["shop/app:1.0"]), saved(arm, &["shop/app:1.0-arm", "localhost:5000/shop/app:arm"])];
    let old = Place::of(&docker_archive::classic(&two)).docker("docker.io/shop/app:1.0", &[Arch::Amd64]).unwrap();
    let new = Place::of(&docker_archive::modern(&two));
    assert_eq!(old, new.docker("shop/app:1.0", &[Arch::Amd64]).unwrap());
    assert_eq!((old.target.media_type.as_str(), &old.narrowed), (media_type::OCI_MANIFEST, &None));
    assert_eq!(old.manifests[0].config.digest, Digest::of(&amd.config));
    assert_eq!(digests(&old.manifests[0].layers), amd.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>());
    let made = derived::image_manifest(&old.manifests[0].config, &old.manifests[0].layers);
    assert_eq!(old.target.digest, Digest::of(&made));
    let other = new.docker("localhost:5000/shop/app:arm", &[Arch::Arm64]).unwrap();
    assert_eq!(other.manifests[0].config.digest, Digest::of(&arm.config));

    // Which is the same digest as that of the layout beside it has, where that layout says it in the same words.
    assert!(new.archive("shop/app:1.0", &[Arch::Amd64]).is_ok());
    for (name, arches) in
        [("shop/app:1.0", &BOTH[..]), ("shop/app:1.0", &[Arch::Arm64]), ("shop/app:2", &[Arch::Amd64])]
    {
        let error = new.docker(name, arches).unwrap_err();
        assert!(matches!(error, LocalError::Choice { .. } | LocalError::NotFound { .. }), "{error}");
    }
    let pinned = format!("shop/app:1.0@{}", app.root.digest);
    assert!(matches!(new.docker(&pinned, &[Arch::Amd64]), Err(LocalError::Pinned { .. })));
    assert!(new.docker(&format!("shop/app:1.0@{}", old.target.digest), &[Arch::Amd64]).is_ok());
    // The only image there, under another name: said, and taken when it is asked for by that name or by its digest.
    let here = Origin::DockerArchive("image.tar".into());
    let other = Place::of(&docker_archive::classic(&[saved(amd, &["other.test/db:9.9"])]));
    let error = other.docker("any/name:7", &[Arch::Amd64]).unwrap_err();
    assert!(matches!(error, LocalError::OtherName { .. }) && text(&error).contains("other.test/db:9.9"), "{error}");
    assert_eq!(other.stored(&here, "other.test/db:9.9", &[Arch::Amd64]).unwrap(), old);
    assert_eq!(other.docker(&format!("any/name:7@{}", old.target.digest), &[Arch::Amd64]).unwrap(), old);
    assert!(matches!(other.stored(&here, "other.test/db:9", &[Arch::Amd64]), Err(LocalError::OtherName { .. })));
    assert!(new.stored(&here, "shop/app:1.0", &[Arch::Amd64]).is_ok());
    // The only image there needs no name.
    let alone = Place::of(&docker_archive::classic(&[saved(amd, &[])]));
    assert_eq!(alone.docker("any/name:7", &[Arch::Amd64]).unwrap(), old);
}

#[test]
fn layers_that_come_again_are_found_through_links() {
    let spec = |tag: &str| ImageSpec { arches: vec![Arch::Amd64], ..ImageSpec::new("shop/app", tag) };
    let (one, two) = (spec("1").generate().unwrap(), spec("2").generate().unwrap());
    let images = [saved(&one.variants[0], &["shop/app:1"]), saved(&two.variants[0], &["shop/app:2"])];
    let mut members = docker_archive::classic(&images);
    // The same base lies under two ids only if what is below differs; so a link is put in by hand.
    let layer = members.0.keys().find(|name| name.ends_with("/layer.tar")).unwrap().clone();
    let moved = members.0.remove(&layer).unwrap();
    members.0.insert("ffff/layer.tar".into(), moved);
    members.symlink(&layer, "../ffff/layer.tar");
    let place = Place::bytes(&members.tar());
    for (name, image) in [("shop/app:1", &one), ("shop/app:2", &two)] {
        let found = place.docker(name, &[Arch::Amd64]).unwrap();
        assert_eq!(found.manifests[0].layers[0].digest, image.variants[0].layers[0].diff_id);
    }
}

#[test]
fn the_containerd_store_keeps_layers_compressed() {
    let app = image();
    let amd = oci_layout::variant(&app, Arch::Amd64);
    let place = Place::of(&docker_archive::containerd(&app, amd, &["shop/app:1.0"]));
    let as_docker = place.docker("shop/app:1.0", &[Arch::Amd64]).unwrap();
    let packed: Vec<_> = amd.layers.iter().map(|layer| layer.digest).collect();
    assert_eq!(digests(&as_docker.manifests[0].layers), packed);
    assert_eq!(as_docker.manifests[0].layers[0].media_type, media_type::OCI_LAYER_GZIP);
    let as_layout = place.archive("docker.io/shop/app:1.0", &[Arch::Amd64]).unwrap();
    assert_eq!((as_layout.target.digest, digests(&as_layout.manifests[0].layers)), (app.root.digest, packed));
    // What the index lists but the archive does not hold.
    assert!(matches!(place.archive("shop/app:1.0", &BOTH), Err(LocalError::Missing { .. })));
}

#[test]
fn skopeo_reads_the_same() {
    let Some(skopeo) = Program::skopeo() else { return };
    let app = image();
    let place = Place::of(&oci_layout::all_platforms(&[&app]));
    let at = |scheme: &str, name: &str, end: &str| format!("{scheme}:{}{end}", place.path().join(name).display());
    for source in [at("oci-archive", "image.tar", ":1.0"), at("oci", "layout", ":1.0")] {
        let raw = skopeo.run(&["inspect", "--raw", &source]);
        assert_eq!(Digest::of(raw.as_bytes()), place.archive("shop/app:1.0", &BOTH).unwrap().target.digest);
    }
    let amd = oci_layout::variant(&app, Arch::Amd64);
    let one = [saved(amd, &["shop/app:1.0"])];
    for members in [docker_archive::classic(&one), docker_archive::modern(&one)] {
        let place = Place::of(&members);
        let ours = place.docker("shop/app:1.0", &[Arch::Amd64]).unwrap();
        let source = format!("docker-archive:{}:shop/app:1.0", place.path().join("image.tar").display());
        let copied = place.path().join("copied");
        // As it is: asked for OCI's format, skopeo would write the config anew.
        let policy = ["--insecure-policy", "copy"];
        skopeo.run(&[&policy[..], &[&source, &format!("dir:{}", copied.display())]].concat());
        let manifest = fs::read(copied.join("manifest.json")).unwrap();
        let Ok(Document::Manifest(theirs)) = Document::parse(&manifest, None) else { panic!("no manifest") };
        assert_eq!(theirs.config.digest, ours.manifests[0].config.digest);
        let layers: Vec<_> = theirs.layers.iter().map(|layer| layer.digest).collect();
        assert_eq!(layers, digests(&ours.manifests[0].layers));
    }
}

fn set_index(members: &mut Members, entries: &[Descriptor]) {
    members.file("index.json", json!({ "schemaVersion": 2, "manifests": entries }).to_string());
}

/// A `docker save` tar of one image whose `manifest.json` is bent.
fn bent(app: &Image, bend: impl Fn(&mut Members, &mut Value)) -> Place {
    let mut members = docker_archive::classic(&[saved(oci_layout::variant(app, Arch::Amd64), &["shop/app:1.0"])]);
    let Some(Member::File(bytes)) = members.0.get("manifest.json") else { panic!("no manifest.json") };
    let mut manifest: Value = serde_json::from_slice(bytes).unwrap();
    bend(&mut members, &mut manifest);
    if manifest.is_array() {
        members.file("manifest.json", manifest.to_string());
    }
    Place::bytes(&members.tar())
}

#[test]
fn hostile_docker_archives_are_refused() {
    let app = image();
    let layer = |manifest: &Value| manifest[0]["Layers"][0].as_str().unwrap().to_owned();
    let cases: Vec<(&str, BendBoth<'_>)> = vec![
        ("link out", Box::new(|members, manifest| members.symlink(&layer(manifest), "../../etc/passwd"))),
        ("absolute path", Box::new(|members, manifest| members.symlink(&layer(manifest), "/etc/passwd"))),
        ("circle", Box::new(|members, manifest| members.symlink(&layer(manifest), "layer.tar"))),
        ("`..`", Box::new(|members, _| members.file("../outside", "x"))),
        ("absolute", Box::new(|members, _| members.file("/outside", "x"))),
        ("twice", Box::new(|members, _| members.file("./manifest.json", "[]"))),
        ("should be sha256", Box::new(|members, manifest| members.file(&layer(manifest), "another layer"))),
        ("has no", Box::new(|members, manifest| drop(members.0.remove(&layer(manifest))))),
        ("has no", Box::new(|_, manifest| manifest[0]["Layers"][0] = "../../etc/passwd".into())),
        ("has no /etc/passwd", Box::new(|_, manifest| manifest[0]["Config"] = "/etc/passwd".into())),
        (
            "its manifest has 1 layers",
            Box::new(|_, manifest| drop(manifest[0]["Layers"].as_array_mut().unwrap().pop())),
        ),
        (
            "several images",
            Box::new(|_, manifest| {
                let again = manifest[0].clone();
                manifest.as_array_mut().unwrap().push(again);
            }),
        ),
        ("there is: nothing", Box::new(|_, manifest| *manifest = json!([]))),
        (
            "is not what it should be",
            Box::new(|members, manifest| {
                *manifest = Value::Null;
                members.file("manifest.json", "[".repeat(100_000));
            }),
        ),
        (
            "more than the limit",
            Box::new(|members, manifest| {
                *manifest = Value::Null;
                members.file("manifest.json", " ".repeat(5 << 20));
            }),
        ),
        (
            "duplicate field",
            Box::new(|members, manifest| {
                *manifest = Value::Null;
                members.file("manifest.json", r#"[{"Config":"a","Config":"b","Layers":[]}]"#);
            }),
        ),
        (
            "should be sha256",
            Box::new(|members, manifest| {
                let name = manifest[0]["Config"].as_str().unwrap().to_owned();
                members.file(&name, "{}");
            }),
        ),
        (
            "has no manifest.json",
            Box::new(|members, manifest| {
                *manifest = Value::Null;
                members.0.remove("manifest.json");
            }),
        ),
    ];
    for (why, bend) in cases {
        let error = bent(&app, bend).docker("shop/app:1.0", &[Arch::Amd64]).unwrap_err();
        assert!(text(&error).contains(why), "{why}: {}", text(&error));
    }
}

#[test]
fn hostile_layouts_are_refused() {
    let app = image();
    let good = oci_layout::all_platforms(&[&app]);
    let root = || oci_layout::named(app.root.descriptor(), "1.0");
    let amd = &app.variants[0];
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let cases: Vec<(&str, Bend<'_>)> = vec![
        ("has no blobs/", Box::new(|m| drop(m.0.remove(&blob(&amd.layers[0].digest))))),
        ("has no blobs/", Box::new(|m| drop(m.0.remove(&blob(&app.root.digest))))),
        ("has no oci-layout", Box::new(|m| drop(m.0.remove("oci-layout")))),
        ("version \"2.0.0\"", Box::new(|m| m.file("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#))),
        ("should have", Box::new(|m| m.file(&blob(&amd.layers[0].digest), "short"))),
        (
            "should be sha256",
            Box::new(|m| {
                let Some(Member::File(bytes)) = m.0.get_mut(&blob(&app.root.digest)) else { panic!("no root") };
                *bytes.last_mut().unwrap() ^= 1;
            }),
        ),
        ("should have 5 bytes", Box::new(|m| set_index(m, &[Descriptor { size: 5, ..root() }]))),
        (
            "mediaType",
            Box::new(|m| set_index(m, &[Descriptor { media_type: media_type::OCI_MANIFEST.into(), ..root() }])),
        ),
        ("several images", Box::new(|m| set_index(m, &[root(), oci_layout::named(amd.manifest.descriptor(), "1.0")]))),
        ("index.json lists no image", Box::new(|m| set_index(m, &[]))),
        ("index.json lists no image", Box::new(|m| m.file("index.json", r#"{"schemaVersion":2,"manifests":null}"#))),
        (
            "both `manifests` and `layers`",
            Box::new(|m| m.file("index.json", r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#)),
        ),
        (
            "not a valid OCI document",
            Box::new(|m| {
                m.file("index.json", format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}"#, "[".repeat(100_000)));
            }),
        ),
        ("more than the limit", Box::new(|m| m.file("index.json", " ".repeat(5 << 20)))),
    ];
    for (why, bend) in cases {
        let mut members = good.clone();
        bend(&mut members);
        let place = Place::of(&members);
        for error in
            [place.archive("shop/app:1.0", &BOTH).unwrap_err(), place.layout("shop/app:1.0", &BOTH).unwrap_err()]
        {
            assert!(text(&error).contains(why), "{why}: {}", text(&error));
        }
    }
    // A link is refused in both, in each in its own words.
    let mut members = good.clone();
    members.symlink(&blob(&amd.layers[0].digest), "../../../../etc/passwd");
    let place = Place::of(&members);
    assert!(matches!(place.archive("shop/app:1.0", &BOTH), Err(LocalError::Member { .. })));
    assert!(matches!(place.layout("shop/app:1.0", &BOTH), Err(LocalError::Member { .. })));
}

#[test]
fn lying_documents_and_broken_archives_are_refused() {
    let archive = |quirk: Quirk| {
        Place::of(&oci_layout::all_platforms(&[&ImageSpec::new("a", "1").quirk(quirk).generate().unwrap()]))
    };
    let lie = archive(Quirk::ArchLie { claimed: Arch::Arm64, actual: Arch::Amd64 });
    assert!(matches!(lie.archive("a:1", &BOTH), Err(LocalError::Choice { source: ChoiceError::ArchLie { .. }, .. })));
    assert!(matches!(archive(Quirk::NestedIndex).archive("a:1", &BOTH), Err(LocalError::Choice { .. })));
    let foreign = archive(Quirk::ForeignLayer).archive("a:1", &BOTH).unwrap_err();
    assert!(text(&foreign).contains("foreign"), "{foreign}");
    assert!(archive(Quirk::SchemaOne).archive("a:1", &BOTH).is_err());

    let tar = oci_layout::all_platforms(&[&image()]).tar();
    for length in (0..tar.len() - 1024).step_by(499) {
        assert!(Place::bytes(&tar[..length]).archive("shop/app:1.0", &BOTH).is_err(), "cut to {length}");
    }
    let place = Place::bytes(&[0x1f, 0x8b, 8, 0]);
    for error in [place.archive("a:1", &BOTH).unwrap_err(), place.docker("a:1", &[Arch::Amd64]).unwrap_err()] {
        assert!(matches!(error, LocalError::Compressed { .. }) && error.hint().unwrap().contains("gunzip"), "{error}");
    }
    let folder = Place::of(&Members::default());
    let swapped = resolve(&Origin::OciArchive("layout".into()), folder.path(), &wanted("a:1", &BOTH));
    assert!(swapped.unwrap_err().hint().unwrap().contains("ociLayout"));
    let swapped = resolve(&Origin::OciLayout("image.tar".into()), folder.path(), &wanted("a:1", &BOTH));
    assert!(swapped.unwrap_err().hint().unwrap().contains("ociArchive"));
}
