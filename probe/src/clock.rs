//! `clock`: the time; `sleep`: nothing, for a while or for ever (the pause of a test pod).

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Verdict;
use crate::arguments::{Arguments, Misuse};
use crate::json::Line;

pub(crate) fn run(arguments: Arguments) -> Verdict {
    arguments.end()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Line::new().number("epoch_ns", now.as_nanos()).print();
    Ok(true)
}

/// As process 1 it can't be ended by SIGTERM, for it has no handler: give its pod a grace period of a second.
pub(crate) fn sleep(mut arguments: Arguments) -> Verdict {
    let seconds = arguments.word().map(|text| text.parse().map_err(|_| Misuse(format!("{text:?} is no time"))));
    arguments.end()?;
    match seconds.transpose()? {
        Some(seconds) => thread::sleep(Duration::from_secs(seconds)),
        None => loop {
            thread::sleep(Duration::from_secs(3600));
        },
    }
    Ok(true)
}
