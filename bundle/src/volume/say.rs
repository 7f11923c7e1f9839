//! What a round of receiving comes to, in the words that both programs use, and as an entry of the custody log.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::custody::{Custody, Entry, who};
use super::error::VolumeError;
use super::receive::Round;
use super::set::{Set, SetPlan};
use crate::digest::Digest;
use crate::documents::human_size;
use crate::lock::Timestamp;

/// How many findings a screen shows.
pub const FINDINGS: usize = 20;

/// The lines that end a round.
#[must_use]
pub fn lines(round: &Round, output: &Path) -> Vec<String> {
    match round {
        Round::Received { set, picture, repaired, already } => {
            let mut lines = if *already { Vec::new() } else { picture.lines(FINDINGS) };
            let repair = match (already, repaired) {
                (true, _) => "it was there already".to_owned(),
                (false, 0) => "nothing had to be repaired".to_owned(),
                (false, 1) => "1 block was repaired".to_owned(),
                (false, n) => format!("{n} blocks were repaired"),
            };
            lines.push(format!("{}: {}, {}; {repair}", output.display(), human_size(set.length), set.sha256));
            lines
        }
        Round::Incomplete { set, picture, need, code, kept } => {
            let mut lines = picture.lines(FINDINGS);
            lines.push(format!(
                "{} can't be had yet. Needed: {} ({})",
                set.name,
                need.describe(set.stripes()),
                human_size(need.blocks() * u64::from(set.block_size))
            ));
            lines.push(format!("code: {code}"));
            lines.push(format!("on the sending side: ferry-bundle resend {code} --from FOLDER -o NEW-FOLDER"));
            if *kept > 0 {
                lines.push(format!("{} of good blocks were kept; these media are no longer needed", human_size(*kept)));
            }
            lines
        }
    }
}

/// The same for machines.
#[must_use]
pub fn data(round: &Round, output: &Path) -> serde_json::Value {
    match round {
        Round::Received { set, picture, repaired, already } => serde_json::json!({
            "received": true, "output": output, "sha256": set.sha256, "bytes": set.length, "repairedBlocks": repaired,
            "already": already, "picture": picture,
        }),
        Round::Incomplete { set, picture, need, code, kept } => serde_json::json!({
            "received": false, "output": output, "sha256": set.sha256, "bytes": set.length, "code": code,
            "neededBlocks": need.blocks(), "keptBytes": kept, "picture": picture,
        }),
    }
}

/// Writes a round into the log; a file that was there already is written down only if no entry tells of it.
pub fn log_round(log: &mut Custody, round: &Round) -> Result<(), VolumeError> {
    match round {
        Round::Received { set, picture, repaired, .. } => {
            let known = |entry: &Entry| entry.what == "received" && entry.sha256 == set.sha256;
            if log.entries().iter().any(known) {
                return Ok(());
            }
            log.add(entry("received", set, &picture.set, format!("{repaired} blocks repaired")))
        }
        Round::Incomplete { set, picture, code, .. } => {
            log.add(entry("incomplete", set, &picture.set, format!("code {code}")))
        }
    }
}

/// Writes into the log what the sending side did.
pub fn log_sent(log: &mut Custody, what: &str, plan: &SetPlan, detail: String) -> Result<(), VolumeError> {
    let id = plan.id.hex();
    if what == "split" && log.entries().iter().any(|entry| entry.what == what && entry.set == id) {
        return Ok(());
    }
    log.add(entry(what, &plan.set, &id, detail))
}

fn entry(what: &str, set: &Set, id: &str, detail: String) -> Entry {
    let (by, host) = who();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Entry {
        at: Timestamp::from_unix(i64::try_from(now).unwrap_or(i64::MAX)),
        what: what.to_owned(),
        by,
        host,
        file: set.name.clone(),
        sha256: set.sha256,
        set: id.to_owned(),
        detail,
        previous: Digest::of(b""),
    }
}
