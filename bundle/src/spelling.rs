//! Bytes as a short code that people read to each other: Crockford's base 32 in groups of four, with a checksum at the end.
//!
//! Small letters, spaces and dashes make no difference, nor O for 0 and I or L for 1. CRC-32 finds every single wrong or
//! swapped neighbouring pair of characters, and misses one in four thousand million of any other mistakes. What the bytes
//! mean is the affair of whoever makes them; their first four bits are its version.

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The longest code that is read, in characters.
pub const MAX_CODE: usize = 32 * 1024;

/// Why a text is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpellingError {
    /// A character that no code has.
    #[error("{0:?} stands in no code: letters and digits without U; O is read as 0, I and L as 1")]
    Character(char),
    /// Mistyped or misheard.
    #[error("the code is mistyped or not complete: its checksum does not fit")]
    Checksum,
}

/// CRC-32 as in IEEE 802.3, bit by bit: codes are short.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// The code for these bytes.
#[must_use]
pub fn spell(bytes: &[u8]) -> String {
    let bytes = [bytes, &crc32(bytes).to_be_bytes()].concat();
    let mut text = String::new();
    let count = (bytes.len() * 8).div_ceil(5);
    for n in 0..count {
        if n > 0 && n.is_multiple_of(4) {
            text.push('-');
        }
        let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0);
        let value = (n * 5..n * 5 + 5).fold(0, |value, at| value << 1 | usize::from(bit(at)));
        text.push(ALPHABET[value].into());
    }
    text
}

/// The bytes of a code.
pub fn unspell(text: &str) -> Result<Vec<u8>, SpellingError> {
    let (mut bytes, mut bits, mut held, mut length) = (Vec::new(), 0u32, 0u32, 0);
    for c in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}')) {
        let upper = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let value = ALPHABET.iter().position(|&known| char::from(known) == upper);
        held = held << 5 | u32::try_from(value.ok_or(SpellingError::Character(c))?).expect("below 32");
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits).to_le_bytes()[0]);
            held &= (1 << bits) - 1;
        }
        length += 1;
        if length > MAX_CODE {
            return Err(SpellingError::Checksum);
        }
    }
    // What fills the last character is zero, and less than a character.
    let (true, Some((said, crc))) = (held == 0 && bits < 5, bytes.split_last_chunk::<4>()) else {
        return Err(SpellingError::Checksum);
    };
    if crc32(said) == u32::from_be_bytes(*crc) { Ok(said.to_vec()) } else { Err(SpellingError::Checksum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelled_is_read_back_however_it_was_heard() {
        for length in 0..40_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ length).collect();
            let code = spell(&bytes);
            assert_eq!(unspell(&code), Ok(bytes.clone()), "{code}");
            assert_eq!(unspell(&code.to_lowercase().replace('0', "o").replace('1', "l").replace('-', " ")), Ok(bytes));
        }
        assert_eq!(unspell("2T5K U"), Err(SpellingError::Character('U')));
        assert_eq!(unspell(""), Err(SpellingError::Checksum));
    }

    #[test]
    fn every_wrong_character_is_noticed() {
        let code = spell(b"ferry at the gate");
        for (at, right) in code.char_indices().filter(|(_, c)| *c != '-') {
            for wrong in ALPHABET.iter().map(|&byte| char::from(byte)).filter(|wrong| *wrong != right) {
                let mut mistyped = code.clone();
                mistyped.replace_range(at..=at, &wrong.to_string());
                assert_eq!(unspell(&mistyped), Err(SpellingError::Checksum), "{mistyped}");
            }
        }
    }
}
