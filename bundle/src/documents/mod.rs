//! The documents that travel beside the content, each a pure function of the lock (or of the index).

mod readme;
mod sbom;
mod sums;
mod transfer_list;

pub use readme::{readme, readme_packed};
pub use sbom::sbom;
pub use sums::sums;
pub(crate) use transfer_list::csv_field;
pub use transfer_list::{transfer_list_csv, transfer_list_text};

/// A size for people, in binary units with one decimal.
#[must_use]
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(4);
    let tenths = (u128::from(bytes) * 10) >> (power * 10);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[power as usize - 1])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (4 << 30, "4.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(super::human_size(bytes), text);
        }
    }
}
