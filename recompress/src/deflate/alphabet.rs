//! The length and distance symbols of RFC 1951 3.2.5, as tables made at compile time, and the one-word form in which
//! encoders queue what they found: a literal, or a length with a distance.

/// The shortest and the longest length a match can be written with.
pub(crate) const SHORTEST: u32 = 3;
pub(crate) const LONGEST: u32 = 258;
/// Literals, the end of the block, and the 29 lengths.
pub(crate) const LITERALS: usize = 286;
/// How many distance symbols there are.
pub(crate) const DISTANCES: usize = 30;
/// The symbol that ends a block.
pub(crate) const END: usize = 256;

/// How many extra bits each length symbol (from 257 on) has.
#[expect(clippy::cast_possible_truncation, reason = "at most 5")]
pub(crate) const LENGTH_EXTRA: [u8; 29] = {
    let mut extra = [0; 29];
    let mut symbol = 8;
    while symbol < 28 {
        extra[symbol] = (symbol / 4 - 1) as u8;
        symbol += 1;
    }
    extra
};

/// The first length minus 3 of each length symbol. Symbol 285 (258) takes one value from the range of 284.
pub(crate) const LENGTH_BASE: [u8; 29] = {
    let mut base = [0u8; 29];
    let mut symbol = 1;
    while symbol < 28 {
        base[symbol] = base[symbol - 1] + (1 << LENGTH_EXTRA[symbol - 1]);
        symbol += 1;
    }
    base[28] = 255;
    base
};

/// How many extra bits each distance symbol has.
#[expect(clippy::cast_possible_truncation, reason = "at most 13")]
pub(crate) const DISTANCE_EXTRA: [u8; DISTANCES] = {
    let mut extra = [0; DISTANCES];
    let mut symbol = 4;
    while symbol < DISTANCES {
        extra[symbol] = (symbol / 2 - 1) as u8;
        symbol += 1;
    }
    extra
};

/// The first distance minus 1 of each distance symbol.
pub(crate) const DISTANCE_BASE: [u16; DISTANCES] = {
    let mut base = [0u16; DISTANCES];
    let mut symbol = 1;
    while symbol < DISTANCES {
        base[symbol] = base[symbol - 1] + (1 << DISTANCE_EXTRA[symbol - 1]);
        symbol += 1;
    }
    base
};

/// Length minus 3 to length symbol minus 257.
#[expect(clippy::cast_possible_truncation, reason = "at most 28")]
pub(crate) static LENGTH_SYMBOL: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut symbol = 0;
    while symbol < 28 {
        let mut value = LENGTH_BASE[symbol] as usize;
        let end = value + (1 << LENGTH_EXTRA[symbol]);
        while value < end && value < 256 {
            table[value] = symbol as u8;
            value += 1;
        }
        symbol += 1;
    }
    table[255] = 28;
    table
};

/// Distance minus 1 to distance symbol.
#[expect(clippy::cast_possible_truncation, reason = "at most 29")]
static DISTANCE_SYMBOL: [u8; 32768] = {
    let mut table = [0u8; 32768];
    let mut symbol = 0;
    while symbol < DISTANCES {
        let mut value = DISTANCE_BASE[symbol] as usize;
        let end = value + (1 << DISTANCE_EXTRA[symbol]);
        while value < end {
            table[value] = symbol as u8;
            value += 1;
        }
        symbol += 1;
    }
    table
};

/// The symbol of a distance minus 1 (below 32768).
#[inline]
pub(crate) fn distance_symbol(distance_less_one: u32) -> usize {
    usize::from(DISTANCE_SYMBOL[(distance_less_one & 0x7fff) as usize])
}

/// What an encoder found at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token(u32);

impl Token {
    #[inline]
    pub(crate) fn literal(byte: u8) -> Self {
        Self(u32::from(byte))
    }

    /// `length` bytes (3 to 258) again from `distance` bytes back (1 to 32768).
    #[inline]
    pub(crate) fn copy(length: u32, distance: u32) -> Self {
        debug_assert!((SHORTEST..=LONGEST).contains(&length) && (1..=32768).contains(&distance));
        Self(((length - 2) << 16) | (distance - 1))
    }

    /// The literal, or (length minus 3, distance minus 1).
    #[inline]
    pub(crate) fn parts(self) -> Result<u8, (u8, u32)> {
        let [low, high, ..] = self.0.to_le_bytes();
        if self.0 < 0x1_0000 {
            Ok(low)
        } else {
            let length = ((self.0 >> 16) - 1) & 0xff;
            Err((length.to_le_bytes()[0], u32::from(u16::from_le_bytes([low, high]))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_cover_their_ranges_without_a_gap() {
        assert_eq!((LENGTH_EXTRA[8], LENGTH_EXTRA[27], LENGTH_EXTRA[28]), (1, 5, 0));
        assert_eq!((LENGTH_BASE[8], LENGTH_BASE[27], LENGTH_SYMBOL[254], LENGTH_SYMBOL[255]), (8, 224, 27, 28));
        assert_eq!((DISTANCE_BASE[29], DISTANCE_EXTRA[29]), (24576, 13));
        assert_eq!((distance_symbol(0), distance_symbol(4), distance_symbol(5), distance_symbol(32767)), (0, 4, 4, 29));
    }

    #[test]
    fn a_token_keeps_what_was_put_in() {
        assert_eq!(Token::literal(255).parts(), Ok(255));
        assert_eq!(Token::copy(3, 1).parts(), Err((0, 0)));
        assert_eq!(Token::copy(258, 32768).parts(), Err((255, 32767)));
    }
}
