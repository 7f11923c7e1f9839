//! What is done to an install under way, and to its host.

use std::fmt;
use std::time::Duration;

use super::Run;
use super::timeline::Random;
use crate::error::Error;
use crate::hosts::{Driver, Fault};

/// The SSH sessions of the host end, as if somebody had ended them; their commands may live on. Children of children first:
/// the process that speaks to the network is a child of the one that watches it.
const END_SESSIONS: &str = "main=$(systemctl show -p MainPID --value ssh.service)
for child in $(pgrep -P \"$main\"); do
    for inner in $(pgrep -P \"$child\" sshd); do kill -KILL \"$inner\"; done
    kill -KILL \"$child\"
done; true";

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// SIGKILL of `ferry-install`.
    Installer,
    /// The host's SSH sessions are killed.
    Sessions,
    /// The host's link is down for so long.
    Link(Duration),
    /// Power cut; power on so much later.
    Power(Duration),
    /// Ctrl-C.
    Interrupt,
}

impl Strike {
    /// Installer, connection (sessions or link), power, and again.
    pub(super) fn nth(at: usize, random: &mut Random) -> Self {
        match at % 3 {
            0 => Self::Installer,
            1 if at.is_multiple_of(2) => Self::Sessions,
            1 => Self::Link(Duration::from_millis(1000 + random.below(9000))),
            _ => Self::Power(Duration::from_millis(random.below(3000))),
        }
    }

    /// Which of the three ways it is, from 0; Ctrl-C is none of them.
    #[must_use]
    pub fn class(self) -> u8 {
        match self {
            Self::Installer => 0,
            Self::Sessions | Self::Link(_) => 1,
            Self::Power(_) => 2,
            Self::Interrupt => 3,
        }
    }

    /// Strikes.
    pub fn strike(self, run: &mut Run, driver: &dyn Driver, host: u8) -> Result<(), Error> {
        match self {
            Self::Installer => run.signal("KILL"),
            Self::Interrupt => run.signal("INT"),
            Self::Sessions => driver.must(host, END_SESSIONS).map(drop),
            Self::Link(time) => {
                driver.fault(host, &Fault::of("link-down")?)?;
                std::thread::sleep(time);
                driver.heal(host)
            }
            Self::Power(time) => {
                driver.kill(host)?;
                std::thread::sleep(time);
                driver.boot(host)
            }
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installer => f.write_str("installer killed"),
            Self::Sessions => f.write_str("SSH sessions killed"),
            Self::Link(time) => write!(f, "link down for {:.1} s", time.as_secs_f64()),
            Self::Power(time) => write!(f, "power cut for {:.1} s", time.as_secs_f64()),
            Self::Interrupt => f.write_str("Ctrl-C"),
        }
    }
}
