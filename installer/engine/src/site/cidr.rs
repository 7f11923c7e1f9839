//! An address range such as `10.244.0.0/16`, and the arithmetic that preflight and plan do with it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network address and its prefix length. The host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `address/prefix`.
    #[error("{0:?} is not an address range such as 10.244.0.0/16")]
    Shape(String),
    /// Bits after the prefix are set.
    #[error("{given} has bits set after its prefix; did you mean {meant}?")]
    HostBits {
        /// As written.
        given: String,
        /// With the host bits cleared.
        meant: String,
    },
}

impl Cidr {
    /// The range of `prefix` bits that holds `address`.
    #[must_use]
    pub fn holding(address: IpAddr, prefix: u8) -> Self {
        let cleared = match address {
            IpAddr::V4(v4) => {
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & u32::try_from(mask(prefix, 32)).unwrap_or(u32::MAX)))
            }
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask(prefix, 128))),
        };
        Self { address: cleared, prefix }
    }

    /// The first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The prefix length in bits.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// How many bits an address of this family has.
    #[must_use]
    pub fn bits(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether `address` lies inside.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Self::holding(address, self.prefix) == *self
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// The address `n` after the first, if it is still inside.
    #[must_use]
    pub fn nth(&self, n: u128) -> Option<IpAddr> {
        let address = match self.address {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(u128::from(v4.to_bits()) + n).ok()?)),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits().checked_add(n)?)),
        };
        self.contains(address).then_some(address)
    }

    /// The `n`th range of `prefix` bits inside.
    #[must_use]
    pub fn subnet(&self, n: u128, prefix: u8) -> Option<Self> {
        let step = 1_u128.checked_shl(u32::from(self.bits().checked_sub(prefix)?))?;
        Some(Self { address: self.nth(n.checked_mul(step)?)?, prefix }).filter(|_| prefix >= self.prefix)
    }
}

fn mask(prefix: u8, bits: u8) -> u128 {
    let all = if bits == 128 { u128::MAX } else { (1_u128 << bits) - 1 };
    let host = u32::from(bits.saturating_sub(prefix));
    all & u128::MAX.checked_shl(host).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let shape = || CidrError::Shape(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(shape)?;
        let address: IpAddr = address.parse().map_err(|_| shape())?;
        let prefix: u8 = prefix.parse().map_err(|_| shape())?;
        if prefix > if address.is_ipv4() { 32 } else { 128 } {
            return Err(shape());
        }
        let cleared = Self::holding(address, prefix);
        if cleared.address != address {
            return Err(CidrError::HostBits { given: text.to_owned(), meant: cleared.to_string() });
        }
        Ok(cleared)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;
    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "An address range such as 10.244.0.0/16"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_read_and_compared() {
        assert!(
            cidr("10.0.0.0/8").overlaps(&cidr("10.96.0.0/12")) && cidr("10.96.0.0/12").overlaps(&cidr("10.0.0.0/8"))
        );
        assert!(!cidr("10.244.0.0/16").overlaps(&cidr("10.96.0.0/12")));
        assert!(
            cidr("0.0.0.0/0").contains("8.8.8.8".parse().unwrap())
                && !cidr("0.0.0.0/0").contains("::1".parse().unwrap())
        );
        assert_eq!(cidr("10.96.0.0/12").nth(10).unwrap().to_string(), "10.96.0.10");
        assert_eq!(cidr("10.96.0.0/30").nth(4), None);
        assert_eq!(cidr("10.244.0.0/16").subnet(3, 24).unwrap().to_string(), "10.244.3.0/24");
        assert_eq!(cidr("10.244.0.0/16").subnet(256, 24), None);
        assert_eq!(cidr("fd00::/64").nth(1).unwrap().to_string(), "fd00::1");
    }

    #[test]
    fn what_is_no_range_is_refused_with_what_was_meant() {
        assert_eq!(
            "10.244.0.1/16".parse::<Cidr>().unwrap_err().to_string().split("mean ").nth(1),
            Some("10.244.0.0/16?")
        );
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "x/8", "::/129", ""] {
            assert!(matches!(text.parse::<Cidr>(), Err(CidrError::Shape(_))), "{text}");
        }
    }
}
