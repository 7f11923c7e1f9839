//! Where everything stands: from names and sizes to offsets.

use super::header::{BLOCK, Header, padding};

/// One member and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its header: name and size.
    pub header: Header,
    /// Where its header begins, in bytes from the layout's base.
    pub header_at: u64,
}

impl Member {
    /// Where its data begins.
    #[must_use]
    pub fn data_at(&self) -> u64 {
        self.header_at + BLOCK
    }

    /// Where the next member's header begins.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.data_at() + self.header.size + padding(self.header.size)
    }
}

/// A run of members, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// The members in order.
    pub members: Vec<Member>,
}

impl Layout {
    /// Lays out members of these names and sizes.
    pub fn of(members: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut header_at = 0;
        let members = members
            .into_iter()
            .map(|(name, size)| {
                let member = Member { header: Header { name, size }, header_at };
                header_at = member.end();
                member
            })
            .collect();
        Self { members }
    }

    /// Where the last member ends, in bytes.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.members.last().map_or(0, Member::end)
    }
}

/// The bytes of the archive's end: two zero blocks.
pub(super) const END_OF_ARCHIVE: u64 = 2 * BLOCK;

impl Layout {
    /// The length of an archive that ends with this layout, which begins at `base`, in bytes.
    #[must_use]
    pub fn archive_length(&self, base: u64) -> u64 {
        base + self.end() + END_OF_ARCHIVE
    }
}
