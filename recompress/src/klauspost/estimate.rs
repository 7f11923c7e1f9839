//! What a block would take with codes of its own, guessed from the entropy of its symbols.
//!
//! The guess decides between old codes and new ones, so its rounding belongs to the result: single precision, a
//! polynomial for the logarithm, and sums in the order of the symbols. Nothing is fused; the encoder as compiled for
//! amd64 does not fuse either (compilers for other processors may, and a block of theirs may then differ).

use crate::deflate::alphabet::{DISTANCE_EXTRA, LENGTH_EXTRA};
use crate::deflate::count::Counts;

/// About log2, by the exponent and a parabola through the mantissa.
#[expect(clippy::cast_precision_loss, clippy::excessive_precision, reason = "an exponent is small; rounded as written")]
fn log2(value: f32) -> f32 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23) & 255).cast_signed() - 128;
    let mantissa = f32::from_bits((bits & 0x807f_ffff) + (127 << 23));
    exponent as f32 + ((-0.344_848_43 * mantissa + 2.024_665_78) * mantissa - 0.674_877_59)
}

/// Bits for all occurrences of a symbol that has `share` of all: between 1 and 15 for each.
#[expect(clippy::cast_precision_loss, reason = "a block has 65536 symbols at most")]
fn weigh(count: u32, share: f32) -> f32 {
    let count = count as f32;
    (-log2(count * share)).clamp(1.0, 15.0) * count
}

/// The bits for a block of `tokens` tokens with these counts.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a block has 65536 symbols at most, of 1 to 15 bits; the sum is cut to a whole number"
)]
pub(crate) fn estimated_bits(counts: &Counts, tokens: usize) -> u64 {
    let (mut entropy, mut extra, mut copies) = (0.0f32, 0u64, 0u32);
    if tokens > 0 {
        let share = 1.0 / tokens as f32;
        for &count in counts.literals[..256].iter().filter(|count| **count > 0) {
            entropy += weigh(count, share);
        }
        // For the end of the block.
        entropy += 15.0;
        for (&count, bits) in counts.literals[257..].iter().zip(LENGTH_EXTRA).filter(|(count, _)| **count > 0) {
            entropy += weigh(count, share);
            extra += u64::from(bits) * u64::from(count);
            copies += count;
        }
    }
    if copies > 0 {
        let share = 1.0 / copies as f32;
        for (&count, bits) in counts.distances.iter().zip(DISTANCE_EXTRA).filter(|(count, _)| **count > 0) {
            entropy += weigh(count, share);
            extra += u64::from(bits) * u64::from(count);
        }
    }
    entropy as u64 + extra
}
