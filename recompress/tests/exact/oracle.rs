//! The programs that answer with what the real encoders make: one in Go, one in Python. Where there is no Go or no
//! Python, that oracle is missing and its tests say so.

use std::io::{Read, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The running program.
pub(crate) struct Oracle {
    child: Child,
    /// Whether it has the encoders that are not part of Go.
    pub(crate) others: bool,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Oracle {
    /// Builds and starts it; `None` (and a line that says so) without a Go whose encoder is the classic one. It has
    /// klauspost/compress 1.17.11 where that is in Go's module cache.
    pub(crate) fn start() -> Option<Self> {
        Self::build("local", 21..=26, "go.mod")
    }

    /// As [`Self::start`], with Go 1.27 and its encoder, from Go's module cache if `go` is an older one.
    pub(crate) fn start_127() -> Option<Self> {
        Self::build("local", 27..=27, "").or_else(|| Self::build("go1.27.0", 27..=27, ""))
    }

    /// As [`Self::start`], with klauspost/compress 1.18.5.
    pub(crate) fn start_late() -> Option<Self> {
        Self::build("local", 24..=99, "late.mod")
    }

    #[expect(clippy::print_stderr, reason = "a test that did not run has to say so")]
    fn build(toolchain: &str, minors: RangeInclusive<u32>, modules: &str) -> Option<Self> {
        let go = || {
            let mut command = Command::new("go");
            command.env("GOFLAGS", "").env("GOPROXY", "off").env("GOTOOLCHAIN", toolchain).stderr(Stdio::null());
            command
        };
        let version = go().arg("version").output().ok().filter(|output| output.status.success());
        let Some(version) = version else {
            eprintln!("SKIPPED: no `go` here ({toolchain}), so nothing was compared with its encoder");
            return None;
        };
        let text = String::from_utf8_lossy(&version.stdout).into_owned();
        let minor = text.split("go1.").nth(1).and_then(|rest| rest.split(['.', ' ']).next()?.parse::<u32>().ok());
        if !minor.is_some_and(|minor| minors.contains(&minor)) {
            eprintln!("SKIPPED: {} has another encoder than Go 1.{minors:?}", text.trim());
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("oracle");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exact/oracle-program");
        let build = |arguments: &[&str], mode: &str| {
            let mut command = go();
            command.args(["build", "-buildvcs=false", "-o"]).arg(&program).args(arguments).current_dir(&source);
            command.env("GO111MODULE", mode).status().expect("go build").success()
        };
        let others = !modules.is_empty() && build(&[&format!("-modfile={modules}"), "-tags", "others", "."], "on");
        if !others {
            if !modules.is_empty() {
                eprintln!("SKIPPED: the modules of {modules} are not in Go's cache, so nothing is compared with them");
            }
            // Not outside of modules: there `go` would not change to another toolchain.
            assert!(build(&["-modfile=bare.mod", "main.go"], "on"), "the oracle does not build");
        }
        // What was asked for is what built it.
        let release = text.split(' ').nth(2).expect("a release");
        let told = go().arg("version").arg(&program).output().expect("go version");
        assert!(String::from_utf8_lossy(&told.stdout).contains(release), "not built by {release}: {told:?}");
        let child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle");
        Some(Self { child, others, _folder: Some(folder) })
    }

    /// zlib as Python links it, and the program `gzip`; `None` (and a line that says so) without a Python whose zlib
    /// is the original one.
    #[expect(clippy::print_stderr, reason = "a test that did not run has to say so")]
    pub(crate) fn python() -> Option<Self> {
        let version = Command::new("python3").args(["-c", "import zlib; print(zlib.ZLIB_RUNTIME_VERSION)"]).output();
        let version = version.ok().filter(|output| output.status.success());
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let Some(version) = version.filter(|version| version.starts_with("1.") && !version.contains("zlib")) else {
            eprintln!("SKIPPED: no `python3` with the original zlib here, so nothing was compared with zlib");
            return None;
        };
        eprintln!("comparing with zlib {version}");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exact/zlib-oracle/zlib_oracle.py");
        let mut command = Command::new("python3");
        let child = command.arg(source).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle");
        Some(Self { child, others: false, _folder: None })
    }

    /// What kind `kind` of this oracle makes of `plain` at this level, written in pieces of these lengths and the rest.
    pub(crate) fn made(&mut self, kind: u8, level: i8, plain: &[u8], cuts: &[usize]) -> Vec<u8> {
        self.ask(kind, level, plain, cuts);
        self.answer()
    }

    /// What `compress/gzip` makes of `plain` at this level when it is written in pieces of these lengths and the rest.
    pub(crate) fn gzip(&mut self, level: i8, plain: &[u8], cuts: &[usize]) -> Vec<u8> {
        self.ask(b'g', level, plain, cuts);
        self.answer()
    }

    /// A tar with one entry for each cut and the rest, and its gzip, the tar writer writing straight into the encoder.
    pub(crate) fn layer(&mut self, level: i8, plain: &[u8], cuts: &[usize]) -> (Vec<u8>, Vec<u8>) {
        self.ask(b't', level, plain, cuts);
        (self.answer(), self.answer())
    }

    fn ask(&mut self, kind: u8, level: i8, plain: &[u8], cuts: &[usize]) {
        let number = |value: usize| u32::try_from(value).expect("a short input").to_le_bytes();
        let mut request = vec![kind, level.to_le_bytes()[0]];
        request.extend_from_slice(&number(cuts.len()));
        for cut in cuts {
            request.extend_from_slice(&number(*cut));
        }
        request.extend_from_slice(&number(plain.len()));
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(&request).expect("the oracle listens");
        input.write_all(plain).expect("the oracle listens");
        input.flush().expect("the oracle listens");
    }

    fn answer(&mut self) -> Vec<u8> {
        let output = self.child.stdout.as_mut().expect("a pipe");
        let mut length = [0; 4];
        output.read_exact(&mut length).expect("the oracle answers");
        let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length)).expect("a length")];
        output.read_exact(&mut bytes).expect("the oracle answers");
        bytes
    }
}
