//! sbom.json: the content as a CycloneDX 1.6 bill of materials. It names what is carried as the outside sees it:
//! images, charts and files with digests and origins. What is inside a layer is the vendor's SBOM to tell.

use serde_json::{Value, json};

use crate::lock::{Lock, Origin, derived};

/// The document for this lock.
#[must_use]
pub fn sbom(lock: &Lock) -> Vec<u8> {
    let mut components: Vec<Value> = Vec::new();
    for image in &lock.images {
        let reference = &image.name;
        let name = reference.repository().rsplit('/').next().unwrap_or_default();
        let version = reference.tag().map_or_else(|| reference.selector(), str::to_owned);
        let digest = image.carried().digest;
        let tag = reference.tag().map_or(String::new(), |tag| format!("&tag={tag}"));
        let purl = format!("pkg:oci/{name}@sha256%3A{}?repository_url={}{tag}", digest.hex(), reference.name());
        let mut component = component(
            "container",
            &reference.to_string(),
            &reference.name(),
            &version,
            &digest.hex(),
            &purl,
            &image.from,
        );
        component["properties"] = image
            .manifests
            .iter()
            .map(|m| json!({ "name": format!("ferry:manifest:{}", m.arch), "value": m.manifest.digest.to_string() }))
            .collect();
        components.push(component);
    }
    for chart in &lock.charts {
        let digest = chart.layers.first().unwrap_or(&chart.manifest).digest.hex();
        let (name, version) = (chart.name.as_str(), chart.version.as_str());
        let purl = format!("pkg:helm/{name}@{}", escape(version));
        components.push(component(
            "application",
            &format!("charts/{name}:{version}"),
            name,
            version,
            &digest,
            &purl,
            &chart.from,
        ));
    }
    for file in &lock.files {
        let (repository, tag) = derived::file_name(file);
        let version = file.version.as_ref().map_or("", |v| v.as_str());
        let at = if version.is_empty() { String::new() } else { format!("@{}", escape(version)) };
        let purl = format!("pkg:generic/{}{at}?checksum=sha256:{}", escape(file.name.as_str()), file.digest.hex());
        components.push(component(
            "file",
            &format!("{repository}:{tag}"),
            file.name.as_str(),
            version,
            &file.digest.hex(),
            &purl,
            &file.from,
        ));
    }
    let product = &lock.product;
    let hex = lock.digest().hex();
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        // A version 8 UUID (RFC 9562) of the lock's digest: the same lock, the same serial number.
        "serialNumber": format!("urn:uuid:{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]),
        "version": 1,
        "metadata": {
            "timestamp": lock.created.to_string(),
            "component": {
                "type": "application",
                "bom-ref": "product",
                "name": product.name.as_str(),
                "version": product.version.as_str(),
            },
        },
        "components": components,
    });
    let mut bytes = serde_json::to_vec_pretty(&document).expect("the document holds only JSON values");
    bytes.push(b'\n');
    bytes
}

fn component(kind: &str, bom_ref: &str, name: &str, version: &str, sha256: &str, purl: &str, from: &Origin) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": bom_ref,
        "name": name,
        "purl": purl,
        "hashes": [{ "alg": "SHA-256", "content": sha256 }],
    });
    if !version.is_empty() {
        component["version"] = json!(version);
    }
    if let Origin::Url(url) = from {
        component["externalReferences"] = json!([{ "type": "distribution", "url": url }]);
    }
    component
}

/// Percent-encodes what a package URL wants encoded.
fn escape(text: &str) -> String {
    text.replace('+', "%2B")
}
