//! The connections of a site and how each went, by pair of hosts: made once for all the checks that ask.

use std::collections::{BTreeMap, HashMap};

use super::{Dial, Dialled, Measurements, dials};
use crate::site::Site;

/// The connections that have to be possible, and how they went.
pub(super) struct Ways<'a> {
    /// By who dials, and whom.
    required: BTreeMap<String, BTreeMap<String, Vec<Dial>>>,
    /// By connection, and whether with payload.
    dialled: HashMap<(&'a Dial, bool), &'a Dialled>,
}

impl<'a> Ways<'a> {
    /// Of a site, as it was measured.
    pub(super) fn new(site: &Site, measurements: &'a Measurements) -> Self {
        let mut required: BTreeMap<String, BTreeMap<String, Vec<Dial>>> = BTreeMap::new();
        for dial in dials(site) {
            required.entry(dial.from.clone()).or_default().entry(dial.to.clone()).or_default().push(dial);
        }
        let mut dialled = HashMap::new();
        for one in &measurements.dialled {
            // Of several the first counts.
            dialled.entry((&one.dial, one.bytes > 0)).or_insert(one);
        }
        Self { required, dialled }
    }

    /// The connections from one host to another.
    pub(super) fn between(&self, from: &str, to: &str) -> &[Dial] {
        self.required.get(from).and_then(|to_these| to_these.get(to)).map_or(&[], Vec::as_slice)
    }

    /// How one went; `big` with payload.
    pub(super) fn went(&self, dial: &Dial, big: bool) -> Option<&'a Dialled> {
        self.dialled.get(&(dial, big)).copied()
    }
}
