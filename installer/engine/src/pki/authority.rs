//! Keys and certificates, ECDSA on P-256, kept in the vault as `<name>.key` and `<name>.crt`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use x509_parser::extensions::GeneralName;

use crate::vault::{Vault, VaultError};

/// What a leaf certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Proves a server.
    Server,
    /// Proves a client.
    Client,
    /// Proves both, as etcd members need.
    Both,
}

/// From when and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    /// The present. Certificates are valid from the day before, so that a host whose clock is behind accepts them.
    pub(super) from: Timestamp,
    /// Days.
    pub(super) days: u32,
}

const DAY: i64 = 86_400;

fn make<E: std::fmt::Display>(name: &str) -> impl Fn(E) -> VaultError + '_ {
    move |error| VaultError::Make(format!("{name}: {error}"))
}

/// The certificate's frame: subject and validity in whole days.
fn parameters(
    subject: &str,
    names: &[String],
    validity: Validity,
    name: &str,
) -> Result<CertificateParams, VaultError> {
    let mut parameters = CertificateParams::new(names.to_vec()).map_err(make(name))?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, subject);
    let day = |seconds: i64| {
        let (year, month, day) = civil(seconds.div_euclid(DAY));
        // Certificates have four digits for the year, and the library panics beyond them.
        if year > 9999 { date_time_ymd(9999, 12, 31) } else { date_time_ymd(year, month, day) }
    };
    parameters.not_before = day(validity.from.unix() - DAY);
    parameters.not_after = day(validity.from.unix() + i64::from(validity.days) * DAY);
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// Year, month and day of a day counted from 1970-01-01 (the proleptic Gregorian calendar, in eras of 400 years).
fn civil(days: i64) -> (i32, u8, u8) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let small = |n: i64| u8::try_from(n).unwrap_or(1);
    (i32::try_from(year).unwrap_or(1970), small(month), small(day))
}

fn key_pair(name: &str) -> Result<KeyPair, VaultError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(make(name))
}

/// A certificate authority.
pub(super) fn ensure_authority(
    vault: &mut Vault,
    name: &str,
    subject: &str,
    validity: Validity,
) -> Result<bool, VaultError> {
    if vault.holds(&format!("{name}.key")) {
        return Ok(false);
    }
    let mut parameters = parameters(subject, &[subject.to_owned()], validity, name)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
    let key = key_pair(name)?;
    let certificate = parameters.self_signed(&key).map_err(make(name))?;
    vault.put(&format!("{name}.crt"), certificate.pem());
    vault.put(&format!("{name}.key"), key.serialize_pem());
    Ok(true)
}

/// A key pair without a certificate, as the service accounts' tokens need.
pub(super) fn ensure_key_pair(vault: &mut Vault, name: &str) -> Result<bool, VaultError> {
    if vault.holds(&format!("{name}.key")) {
        return Ok(false);
    }
    let key = key_pair(name)?;
    vault.put(&format!("{name}.pub"), key.public_key_pem());
    vault.put(&format!("{name}.key"), key.serialize_pem());
    Ok(true)
}

/// Days before its end at which a certificate is made again.
const RENEWED: i64 = 30;

/// Whether a certificate stands for just these names and addresses, and lasts. One of a short life lasts while a third of it
/// is left: else it would be made again by every run.
fn lasts(pem: &str, names: &[String], validity: Validity) -> bool {
    let Ok((_, block)) = x509_parser::pem::parse_x509_pem(pem.as_bytes()) else { return false };
    let Ok(certificate) = block.parse_x509() else { return false };
    let left = certificate.validity().not_after.timestamp() - validity.from.unix();
    if left < DAY * RENEWED.min(i64::from(validity.days) / 3) || left <= 0 {
        return false;
    }
    let Ok(extension) = certificate.subject_alternative_name() else { return false };
    let shown = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    };
    let general = extension.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let has: Option<BTreeSet<String>> = general.iter().map(shown).collect();
    // As the certificate writes an address, so that `::0001` is `::1`.
    let canonical = |name: &String| name.parse::<IpAddr>().map_or_else(|_| name.clone(), |address| address.to_string());
    has.is_some_and(|has| has == names.iter().map(canonical).collect())
}

/// A certificate that the authority `by` has signed. One whose names have changed or that ends soon is made again, with a
/// new key.
pub(super) fn ensure_leaf(
    vault: &mut Vault,
    name: &str,
    by: &str,
    subject: &str,
    purpose: Purpose,
    names: &[String],
    validity: Validity,
) -> Result<bool, VaultError> {
    let known = vault.get(&format!("{name}.crt"));
    if vault.holds(&format!("{name}.key")) && known.is_some_and(|pem| lasts(pem.expose(), names, validity)) {
        return Ok(false);
    }
    let missing = || VaultError::Make(format!("{name}: there is no authority {by}"));
    let (authority, authority_key) =
        (vault.get(&format!("{by}.crt")).ok_or_else(missing)?, vault.get(&format!("{by}.key")).ok_or_else(missing)?);
    let signer = KeyPair::from_pem(authority_key.expose()).map_err(make(by))?;
    let issuer = Issuer::from_ca_cert_pem(authority.expose(), signer).map_err(make(by))?;
    let mut parameters = parameters(subject, names, validity, name)?;
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    parameters.extended_key_usages = match purpose {
        Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Purpose::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    let key = key_pair(name)?;
    let certificate = parameters.signed_by(&key, &issuer).map_err(make(name))?;
    vault.put(&format!("{name}.crt"), certificate.pem());
    vault.put(&format!("{name}.key"), key.serialize_pem());
    Ok(true)
}

/// The pin by which `kubeadm join` knows an authority: `sha256:` and the digest of its SubjectPublicKeyInfo.
#[must_use]
pub fn certificate_pin(pem: &str) -> Option<String> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = block.parse_x509().ok()?;
    Some(format!("sha256:{}", Digest::of(certificate.public_key().raw).hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in [(0, (1970, 1, 1)), (-1, (1969, 12, 31)), (11_016, (2000, 2, 29)), (20_778, (2026, 11, 21))]
        {
            assert_eq!(civil(days), date);
        }
    }
}
