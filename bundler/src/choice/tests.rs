//! Indexes of the field, and what is chosen from them.

use super::*;

const SKOPEO_ZSTD: (&str, &str) = ("io.github.containers.compression.zstd", "true");

/// An entry by its platform `os/arch[/variant]`; `-` for none.
fn on(platform: &str) -> Descriptor {
    with(platform, platform)
}

fn with(platform: &str, content: &str) -> Descriptor {
    let content = Descriptor::of(media_type::OCI_MANIFEST, content.as_bytes());
    if platform == "-" {
        return content;
    }
    let mut parts = platform.split('/').map(str::to_owned);
    let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
    let platform = Platform { os, architecture, variant: parts.next(), os_features: Vec::new() };
    Descriptor { platform: Some(platform), ..content }
}

fn annotated(entry: Descriptor, (key, value): (&str, &str)) -> Descriptor {
    Descriptor { annotations: [(key.to_owned(), value.to_owned())].into(), ..entry }
}

fn artifact(entry: Descriptor, kind: &str) -> Descriptor {
    Descriptor { artifact_type: Some(kind.to_owned()), ..entry }
}

fn featured(mut entry: Descriptor, feature: &str) -> Descriptor {
    entry.platform.as_mut().unwrap().os_features.push(feature.to_owned());
    entry
}

fn typed(entry: Descriptor, media_type: &str) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), ..entry }
}

/// What the entries decide: a place, places to look at, or what an error says.
enum Decides {
    One(usize),
    Look(&'static [usize]),
    Fails(&'static str),
}

#[test]
fn what_an_index_decides_for_amd64() {
    use Decides::{Fails, Look, One};
    let (amd, arm) = ("linux/amd64", "linux/arm64/v8");
    let attestation = ("vnd.docker.reference.type", "attestation-manifest");
    let soci = "application/vnd.amazon.soci.index.v2+json";
    let cases: Vec<(&str, Vec<Descriptor>, Decides)> = vec![
        ("alone", vec![on(amd)], One(0)),
        ("beside others", vec![on(arm), on("windows/amd64"), on(amd)], One(2)),
        ("v1 is the base", vec![on("linux/amd64/v1")], One(0)),
        ("an empty variant", vec![on("linux/amd64/")], One(0)),
        ("in capitals", vec![on("Linux/AMD64")], One(0)),
        ("by uname's name", vec![on("linux/x86_64")], One(0)),
        ("an os that is left out", vec![on("/amd64")], One(0)),
        ("higher levels", vec![on("linux/amd64/v3"), on("linux/amd64/v2"), on(amd)], One(2)),
        ("higher levels alone", vec![on("linux/amd64/v3")], Fails("linux/amd64/v3")),
        ("the same twice", vec![on(amd), on(amd)], One(0)),
        ("the same as v1", vec![with(amd, "x"), with("linux/amd64/v1", "x")], One(0)),
        ("the same three times", vec![on(amd), on(arm), on(amd), on(amd)], One(0)),
        ("gzip, then zstd", vec![on(amd), annotated(with(amd, "z"), SKOPEO_ZSTD)], One(0)),
        ("zstd, then gzip", vec![annotated(with(amd, "z"), SKOPEO_ZSTD), on(amd)], One(1)),
        ("zstd alone", vec![annotated(on(amd), SKOPEO_ZSTD)], One(0)),
        (
            "two other compressions",
            vec![
                annotated(with(amd, "z"), SKOPEO_ZSTD),
                annotated(with(amd, "c"), ("io.github.containers.compression.zstd:chunked", "true")),
                on(amd),
            ],
            One(2),
        ),
        (
            "an annotation that says no",
            vec![annotated(on(amd), ("io.github.containers.compression.zstd", "false"))],
            One(0),
        ),
        ("SOCI v2", vec![on(amd), artifact(with(amd, "s"), soci)], One(0)),
        ("SOCI v2 first", vec![artifact(with(amd, "s"), soci), on(amd)], One(1)),
        ("SOCI alone", vec![artifact(with(amd, "s"), soci)], Fails("only: a SOCI index")),
        ("nydus by feature", vec![featured(with(amd, "n"), "nydus.remoteimage.v1"), on(amd)], One(1)),
        (
            "nydus by type",
            vec![artifact(with(amd, "n"), "application/vnd.nydus.image.manifest.v1+json"), on(amd)],
            One(1),
        ),
        (
            "nydus alone",
            vec![featured(on(amd), "nydus.remoteimage.v1")],
            Fails("only: linux/amd64 with nydus.remoteimage.v1"),
        ),
        ("an attestation with the platform", vec![on(amd), annotated(with(amd, "a"), attestation)], One(0)),
        ("attestations", vec![on(amd), annotated(on("unknown/unknown"), attestation), on("unknown/unknown")], One(0)),
        ("attestations alone", vec![on("unknown/unknown")], Fails("only: an attestation")),
        ("an artifact type that is an image's", vec![artifact(on(amd), media_type::OCI_CONFIG)], One(0)),
        ("an empty artifact type", vec![artifact(on(amd), "")], One(0)),
        ("an unknown document", vec![typed(with(amd, "u"), "application/x"), on(amd)], One(1)),
        ("an unknown document alone", vec![typed(on(amd), "application/x")], Fails("only: an artifact")),
        (
            "a schema 1 manifest",
            vec![typed(on(amd), "application/vnd.docker.distribution.manifest.v1+json")],
            Fails("artifact"),
        ),
        ("no platform", vec![on("-")], Look(&[0])),
        ("an empty platform", vec![on("/")], Look(&[0])),
        ("no platform, twice", vec![on("-"), on("-")], Look(&[0])),
        ("no platform beside one that fits", vec![with("-", "x"), on(amd)], One(1)),
        ("no platform beside one that does not", vec![with("-", "x"), on(arm)], Look(&[0])),
        ("no platform, several", vec![with("-", "x"), with("/", "y"), on(arm)], Look(&[0, 1])),
        ("no platform, and an artifact", vec![artifact(with("-", "x"), "a/b"), with("-", "y")], Look(&[1])),
        ("only an artifact", vec![artifact(on("-"), "application/vnd.example")], Fails("only: an artifact")),
        ("an index without platform", vec![typed(on("-"), media_type::OCI_INDEX)], Fails("nested")),
        ("a list without platform", vec![typed(on("-"), media_type::DOCKER_LIST)], Fails("nested")),
        ("an index beside a manifest", vec![typed(with("-", "i"), media_type::OCI_INDEX), with("-", "x")], Look(&[1])),
        ("different images", vec![with(amd, "x"), with(amd, "y")], Look(&[0, 1])),
        ("different images, one twice", vec![with(amd, "x"), with(amd, "y"), with(amd, "x")], Look(&[0, 1])),
        ("nothing at all", vec![], Fails("only: nothing")),
        ("others alone", vec![on(arm), on("windows/amd64"), on(arm)], Fails("only: linux/arm64/v8, windows/amd64")),
        ("32 bits", vec![on("linux/386"), on("linux/arm/v7")], Fails("linux/386")),
        ("text of a stranger", vec![on("linux/\u{1b}[2J")], Fails("linux/\u{fffd}[2J")),
    ];
    for (name, list, decides) in cases {
        match (pick(&list, Arch::Amd64, None), decides) {
            (Ok(Picked::One(entry)), One(place)) => assert!(std::ptr::eq(entry, &raw const list[place]), "{name}"),
            (Ok(Picked::Look(entries)), Look(places)) => {
                let wanted: Vec<_> = places.iter().map(|place| &list[*place]).collect();
                assert_eq!(entries, wanted, "{name}");
            }
            (Err(error), Fails(why)) => assert!(error.to_string().contains(why), "{name}: {error}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

#[test]
fn what_is_chosen_by_digest_is_taken() {
    let list = [with("linux/amd64", "x"), featured(with("linux/amd64", "n"), "nydus"), on("linux/amd64/v3")];
    for entry in &list {
        assert_eq!(pick(&list, Arch::Amd64, Some(&entry.digest)), Ok(Picked::One(entry)));
    }
    let error = pick(&list, Arch::Amd64, Some(&Digest::of(b"other"))).unwrap_err();
    assert!(error.to_string().contains(&list[0].digest.to_string()) && error.hint().is_some(), "{error}");
    assert_eq!(variant(&list[2], Arch::Amd64), None);
    assert_eq!(variant(&on("linux/arm64/v8"), Arch::Arm64).as_deref(), Some("v8"));
}

fn looked<'a>(entry: &'a Descriptor, config: &str, layer: &str, platform: Option<&str>) -> Looked<'a> {
    let manifest = Manifest {
        media_type: media_type::OCI_MANIFEST.to_owned(),
        artifact_type: None,
        config: Descriptor::of(media_type::OCI_CONFIG, config.as_bytes()),
        layers: vec![Descriptor::of(layer, b"layer")],
        subject: None,
        annotations: std::collections::BTreeMap::new(),
    };
    Looked { descriptor: entry, manifest, platform: platform.map(|text| on(text).platform.unwrap()) }
}

#[test]
fn what_the_manifests_decide() {
    let (x, y) = (with("linux/amd64", "x"), with("linux/amd64", "y"));
    let (no, none) = (with("-", "no"), with("-", "none"));
    let (gzip, zstd) = (media_type::OCI_LAYER_GZIP, "application/vnd.oci.image.layer.v1.tar+zstd");
    let (plain, docker) = (media_type::OCI_LAYER_TAR, "application/vnd.docker.image.rootfs.diff.tar.gzip");
    let nydus = "application/vnd.oci.image.layer.nydus.blob.v1";
    for (name, list, wanted) in [
        ("gzip before zstd", vec![looked(&x, "c", zstd, None), looked(&y, "c", gzip, None)], Ok(1)),
        ("gzip before plain", vec![looked(&x, "c", plain, None), looked(&y, "c", gzip, None)], Ok(1)),
        ("plain before zstd", vec![looked(&x, "c", zstd, None), looked(&y, "c", plain, None)], Ok(1)),
        ("the first of equals", vec![looked(&x, "c", gzip, None), looked(&y, "c", docker, None)], Ok(0)),
        ("a helper", vec![looked(&x, "n", nydus, None), looked(&y, "c", gzip, None)], Ok(1)),
        (
            "a signature",
            vec![looked(&x, "n", "application/vnd.in-toto+json", None), looked(&y, "c", gzip, None)],
            Ok(1),
        ),
        (
            "by config",
            vec![looked(&no, "c", gzip, Some("linux/arm64")), looked(&none, "d", gzip, Some("linux/amd64"))],
            Ok(1),
        ),
        ("by config alone", vec![looked(&no, "c", gzip, Some("linux/amd64"))], Ok(0)),
        ("different", vec![looked(&x, "c", gzip, None), looked(&y, "d", gzip, None)], Err("choose")),
        ("another", vec![looked(&no, "c", gzip, Some("linux/arm64"))], Err("linux/arm64")),
        ("no platform anywhere", vec![looked(&no, "c", gzip, Some("/"))], Err("without a platform")),
        ("only helpers", vec![looked(&x, "n", nydus, None)], Err("nydus")),
    ] {
        match (settle(&list, Arch::Amd64), wanted) {
            (Ok(place), Ok(wanted)) => assert_eq!(place, wanted, "{name}"),
            (Err(error), Err(why)) => {
                let text = format!("{error} {}", error.hint().unwrap_or_default());
                assert!(text.contains(why), "{name}: {text}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

#[test]
fn an_index_travels_as_it_is_where_it_leads_to_what_is_carried() {
    let carried = |entry: &Descriptor, arch| {
        let pin = pin_of(entry);
        LockedManifest { arch, variant: None, manifest: pin.clone(), config: pin, layers: Vec::new() }
    };
    let (amd, arm) = (on("linux/amd64"), on("linux/arm64/v8"));
    let both = [carried(&amd, Arch::Amd64), carried(&arm, Arch::Arm64)];
    let unnamed = with("-", "linux/amd64");
    for (listed, carried, whole) in [
        (vec![amd.clone(), arm.clone()], &both[..], true),
        (vec![amd.clone(), amd.clone(), arm.clone()], &both, false),
        (vec![amd.clone(), arm.clone()], &both[..1], false),
        (vec![amd.clone(), on("unknown/unknown")], &both[..1], false),
        (vec![unnamed.clone()], &both[..1], false),
        // containerd finds no platform in such an entry.
        (vec![with("/", "linux/amd64")], &both[..1], false),
        (vec![with("linux/amd64/v3", "linux/amd64")], &both[..1], false),
        (vec![featured(amd.clone(), "nydus")], &both[..1], false),
    ] {
        assert_eq!(narrowed(&listed, carried).is_none(), whole, "{listed:?}");
    }
}

#[test]
fn a_single_manifest_serves_a_single_architecture() {
    let amd64 = Platform::linux(Arch::Amd64);
    assert_eq!(only_arch(&amd64, &[Arch::Amd64]), Ok(Arch::Amd64));
    for wanted in [&[Arch::Arm64][..], &[Arch::Amd64, Arch::Arm64], &[]] {
        assert!(matches!(only_arch(&amd64, wanted), Err(ChoiceError::NoArch { .. })), "{wanted:?}");
    }
    let higher = Platform { variant: Some("v3".into()), ..amd64 };
    assert!(only_arch(&higher, &[Arch::Amd64]).is_err());
    let none = on("/").platform.unwrap();
    assert_eq!(only_arch(&none, &[Arch::Amd64]), Err(ChoiceError::NoPlatform));
}

#[test]
fn a_config_may_say_nothing_but_not_another_thing() {
    let config = |json: &str| ImageConfig::parse(json.as_bytes()).unwrap();
    assert_eq!(agree(0, &config("{}"), Arch::Amd64, false), Ok(()));
    assert!(matches!(agree(1, &config("{}"), Arch::Amd64, false), Err(ChoiceError::Layers { .. })));
    let v3 = config(r#"{"os":"linux","architecture":"amd64","variant":"v3"}"#);
    assert!(matches!(agree(0, &v3, Arch::Amd64, false), Err(ChoiceError::ArchLie { .. })));
    assert_eq!(agree(0, &v3, Arch::Amd64, true), Ok(()));
    assert!(matches!(agree(0, &v3, Arch::Arm64, true), Err(ChoiceError::ArchLie { .. })));
}
