//! README.txt: how a person with nothing but standard tools checks and reads the bundle.

use crate::lock::Lock;

/// The text for this lock.
#[must_use]
pub fn readme(lock: &Lock) -> Vec<u8> {
    let product = &lock.product;
    format!(
        "\
{name} {version} (channel {channel}, serial {serial}, locked {created})

This file is a ferry bundle: a plain tar archive that is also an OCI image layout.
It carries no scripts that run by themselves. To check it without ferry:

1. Unpack it:            tar xf BUNDLE
2. Check who signed it, with the public key you were given on another way.
   With OpenSSH 8.0 or newer (allowed_signers is the file NAME.allowed_signers):
       ssh-keygen -Y verify -f allowed_signers -I ferry -n ferry -s SHA256SUMS.sig < SHA256SUMS
   or with minisign (NAME.minisign.pub):
       minisign -V -p NAME.minisign.pub -m SHA256SUMS -x SHA256SUMS.minisig
   Further signatures, if there are any, are SHA256SUMS.2.sig, SHA256SUMS.2.minisig and so on.
3. Check the content:    sha256sum -c SHA256SUMS

With ferry, all of that and more, without unpacking:
       ferry-bundle verify BUNDLE --trust NAME.pub

What is inside:
  bundle.json            the index: every member with digest, size and place
  signatures.json        ferry's signatures over the exact bytes of bundle.json
  lock.yaml              what was asked for, and where each thing came from
  transfer-list.csv/.txt what crosses the gate, for the person who approves it
  sbom.json              the same as a CycloneDX bill of materials
  oci-layout, index.json, blobs/   the content; skopeo and others read it as it is:
       skopeo inspect oci-archive:BUNDLE:IMAGE
",
        name = product.name,
        version = product.version,
        channel = product.channel,
        serial = lock.serial,
        created = lock.created,
    )
    .into_bytes()
}

/// The text for this lock where blobs are packed or left out. `applies_to` as in the index.
#[must_use]
pub fn readme_packed(lock: &Lock, applies_to: &[u64]) -> Vec<u8> {
    let mut text = readme(lock);
    text.extend_from_slice(
        b"
Some blobs are not stored as they are:
  packs/NAME.zst         a layer's plain bytes under zstd; ferry makes the blob sha256:NAME of them again, to the byte.
                         What stands alone can be looked at with `zstd -dc packs/NAME.zst | tar t`
  verbatim-head.zst      the signed beginning of the same bundle with every blob as it is:
       ferry-bundle apply BUNDLE --trust NAME.pub -o FULL        writes that bundle; tools without ferry read it
",
    );
    if !applies_to.is_empty() {
        let serials: Vec<String> = applies_to.iter().map(u64::to_string).collect();
        text.extend_from_slice(
            format!(
                "\
\nThis is an upgrade package. It needs what serial {} of the same product brought:
       ferry-bundle apply BUNDLE --base OLDER --trust NAME.pub -o FULL
",
                serials.join(" or "),
            )
            .as_bytes(),
        );
    }
    text
}
