//! A chain of SSH connections: through each bastion to the host, each with its own host key and login.
//!
//! The bastion passes a stream on (`direct-tcpip`); the next connection is made over that stream. The chain lives as
//! long as anything uses it.

use std::sync::{Arc, Mutex};

use russh::client::{self, Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::algorithms::preferred;
use super::login::{Tries, login};
use super::settings::Settings;
use super::verify::{Expected, Seen, Watch, fingerprint, recorded};
use crate::host::{HostError, HostErrorKind, Stream};
use crate::site::Jump;

/// How much may be under way to us on one channel: 2 MiB fill a 100 ms way at 20 MB/s.
const WINDOW: u32 = 2 << 20;

/// An open chain.
pub(super) struct Link {
    /// The connections; the last is the host's. The others are held so that they stay open.
    hops: Vec<Handle<Watch>>,
    seen: Arc<Mutex<Seen>>,
    host: Jump,
}

impl Link {
    /// Connects along `way`.
    pub(super) async fn open(way: &[Jump], settings: &Settings) -> Result<Self, HostError> {
        let mut hops: Vec<Handle<Watch>> = Vec::new();
        let mut last = None;
        for (at, jump) in way.iter().enumerate() {
            let before = at.checked_sub(1).map(|index| (&way[index], &hops[index]));
            let (handle, seen) = arrive(jump, before, settings).await?;
            hops.push(handle);
            last = Some((seen, jump.clone()));
        }
        let (seen, host) = last.expect("a way ends at the host itself");
        Ok(Self { hops, seen, host })
    }

    fn handle(&self) -> &Handle<Watch> {
        self.hops.last().expect("a way ends at the host itself")
    }

    /// Whether it is broken.
    pub(super) fn is_closed(&self) -> bool {
        self.hops.iter().any(Handle::is_closed)
    }

    /// The error for work during which the connection broke.
    pub(super) fn lost(&self, otherwise: &str) -> HostError {
        let seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let why = seen.ended.clone().unwrap_or_else(|| otherwise.to_owned());
        HostError::new(&self.host.name, HostErrorKind::Lost(why))
    }

    /// Opens a session.
    pub(super) async fn session(&self) -> Result<Channel<Msg>, russh::Error> {
        self.handle().channel_open_session().await
    }

    /// Has the host connect to `address:port`.
    pub(super) async fn dial(&self, address: &str, port: u16) -> Result<Channel<Msg>, NoWay> {
        through(self.handle(), &self.host, address, port).await
    }
}

/// The connection to `jump` itself: through the one before, or from here. Logged in.
async fn arrive(
    jump: &Jump,
    before: Option<(&Jump, &Handle<Watch>)>,
    settings: &Settings,
) -> Result<(Handle<Watch>, Arc<Mutex<Seen>>), HostError> {
    let mut expected = Expected::of(jump, settings)?;
    let (mut others, mut prints) = (Vec::new(), Vec::new());
    let mut tries = Tries::default();
    loop {
        let Some(offer) = preferred(expected.algorithm().as_ref(), &others, &jump.legacy_algorithms) else {
            return Err(expected.mismatch(&jump.name, "none that fits"));
        };
        let config = client::Config {
            window_size: WINDOW,
            preferred: offer,
            keepalive_interval: Some(settings.keepalive),
            keepalive_max: 4,
            nodelay: true,
            ..client::Config::default()
        };
        let stream = reach(jump, before, settings).await?;
        let seen = Arc::<Mutex<Seen>>::default();
        let watch = Watch { expected: expected.clone(), seen: seen.clone() };
        let handshake = timeout(settings.patience, client::connect_stream(Arc::new(config), stream, watch)).await;
        let (shown, accepted) = {
            let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            (seen.refused.take(), seen.accepted.take())
        };
        if let Some(fingerprint) = accepted {
            settings.trace.host_key(&jump.name, &fingerprint);
        }
        match (handshake, shown) {
            (Ok(Ok(mut handle)), _) => {
                if login(&mut handle, jump, settings, &mut tries).await? {
                    return Ok((handle, seen));
                }
            }
            (_, Some(key)) if matches!(expected, Expected::Unknown) => {
                let (algorithm, print) = (key.algorithm().to_string(), fingerprint(&key));
                if !settings.first_sight.accept(&jump.name, &algorithm, &print).await {
                    return Err(expected.mismatch(&jump.name, &print));
                }
                settings.known.put(&jump.name, recorded(&key)).map_err(|error| {
                    let path = settings.known.path().display().to_string();
                    let why = format!("the key of {} can't be recorded: {error}", jump.name);
                    HostError::new(&jump.name, HostErrorKind::Records { path, why })
                })?;
                expected = Expected::of(jump, settings)?;
            }
            // A pin does not say of which algorithm it is: the host may have the pinned key beside this one.
            (_, Some(key)) if matches!(expected, Expected::Pinned(_)) => {
                others.push(key.algorithm());
                prints.push(format!("{} {}", key.algorithm(), fingerprint(&key)));
                if preferred(None, &others, &jump.legacy_algorithms).is_none() {
                    return Err(expected.mismatch(&jump.name, &other_keys(&prints)));
                }
            }
            (_, Some(key)) => return Err(expected.mismatch(&jump.name, &fingerprint(&key))),
            (Ok(Err(russh::Error::NoCommonAlgo { .. })), None) if !others.is_empty() => {
                return Err(expected.mismatch(&jump.name, &other_keys(&prints)));
            }
            (Ok(Err(russh::Error::NoCommonAlgo { kind, theirs, .. })), None) => {
                let why = format!(
                    "no common algorithm ({kind:?}): it has {}; old ones are listed in `legacyAlgorithms`",
                    theirs.join(", ")
                );
                return Err(unreachable(jump, &why));
            }
            (Ok(Err(error)), None) => return Err(unreachable(jump, &error.to_string())),
            (Err(_), None) => return Err(unreachable(jump, "no answer in the SSH handshake")),
        }
    }
}

/// All keys that a host has shown, with the fingerprints: so that they can be compared with what it says of itself.
fn other_keys(prints: &[String]) -> String {
    format!("other keys ({})", prints.join(", "))
}

fn unreachable(jump: &Jump, why: &str) -> HostError {
    let address = format!("{}:{}", jump.address, jump.port);
    HostError::new(&jump.name, HostErrorKind::Unreachable { address, why: why.to_owned() })
}

async fn reach(
    jump: &Jump,
    before: Option<(&Jump, &Handle<Watch>)>,
    settings: &Settings,
) -> Result<Box<dyn Stream>, HostError> {
    if let Some((bastion, handle)) = before {
        let opened = timeout(settings.patience, through(handle, bastion, &jump.address, jump.port)).await;
        let channel = opened.map_err(|_| unreachable(jump, &format!("no answer through {}", bastion.name)))?;
        return Ok(Box::new(
            channel
                .map_err(|no_way| {
                    let mut error = no_way.error();
                    // It is this host that can't be reached; the bastion is where it was tried.
                    if matches!(error.kind, HostErrorKind::Unreachable { .. }) {
                        error.host.clone_from(&jump.name);
                    }
                    error
                })?
                .into_stream(),
        ));
    }
    match timeout(settings.patience, TcpStream::connect((jump.address.as_str(), jump.port))).await {
        Ok(Ok(stream)) => {
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Ok(Err(error)) => Err(unreachable(jump, &error.to_string())),
        Err(_) => Err(unreachable(jump, &format!("no answer for {} s", settings.patience.as_secs()))),
    }
}

/// Why a host passes a connection on not.
pub(super) enum NoWay {
    /// Its sshd forbids forwarding, whether to this address or to all.
    Forbidden(HostError),
    /// For another reason.
    Failed(HostError),
}

impl NoWay {
    /// As an error.
    pub(super) fn error(self) -> HostError {
        match self {
            Self::Forbidden(error) | Self::Failed(error) => error,
        }
    }
}

/// A stream from `host` to `address:port`.
async fn through(handle: &Handle<Watch>, host: &Jump, address: &str, port: u16) -> Result<Channel<Msg>, NoWay> {
    let opened = handle.channel_open_direct_tcpip(address, port.into(), "127.0.0.1", 0).await;
    let unreachable =
        |why| HostError::new(&host.name, HostErrorKind::Unreachable { address: format!("{address}:{port}"), why });
    opened.map_err(|error| match error {
        russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
            NoWay::Forbidden(unreachable(format!(
                "{} passes no connections on: set `AllowTcpForwarding yes` (or `local`) in its sshd",
                host.name
            )))
        }
        russh::Error::ChannelOpenFailure(failure) => {
            NoWay::Failed(unreachable(format!("{} can't connect to it: {failure:?}", host.name)))
        }
        error => NoWay::Failed(HostError::new(&host.name, HostErrorKind::Lost(error.to_string()))),
    })
}
