//! Other people's programs that tests talk to: found, or the test is skipped with one clear line.
//!
//! Skipping is for a developer's machine. Where the environment variable `CI` is set a missing program is a
//! failure, so that nothing is skipped for years unnoticed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A program that is installed, with an empty home of its own: it sees nobody's credentials.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    home: tempfile::TempDir,
}

impl Program {
    /// Finds `name` by the environment variable `FERRY_TEST_<NAME>`, else on `PATH`. `install` says how to get
    /// it. `None` when it is missing, after a line on stderr.
    ///
    /// # Panics
    /// When it is missing and `CI` is set.
    #[must_use]
    pub fn find(name: &str, install: &str) -> Option<Self> {
        let variable = format!("FERRY_TEST_{}", name.to_uppercase().replace('-', "_"));
        let named = std::env::var_os(&variable).map(PathBuf::from);
        let search = std::env::var_os("PATH").unwrap_or_default();
        let on_path = || std::env::split_paths(&search).map(|folder| folder.join(name)).find(|path| path.is_file());
        if let Some(path) = named.filter(|path| path.is_file()).or_else(on_path) {
            let home = tempfile::tempdir().expect("a temporary folder can be made");
            return Some(Self { path, home });
        }
        let missing = format!("{name} is not installed ({install}, or set {variable})");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        // Not `eprintln!`: the test harness would keep that to itself.
        let _ = writeln!(io::stderr(), "skipped: {missing}");
        None
    }

    /// Debian's skopeo.
    #[must_use]
    pub fn skopeo() -> Option<Self> {
        Self::find("skopeo", "apt-get install skopeo")
    }

    /// crane of go-containerregistry.
    #[must_use]
    pub fn crane() -> Option<Self> {
        Self::find("crane", "go install github.com/google/go-containerregistry/cmd/crane@latest")
    }

    /// Helm.
    #[must_use]
    pub fn helm() -> Option<Self> {
        Self::find("helm", "go install helm.sh/helm/v4/cmd/helm@latest")
    }

    /// The program itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is at home.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs it, without input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn output(&self, arguments: &[&str]) -> Output {
        let home = self.home.path();
        Command::new(&self.path)
            .args(arguments)
            .current_dir(home)
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env("TMPDIR", home)
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("DOCKER_CONFIG")
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{} does not start: {e}", self.path.display()))
    }

    /// Runs it; returns what it printed.
    ///
    /// # Panics
    /// When it fails, with all it said.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
        assert!(output.status.success(), "{} {arguments:?}: {}\n{stdout}{stderr}", self.path.display(), output.status);
        stdout
    }
}
