//! What is run on a host, as data: shown before, recorded after.

use std::time::Duration;

use super::{HostError, HostErrorKind, Secret};

/// How long a command may take unless it says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// The most that an error keeps of what a command said, in bytes: errors go into events, the journal and the report.
const SAID: usize = 8 << 10;

/// A POSIX shell script that is run by `sh` on a host, with `LC_ALL=C` and `umask 022`, in `/`.
#[derive(Debug, Clone)]
pub struct Command {
    /// The script. It holds no secret: it is shown, recorded, and visible to every user of the host while it runs.
    pub script: String,
    /// What it reads on its standard input.
    pub stdin: Stdin,
    /// Whether it needs root. The host knows how to become root.
    pub root: bool,
    /// After how long it is ended, and the call fails.
    pub deadline: Duration,
}

/// What a command reads.
#[derive(Debug, Clone, Default)]
pub enum Stdin {
    /// Nothing.
    #[default]
    Empty,
    /// Text that may be shown.
    Text(String),
    /// A secret. Shown as `«secret»`.
    Secret(Secret),
}

/// What a command gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; 128 + n if signal n ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Command {
    /// A script that needs no root.
    pub fn new(script: impl Into<String>) -> Self {
        Self { script: script.into(), stdin: Stdin::Empty, root: false, deadline: DEADLINE }
    }

    /// A script that is run as root.
    pub fn root(script: impl Into<String>) -> Self {
        Self { root: true, ..Self::new(script) }
    }

    /// With this on its standard input.
    #[must_use]
    pub fn reading(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// With this deadline.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl Output {
    /// Standard output as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The output, if the status is 0; else an error with what the command said.
    pub fn ok(self, host: &str, command: &Command) -> Result<Self, HostError> {
        if self.status == 0 {
            return Ok(self);
        }
        let said = if self.stderr.iter().all(u8::is_ascii_whitespace) { &self.stdout } else { &self.stderr };
        let said = end_of(said);
        let kind = HostErrorKind::Status { status: self.status, said, script: command.script.clone() };
        Err(HostError::new(host, kind))
    }
}

/// The end of what a command said, as text; what is left out is said.
fn end_of(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(SAID);
    let text = String::from_utf8_lossy(&bytes[start..]);
    if start == 0 { text.into_owned() } else { format!("({start} bytes before this) {text}") }
}

/// A shell function `hash` that prints the SHA-256 of its input. `openssl` first: it uses the processor's own instructions,
/// which many a `sha256sum` does not (84 MB: 0.07 s of processor time against 0.42 s, measured).
pub(crate) const HASH: &str = "hash() { if openssl dgst -sha256 -r </dev/null >/dev/null 2>&1; then openssl dgst -sha256 -r; \
                               else sha256sum; fi | cut -c1-64; }";

/// A shell function `f_trusted FOLDER`: whether nobody but root and the caller can say what lies at this path. Each folder above it,
/// as it is written and as links lead, must be theirs, and one that others may write must keep them from each other's files
/// (the sticky bit). In the folder that holds it not even that will do: anybody could have put a file of its name there before.
pub(crate) const TRUSTED: &str = r#"f_trusted() { for f_d in "$1" "$(readlink -m -- "$1")"; do f_last=1
while f_d=${f_d%/*}; do f_u=${f_d:-/}
if [ -e "$f_u" ]; then
f_s=$(stat -L -c '%u %A' -- "$f_u") || return 1
case ${f_s% *} in 0|"$(id -u)") ;; *) return 1;; esac
case ${f_s#* } in ????????wt|????????wT) [ -z "$f_last" ] || return 1;; ????????w?) return 1;; esac
fi
[ -n "$f_d" ] || break
f_last=
done; done; }
"#;

/// `text` as one word for a POSIX shell.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_only_the_end_of_what_a_command_said() {
        let output =
            Output { status: 1, stdout: Vec::new(), stderr: [vec![b'x'; 1 << 20], b"the cause".to_vec()].concat() };
        let error = output.ok("one", &Command::new("yes")).unwrap_err();
        let HostErrorKind::Status { said, .. } = &error.kind else { panic!("{error}") };
        assert!(said.len() < SAID + 64 && said.ends_with("the cause") && said.starts_with("(1040"), "{}", said.len());
    }

    #[test]
    fn a_path_is_trusted_only_if_nobody_else_can_change_what_it_is() {
        use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let make = |name: &str, mode: u32| {
            std::fs::create_dir_all(at(name)).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (name, mode) in [("own/data", 0o700), ("staff", 0o2775), ("sticky/own/data", 0o755), ("open/below", 0o755)]
        {
            make(name, mode);
        }
        make("sticky", 0o1777);
        make("open", 0o777);
        make("user/own", 0o755);
        symlink(at("own"), at("link")).unwrap();
        symlink(at("user"), at("led")).unwrap();
        symlink(at("own"), at("open/link")).unwrap();
        let mut cases = vec![
            ("own/data", true),
            ("own/not/there/yet", true),
            ("link/data", true),
            ("staff/x", true),
            ("sticky/own/data", true),
            ("sticky/x", false),
            ("open/x", false),
            ("open/below/x", false),
            ("open/link/data", false),
        ];
        if chown(at("user"), Some(4711), Some(4711)).is_ok() {
            cases.extend([("user/x", false), ("user/own/x", false), ("led/x", false)]);
        }
        for shell in ["dash", "bash"] {
            for (name, trusted) in &cases {
                let script = format!(
                    "set -eu\n{TRUSTED}if f_trusted {}; then exit 0; else exit 7; fi",
                    quote(&at(name).display().to_string())
                );
                let status = std::process::Command::new(shell).args(["-c", &script]).status().unwrap();
                assert_eq!(status.code(), Some(if *trusted { 0 } else { 7 }), "{shell} {name}");
            }
        }
    }

    #[test]
    fn quoted_words_come_back_from_a_real_shell() {
        for text in ["", "a b", "it's", "$(id)", "`id`", "a\nb", "\\", "*", "~", "-n", "ü;&|<>\"", "''", "!x"] {
            let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quote(text))]).output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), text);
        }
    }
}
