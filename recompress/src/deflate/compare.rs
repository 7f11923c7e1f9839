//! Loads of words from a byte slice, and how far two places of it agree, eight bytes at a time. And the tables of
//! fixed size that the searches keep on the heap.

/// A table on the heap whose length the compiler knows, so that a masked index needs no check.
#[expect(clippy::unnecessary_box_returns, reason = "the tables are too large for the stack")]
pub(crate) fn table<T: Clone + Copy + Default, const N: usize>() -> Box<[T; N]> {
    // The length is right, so the conversion can't fail.
    vec![T::default(); N].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("a table of {N}"))
}

/// Four bytes, the first one lowest.
#[inline]
pub(crate) fn word32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// Eight bytes, the first one lowest.
#[inline]
pub(crate) fn word64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// How many bytes from `older` and from `newer` (which lies behind it) are the same, `limit` at most.
/// Eight bytes behind the last one that may count must be readable; what they hold does not matter.
#[inline]
pub(crate) fn common(bytes: &[u8], older: usize, newer: usize, limit: usize) -> usize {
    let mut agreed = 0;
    while agreed < limit {
        let differ = word64(bytes, older + agreed) ^ word64(bytes, newer + agreed);
        if differ != 0 {
            return limit.min(agreed + differ.trailing_zeros() as usize / 8);
        }
        agreed += 8;
    }
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_part_ends_at_the_first_difference_or_the_limit() {
        let mut bytes = vec![7u8; 600];
        for length in 0..300 {
            bytes[300 + length] = 8;
            for limit in [0, 1, 7, 8, 9, 258] {
                assert_eq!(common(&bytes, 0, 300, limit), length.min(limit), "{length} {limit}");
            }
            bytes[300 + length] = 7;
            if length >= 280 {
                break;
            }
        }
        assert_eq!(common(&bytes, 0, 1, 258), 258, "places may overlap");
    }
}
