//! The real `ferry-bundle`, run as a person runs it: a process with arguments, two streams and an exit code.
//!
//! Each [`Ferry`] has a home, configuration, cache and working folder of its own, and nothing of the
//! developer's environment: no `FERRY_*`, no credentials. Its proxy is one that does not answer: what a test asks
//! of any host but 127.0.0.1 ends on this machine, before the name is looked up. The program is built before the first use
//! in each test process, because a test of yesterday's program proves nothing.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A proxy that does not answer: the discard port.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A place in which ferry runs.
pub struct Ferry {
    home: TempDir,
}

/// What a run left.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ferry {
    /// A new, empty place.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        for folder in ["work", "config", "cache", "run"] {
            std::fs::create_dir(home.path().join(folder)).expect("a folder can be made");
        }
        Self { home }
    }

    /// The working folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// A path below the working folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The file `name` of the working folder.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Writes the file `name` of the working folder, and the folders it needs.
    ///
    /// # Panics
    /// When that fails.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a path in a folder")).expect("a folder can be made");
        std::fs::write(&path, content).unwrap_or_else(|e| panic!("{name}: {e}"));
        path
    }

    /// The command `ferry-bundle` with these arguments, in this place.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments);
        self.at_home(&mut command);
        command
    }

    /// Gives a command this place's environment and working folder.
    pub fn at_home(&self, command: &mut Command) {
        let home = self.home.path();
        command
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env("TMPDIR", home)
            .env("HTTP_PROXY", NOWHERE)
            .env("HTTPS_PROXY", NOWHERE)
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null());
    }

    /// Runs `ferry-bundle` to its end, however that is.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn ends<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ended {
        Ended::of(self.command(arguments).output())
    }

    /// Runs `ferry-bundle`, which must succeed.
    ///
    /// # Panics
    /// When it fails, with all it said.
    pub fn run<A: AsRef<OsStr> + std::fmt::Debug>(&self, arguments: &[A]) -> Ended {
        self.ends(arguments).expect_code(0, &format!("{arguments:?}"))
    }

    /// Starts `ferry-bundle serve … --json` on a free port and waits until it listens.
    ///
    /// # Panics
    /// When it does not come to that.
    #[must_use]
    pub fn serve(&self, arguments: &[&str]) -> Serving {
        let mut all = vec!["serve", "--json", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        Serving::start(self.command(&all))
    }
}

impl Default for Ferry {
    fn default() -> Self {
        Self::new()
    }
}

impl Ended {
    /// From what a finished process left.
    ///
    /// # Panics
    /// When it did not start or was killed.
    #[must_use]
    pub fn of(output: std::io::Result<Output>) -> Self {
        let output = output.expect("ferry-bundle starts");
        let text = |bytes| String::from_utf8(bytes).expect("ferry prints UTF-8");
        let code = output.status.code().expect("ferry ends by itself");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// This, if it ended with `code`.
    ///
    /// # Panics
    /// If not, with all it said.
    #[must_use]
    pub fn expect_code(self, code: i32, what: &str) -> Self {
        assert!(self.code == code, "{what}: exit code {}, not {code}\n{}{}", self.code, self.stdout, self.stderr);
        self
    }

    /// Both streams.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The events of a run with `--json`.
    ///
    /// # Panics
    /// When a line of standard output is no JSON object.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The `data` of the last result of a run with `--json`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn data(&self) -> Value {
        let result = self.events().into_iter().rev().find(|event| event["event"] == "result");
        result.unwrap_or_else(|| panic!("no result in {}", self.all()))["data"].clone()
    }
}

/// A running `ferry-bundle serve`. Dropping it ends it by its process id.
pub struct Serving {
    child: Child,
    host: String,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Serving {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ferry-bundle serve starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = mpsc::channel();
        let mut readers = Vec::new();
        let streams: [Option<Box<dyn std::io::Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for stream in streams.into_iter().flatten() {
            let (said, sender) = (said.clone(), sender.clone());
            // Read to the end: a full pipe would stop the server.
            readers.push(std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    said.extend([&line, "\n"]);
                    drop(said);
                    // Nobody listens any more once the address is known.
                    let _ = sender.send(line);
                }
            }));
        }
        drop(sender);
        let host = address(&lines).unwrap_or_else(|| {
            let _ = child.kill();
            panic!("serve gives no address: {}", said.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Self { child, host, said, readers }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Ends it as a service manager does, with SIGTERM; returns its exit status and all it said.
    ///
    /// # Panics
    /// When it does not end within ten seconds.
    #[must_use]
    pub fn terminate(mut self) -> (ExitStatus, String) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a signal can be sent to a child");
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                break status;
            }
            assert!(Instant::now() < deadline, "serve does not end on SIGTERM");
            std::thread::sleep(Duration::from_millis(10));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("its output was read");
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (status, said)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(lines: &Receiver<String>) -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = event["data"]["address"].as_str() {
            return Some(address.to_owned());
        }
    }
}

/// The program, built now if it was not.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(build)
}

/// Builds `ferry-bundle` beside the running test: in the same target folder, with the same profile.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    // target/<profile>/deps/<test>
    let built = test.ancestors().nth(2).expect("tests stand in target/<profile>/deps");
    let target = built.parent().expect("a target folder");
    let profile = built.file_name().and_then(OsStr::to_str).expect("a profile");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--offline", "--locked", "-p", "ferry-bundler", "--bin", "ferry-bundle"])
        .args(["--profile", if profile == "debug" { "dev" } else { profile }])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "ferry-bundle does not build: {}", String::from_utf8_lossy(&output.stderr));
    built.join("ferry-bundle")
}
