//! What the index says about a blob that is not stored as it is: everything that is needed to make it again, with every
//! size known beforehand, so that nothing can grow beyond what was signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferry_recompress::Recipe;
use serde::{Deserialize, Serialize};

use super::frames::SEGMENT;
use crate::index::Extent;
use crate::lock::MAX_MEMBER;

/// The longest recipe that is read, in bytes of base64: borders every 4 MiB of the largest blob take a tenth of it.
const MAX_RECIPE: usize = 1 << 20;

/// The most plain bytes that a blob may have: DEFLATE makes at most 1,032 of one, layers seldom more than ten.
const MAX_PLAIN: u64 = 1 << 40;

/// How a blob is made from a stored member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuilt {
    /// The blob that comes out.
    pub blob: Extent,
    /// Its plain bytes.
    pub plain: Extent,
    /// The recipe's bytes in base64; empty: the plain bytes are the blob, a program or another file that nobody had
    /// compressed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recipe: String,
    /// The stored frames, one behind the other, in the order of the plain bytes.
    pub segments: Vec<Segment>,
    /// The older blob whose plain bytes the frames refer to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leans_on: Option<Leans>,
}

/// One zstd frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// Its length as stored, in bytes.
    pub stored: u64,
    /// How many plain bytes it becomes; at most [`SEGMENT`].
    pub plain: u64,
    /// Where the stretch of the older blob's plain bytes begins that it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The length of that stretch in bytes; at most [`SEGMENT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

/// An older blob that is needed to make a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leans {
    /// The older blob.
    pub blob: Extent,
    /// Its plain bytes.
    pub plain: Extent,
}

impl Segment {
    /// The stretch of the older blob's plain bytes: where it begins, how long it is.
    #[must_use]
    pub fn stretch(&self) -> Option<(u64, u64)> {
        self.from.zip(self.length)
    }
}

impl Rebuilt {
    /// The recipe; `None` where the plain bytes are the blob.
    pub fn recipe(&self) -> Result<Option<Recipe>, String> {
        if self.recipe.is_empty() {
            let same = self.plain == self.blob;
            return if same { Ok(None) } else { Err("it has no recipe, and its plain bytes are not the blob".into()) };
        }
        if self.recipe.len() > MAX_RECIPE {
            return Err(format!("its recipe has {} bytes, more than the limit of {MAX_RECIPE}", self.recipe.len()));
        }
        let bytes = BASE64.decode(&self.recipe).map_err(|_| "its recipe is not base64".to_owned())?;
        Recipe::from_bytes(&bytes).map(Some).map_err(|error| error.to_string())
    }

    /// Who makes the blob of the plain bytes, for people.
    #[must_use]
    pub fn maker(&self) -> String {
        match self.recipe() {
            Ok(Some(recipe)) => format!("{} {}", recipe.encoder.name(), recipe.level),
            Ok(None) => "as it is".into(),
            Err(why) => why,
        }
    }

    /// Takes a recipe's bytes.
    pub(super) fn recipe_text(recipe: Option<&Recipe>) -> String {
        recipe.map(|recipe| BASE64.encode(recipe.to_bytes())).unwrap_or_default()
    }

    /// Whether sizes and segments fit each other and the member of `stored` bytes; what does not is said.
    pub fn check(&self, stored: u64) -> Result<(), String> {
        self.recipe()?;
        if self.blob.size > MAX_MEMBER || self.plain.size > MAX_PLAIN {
            return Err("the blob that it becomes is larger than any can be".into());
        }
        let mut sums = (0_u64, 0_u64);
        for (n, segment) in self.segments.iter().enumerate() {
            if segment.plain == 0 || segment.plain > SEGMENT || segment.stored > MAX_MEMBER {
                return Err(format!("segment {n} has {} plain bytes, more than {SEGMENT} or none", segment.plain));
            }
            sums = (sums.0 + segment.stored, sums.1 + segment.plain);
            let older = self.leans_on.map_or(0, |older| older.plain.size);
            let fits = match (segment.from, segment.length) {
                (None, None) => true,
                (Some(from), Some(length)) => {
                    length <= SEGMENT && length > 0 && from.checked_add(length).is_some_and(|end| end <= older)
                }
                _ => false,
            };
            if !fits {
                return Err(format!("segment {n} refers to bytes that the older blob does not have"));
            }
        }
        if sums != (stored, self.plain.size) {
            return Err(format!(
                "its segments add up to {} stored and {} plain bytes, not {stored} and {}",
                sums.0, sums.1, self.plain.size
            ));
        }
        Ok(())
    }
}
