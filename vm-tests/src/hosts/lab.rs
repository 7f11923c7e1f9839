//! A lab: a set of hosts under one name, with its addresses, namespaces and folders. A second name is a second set
//! beside the first. Nothing here touches the machine.
//!
//! ```text
//! 10.77.0.1      the bridge, in the lab's namespace, where the operator sits
//! 10.77.0.11…    host 1, 2, …   each in a namespace LAB-hN, with the name nodeN
//! ```

use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::error::Error;
use crate::place::Place;

/// The password of user `pw` on every host. Public, and good for nothing else.
pub const USER_PASSWORD: &str = "Fähre 77 %s \"$HOME\"";

/// The most hosts a lab may have.
const MOST_HOSTS: u8 = 60;

/// A set of hosts.
#[derive(Debug, Clone)]
pub struct Lab {
    name: String,
    folder: PathBuf,
}

impl Lab {
    /// The lab of this name: lower-case letters, digits and dashes, at most 12 of them.
    pub fn named(place: &Place, name: &str) -> Result<Self, Error> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 12 || !name.chars().all(fits) {
            return Err(Error::Asked(format!("{name:?} is no name for a lab: 1 to 12 of a-z, 0-9 and -")));
        }
        Ok(Self { name: name.to_owned(), folder: place.path(&format!("labs/{name}")) })
    }

    /// Its name, which is also that of the namespace with the bridge.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of the operator's side.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 1)
    }

    /// The network of all hosts.
    #[must_use]
    pub fn subnet(&self) -> &'static str {
        "10.77.0.0/24"
    }

    /// Where its state is kept.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// Host `number`, from 1.
    pub fn host(&self, number: u8) -> Result<HostPlace, Error> {
        if number == 0 || number > MOST_HOSTS {
            return Err(Error::Asked(format!("there is no host {number}: hosts count from 1 to {MOST_HOSTS}")));
        }
        Ok(HostPlace {
            number,
            name: format!("node{number}"),
            namespace: format!("{}-h{number}", self.name),
            address: Ipv4Addr::new(10, 77, 0, 10 + number),
            link: format!("v{number}"),
            folder: self.folder.join(format!("host{number}")),
        })
    }

    /// The hosts that have state on disk, in order.
    #[must_use]
    pub fn existing(&self) -> Vec<HostPlace> {
        (1..=MOST_HOSTS).filter_map(|number| self.host(number).ok()).filter(|host| host.folder.is_dir()).collect()
    }
}

/// One host: its names, and where its state is kept.
#[derive(Debug, Clone)]
pub struct HostPlace {
    /// From 1.
    pub number: u8,
    /// Its host name.
    pub name: String,
    /// Its network namespace.
    pub namespace: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The bridge's end of its cable.
    pub link: String,
    /// Where its state is kept.
    pub folder: PathBuf,
}

impl HostPlace {
    /// A path below its folder.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.join(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_follow_from_the_number() {
        let place = Place::at("/cache".as_ref());
        let lab = Lab::named(&place, "ferry-vm").unwrap();
        let host = lab.host(3).unwrap();
        assert_eq!((host.namespace.as_str(), host.address.to_string().as_str()), ("ferry-vm-h3", "10.77.0.13"));
        assert_eq!(host.path("var"), PathBuf::from("/cache/labs/ferry-vm/host3/var"));
        assert!(lab.host(0).is_err() && lab.host(61).is_err());
        assert!(Lab::named(&place, "a/b").is_err() && Lab::named(&place, "").is_err());
    }
}
