//! What must be known, besides the plain bytes, to make a blob again. Small, versioned, free of any serializer.
//!
//! ```text
//! version 1 | encoder u16 | level i8 | writes u8 | header length u16 | header | borders, 26 bytes each    (little endian)
//! ```

use crate::error::RecipeError;
use crate::go::border::Border;
use crate::gzip::GzipHeader;

const VERSION: u8 = 1;

/// An encoder whose output never changes. A change of output is a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EncoderId {
    /// `compress/flate` of Go 1.8 to 1.26, levels -2 to 9.
    GoFlateClassicV1,
    /// klauspost/pgzip around klauspost/compress 1.15 to 1.17 in pieces of 1 MiB; its own level is 5.
    KlauspostPgzipV1,
    /// `gzip` of klauspost/compress 1.15.15 to 1.17, levels -2 to 9; its own is 5.
    KlauspostGzipV1,
    /// zlib, in C, levels 1 to 9, with its own settings otherwise.
    ZlibV1,
    /// GNU gzip, levels 1 to 9.
    GnuGzipV1,
    /// `compress/flate` of Go 1.27, levels -2 to 9.
    GoFlate127V1,
    /// As [`Self::KlauspostPgzipV1`], around klauspost/compress 1.18.4 to 1.19.
    KlauspostPgzipV2,
    /// As [`Self::KlauspostGzipV1`], of klauspost/compress 1.18.4 to 1.19.
    KlauspostGzipV2,
}

impl EncoderId {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::GoFlateClassicV1,
        Self::KlauspostPgzipV1,
        Self::KlauspostGzipV1,
        Self::ZlibV1,
        Self::GnuGzipV1,
        Self::GoFlate127V1,
        Self::KlauspostPgzipV2,
        Self::KlauspostGzipV2,
    ];

    /// The name in documents and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::GoFlateClassicV1 => "go-flate-classic-v1",
            Self::KlauspostPgzipV1 => "klauspost-pgzip-v1",
            Self::KlauspostGzipV1 => "klauspost-gzip-v1",
            Self::ZlibV1 => "zlib-v1",
            Self::GnuGzipV1 => "gnu-gzip-v1",
            Self::GoFlate127V1 => "go-flate-1.27-v1",
            Self::KlauspostPgzipV2 => "klauspost-pgzip-v2",
            Self::KlauspostGzipV2 => "klauspost-gzip-v2",
        }
    }

    /// The number in a recipe.
    fn number(self) -> u16 {
        match self {
            Self::GoFlateClassicV1 => 1,
            Self::KlauspostPgzipV1 => 2,
            Self::KlauspostGzipV1 => 3,
            Self::ZlibV1 => 4,
            Self::GnuGzipV1 => 5,
            Self::GoFlate127V1 => 6,
            Self::KlauspostPgzipV2 => 7,
            Self::KlauspostGzipV2 => 8,
        }
    }

    /// Whether it has this level. -1, a name for the encoder's own level, is none. Levels whose code has not been found
    /// to be exact over all inputs are left out, since what stands behind an id must never change.
    pub fn has_level(self, level: i8) -> bool {
        match self {
            Self::ZlibV1 | Self::GnuGzipV1 => (1..=9).contains(&level),
            Self::GoFlateClassicV1
            | Self::KlauspostPgzipV1
            | Self::KlauspostGzipV1
            | Self::GoFlate127V1
            | Self::KlauspostPgzipV2
            | Self::KlauspostGzipV2 => (-2..=9).contains(&level) && level != -1,
        }
    }

    /// How many levels all encoders have together. Where it has grown, a blob that had no recipe may have one now.
    pub fn levels_in_all() -> usize {
        Self::ALL.iter().map(|encoder| (-2..=9).filter(|level| encoder.has_level(*level)).count()).sum()
    }
}

/// How the producer cut its writes, where that shows in the result.
///
/// The classic Go encoder moves its window when a write leaves less than a longest match in it. Writes that end at
/// multiples of 512 bytes never do that early; a tar writer's end with each file's content, before the padding, and do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Writes {
    /// At multiples of 512 bytes: a file copied in, one large buffer, or an encoder that does not care.
    Aligned,
    /// At the end of each tar entry's content: a tar writer stood directly in front of the encoder.
    TarEntries,
}

/// How a blob is made from its plain bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Which encoder.
    pub encoder: EncoderId,
    /// Its level.
    pub level: i8,
    /// How the writes were cut.
    pub writes: Writes,
    /// The gzip header, byte for byte.
    pub header: GzipHeader,
    /// Where the blob can be taken apart, ascending; none is fine.
    pub borders: Vec<Border>,
}

impl Recipe {
    /// Whether the encoder has this level.
    pub(crate) fn check(&self) -> Result<(), RecipeError> {
        let (encoder, level) = (self.encoder, self.level);
        let known = encoder.has_level(level);
        known.then_some(()).ok_or(RecipeError::Level { encoder: encoder.name(), level })
    }

    /// The recipe as bytes, some twenty of them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = self.header.bytes();
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.encoder.number().to_le_bytes());
        bytes.extend_from_slice(&self.level.to_le_bytes());
        bytes.push(match self.writes {
            Writes::Aligned => 0,
            Writes::TarEntries => 1,
        });
        // A header that was read is below 16 KiB.
        bytes.extend_from_slice(&u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(header);
        for border in &self.borders {
            bytes.extend_from_slice(&border.to_bytes());
        }
        bytes
    }

    /// The recipe in these bytes, all of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecipeError> {
        let [version, rest @ ..] = bytes else { return Err(RecipeError::Damaged(0)) };
        if *version != VERSION {
            return Err(RecipeError::Version { found: *version, known: VERSION });
        }
        let [e0, e1, level, writes, h0, h1, header @ ..] = rest else { return Err(RecipeError::Damaged(bytes.len())) };
        let number = u16::from_le_bytes([*e0, *e1]);
        let encoder = EncoderId::ALL.into_iter().find(|id| id.number() == number);
        let encoder = encoder.ok_or(RecipeError::Encoder(number))?;
        let writes = match writes {
            0 => Writes::Aligned,
            1 => Writes::TarEntries,
            _ => return Err(RecipeError::Damaged(4)),
        };
        let length = usize::from(u16::from_le_bytes([*h0, *h1]));
        let damaged = |at: usize| RecipeError::Damaged(at);
        let (header, borders) = header.split_at_checked(length).ok_or(damaged(7))?;
        let read = GzipHeader::read(header).ok().flatten().filter(|read| read.bytes().len() == length);
        let header = read.ok_or(damaged(7))?;
        let (borders, rest) = borders.as_chunks();
        if !rest.is_empty() {
            return Err(damaged(bytes.len()));
        }
        let borders: Option<Vec<Border>> = borders.iter().map(Border::from_bytes).collect();
        let borders =
            borders.filter(|borders| borders.is_sorted_by(|a, b| a.plain_end() < b.plain_end() && a.gzip < b.gzip));
        let borders = borders.ok_or(damaged(7 + length))?;
        let recipe = Self { encoder, level: i8::from_le_bytes([*level]), writes, header, borders };
        recipe.check()?;
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            encoder: EncoderId::GoFlateClassicV1,
            level: 6,
            writes: Writes::TarEntries,
            header: GzipHeader::of_go(6),
            borders: Vec::new(),
        }
    }

    #[test]
    fn a_recipe_comes_back_from_its_bytes_and_they_never_change() {
        let bytes = recipe().to_bytes();
        assert_eq!(bytes, [1, 1, 0, 6, 1, 10, 0, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        assert_eq!(Recipe::from_bytes(&bytes), Ok(recipe()));
    }

    #[test]
    fn damage_is_refused_with_its_place() {
        let bytes = recipe().to_bytes();
        for cut in 0..bytes.len() {
            assert!(Recipe::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        let changed = |at: usize, to: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = to;
            Recipe::from_bytes(&bytes).expect_err("refused")
        };
        assert_eq!(changed(0, 2), RecipeError::Version { found: 2, known: 1 });
        assert_eq!(changed(1, 200), RecipeError::Encoder(200));
        assert_eq!(changed(3, 10), RecipeError::Level { encoder: "go-flate-classic-v1", level: 10 });
        assert_eq!(changed(4, 2), RecipeError::Damaged(4));
        assert_eq!(changed(7, 0), RecipeError::Damaged(7));
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Recipe::from_bytes(&longer), Err(RecipeError::Damaged(18)));
    }
}
