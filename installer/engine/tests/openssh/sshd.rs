//! A real `sshd` on a loopback port, with a configuration, host keys and users' keys of its own, ended with the test.
//!
//! Where there is no sshd the tests say so and pass, except in continuous integration (`CI=true`), where they fail.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ferry_engine::host::known::KnownKeys;
use ferry_engine::host::ssh::{self, Answer, Settings, SshHost};
use ferry_engine::host::{HostError, Redactor, Secret, SecretStore};
use ferry_engine::site::file::{Auth, KeyFile, Nothing, Privilege};
use ferry_engine::site::{Host, Jump};

/// What differs from the ordinary.
#[derive(Default)]
pub(crate) struct Options {
    /// More lines of sshd_config.
    pub(crate) config: String,
    /// Users beside root, who has the password `root-pass` in this place, and `/bin/sh`.
    pub(crate) users: Vec<User>,
    /// Shell commands that are run in the server's mount namespace before it starts, in its folder.
    pub(crate) before: &'static str,
    /// The type of the host key; default ed25519.
    pub(crate) host_key: Option<&'static str>,
}

/// A user of a server. They exist only in the server's own mount namespace: nothing of the machine is changed.
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) shell: &'static str,
    pub(crate) password: &'static str,
    /// What follows the name in sudoers.
    pub(crate) sudo: &'static str,
}

/// A running sshd.
pub(crate) struct Sshd {
    child: Child,
    folder: tempfile::TempDir,
    /// Its port.
    pub(crate) port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a test that tests nothing says so")]
fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    if found.is_none() {
        let text =
            format!("there is no {name} (packages openssh-server, openssh-client, sudo, tcsh): nothing is tested");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
        eprintln!("{text}");
    }
    found
}

/// Makes a key pair at `path`.
pub(crate) fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let mut command = Process::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(path);
    assert!(command.status().unwrap().success());
}

/// The user that runs the tests.
pub(crate) fn plain_user() -> String {
    let output = Process::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Not by an argument: a test looks at the arguments of every process for passwords.
fn hashed(password: &str) -> String {
    let mut command = Process::new("openssl");
    let mut child =
        command.args(["passwd", "-6", "-stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

/// The script that puts a server's own users in place, in a mount namespace of its own, and becomes the server.
fn isolated(folder: &Path, options: &Options) -> String {
    let at = |name: &str| folder.join(name);
    let mut passwd = "root:x:0:0:root:/root:/bin/sh\nsshd:x:109:65534::/run/sshd:/usr/sbin/nologin\n".to_owned();
    let mut shadow = format!("root:{}:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n", hashed("root-pass"));
    let mut sudoers = "Defaults use_pty\nroot ALL=(ALL) ALL\n".to_owned();
    for (index, user) in options.users.iter().enumerate() {
        let (name, id, home) = (user.name, 4000 + index, at(user.name));
        std::fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(u32::try_from(id).unwrap()), Some(100)).unwrap();
        passwd += &format!("{name}:x:{id}:100::{}:{}\n", home.display(), user.shell);
        shadow += &format!("{name}:{}:19000:0:99999:7:::\n", hashed(user.password));
        if !user.sudo.is_empty() {
            sudoers += &format!("{name} {}\n", user.sudo);
        }
    }
    let mut script = String::new();
    for (name, text, mode) in [("passwd", passwd, 0o644), ("shadow", shadow, 0o600), ("sudoers", sudoers, 0o440)] {
        std::fs::write(at(name), text).unwrap();
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        script += &format!("mount --bind {} /etc/{name} && ", at(name).display());
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    if !options.before.is_empty() {
        script += &format!("cd {} && {} && ", folder.display(), options.before);
    }
    script + "exec \"$@\""
}

impl Sshd {
    /// Starts one, or says why not.
    #[expect(clippy::print_stderr, reason = "a test that tests nothing says so")]
    pub(crate) fn start(options: &Options) -> Option<Self> {
        let sshd = program("sshd")?;
        if plain_user() != "root" {
            eprintln!("not root: nothing is tested");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        keygen(&at("host_key"), options.host_key.unwrap_or("ed25519"), "");
        keygen(&at("id"), "ed25519", "");
        std::fs::copy(at("id.pub"), at("authorized_keys")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "{}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 1000\n\
             UsePAM no\nSubsystem sftp internal-sftp\nLogLevel VERBOSE\n",
            options.config,
            at("host_key").display(),
            at("authorized_keys").display()
        );
        std::fs::write(at("config"), config).unwrap();
        let _ = std::fs::create_dir("/run/sshd");
        let log = std::fs::File::create(at("log")).unwrap();
        let script = isolated(folder.path(), options);
        let mut command = Process::new("unshare");
        command.args(["-m", "sh", "-c", &script, "sh"]).arg(sshd);
        command.args(["-D", "-e", "-f"]).arg(at("config")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let server = Self { child, folder, port };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.is_up(), "sshd did not start: {}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    fn is_up(&self) -> bool {
        Path::new(&format!("/proc/{}/exe", self.child.id())).exists()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its folder: `id`, `authorized_keys`, `host_key`, `config`, `log`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The jump to it, as the user of the tests, by key.
    pub(crate) fn jump(&self) -> Jump {
        Jump {
            name: format!("host-{}", self.port),
            address: "127.0.0.1".into(),
            port: self.port,
            user: plain_user(),
            auth: vec![Auth::Key(KeyFile { file: self.folder().join("id").display().to_string(), passphrase: None })],
            host_key: None,
            legacy_algorithms: Vec::new(),
        }
    }

    /// A host of this server, as `user`, who becomes root so.
    pub(crate) fn host_as(&self, user: &str, privilege: Privilege) -> Host {
        let mut host = host(vec![Jump { user: user.to_owned(), ..self.jump() }]);
        host.privilege = privilege;
        host
    }

    /// Settings that accept a key at first sight.
    pub(crate) fn settings(&self) -> Settings {
        settings(self.folder())
    }

    /// Connects in the ordinary way.
    pub(crate) async fn connect(&self) -> Result<SshHost, HostError> {
        ssh::connect(&host(vec![self.jump()]), &self.settings()).await
    }
}

/// Settings that accept a key at first sight and answer every question with the question's text.
pub(crate) fn settings(folder: &Path) -> Settings {
    let redactor = Redactor::default();
    let ask = Arc::new(|question: &str| Some(Secret::new(question)));
    let secrets = Arc::new(SecretStore::new(folder, ask, redactor.clone()));
    let mut settings = Settings::new(folder, secrets, KnownKeys::new(folder.join("known")));
    settings.redactor = redactor;
    settings.first_sight = Arc::new(Answer::Accept);
    settings.agent = None;
    settings
}

/// A host at the end of a way, where the user is root.
pub(crate) fn host(way: Vec<Jump>) -> Host {
    Host {
        name: way.last().unwrap().name.clone(),
        way,
        internal: [127, 0, 0, 1].into(),
        roles: Vec::new(),
        privilege: Privilege::None(Nothing {}),
        labels: std::collections::BTreeMap::new(),
        taints: Vec::new(),
    }
}

/// A running ssh-agent with one key.
pub(crate) struct Agent {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Agent {
    /// Starts one in `folder` and gives it the key.
    pub(crate) fn start(folder: &Path, key: &Path) -> Self {
        let socket = folder.join("agent");
        let mut command = Process::new("ssh-agent");
        let child = command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let agent = Self { child, socket };
        agent.add(key);
        agent
    }

    /// Gives it one more key, with the certificate beside it if there is one.
    pub(crate) fn add(&self, key: &Path) {
        let mut command = Process::new("ssh-add");
        assert!(command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
