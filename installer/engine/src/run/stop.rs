//! The wish to end early: first after the action that is under way, then at once.

use tokio_util::sync::CancellationToken;

/// Shared by all that work; once asked, always asked.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    ask: CancellationToken,
    abort: CancellationToken,
}

impl Stop {
    /// Asks everybody to finish the action that is under way, and to begin no other.
    pub fn ask(&self) {
        self.ask.cancel();
    }

    /// Whether that was asked.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.ask.is_cancelled()
    }

    /// Ends when that is asked.
    pub async fn when_asked(&self) {
        self.ask.cancelled().await;
    }

    /// Ends everything at once: commands on hosts, transfers, waits.
    pub fn abort(&self) {
        self.ask.cancel();
        self.abort.cancel();
    }

    /// Whether that was asked.
    #[must_use]
    pub fn aborted(&self) -> bool {
        self.abort.is_cancelled()
    }

    /// Ends when that is asked.
    pub async fn when_aborted(&self) {
        self.abort.cancelled().await;
    }

    /// What is cancelled then, for connections to hosts.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.abort.clone()
    }
}
