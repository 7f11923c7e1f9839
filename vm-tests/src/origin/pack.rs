//! Makes of the built programs what vendors publish: files, tarballs, and images as registries serve them.
//!
//! ```text
//! releases/NAME-HASH/NAME                             a file, and beside it its digest
//! images/NAME-HASH/{base,app}.tar.gz config manifest  an image with two layers: who root is, and the rest
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use ferry_bundle_format::oci::{Descriptor, media_type};
use ferry_bundle_format::{Digest, Reference};

use super::archive::{Archive, Finished, digest_of};
use super::build::Built;
use super::components::{Content, Recipe, Release, Userland};
use super::userland;
use crate::error::Error;
use crate::place::{Place, recipe_hash};

/// A program of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Program {
    /// The component.
    pub(super) component: &'static str,
    /// The program's name as Go calls it.
    pub(super) name: &'static str,
}

/// A file that is served.
#[derive(Debug, Clone)]
pub(super) struct PackedFile {
    /// Component, version and name, as the vendor lists have them.
    pub(super) release: &'static Release,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its digest.
    pub(super) digest: Digest,
}

/// An image that is served.
#[derive(Debug, Clone)]
pub(super) struct PackedImage {
    /// Its reference.
    pub(super) reference: Reference,
    /// Its manifest, as it is served.
    pub(super) manifest: Vec<u8>,
    /// Its config and layers: digests and where they are.
    pub(super) blobs: Vec<(Digest, PathBuf)>,
}

/// Debian trees that images take files from.
#[derive(Debug)]
pub(super) struct Trees {
    /// What the hosts boot from.
    pub(super) hosts: PathBuf,
    /// What only images have.
    pub(super) extra: PathBuf,
}

/// The version of the way in which this module packs: another one makes everything anew.
const PACKER: &str = "packer 2";

fn built<'a>(components: &'a [Built], name: &str) -> Result<&'a Built, Error> {
    let found = components.iter().find(|built| built.name == name);
    found.ok_or_else(|| Error::Asked(format!("nothing was built for {name}")))
}

fn path_of(components: &[Built], program: Program) -> Result<PathBuf, Error> {
    Ok(built(components, program.component)?.folder.join(program.name))
}

/// Packs a file, or takes it as it was packed before.
pub(super) fn file(place: &Place, components: &[Built], release: &'static Release) -> Result<PackedFile, Error> {
    let members: &[(Program, &str)] = match &release.content {
        Content::Plain(program) => {
            let path = path_of(components, *program)?;
            let (digest, _) = digest_of(&path)?;
            return Ok(PackedFile { release, path, digest });
        }
        Content::Tarball(members) => members,
    };
    let hash = recipe_hash([PACKER, &format!("{members:?}"), &built(components, release.component)?.hash]);
    let make = |folder: &Path| {
        let mut archive = Archive::create(&folder.join(release.name))?;
        for (program, path) in members {
            archive.file(path, &path_of(components, *program)?)?;
        }
        archive.finish().map(drop)
    };
    let (folder, _) = place.made(&format!("releases/{}-{hash}", release.name), make)?;
    let path = folder.join(release.name);
    let (digest, _) = digest_of(&path)?;
    Ok(PackedFile { release, path, digest })
}

/// Packs an image, or takes it as it was packed before.
pub(super) fn image(
    place: &Place,
    components: &[Built],
    trees: &Trees,
    recipe: &'static Recipe,
) -> Result<PackedImage, Error> {
    let extra = matches!(recipe.userland, Userland::Haproxy | Userland::Keepalived);
    let tree = if extra { &trees.extra } else { &trees.hosts };
    let reference = Reference::parse(recipe.reference).map_err(|error| Error::Asked(error.to_string()))?;
    let source = recipe.program.map(|program| built(components, program.component)).transpose()?;
    // The tree's name is the hash of its recipe.
    let of_tree = if recipe.userland == Userland::None { String::new() } else { tree.display().to_string() };
    let hash = recipe_hash([PACKER, &format!("{recipe:?}"), source.map_or("", |built| &built.hash), &of_tree]);
    let short = reference.repository().rsplit('/').next().unwrap_or_default();
    let make = |folder: &Path| {
        let base = base_layer(&folder.join("base.tar.gz"))?;
        let app = app_layer(&folder.join("app.tar.gz"), components, tree, recipe)?;
        let config = config(recipe, [base, app]);
        let manifest = manifest(config.as_bytes(), [base, app]);
        for (name, text) in [("config", &config), ("manifest", &manifest)] {
            fs::write(folder.join(name), text).map_err(Error::file("write", folder.join(name)))?;
        }
        Ok(())
    };
    let (folder, _) = place.made(&format!("images/{short}-{hash}"), make)?;
    let manifest = fs::read(folder.join("manifest")).map_err(Error::file("read", folder.join("manifest")))?;
    let blob = |name: &str| -> Result<(Digest, PathBuf), Error> {
        let path = folder.join(name);
        Ok((digest_of(&path)?.0, path))
    };
    let blobs = ["config", "base.tar.gz", "app.tar.gz"].into_iter().map(blob).collect::<Result<_, _>>()?;
    Ok(PackedImage { reference, manifest, blobs })
}

fn base_layer(path: &Path) -> Result<Finished, Error> {
    let mut archive = Archive::create(path)?;
    archive.text("etc/group", "root:x:0:\nnobody:x:65534:\n")?;
    archive.text("etc/nsswitch.conf", "hosts: files dns\n")?;
    let people = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n";
    archive.text("etc/passwd", people)?;
    archive.folder("root", 0o700)?;
    archive.folder("tmp", 0o1777)?;
    archive.finish()
}

fn app_layer(path: &Path, components: &[Built], tree: &Path, recipe: &Recipe) -> Result<Finished, Error> {
    let mut archive = Archive::create(path)?;
    if let Some(program) = recipe.program {
        archive.file(recipe.path, &path_of(components, program)?)?;
    }
    match recipe.userland {
        Userland::None => {}
        Userland::Busybox => userland::busybox(&mut archive, tree)?,
        Userland::Netfilter => userland::netfilter(&mut archive, tree)?,
        Userland::Haproxy => userland::program(&mut archive, tree, "usr/sbin/haproxy", "usr/local/sbin/haproxy")?,
        Userland::Keepalived => {
            userland::program(&mut archive, tree, "usr/sbin/keepalived", "usr/local/sbin/keepalived")?;
        }
    }
    archive.finish()
}

const CREATED: &str = "2026-01-01T00:00:00Z";

fn config(recipe: &Recipe, layers: [Finished; 2]) -> String {
    let history = ["who root is", recipe.reference]
        .map(|what| serde_json::json!({ "created": CREATED, "created_by": format!("vm-tests: {what}") }));
    let mut config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": "/"
        },
        "rootfs": { "type": "layers", "diff_ids": layers.map(|layer| layer.diff_id) },
        "history": history,
    });
    if !recipe.entrypoint.is_empty() {
        // busybox's own image has a command, so that other commands may take its place.
        let key = if recipe.userland == Userland::Busybox { "Cmd" } else { "Entrypoint" };
        config["config"][key] = serde_json::json!(recipe.entrypoint);
    }
    config.to_string()
}

fn manifest(config: &[u8], layers: [Finished; 2]) -> String {
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, config),
        "layers": layers.map(|layer| Descriptor::new(media_type::OCI_LAYER_GZIP, layer.digest, layer.size)),
    })
    .to_string()
}
