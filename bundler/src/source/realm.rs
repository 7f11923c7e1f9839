//! Which token servers may see a registry's credentials.
//!
//! A registry names its token server itself, so a hostile or broken one could name anybody's. A password
//! goes to the same host, to the few servers known to issue tokens for another name, and to those the
//! person allowed. Anonymous requests may go anywhere, they give nothing away.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;

use super::host::{authority, normalized, split_port};

/// Registries whose token server has another name.
const KNOWN: [(&str, &str); 2] = [("docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com")];

/// Whether `realm` may see the credentials of `registry` (`host[:port]`).
pub(super) fn may_see(registry: &str, realm: &Url, allowed: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let registry = normalized(registry);
    let (name, _) = split_port(&registry);
    let Some(host) = realm.host_str() else { return false };
    let known = || KNOWN.contains(&(name, host)) || aliyun_realm(name).is_some_and(|known| known == host);
    let listed = || {
        let hosts = allowed.get(&registry).or_else(|| allowed.get(name));
        hosts.is_some_and(|hosts| hosts.contains(host) || hosts.contains(&authority(realm)))
    };
    // The known ones are on the public network: never without TLS.
    host == name || (realm.scheme() == "https" && known()) || listed()
}

/// `registry.<region>.aliyuncs.com` has its tokens from `dockerauth.<region>.aliyuncs.com`.
fn aliyun_realm(registry: &str) -> Option<String> {
    let region = registry.strip_prefix("registry.")?.strip_suffix(".aliyuncs.com")?;
    (!region.contains('.')).then(|| format!("dockerauth.{region}.aliyuncs.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_04_only_known_realms_see_credentials() {
        let allowed = BTreeMap::from([("r.example:5000".to_owned(), BTreeSet::from(["sso.example".to_owned()]))]);
        let may = |registry: &str, realm: &str| may_see(registry, &Url::parse(realm).unwrap(), &allowed);
        assert!(may("quay.io", "https://quay.io/v2/auth"));
        assert!(may("gitlab.example:5050", "https://gitlab.example/jwt/auth"));
        assert!(may("docker.io", "https://auth.docker.io/token") && !may("docker.io", "http://auth.docker.io/token"));
        assert!(may("registry.gitlab.com", "https://gitlab.com/jwt/auth"));
        assert!(may("registry.cn-hangzhou.aliyuncs.com", "https://dockerauth.cn-hangzhou.aliyuncs.com/auth"));
        assert!(may("r.example:5000", "https://sso.example/token"));
        assert!(!may("r.example:5001", "https://sso.example/token"));
        for (registry, realm) in [
            ("quay.io", "https://quay.io.evil.example/auth"),
            ("quay.io", "https://evil.example/quay.io"),
            ("evil.example", "https://auth.docker.io/token"),
            ("registry.cn-hangzhou.aliyuncs.com", "https://dockerauth.cn-beijing.aliyuncs.com/auth"),
            ("registry.a.b.aliyuncs.com", "https://dockerauth.a.b.aliyuncs.com/auth"),
        ] {
            assert!(!may(registry, realm), "{registry} {realm}");
        }
    }
}
