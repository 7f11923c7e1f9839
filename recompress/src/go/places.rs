//! Where four bytes have stood before: the chains of places that levels 2 to 9 of the classic Go encoder follow.
//!
//! A place is entered under a hash of its four bytes, and a search goes from the newest place of the chain to older
//! ones. How many places it may try belongs to the result, so a faster way has to count as the slow one would.
//! That way is a second set of chains over six bytes, which are far shorter, and each place's *rank* in its first
//! chain: a place found in the short chain was within reach if its rank is not too far from the newest one's.
//!
//! Places are 16-bit numbers, one more than the place in the window, 0 for none; the links between them are distances,
//! which stay true when the window moves.

use crate::deflate::compare::{common, table, word32, word64};

/// How far back a match may lie, and half the window.
pub(crate) const HALF: usize = 32768;
/// The shortest match that is taken.
pub(crate) const SHORTEST: usize = 4;
/// A match of the shortest length is only taken when it is this near.
const NEAR: usize = 4096;
/// The length that the short chains are for.
const LONGER: usize = 6;
const HASH_BITS: u32 = 17;
const LONGER_HASH_BITS: u32 = 16;
/// So many places of a short chain for each that the search may try; then the slow way decides.
const PATIENCE: usize = 2;
/// How many offsets are looked at for the rarest one.
const OFFSETS: usize = 16;

/// What a search is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search {
    /// The place that is to be matched.
    pub(crate) at: usize,
    /// The newest place with the same hash, plus one, as [`Places::enter`] told it.
    pub(crate) older: u16,
    /// The longest match there can be.
    pub(crate) limit: usize,
    /// A match of this length ends the search; at most `limit`.
    pub(crate) nice: usize,
    /// How many places may be tried.
    pub(crate) tries: usize,
    /// Only a match longer than this is of use; at least 3.
    pub(crate) floor: usize,
}

/// The chains.
#[derive(Debug)]
pub(crate) struct Places {
    newest: Box<[u16; 1 << HASH_BITS]>,
    back: Box<[u16; HALF]>,
    rank: Box<[u16; HALF]>,
    longer_newest: Box<[u16; 1 << LONGER_HASH_BITS]>,
    longer_back: Box<[u16; HALF]>,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self { newest: table(), back: table(), rank: table(), longer_newest: table(), longer_back: table() }
    }

    /// The window has moved by half: all places are that much lower, and those that fell out are none.
    pub(crate) fn slide(&mut self) {
        self.newest.iter_mut().for_each(|place| *place = place.saturating_sub(1 << 15));
        self.longer_newest.iter_mut().for_each(|place| *place = place.saturating_sub(1 << 15));
    }

    /// Enters a place and tells the one before in its chain, plus one. `FAST`: into the short chains too; then the six
    /// bytes of the place must be there.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a place that is entered is below 65533")]
    pub(crate) fn enter<const FAST: bool>(&mut self, window: &[u8], place: usize) -> u16 {
        let bytes = word64(window, place);
        // The four bytes are taken highest first: the hash sees them in that order.
        let hash = (bytes as u32).swap_bytes().wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS);
        let number = place as u16 + 1;
        let older = std::mem::replace(&mut self.newest[hash as usize], number);
        self.back[place % HALF] = if older == 0 { 0 } else { number - older };
        if FAST {
            // Wherever the rank of a chain begins, only differences count.
            self.rank[place % HALF] = self.rank[usize::from(older.wrapping_sub(1)) % HALF].wrapping_add(1);
            let older = std::mem::replace(&mut self.longer_newest[longer_hash(bytes)], number);
            self.longer_back[place % HALF] = if older == 0 { 0 } else { number - older };
        }
        older
    }

    /// The longest match above the floor, the nearest of them: (length, distance).
    #[inline]
    pub(crate) fn longest<const FAST: bool>(&self, window: &[u8], search: Search) -> Option<(usize, usize)> {
        if search.older == 0 || usize::from(search.older) <= search.at.saturating_sub(HALF) {
            return None;
        }
        if FAST && search.limit >= LONGER {
            match self.longest_by_short_chain(window, search) {
                Shortcut::Found(length, distance) => return Some((length, distance)),
                // Nothing of six bytes or more is within reach.
                Shortcut::Nothing if search.floor >= LONGER - 1 => return None,
                Shortcut::Nothing => return self.longest_by_chain(window, Search { nice: LONGER - 1, ..search }),
                Shortcut::Unclear => {}
            }
        }
        self.longest_by_chain(window, search)
    }

    /// Along the chain of four bytes, place by place.
    fn longest_by_chain(&self, window: &[u8], search: Search) -> Option<(usize, usize)> {
        let Search { at, limit, nice, floor, .. } = search;
        let lowest = at.saturating_sub(HALF);
        let mut place = usize::from(search.older) - 1;
        let (mut best, mut distance) = (floor, 0);
        if best >= limit {
            return None;
        }
        // A longer match must agree in the four bytes that end with the one behind the best so far.
        let mut wanted = word32(window, at + best - 3);
        for _ in 0..search.tries {
            if word32(window, place + best - 3) == wanted {
                let length = common(window, place, at, limit);
                if length > best && (length > SHORTEST || at - place <= NEAR) {
                    (best, distance) = (length, at - place);
                    if length >= nice {
                        break;
                    }
                    wanted = word32(window, at + best - 3);
                }
            }
            let back = usize::from(self.back[place % HALF]);
            // The entry of the farthest place has just been taken by the current one.
            if back == 0 || place < lowest + back || place + HALF == at {
                break;
            }
            place -= back;
        }
        (distance != 0).then_some((best, distance))
    }

    /// Along the chains of six bytes: what the long way would find, if that has six bytes or more.
    ///
    /// A match longer than the best so far agrees in its six bytes at each offset up to where the best ends, so any of
    /// those chains leads to it, and the one that reaches back farthest leads there soonest.
    fn longest_by_short_chain(&self, window: &[u8], search: Search) -> Shortcut {
        let Search { at, limit, nice, floor, .. } = search;
        let lowest = at.saturating_sub(HALF);
        // The node of a chain stands `offset` bytes into the place it is about.
        let (mut node, mut offset) = (at, 0);
        let (mut best, mut distance) = (floor.max(LONGER - 1), 0);
        if best >= limit {
            return Shortcut::Nothing;
        }
        let first = word32(window, at);
        let mut wanted = word32(window, at + best - 3);
        let mut untested = best - (LONGER - 1);
        for step in 1..search.tries * PATIENCE {
            let back = usize::from(self.longer_back[node % HALF]);
            if back == 0 || node < lowest + offset + back {
                return Shortcut::of(best, distance);
            }
            node -= back;
            let mut place = node - offset;
            if untested != 0 && place + untested <= at {
                // Places that overlap the current one are behind; the end of what must be matched may be rarer.
                let newest = usize::from(self.longer_newest[longer_hash(word64(window, at + untested))]);
                if newest <= lowest + untested {
                    return Shortcut::of(best, distance);
                }
                if newest - 1 - untested < place {
                    (node, offset) = (newest - 1, untested);
                    place = node - offset;
                }
                untested = 0;
            }
            if word32(window, place + best - 3) == wanted {
                let length = common(window, place, at, limit);
                if length > best {
                    if place + HALF == at {
                        // The current place has just taken the entry with the rank of the farthest one.
                        return Shortcut::Unclear;
                    }
                    if self.beyond_reach(search, place) {
                        return Shortcut::of(best, distance);
                    }
                    (best, distance) = (length, at - place);
                    if length >= nice {
                        return Shortcut::of(best, distance);
                    }
                    wanted = word32(window, at + best - 3);
                    untested = best - (LONGER - 1);
                    offset = self.rarest_offset(place, (best - LONGER).min(distance));
                    node = place + offset;
                }
            }
            if place + HALF == at {
                return Shortcut::of(best, distance);
            }
            if step % 8 == 0 && word32(window, place) == first && self.beyond_reach(search, place) {
                return Shortcut::of(best, distance);
            }
        }
        Shortcut::Unclear
    }

    /// Whether the place, which has the same four bytes, is more than the allowed number of tries away.
    fn beyond_reach(&self, search: Search, place: usize) -> bool {
        let newest = self.rank[usize::from(search.older - 1) % HALF];
        usize::from(newest.wrapping_sub(self.rank[place % HALF])) >= search.tries
    }

    /// The offset, up to `last`, from which the chain reaches back farthest.
    fn rarest_offset(&self, place: usize, last: usize) -> usize {
        let back = |offset: usize| self.longer_back[(place + offset) % HALF].wrapping_sub(1);
        (last.saturating_sub(OFFSETS)..=last).max_by_key(|offset| back(*offset)).unwrap_or(0)
    }
}

#[inline]
fn longer_hash(bytes: u64) -> usize {
    ((bytes << 16).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LONGER_HASH_BITS)) as usize
}

/// What the short chain told.
enum Shortcut {
    Found(usize, usize),
    Nothing,
    /// It went on for too long, or to the very end of the window.
    Unclear,
}

impl Shortcut {
    fn of(length: usize, distance: usize) -> Self {
        if distance == 0 { Self::Nothing } else { Self::Found(length, distance) }
    }
}
