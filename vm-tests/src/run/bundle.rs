//! The maker's side: a key, an origin, the bundle, its signature, its verification with nothing but the public key.

use std::path::{Path, PathBuf};

use super::{Bench, Shipped, shipped};
use crate::error::Error;
use crate::installer;
use crate::origin::{Served, Stock};

/// A signed bundle and what a site is given with it.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The file.
    pub file: PathBuf,
    /// The public key.
    pub key: PathBuf,
    /// The images in it: references and digests, as the origin has them.
    pub images: Vec<(String, String)>,
}

impl Bundle {
    /// Makes a bundle from a manifest of the repository, unmodified.
    pub fn made(bench: &Bench, shipped: &Shipped, manifest: &str) -> Result<Self, Error> {
        Self::of(bench, shipped, &shipped::workspace().join("manifests").join(manifest))
    }

    /// Makes a bundle from a manifest anywhere.
    pub fn of(bench: &Bench, shipped: &Shipped, manifest: &Path) -> Result<Self, Error> {
        let stock =
            bench.step("origin: build and pack what is not there yet", || Stock::made(&bench.place, &bench.ui))?;
        let served = bench.step("origin: serve on loopback", || Served::start(&stock, 0, &bench.work))?;
        let path = |name: &str| bench.work.join(name);
        let run = |what: &str, verb: &str, words: Vec<String>| {
            bench.step(what, || {
                let log = bench.evidence.path(&format!("ferry-bundle-{verb}.log"));
                let program = installer::bundle(&shipped.bundle, verb).args(words).folder(&bench.work);
                let line = program.line();
                match program.logged(&log)? {
                    0 => Ok(()),
                    code => Err(Error::Program {
                        command: line,
                        status: code.to_string(),
                        output: std::fs::read_to_string(&log).unwrap_or_default(),
                    }),
                }
            })
        };
        let text = |path: PathBuf| path.display().to_string();
        run("bundle: make a signing key", "keygen", vec!["release".into()])?;
        let mut words = vec![text(manifest.to_owned()), "-o".into(), text(path("site.ferry")), "--lock".into()];
        words.extend([text(path("site.lock.yaml")), "--sign".into(), text(path("release.key"))]);
        words.extend(served.flags());
        run("bundle: resolve, fetch, pack and sign", "make", words)?;
        // The origin is gone before anything is installed: what is missing in the bundle is missing.
        drop(served);
        let bundle = Self { file: path("site.ferry"), key: path("release.pub"), images: stock.images() };
        let words = vec![text(bundle.file.clone()), "--trust".into(), text(bundle.key.clone())];
        run("bundle: verify with the public key alone", "verify", words)?;
        let size = std::fs::metadata(&bundle.file).map_err(Error::file("look at", &bundle.file))?.len();
        bench.evidence.note("bundle bytes", size);
        Ok(bundle)
    }
}
