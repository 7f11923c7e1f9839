//! The maker's side: a key, an origin, the bundle, its signature, its verification with nothing but the public key.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Bench, Shipped, shipped};
use crate::error::Error;
use crate::installer;
use crate::origin::{Served, Stock};
use crate::program::Program;

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
        let run = |what: &str, verb: &str, words: Vec<String>| run(bench, shipped, what, verb, words);
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
        let size = fs::metadata(&bundle.file).map_err(Error::file("look at", &bundle.file))?.len();
        bench.evidence.note("bundle bytes", size);
        Ok(bundle)
    }

    /// An upgrade package on this bundle, from a manifest anywhere, signed by the same key.
    pub fn upgraded(&self, bench: &Bench, shipped: &Shipped, manifest: &Path) -> Result<Self, Error> {
        let stock = Stock::made(&bench.place, &bench.ui)?;
        let served = bench.step("origin: serve on loopback", || Served::start(&stock, 0, &bench.work))?;
        let path = |name: &str| bench.work.join(name);
        let text = |path: PathBuf| path.display().to_string();
        let mut words = vec![text(manifest.to_owned()), "-o".into(), text(path("upgrade.ferry"))];
        words.extend(["--since".into(), text(self.file.clone()), "--sign".into(), text(path("release.key"))]);
        words.extend(served.flags());
        run(bench, shipped, "bundle: an upgrade package", "make", words)?;
        Ok(Self { file: path("upgrade.ferry"), key: self.key.clone(), images: self.images.clone() })
    }

    /// The same file as it comes out of a gate: split into volumes, of which one with data is lost, and put together again. The file
    /// that went in is gone by then.
    pub fn through_the_gate(self, bench: &Bench, shipped: &Shipped) -> Result<Self, Error> {
        let text = |path: &Path| path.display().to_string();
        let (volumes, arrived) = (bench.work.join("volumes"), bench.work.join("arrived.ferry"));
        let before = digest(&self.file)?;
        let words = ["--data", "8", "--parity", "2", "-o"].map(str::to_owned).into_iter();
        let words =
            std::iter::once(text(&self.file)).chain(words).chain([text(&volumes), "--trust".into(), text(&self.key)]);
        run(bench, shipped, "gate: split into volumes", "split", words.collect())?;
        fs::remove_file(&self.file).map_err(Error::file("remove", &self.file))?;
        let mut all: Vec<PathBuf> = fs::read_dir(&volumes)
            .map_err(Error::file("list", &volumes))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "bin"))
            .collect();
        all.sort();
        bench.check("the gate gets ten volumes", all.len() == 10, format!("{all:?}"));
        let lost = all.get(2).cloned().unwrap_or_default();
        fs::remove_file(&lost).map_err(Error::file("remove", &lost))?;
        let words = vec![text(&volumes), "-o".into(), text(&arrived)];
        run(bench, shipped, "gate: put together without the third", "receive", words)?;
        fs::remove_dir_all(&volumes).map_err(Error::file("remove", &volumes))?;
        let after = digest(&arrived)?;
        bench.check(
            "what arrives is what was sent, although a volume was lost",
            before == after,
            format!("{before} {after}"),
        );
        Ok(Self { file: arrived, ..self })
    }
}

/// Runs a verb of `ferry-bundle`; its output is evidence.
fn run(bench: &Bench, shipped: &Shipped, what: &str, verb: &str, words: Vec<String>) -> Result<(), Error> {
    bench.step(what, || {
        let log = bench.evidence.path(&format!("ferry-bundle-{verb}.log"));
        let program = installer::bundle(&shipped.bundle, verb).args(words).folder(&bench.work);
        let line = program.line();
        match program.logged(&log)? {
            0 => Ok(()),
            code => Err(Error::Program {
                command: line,
                status: code.to_string(),
                output: fs::read_to_string(&log).unwrap_or_default(),
            }),
        }
    })
}

/// As `sha256sum` says it.
fn digest(path: &Path) -> Result<String, Error> {
    let text = Program::new("sha256sum").arg(path).run()?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
