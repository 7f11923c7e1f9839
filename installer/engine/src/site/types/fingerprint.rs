//! Fingerprints of SSH keys.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::text::{Invalid, text_type};

/// A fingerprint as `ssh-keygen -lf` prints it: `SHA256:` and 43 characters of base64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshFingerprint(String);

text_type!(SshFingerprint, "A fingerprint as `ssh-keygen -lf` prints it", r"^SHA256:[A-Za-z0-9+/]{43}$");

impl FromStr for SshFingerprint {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digest = text.strip_prefix("SHA256:").and_then(|rest| STANDARD_NO_PAD.decode(rest).ok());
        if digest.is_some_and(|digest| digest.len() == 32) {
            return Ok(Self(text.to_owned()));
        }
        let hint = if text.starts_with("MD5:") {
            "MD5 is not taken; `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host prints SHA256:…"
        } else if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
            "this is a key; `ssh-keygen -lf FILE` prints its fingerprint, SHA256:…"
        } else {
            "`SHA256:` and 43 characters, the second word that `ssh-keygen -lf` prints"
        };
        Err(Invalid::new(text, "is no fingerprint").hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_sha256_of_the_right_length() {
        let good = format!("SHA256:{}", "A".repeat(43));
        assert!(good.parse::<SshFingerprint>().is_ok());
        for text in [
            "",
            "SHA256:",
            "SHA265:AAAA",
            "MD5:aa:bb",
            "ssh-ed25519 AAAA",
            &good[1..],
            &good[..49],
            &format!("{good}A"),
            &format!("{good}="),
            &format!("256 {good} root@h (ED25519)"),
            &good.replace('A', "-"),
        ] {
            assert!(text.parse::<SshFingerprint>().is_err(), "{text}");
        }
    }
}
