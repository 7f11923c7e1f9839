//! The shape: into how many volumes, with how much parity and blocks of which size, a file goes through a gate.

use super::error::VolumeError;
use super::gate::Gate;
use super::head::volume_length;
use super::set::{BundleIdentity, Code, FORMAT, MAX_BLOCK, MAX_STRIPE, MAX_VOLUMES, Set};
use crate::digest::Digest;

/// Below this, blocks are not made smaller for the sake of many stripes: heads would outgrow them.
const SMALL_BLOCK: u32 = 4096;
/// With so many stripes, what fills the last one up is below 1.6 %.
const ENOUGH_STRIPES: u64 = 64;

/// What is split.
#[derive(Debug, Clone)]
pub struct Cargo {
    /// The file's name.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// Which bundle it is.
    pub bundle: Option<BundleIdentity>,
}

/// What a person may say instead of the gate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// How many data volumes.
    pub data: Option<u32>,
    /// How many parity volumes.
    pub parity: Option<u32>,
}

/// The fewest volumes in which the file passes the gate. The set's `sha256` is not known yet: it is that of nothing.
pub fn shape(cargo: &Cargo, gate: &Gate, wishes: Wishes) -> Result<Set, VolumeError> {
    let refuse = |why: String| VolumeError::Shape { gate: gate.name.clone(), length: cargo.length, why };
    // Name and length alone, before any count is tried: no count would cure them.
    Set { length: cargo.length.min(1), ..sized(cargo, 1, 0) }.check().map_err(|error| refuse(error.to_string()))?;
    let least = cargo.length.div_ceil(gate.volume_bytes).max(u64::from(gate.least_volumes));
    let first = wishes.data.map_or(least, u64::from).max(1);
    for data in first..=u64::from(MAX_VOLUMES) {
        let data = u32::try_from(data).expect("below the limit");
        let set = with_parity(cargo, gate, wishes, data);
        let set = match set.check() {
            Ok(()) => set,
            // More volumes have smaller stripes and may do; the count itself can't be cured.
            Err(_) if set.volumes() <= MAX_VOLUMES && wishes.data.is_none() => continue,
            Err(error) => return Err(refuse(error.to_string())),
        };
        let length = length_of(&set);
        if length <= gate.volume_bytes {
            return Ok(set);
        }
        if wishes.data.is_some() {
            return Err(refuse(format!(
                "{data} volumes would have {length} bytes each, and {} pass",
                gate.volume_bytes
            )));
        }
    }
    Err(refuse(format!("more than {MAX_VOLUMES} volumes would be needed")))
}

/// The length of each volume of the set, in bytes.
#[must_use]
pub fn length_of(set: &Set) -> u64 {
    volume_length(set.to_bytes().len(), set.volumes(), set.stripes(), set.block_size)
}

fn with_parity(cargo: &Cargo, gate: &Gate, wishes: Wishes, data: u32) -> Set {
    let rule = gate.parity;
    let mut parity = wishes.parity.unwrap_or_else(|| (data.saturating_mul(rule.percent)).div_ceil(100).max(rule.least));
    let mut set = sized(cargo, data, parity);
    if wishes.parity.is_none() && rule.batches > 0 && set.check().is_ok() {
        // How many files are lost with a disc depends on their length, which hardly depends on the count of parity.
        let batch = gate.batch_of(length_of(&set));
        if u64::from(set.volumes()) > batch {
            let lost = batch.saturating_mul(u64::from(rule.batches));
            parity = parity.max(u32::try_from(lost).unwrap_or(u32::MAX).min(MAX_VOLUMES));
            set = sized(cargo, data, parity);
        }
    }
    set
}

fn sized(cargo: &Cargo, data: u32, parity: u32) -> Set {
    let volumes = u64::from(data) + u64::from(parity);
    let mut block_size = MAX_BLOCK;
    let stripes = |block: u32| cargo.length.div_ceil(u64::from(data) * u64::from(block));
    while block_size > SMALL_BLOCK
        && (volumes * u64::from(block_size) > MAX_STRIPE || stripes(block_size) < ENOUGH_STRIPES)
    {
        block_size /= 2;
    }
    Set {
        format: FORMAT,
        name: cargo.name.clone(),
        length: cargo.length,
        sha256: Digest::of(b""),
        data,
        parity,
        block_size,
        code: Code::LeopardGf16,
        bundle: cargo.bundle.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(length: u64, gate: &str) -> Set {
        let cargo = Cargo { name: "site.ferry".into(), length, bundle: None };
        let gate = Gate::find(gate).unwrap();
        let set = shape(&cargo, &gate, Wishes::default()).unwrap();
        assert!(length_of(&set) <= gate.volume_bytes && set.check().is_ok());
        set
    }

    #[test]
    fn what_goes_through_a_gate_fits_and_wastes_little() {
        for gate in ["fat32", "dvd", "bd", "av2g", "usb"] {
            for length in [1, 4096, 1 << 20, 700 << 20, 10 << 30, 60 << 30] {
                let set = shaped(length, gate);
                let carried = u64::from(set.data) * length_of(&set);
                assert!(length <= 1 << 20 || carried < length + length / 40, "{gate} {length}: {carried}");
            }
        }
        let dvd = shaped(20 << 30, "dvd");
        assert!(dvd.parity >= 2, "a lost disc can be repaired: {dvd:?}");
        assert!(shaped(2 << 30, "mail").volumes() > 300);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let cargo = Cargo { name: "site.ferry".into(), length: 1 << 45, bundle: None };
        let gate = Gate::find("mail").unwrap();
        assert!(shape(&cargo, &gate, Wishes::default()).is_err());
        let nothing = Cargo { length: 0, ..cargo.clone() };
        assert!(shape(&nothing, &gate, Wishes::default()).is_err());
        let unnamed = Cargo { name: "a\nb".into(), length: 100, ..cargo.clone() };
        let error = shape(&unnamed, &gate, Wishes::default()).unwrap_err().to_string();
        assert!(error.contains("name"), "{error}");
        let cargo = Cargo { length: 100 << 20, ..cargo };
        assert!(shape(&cargo, &gate, Wishes { data: Some(2), parity: None }).is_err());
        let set = shape(&cargo, &gate, Wishes { data: Some(20), parity: Some(4) }).unwrap();
        assert_eq!((set.data, set.parity), (20, 4));
    }
}
