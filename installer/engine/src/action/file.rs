//! A file with just this content, owner and mode. It appears by rename, whole and synced, or not at all.

use ferry_bundle_format::Digest;
use serde::{Deserialize, Serialize};

use super::Input;
use super::script::{Part, key};
use crate::host::{HASH, quote};
use crate::pki::PULL_CONFIG;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its absolute path. The folder must be there.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// Its content.
    pub content: Content,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// Text that may be shown.
    Text(String),
    /// Something of the vault.
    Vault {
        /// Its name there.
        name: String,
        /// The digest of its bytes.
        digest: Digest,
        /// How many there are.
        size: u64,
    },
    /// A file of the bundle.
    Blob {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A member of an archive of the bundle.
    Member {
        /// The archive's digest.
        archive: Digest,
        /// The member's path in it.
        member: String,
        /// The member's digest.
        digest: Digest,
        /// The member's size in bytes.
        size: u64,
    },
    /// A file of the bundle that the host fetches from the site's registry by itself.
    Fetched {
        /// Where the registry has it.
        url: String,
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
}

/// Where a host has the certificate of the registry's authority.
pub const REGISTRY_AUTHORITY: &str = "/etc/ferry/registry-ca.crt";

impl Content {
    /// The digest of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Text(text) => Digest::of(text.as_bytes()),
            Self::Vault { digest, .. }
            | Self::Blob { digest, .. }
            | Self::Member { digest, .. }
            | Self::Fetched { digest, .. } => *digest,
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Vault { size, .. }
            | Self::Blob { size, .. }
            | Self::Member { size, .. }
            | Self::Fetched { size, .. } => *size,
        }
    }
}

/// From this size on, in bytes, it is worth asking for the fastest way to hash.
const LARGE: u64 = 1 << 20;

impl File {
    /// A text file of root's, 0644.
    pub fn text(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), mode: 0o644, owner: "root:root".into(), content: Content::Text(text.into()) }
    }

    /// With this mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// With this owner, `user:group`.
    #[must_use]
    pub fn owner(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.owner);
        self
    }

    /// What a script has to say before it can hash the file, and the words that do.
    fn hash(&self) -> (String, &'static str) {
        if self.content.size() >= LARGE { (format!("{HASH}\n"), "hash") } else { (String::new(), "sha256sum") }
    }

    pub(super) fn probe(&self) -> String {
        let path = quote(&self.path);
        let (said, hash) = self.hash();
        // A link is not the file: it would be followed by whoever reads, and replaced by the rename.
        format!(
            "{said}if [ -L {path} ]; then echo link; elif [ -f {path} ]; then \
             echo \"$({hash} <{path} | cut -c1-64) $(stat -c '%a %U:%G' {path})\"; \
             elif [ -e {path} ]; then echo other; else echo absent; fi"
        )
    }

    pub(super) fn wanted(&self) -> String {
        format!("{} {:o} {}", self.content.digest().hex(), self.mode, self.owner)
    }

    fn key(&self) -> String {
        key(&self.path)
    }

    fn what(&self) -> String {
        format!("file:{}", self.path)
    }

    pub(super) fn part(&self) -> Part {
        let (body, input) = match &self.content {
            Content::Text(text) => (self.received("cat >\"$part\""), Input::Text(text.clone())),
            Content::Vault { name, .. } => (self.received("cat >\"$part\""), Input::Vault(name.clone())),
            Content::Fetched { url, .. } => (self.received(&fetch(url)), Input::Vault(PULL_CONFIG.into())),
            Content::Blob { .. } | Content::Member { .. } => {
                (format!("f_keep {} {}", quote(&self.path), self.key()), Input::None)
            }
        };
        Part { what: self.what(), probe: self.probe(), wanted: self.wanted(), body, input }
    }

    /// The commands in which `receive` writes a file named `$part`, which is compared, owned, synced and renamed.
    fn received(&self, receive: &str) -> String {
        let (path, part) = (quote(&self.path), quote(&format!("{}.ferry-part", self.path)));
        let (digest, mode, owner) = (self.content.digest().hex(), self.mode, quote(&self.owner));
        let (said, hash) = self.hash();
        format!(
            "f_keep {path} {key}\npart={part}\n(umask 077; {receive})\n\
             {said}[ \"$({hash} <\"$part\" | cut -c1-64)\" = {digest} ] || {{ rm -f \"$part\"; echo 'the content did not arrive whole' >&2; exit 1; }}\n\
             chown {owner} \"$part\"; chmod {mode:o} \"$part\"; sync \"$part\" 2>/dev/null || sync\nmv -f -- \"$part\" {path}",
            key = self.key(),
        )
    }

    /// What stood there comes back as it was, link or file; what did not goes. So do parts of an upload that was cut off.
    pub(super) fn back(path: &str) -> String {
        let (folder, _) = path.rsplit_once('/').unwrap_or_default();
        let (key, parts) = (key(path), quote(&format!("{folder}/.ferry-part-")));
        let path = quote(path);
        format!(
            "if [ -e $S/before/{key} ] || [ -L $S/before/{key} ]; then rm -f -- {path}.ferry-part; cp -a -- $S/before/{key} {path}.ferry-part && mv -fT -- {path}.ferry-part {path}; \
             elif [ -e $S/before/{key}.absent ]; then rm -f -- {path}; fi\nrm -f -- {path}.ferry-part {parts}* $S/before/{key} $S/before/{key}.absent"
        )
    }
}

/// The host takes it from the site's registry. A part that is there already is gone on with; login and password come on
/// standard input.
fn fetch(url: &str) -> String {
    let get = format!(
        "curl -fsS --config - --cacert {REGISTRY_AUTHORITY} --noproxy '*' --connect-timeout 10 --speed-limit 1000 --speed-time 60 -o \"$part\""
    );
    let url = quote(url);
    // Not `echo`: that of dash reads backslashes.
    let login = "printf '%s\\n' \"$login\"";
    format!("login=$(cat); {login} | {get} -C - {url} || {{ rm -f \"$part\"; {login} | {get} {url}; }}")
}
