//! Starts Debian's `docker-registry` (the distribution project's, 2.8) for a test.
//!
//! A real registry answers where our own server and our own client might share a mistake. Each one has a
//! folder and a loopback port of its own and is killed by its process id when dropped. Where the program is
//! not installed the test says so and ends; with `CI` set it fails, so that nobody skips it unseen.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// How the registry is set up.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// User and password; without one everybody may do everything.
    pub user: Option<(String, String)>,
    /// Certificate and key; without them it speaks plain HTTP.
    pub tls: Option<ServerCertificate>,
    /// The URL it believes to be reached at, put into every `Location`.
    pub external_url: Option<String>,
    /// Where it redirects those who fetch blobs.
    pub blobs_at: Option<String>,
}

/// A running registry.
pub struct DockerRegistry {
    child: Child,
    port: u16,
    // Its storage and configuration, removed with it.
    _folder: TempDir,
}

impl DockerRegistry {
    /// Starts a registry; none if it is not installed (and `CI` is not set).
    ///
    /// # Panics
    /// If it does not come up, or is not installed although `CI` is set.
    #[must_use]
    pub fn start(options: &RegistryOptions) -> Option<Self> {
        if !installed("docker-registry") {
            return skip("docker-registry is not installed (apt-get install docker-registry)");
        }
        if options.user.is_some() && !installed("htpasswd") {
            return skip("htpasswd is not installed (apt-get install apache2-utils)");
        }
        // Another program may take the port between choosing and using it.
        (0..5).find_map(|_| Self::try_start(options)).or_else(|| panic!("docker-registry does not start"))
    }

    fn try_start(options: &RegistryOptions) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder for the registry");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a port").port();
        let config = folder.path().join("config.yml");
        std::fs::write(&config, configuration(options, &folder, port)).expect("its configuration");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry runs");
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if child.try_wait().expect("its state").is_some() {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Self { child, port, _folder: folder });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(Self { child, port, _folder: folder });
        None
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port alone.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server certificate and its key, PEM.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    certificate: String,
    key: String,
}

/// A CA of a test.
pub struct PrivateCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl PrivateCa {
    /// A new CA.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "a private CA");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A server certificate for `names` (DNS names or addresses).
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> ServerCertificate {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        ServerCertificate { certificate, key: key.serialize_pem() }
    }
}

impl Default for PrivateCa {
    fn default() -> Self {
        Self::new()
    }
}

fn configuration(options: &RegistryOptions, folder: &TempDir, port: u16) -> String {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let keep = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a file of the registry");
        path(name)
    };
    let mut yaml = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\n\
         http:\n  addr: 127.0.0.1:{port}\n  secret: of-a-test\n",
        path("storage")
    );
    let mut add = |text: std::fmt::Arguments<'_>| yaml.write_fmt(text).expect("text");
    if let Some(url) = &options.external_url {
        add(format_args!("  host: {url:?}\n"));
    }
    if let Some(tls) = &options.tls {
        let (certificate, key) = (keep("server.pem", &tls.certificate), keep("server.key", &tls.key));
        add(format_args!("  tls: {{certificate: {certificate:?}, key: {key:?}}}\n"));
    }
    if let Some((user, password)) = &options.user {
        let made = Command::new("htpasswd").args(["-Bbn", user, password]).output().expect("htpasswd runs");
        let file = keep("htpasswd", &String::from_utf8_lossy(&made.stdout));
        add(format_args!("auth: {{htpasswd: {{realm: test, path: {file:?}}}}}\n"));
    }
    if let Some(url) = &options.blobs_at {
        add(format_args!("middleware: {{storage: [{{name: redirect, options: {{baseurl: {url:?}}}}}]}}\n"));
    }
    yaml
}

fn installed(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

fn skip<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    // In one piece, because tests run side by side. One whose note cannot be written has still nothing to do.
    let _ = io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
    None
}
