//! What is worth another try, and after which pause.
//!
//! Pauses grow exponentially with full jitter, so that a hundred transfers that failed together do not
//! come back together; a server's `Retry-After` is honoured up to a cap. Small requests retry inside the
//! client; the transfer of a blob is retried by whoever resumes it, with the same [`Attempts`]. Each
//! retry is reported to a [`RetryHook`]: nobody should wonder why nothing moves.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::error::SourceError;

/// Whether a failed request is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// After a pause that grows with each attempt.
    Backoff,
    /// When the server says.
    After(Duration),
}

/// How often and how fast to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many times a request is sent at most; 1 means never again.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles from there.
    pub base: Duration,
    /// The longest pause of our own choice.
    pub longest: Duration,
    /// The longest pause a server may ask for.
    pub longest_asked: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            longest_asked: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// The pause after failed attempt number `attempt` (from 1): anything up to `base · 2^(attempt-1)`.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        // Without randomness the full pause is taken, which is merely slower.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        self.delay_with(attempt, f64::from(random) / f64::from(u32::MAX))
    }

    /// The same with the dice given: `fraction` is in 0..=1.
    #[must_use]
    pub fn delay_with(&self, attempt: u32, fraction: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.longest);
        ceiling.mul_f64(fraction.clamp(0.0, 1.0))
    }
}

/// That a request will be sent again: what the screen says while it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryEvent {
    /// Which host.
    pub host: String,
    /// The number of the attempt to come, from 2.
    pub attempt: u32,
    /// How many there are.
    pub attempts: u32,
    /// The pause before it.
    pub delay: Duration,
    /// Why the last one failed, with its causes.
    pub why: String,
}

/// Who is told about retries.
pub type RetryHook = Arc<dyn Fn(&RetryEvent) + Send + Sync>;

/// The attempts of one piece of work: counts them, pauses between them, reports them.
#[derive(Clone)]
pub struct Attempts {
    policy: RetryPolicy,
    hook: RetryHook,
    host: String,
    made: u32,
}

impl Attempts {
    /// No attempt made yet; `host` is for the reports.
    #[must_use]
    pub fn new(policy: RetryPolicy, hook: RetryHook, host: &str) -> Self {
        Self { policy, hook, host: host.to_owned(), made: 0 }
    }

    /// To be called when an attempt has failed: waits for the next one, or gives the error back if there is
    /// to be none.
    pub async fn pause(&mut self, error: SourceError) -> Result<(), SourceError> {
        let retry = error.retry();
        self.pause_as(error, retry).await
    }

    /// The same, where the caller knows better whether another try makes sense.
    pub(super) async fn pause_as(&mut self, error: SourceError, retry: Retry) -> Result<(), SourceError> {
        self.made += 1;
        let delay = match retry {
            Retry::Never => return Err(error),
            _ if self.made >= self.policy.attempts => return Err(error),
            Retry::Backoff => self.policy.delay(self.made),
            Retry::After(asked) => asked.min(self.policy.longest_asked),
        };
        (self.hook)(&RetryEvent {
            host: self.host.clone(),
            attempt: self.made + 1,
            attempts: self.policy.attempts,
            delay,
            why: with_causes(&error),
        });
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// To be called when bytes have arrived: a transfer that moves has all its attempts again.
    pub fn progressed(&mut self) {
        self.made = 0;
    }
}

/// The error and its causes in one line.
fn with_causes(error: &SourceError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Reads `Retry-After`: seconds, or an HTTP date seen from `now`.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(SystemTime::from(until).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy::default();
        let full: Vec<u64> = (1..=8).map(|n| policy.delay_with(n, 1.0).as_secs()).collect();
        assert_eq!(full, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(policy.delay_with(3, 0.5), Duration::from_secs(2));
        assert_eq!(policy.delay_with(3, 0.0), Duration::ZERO);
        assert!(policy.delay_with(u32::MAX, 1.0) <= policy.longest);
        assert!(policy.delay(3) <= Duration::from_secs(4));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn attempts_end_and_are_reported() {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let hook: RetryHook = {
            let seen = seen.clone();
            Arc::new(move |event| seen.lock().unwrap().push((event.attempt, event.attempts, event.why.clone())))
        };
        let policy = RetryPolicy { attempts: 3, base: Duration::ZERO, ..RetryPolicy::default() };
        let mut attempts = Attempts::new(policy, hook, "registry.example");
        let short = || SourceError::Short { url: "u".into(), got: 1, expected: 2 };
        attempts.pause(short()).await.unwrap();
        attempts.progressed();
        attempts.pause(short()).await.unwrap();
        attempts.pause(short()).await.unwrap();
        assert!(attempts.pause(short()).await.is_err());
        let why = "u ended after 1 of 2 bytes".to_owned();
        assert_eq!(*seen.lock().unwrap(), [(2, 3, why.clone()), (2, 3, why.clone()), (3, 3, why)]);
        let never = SourceError::UrlRefused { url: "u".into(), why: "w" };
        attempts.progressed();
        assert!(attempts.pause(never).await.is_err());
    }
}
