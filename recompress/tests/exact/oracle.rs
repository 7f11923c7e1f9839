//! The Go program that answers with what the real encoder makes. Where there is no Go, there is no oracle.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The running program.
pub(crate) struct Oracle {
    child: Child,
    /// Whether it has the encoders that are not part of Go.
    pub(crate) others: bool,
    _folder: tempfile::TempDir,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Oracle {
    /// Builds and starts it; `None` (and a line that says so) without a Go whose encoder is the classic one.
    #[expect(clippy::print_stderr, reason = "a test that did not run has to say so")]
    pub(crate) fn start() -> Option<Self> {
        let version = Command::new("go").arg("version").output().ok().filter(|output| output.status.success());
        let Some(version) = version else {
            eprintln!("SKIPPED: no `go` here, so nothing was compared with the real encoder");
            return None;
        };
        let text = String::from_utf8_lossy(&version.stdout).into_owned();
        let minor = text.split("go1.").nth(1).and_then(|rest| rest.split(['.', ' ']).next()?.parse::<u32>().ok());
        if !minor.is_some_and(|minor| (21..=26).contains(&minor)) {
            eprintln!("SKIPPED: {} has another encoder than Go 1.21 to 1.26", text.trim());
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("oracle");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exact/oracle-program");
        let build = |arguments: &[&str], modules: &str| {
            let mut command = Command::new("go");
            command.args(["build", "-buildvcs=false", "-o"]).arg(&program).args(arguments).current_dir(&source);
            command.env("GOFLAGS", "").env("GOPROXY", "off").env("GOTOOLCHAIN", "local").env("GO111MODULE", modules);
            command.stderr(Stdio::null()).status().expect("go build").success()
        };
        let others = build(&["-tags", "others", "."], "on");
        if !others {
            eprintln!(
                "SKIPPED: klauspost/compress and pgzip are not in Go's module cache, so nothing is compared with them"
            );
            assert!(build(&["main.go"], "off"), "the oracle does not build");
        }
        let child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle");
        Some(Self { child, others, _folder: folder })
    }

    /// What `compress/gzip` makes of `plain` at this level when it is written in pieces of these lengths and the rest.
    pub(crate) fn gzip(&mut self, level: i8, plain: &[u8], cuts: &[usize]) -> Vec<u8> {
        self.ask(b'g', level, plain, cuts);
        self.answer()
    }

    /// What pgzip (`p`) or klauspost's gzip (`k`) makes of `plain`.
    pub(crate) fn other(&mut self, kind: u8, plain: &[u8], cuts: &[usize]) -> Vec<u8> {
        self.ask(kind, 0, plain, cuts);
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
