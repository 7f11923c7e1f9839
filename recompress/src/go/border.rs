//! A place at which a blob of levels 4 to 9 can be taken apart: what the classic Go encoder knows at the end of a block.
//!
//! Its chains follow from the window alone, so the window, a match held back and the position within a byte are all.
//! Segments between borders are encoded independently of each other, and put together they are the blob.

/// What the lazy search carries from one place to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The match found at the place before, or a length of 3 for none.
    pub(crate) length: u16,
    pub(crate) distance: u16,
    /// Whether the byte at the place before has not been written yet.
    pub(crate) literal: bool,
}

impl Pending {
    /// Nothing is held back.
    pub(crate) const NONE: Self = Self { length: 3, distance: 0, literal: false };

    /// A literal is held back, and perhaps a match that begins with it.
    #[expect(clippy::cast_possible_truncation, reason = "a length is at most 258, a distance at most 32768")]
    pub(crate) fn new(length: usize, distance: usize) -> Self {
        Self { length: length as u16, distance: distance as u16, literal: true }
    }
}

/// The end of a block, where another encoder can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Border {
    /// Where the window begins in the plain bytes.
    pub(crate) base: u64,
    /// How much the window holds, less one: it may be full.
    pub(crate) held_less_one: u16,
    /// The place in the window that is looked at next.
    pub(crate) at: u16,
    pub(crate) pending: Pending,
    /// Whole bytes of the DEFLATE stream before it, and bits of the next one.
    pub(crate) gzip: u64,
    pub(crate) phase: u8,
}

impl Border {
    pub(crate) const BYTES: usize = 26;

    pub(crate) fn new(base: u64, held: usize, at: usize, pending: Pending, gzip: u64, phase: u8) -> Option<Self> {
        let held_less_one = u16::try_from(held.checked_sub(1)?).ok()?;
        Some(Self { base, held_less_one, at: u16::try_from(at).ok()?, pending, gzip, phase })
    }

    /// How many bytes the window holds.
    pub(crate) fn held(&self) -> usize {
        usize::from(self.held_less_one) + 1
    }

    /// Where the window ends in the plain bytes.
    pub fn plain_end(&self) -> u64 {
        self.base + self.held() as u64
    }

    /// `base u64 | held u16 | at u16 | length u16 | distance u16 | literal and phase u8 | gzip u64`, and a zero.
    pub(crate) fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.base.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.held_less_one.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.at.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.pending.length.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.pending.distance.to_le_bytes());
        bytes[16] = u8::from(self.pending.literal) << 7 | self.phase;
        bytes[17..25].copy_from_slice(&self.gzip.to_le_bytes());
        bytes
    }

    /// The border in these bytes; `None` where nothing writes such.
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let [b0, b1, b2, b3, b4, b5, b6, b7, h0, h1, a0, a1, l0, l1, d0, d1, flags, gzip @ .., end] = *bytes;
        let border = Self {
            base: u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
            held_less_one: u16::from_le_bytes([h0, h1]),
            at: u16::from_le_bytes([a0, a1]),
            pending: Pending {
                length: u16::from_le_bytes([l0, l1]),
                distance: u16::from_le_bytes([d0, d1]),
                literal: flags & 0x80 != 0,
            },
            gzip: u64::from_le_bytes(gzip),
            phase: flags & 0x7f,
        };
        (border.phase < 8 && end == 0 && border.base < 1 << 60).then_some(border)
    }
}
