//! A host in this process: an SSH server on a loopback port that answers commands as a test says, or really runs them.
//!
//! It speaks the real protocol, so the whole way from [`connect`](super::ssh::connect) to the last byte is the product's
//! own. What a host can do wrong is an [`Answer`] or an option of [`Nature`]. A host is a task, not a thread: a thousand
//! fit into a test. Its commands know nothing of marks and privileges; the server takes those off and puts them on.

mod meter;
mod play;
mod server;

use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub use meter::Traffic;

use super::Output;
use super::known::KnownKey;
use crate::site::file::{Auth, Nothing, Privilege, SecretRef};
use crate::site::{Host, Jump};

/// A command as the host gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The script.
    pub script: String,
    /// Whether it is to run as root.
    pub root: bool,
}

/// What a host does with a command.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Runs it, with `sh`, in the host's folder, as the user of the test. Absolute paths are those of this machine.
    Run,
    /// Says this, having read all of the standard input.
    Say(Output),
    /// Says this, later.
    Late(Duration, Output),
    /// Says this, with the session's status and EOF before it.
    Backwards(Output),
    /// Begins, prints this, and the connection breaks.
    Break(Vec<u8>),
    /// Begins, and the session ends without a status.
    NoStatus,
    /// Begins, and never ends.
    Hang,
    /// Prints without end.
    Flood,
    /// Runs nothing, and prints this instead, as a shell like `nologin` does.
    Refuse(String),
}

impl Answer {
    /// Says `text` and ends with 0.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Say(Output { status: 0, stdout: text.into().into_bytes(), stderr: Vec::new() })
    }
}

/// How the host answers commands.
pub type Handler = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// How a host asks for a password by keyboard-interactive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Questions {
    /// Not at all: only by the method `password`.
    Never,
    /// Once.
    Once,
    /// Again and again, whatever is answered.
    Endless,
}

/// What a host is like.
#[derive(Clone)]
pub struct Nature {
    /// How it answers commands.
    pub handler: Handler,
    /// The password that lets anybody in; without one everybody is let in.
    pub password: Option<String>,
    /// How it asks for it.
    pub questions: Questions,
    /// Sessions at a time on one connection.
    pub max_sessions: usize,
    /// Whether it passes connections on.
    pub forwards: bool,
    /// The algorithms of its host keys: `ssh-ed25519`, `ecdsa-sha2-nistp256`.
    pub keys: Vec<&'static str>,
    /// What its login shell prints before every command.
    pub noise: String,
    /// Whether it keeps the commands that it got, for [`FakeHost::asked`]. A farm of hosts only counts them.
    pub remembers: bool,
}

impl Default for Nature {
    fn default() -> Self {
        Self {
            handler: Arc::new(|_| Answer::Run),
            password: None,
            questions: Questions::Never,
            max_sessions: 10,
            forwards: true,
            keys: vec!["ssh-ed25519"],
            noise: String::new(),
            remembers: true,
        }
    }
}

/// A host that runs until it is dropped.
pub struct FakeHost {
    state: Arc<State>,
    address: SocketAddr,
    folder: tempfile::TempDir,
    fingerprints: Vec<String>,
    keys: Vec<KnownKey>,
}

/// What the server's parts share.
struct State {
    nature: Nature,
    folder: PathBuf,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<Vec<std::net::TcpStream>>,
    logins: AtomicUsize,
    traffic: meter::Counters,
    off: CancellationToken,
}

impl FakeHost {
    /// Starts a host.
    pub async fn start(nature: Nature) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Self::on(listener, nature)
    }

    /// Starts a host at a port that another one had: the same machine, with another key.
    pub async fn start_at(port: u16, nature: Nature) -> std::io::Result<Self> {
        // The one before gives the port back as soon as its task sees that it is off.
        let mut tries = 0;
        loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => return Self::on(listener, nature),
                Err(error) if tries == 200 => return Err(error),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn on(listener: TcpListener, nature: Nature) -> std::io::Result<Self> {
        let keys: Vec<PrivateKey> = nature.keys.iter().map(|name| generate(name)).collect::<Result<_, _>>()?;
        let print = |key: &PrivateKey| key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let fingerprints = keys.iter().map(print).collect();
        let known = keys.iter().map(|key| super::ssh::recorded(key.public_key())).collect();
        let (address, folder) = (listener.local_addr()?, tempfile::tempdir()?);
        let state = Arc::new(State {
            nature,
            folder: folder.path().to_owned(),
            asked: Mutex::default(),
            connections: Mutex::default(),
            logins: AtomicUsize::new(0),
            traffic: meter::Counters::default(),
            off: CancellationToken::new(),
        });
        let config = Arc::new(server::config(&state.nature, keys));
        tokio::spawn(accept(listener, config, state.clone()));
        Ok(Self { state, address, folder, fingerprints, keys: known })
    }

    /// Its port at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The folder that its commands run in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The fingerprints of its keys, in the order of [`Nature::keys`].
    #[must_use]
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }

    /// Its keys as they are recorded, in that order.
    #[must_use]
    pub fn keys(&self) -> &[KnownKey] {
        &self.keys
    }

    /// The commands that it got, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many passwords it was offered.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.state.logins.load(Ordering::Relaxed)
    }

    /// What has gone over its connections so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.state.traffic.read()
    }

    /// Breaks every connection. New ones are accepted.
    pub fn cut(&self) {
        self.state.cut();
    }

    /// Switches it off: no connection, old or new.
    pub fn off(&self) {
        self.state.off.cancel();
        self.state.cut();
    }

    /// The way to it: the user `ferry`, with the password that is given by the prompt `password`.
    #[must_use]
    pub fn jump(&self, name: &str) -> Jump {
        Jump {
            name: name.to_owned(),
            address: self.address.ip().to_string(),
            port: self.port(),
            user: "ferry".into(),
            auth: vec![Auth::Password(SecretRef::Prompt("password".into()))],
            host_key: None,
            legacy_algorithms: Vec::new(),
        }
    }

    /// It as a host of a site, without roles.
    #[must_use]
    pub fn site_host(&self, name: &str) -> Host {
        Host {
            name: name.to_owned(),
            way: vec![self.jump(name)],
            internal: self.address.ip(),
            roles: Vec::new(),
            privilege: Privilege::None(Nothing {}),
            labels: std::collections::BTreeMap::new(),
            taints: Vec::new(),
        }
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.off();
    }
}

impl State {
    fn cut(&self) {
        for stream in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn generate(name: &str) -> std::io::Result<PrivateKey> {
    let algorithm = match name {
        "ecdsa-sha2-nistp256" => Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        _ => Algorithm::Ed25519,
    };
    PrivateKey::random(&mut safe_rng(), algorithm).map_err(std::io::Error::other)
}

async fn accept(listener: TcpListener, config: Arc<russh::server::Config>, state: Arc<State>) {
    loop {
        let stream = tokio::select! {
            biased;
            () = state.off.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => return,
            },
        };
        let Ok((stream, twin)) = twin(stream) else { continue };
        state.connections.lock().unwrap_or_else(PoisonError::into_inner).push(twin);
        let connection = server::Connection::new(state.clone());
        let config = config.clone();
        let stream = meter::Metered::new(stream, state.clone());
        tokio::spawn(async move {
            if let Ok(session) = russh::server::run_stream(config, stream, connection).await {
                let _ = session.await;
            }
        });
    }
}

/// A second handle, by which the connection is broken.
fn twin(stream: TcpStream) -> std::io::Result<(TcpStream, std::net::TcpStream)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, twin))
}
