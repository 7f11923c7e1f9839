//! How many connections this process may hold: each host takes a descriptor as long as the run lasts.
//!
//! Many systems give a process 1,024 and let it have more when it asks (`ulimit -Sn`, `ulimit -Hn`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a run needs beside connections: bundle, journal, vault, terminal, threads' own.
const BESIDE: u64 = 256;

/// Sees to it that so many hosts can be connected to at once. Gives how many can be where that is fewer.
#[must_use]
pub fn make_room(hosts: usize) -> Option<u64> {
    let wanted = hosts as u64 + BESIDE;
    let limit = getrlimit(Resource::Nofile);
    let unlimited = u64::MAX;
    let (soft, hard) = (limit.current.unwrap_or(unlimited), limit.maximum.unwrap_or(unlimited));
    if soft >= wanted {
        return None;
    }
    let granted = wanted.min(hard);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum: limit.maximum });
    let have = if raised.is_ok() { granted } else { soft };
    (have < wanted).then(|| have.saturating_sub(BESIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_made_less_and_what_can_not_be_had_is_said() {
        let soft = || getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let before = soft();
        assert_eq!(make_room(1), None);
        assert_eq!(soft(), before);
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        if let Ok(hosts) = usize::try_from(hard)
            && hard < u64::from(u32::MAX)
        {
            assert_eq!(make_room(hosts), Some(hard - BESIDE));
            assert_eq!(soft(), hard);
        }
    }
}
