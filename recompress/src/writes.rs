//! Where a tar writer's writes ended: found again in the plain bytes.
//!
//! A tar writer hands on a header, then the content, then the padding. Everything but the end of the content lies at a
//! multiple of 512. Extended headers and long names are entries with content of their own. Where the bytes stop being
//! a tar, nothing is cut any more; whether that was right is for the comparison with the blob to say.

use crate::recipe::Writes;

const BLOCK: usize = 512;

/// Follows a stream and says where to cut it.
#[derive(Debug)]
pub(crate) struct Cutter {
    place: Place,
    header: [u8; BLOCK],
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Within a header, of which this much has been seen.
    Header(usize),
    /// Within content, with this much to go, then this much padding.
    Content(u64, u64),
    Padding(u64),
    /// Nothing to cut.
    Plain,
}

impl Cutter {
    pub(crate) fn new(writes: Writes) -> Self {
        let place = match writes {
            Writes::Aligned => Place::Plain,
            Writes::TarEntries => Place::Header(0),
        };
        Self { place, header: [0; BLOCK] }
    }

    /// How many of the bytes that come next, which begin with `plain`, belong to the same write. All of `plain` when
    /// no write ends within it.
    pub(crate) fn cut(&mut self, plain: &[u8]) -> usize {
        let mut seen = 0;
        while seen < plain.len() {
            let rest = &plain[seen..];
            let step = |left: u64| usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
            match self.place {
                Place::Plain => return plain.len(),
                Place::Header(have) => {
                    let taken = rest.len().min(BLOCK - have);
                    self.header[have..have + taken].copy_from_slice(&rest[..taken]);
                    seen += taken;
                    self.place = Place::Header(have + taken);
                    if have + taken == BLOCK {
                        self.place = self.content();
                    }
                }
                Place::Content(left, padding) => {
                    let taken = step(left);
                    seen += taken;
                    self.place = Place::Content(left - taken as u64, padding);
                    if left == taken as u64 {
                        self.place = Place::Padding(padding);
                        if padding != 0 {
                            return seen;
                        }
                    }
                }
                Place::Padding(left) => {
                    let taken = step(left);
                    seen += taken;
                    let left = left - taken as u64;
                    self.place = if left == 0 { Place::Header(0) } else { Place::Padding(left) };
                }
            }
        }
        seen
    }

    /// What follows the header.
    fn content(&self) -> Place {
        if self.header == [0; BLOCK] {
            return Place::Header(0);
        }
        let size = match &self.header[124..136] {
            // Large sizes are binary, marked in the highest bit.
            [0x80, 0, 0, 0, size @ ..] => size.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            digits => {
                let text = digits.iter().copied().skip_while(|byte| *byte == b' ');
                let mut digits = text.take_while(|byte| !matches!(byte, 0 | b' ')).peekable();
                let sum = digits.try_fold(0u64, |sum, digit| {
                    matches!(digit, b'0'..=b'7').then(|| sum << 3 | u64::from(digit - b'0'))
                });
                match sum {
                    Some(size) => size,
                    None => return Place::Plain,
                }
            }
        };
        let padding = size.wrapping_neg() % BLOCK as u64;
        if size == 0 { Place::Header(0) } else { Place::Content(size, padding) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: usize) -> Vec<u8> {
        let mut bytes = vec![b'a'; BLOCK];
        bytes[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        bytes.resize(BLOCK + size.next_multiple_of(BLOCK), 7);
        bytes
    }

    fn cuts(plain: &[u8], piece: usize) -> Vec<usize> {
        let mut cutter = Cutter::new(Writes::TarEntries);
        let (mut at, mut found) = (0, Vec::new());
        for piece in plain.chunks(piece) {
            let mut left = piece;
            while !left.is_empty() {
                let taken = cutter.cut(left);
                at += taken;
                left = &left[taken..];
                if !left.is_empty() || taken < piece.len() && at % 512 != 0 {
                    found.push(at);
                }
            }
        }
        found
    }

    #[test]
    fn writes_end_with_the_content_however_the_bytes_come() {
        let tar = [entry(0), entry(700), entry(512), entry(1), vec![0; 1024]].concat();
        let expected = [512 + 512 + 700, 512 + 512 + 1024 + 512 + 512 + 512 + 1];
        assert_eq!(cuts(&tar, tar.len()), expected);
        let mut cutter = Cutter::new(Writes::TarEntries);
        let singly: Vec<usize> = (0..tar.len()).filter(|at| cutter.cut(&tar[*at..=*at]) != 1).collect();
        assert_eq!(singly, Vec::<usize>::new(), "a byte is never cut");
    }

    #[test]
    fn what_is_no_tar_is_not_cut() {
        let text: Vec<u8> = (0..5000u32).map(|n| n.to_le_bytes()[0] | 0x40).collect();
        assert_eq!(Cutter::new(Writes::TarEntries).cut(&text), 5000);
        assert_eq!(Cutter::new(Writes::Aligned).cut(&entry(700)), 1536);
    }
}
