//! What every worker of a run shares: bundle, vault, journal, limits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Stop;
use crate::journal::Journal;
use crate::registry::ProbeImage;
use crate::supply::Supply;
use crate::vault::Vault;

/// What every worker of a run shares.
#[derive(Clone)]
pub struct Workshop {
    /// What the bundle supplies.
    pub supply: Arc<Supply>,
    /// The cluster's keys.
    pub vault: Arc<Vault>,
    /// Where everything is written down.
    pub journal: Journal,
    /// How many transfers over the operator's link run at once.
    pub uploads: Arc<Semaphore>,
    /// How many hosts are worked on at once.
    pub together: usize,
    /// The wish to end early.
    pub stop: Stop,
    /// What is waited before something is tried again, times the number of the try.
    pub pause: Duration,
    /// How long a registry may say nothing, and take nothing.
    pub patience: Duration,
    /// The probe's image, for each architecture of the site.
    pub probe_images: Arc<Vec<ProbeImage>>,
}

impl Workshop {
    /// With the usual limits: 2 transfers and 16 hosts at once.
    #[must_use]
    pub fn new(supply: Arc<Supply>, vault: Arc<Vault>, journal: Journal, probe_images: Vec<ProbeImage>) -> Self {
        Self {
            supply,
            vault,
            journal,
            uploads: Arc::new(Semaphore::new(2)),
            together: 16,
            stop: Stop::default(),
            pause: Duration::from_secs(2),
            patience: Duration::from_secs(120),
            probe_images: Arc::new(probe_images),
        }
    }
}
