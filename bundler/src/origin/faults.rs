//! Scripted faults: which request is hit, and by what.
//!
//! A rule counts the requests it matches; when it strikes, the first rule in order wins. Requests that the
//! gate turns away are not counted, so that a script does not depend on how a client authenticates.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::generated::mix;

/// What happens to a request that is hit.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Answers with this status and headers, such as 429 and `Retry-After: 1`.
    Status {
        /// The status code.
        code: u16,
        /// Headers by name and value.
        headers: Vec<(String, String)>,
    },
    /// Sends a redirect (307). `{path}` in the URL stands for the request's path and query.
    Redirect {
        /// Where to.
        to: String,
    },
    /// Ends all tokens and answers 401 with a challenge.
    ExpireTokens,
    /// Waits before answering.
    Delay(Duration),
    /// Cuts the connection after so many bytes of the body. The declared length stays the whole.
    Cut {
        /// Bytes that still go out.
        after: u64,
    },
    /// Goes silent once for a while after so many bytes of the body.
    Stall {
        /// Bytes before the silence.
        after: u64,
        /// Its length.
        pause: Duration,
    },
    /// Sends the body slowly.
    Trickle {
        /// The pace; 1 is a slow loris.
        bytes_per_second: u32,
    },
    /// Answers a range request with 200 and the whole.
    IgnoreRange,
    /// Moves the numbers of `Content-Range` of a 206 by this much; the bytes are those that were asked for.
    WrongContentRange {
        /// Added to first and last.
        shift: i64,
    },
    /// Declares a `Content-Length` that is off by this much; too long ends in a cut.
    WrongLength {
        /// Added to the length.
        delta: i64,
    },
    /// Flips all bits of one byte of the body that is sent.
    FlipByte {
        /// Offset in the body, modulo its length.
        at: u64,
    },
}

impl Action {
    /// A bare status.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status { code, headers: Vec::new() }
    }

    /// 429 with `Retry-After` in seconds.
    #[must_use]
    pub fn too_many(retry_after: u32) -> Self {
        Self::Status { code: 429, headers: vec![("Retry-After".to_owned(), retry_after.to_string())] }
    }
}

/// Which of the matching requests are hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// All.
    Every,
    /// The nth alone, counted from 1.
    Nth(u64),
    /// The first so many.
    First(u64),
    /// So many in a hundred, by a seed: the same seed hits the same occurrences.
    Percent {
        /// 0 to 100.
        chance: u8,
        /// Of the choice.
        seed: u64,
    },
}

impl When {
    fn strikes(self, occurrence: u64) -> bool {
        match self {
            Self::Every => true,
            Self::Nth(n) => occurrence == n,
            Self::First(n) => occurrence <= n,
            Self::Percent { chance, seed } => mix(seed ^ mix(occurrence)) % 100 < u64::from(chance),
        }
    }
}

/// One rule of the script.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    method: Option<String>,
    path: String,
    when: When,
    action: Action,
}

impl Fault {
    /// Hits every request whose path contains `path` (a leading `^` anchors it).
    #[must_use]
    pub fn new(path: &str, action: Action) -> Self {
        Self { method: None, path: path.to_owned(), when: When::Every, action }
    }

    /// Only requests with this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Only these occurrences.
    #[must_use]
    pub fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let path_matches = match self.path.strip_prefix('^') {
            Some(prefix) => path.starts_with(prefix),
            None => path.contains(&self.path),
        };
        path_matches && self.method.as_deref().is_none_or(|wanted| wanted == method)
    }
}

/// The script of an origin. It can be changed while the origin runs.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<(Fault, u64)>>,
}

impl Faults {
    /// A script of these rules.
    #[must_use]
    pub fn new(rules: Vec<Fault>) -> Self {
        Self { rules: Mutex::new(rules.into_iter().map(|rule| (rule, 0)).collect()) }
    }

    /// Adds a rule at the end.
    pub fn add(&self, rule: Fault) {
        self.rules().push((rule, 0));
    }

    /// Drops all rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Counts a request; returns what hits it.
    pub(super) fn strike(&self, method: &str, path: &str) -> Option<Action> {
        let mut hit = None;
        for (rule, seen) in self.rules().iter_mut().filter(|(rule, _)| rule.matches(method, path)) {
            *seen += 1;
            if hit.is_none() && rule.when.strikes(*seen) {
                hit = Some(rule.action.clone());
            }
        }
        hit
    }

    fn rules(&self) -> MutexGuard<'_, Vec<(Fault, u64)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_and_the_first_that_strikes_wins() {
        let status = |code| Action::status(code);
        let faults = Faults::new(vec![
            Fault::new("/blobs/", status(503)).method("GET").when(When::Nth(2)),
            Fault::new("^/v2/", status(500)).when(When::First(3)),
        ]);
        let hit = |method, path| faults.strike(method, path).map(|action| action == status(503));
        assert_eq!(hit("GET", "/v2/a/blobs/x"), Some(false));
        assert_eq!(hit("HEAD", "/v2/a/blobs/x"), Some(false));
        assert_eq!(hit("GET", "/v2/a/blobs/x"), Some(true));
        assert_eq!(hit("GET", "/v2/a/blobs/x"), None);
        assert_eq!(hit("GET", "/files/v2/"), None);
    }

    #[test]
    fn chance_is_reproducible_and_about_right() {
        let when = When::Percent { chance: 20, seed: 5 };
        let hits = (1..=1000).filter(|&n| when.strikes(n)).count();
        assert!((150..250).contains(&hits), "{hits}");
        assert!(!When::Percent { chance: 0, seed: 5 }.strikes(1) && When::Percent { chance: 100, seed: 5 }.strikes(1));
    }
}
