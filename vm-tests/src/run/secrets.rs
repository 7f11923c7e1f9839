//! What must stay secret, and where it is looked for.
//!
//! Planted secrets are the operator's own: they may stand nowhere. Generated ones come out of the site's vault: the hosts
//! need them, in files that only root may read, and nobody else may find them. A secret is looked for as it is and as
//! base64, JSON and a quoting shell would write it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ferry_engine::host::Secret;
use ferry_engine::vault::{Vault, VaultKey};

use crate::error::Error;
use crate::hosts::Driver;
use crate::installer;
use crate::program::{Program, quoted};

/// Where a host keeps what is written to it.
const PLACES: &str = "/etc /var /root /home /run /tmp /opt /usr/local";

/// Shorter pieces of a secret would be found by chance.
const SHORTEST: usize = 16;

/// Secrets by name, in every form in which they are looked for.
#[derive(Default)]
pub(super) struct Secrets {
    /// A form of a secret, and the secret's name.
    forms: BTreeMap<String, String>,
}

impl Secrets {
    /// One more. Of what has several lines each long one counts: a key's, not its frame.
    pub(super) fn add(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let lines = text.lines().filter(|line| !line.starts_with("-----"));
        let long = |line: &&str| line.len() >= SHORTEST || !text.trim_end().contains('\n');
        for line in lines.filter(long) {
            let base64 = Program::new("base64").arg("-w0").input(line).run()?;
            // Without the end, which depends on what follows.
            let base64 = base64.trim_end_matches('=').to_owned();
            let json = within(&serde_json::to_string(line).unwrap_or_default(), '"');
            let shell = within(&quoted(line), '\'');
            for form in [line.to_owned(), base64, json, shell] {
                self.forms.insert(form, name.to_owned());
            }
        }
        Ok(())
    }

    /// What is secret of a site's vault: everything but certificates, public keys and whole files.
    pub(super) fn of_vault(path: &Path) -> Result<Self, Error> {
        let key = VaultKey::Passphrase(Secret::new(installer::VAULT_PASSPHRASE));
        let vault = Vault::open(path, key).map_err(|error| Error::Asked(error.to_string()))?;
        let mut secrets = Self::default();
        let public =
            |name: &&str| [".crt", ".pub"].iter().any(|end| name.ends_with(end)) || name.starts_with("rendered/");
        for name in vault.names().filter(|name| !public(name)) {
            if let Some(text) = vault.get(name) {
                secrets.add(name, text.expose())?;
            }
        }
        Ok(secrets)
    }

    /// Their names.
    #[must_use]
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.forms.values().map(String::as_str).collect()
    }

    /// Where they stand in this file or below this folder: names of secrets and of files, never the secrets.
    pub(super) fn here(&self, path: &Path) -> Result<BTreeSet<String>, Error> {
        let grep = Program::new("grep").args(["-raoFHZ", "-f", "-"]).arg(path);
        Ok(self.named(&grep.input(self.patterns()).ended()?.stdout))
    }

    /// Where they stand on a host in what this user can read.
    pub(super) fn on_host(&self, driver: &dyn Driver, host: u8, user: &str) -> Result<BTreeSet<String>, Error> {
        let command = format!("grep -rsaoFHZ --exclude-dir=proc -f - {PLACES}; true");
        Ok(self.named(&driver.ssh(host, user)?.arg(command).input(self.patterns()).run()?))
    }

    /// Where they stand in a host's journal, which keeps long fields compressed.
    pub(super) fn in_journal(&self, driver: &dyn Driver, host: u8) -> Result<BTreeSet<String>, Error> {
        let patterns = driver.ssh(host, "root")?.arg("umask 077; cat > /run/ferry-vm-patterns").input(self.patterns());
        patterns.run()?;
        let search = "journalctl --no-pager -a -o verbose | grep -aoFHZ -f /run/ferry-vm-patterns --label=journal";
        let found = driver.must(host, &format!("{search}; rm -f /run/ferry-vm-patterns"))?;
        Ok(self.named(&found))
    }

    fn patterns(&self) -> String {
        self.forms.keys().map(|form| format!("{form}\n")).collect()
    }

    /// From `FILE\0MATCH` to what may be shown.
    fn named(&self, found: &str) -> BTreeSet<String> {
        let name = |line: &str| {
            let (file, form) = line.split_once('\0')?;
            let name = self.forms.get(form).map_or("something secret", String::as_str);
            Some(format!("{name} in {file}"))
        };
        found.lines().filter_map(name).collect()
    }
}

/// A text without the quotes around it.
fn within(text: &str, quote: char) -> String {
    text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let mut secrets = Secrets::default();
        secrets.add("password", "it's \"so\" %s secret").unwrap();
        secrets.add("key", "-----BEGIN KEY-----\nAAAABBBBCCCCDDDD\nEE==\n-----END KEY-----\n").unwrap();
        let forms = [
            ("raw", "x it's \"so\" %s secret y"),
            ("json", r#"{"a":"it's \"so\" %s secret"}"#),
            ("shell", r#"echo 'it'\''s "so" %s secret'"#),
            ("base64", "aXQncyAic28iICVzIHNlY3JldA=="),
        ];
        for (name, text) in forms {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::write(folder.path().join("pem"), "AAAABBBBCCCCDDDD\n").unwrap();
        std::fs::write(folder.path().join("innocent"), "-----BEGIN KEY-----\nEE==\nit's so secret\n").unwrap();
        let found = secrets.here(folder.path()).unwrap();
        let expected: BTreeSet<String> = ["raw", "json", "shell", "base64"]
            .iter()
            .map(|name| format!("password in {}", folder.path().join(name).display()))
            .chain([format!("key in {}", folder.path().join("pem").display())])
            .collect();
        assert_eq!(found, expected);
        assert!(!found.iter().any(|line| line.contains("so\"")));
    }
}
