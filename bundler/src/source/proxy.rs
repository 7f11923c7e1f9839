//! Which requests go through a proxy, and through which.
//!
//! The rules are those of Go's HTTP client, and so of docker, skopeo, crane and helm: the scheme of the URL picks
//! the variable, `NO_PROXY` lists exceptions, and loopback never goes through a proxy. A proxy's URL may hold a
//! password: only [`Upstream::shown`] gets into messages.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::{ClientBuilder, Proxy, Url};

use super::error::SourceError;
use super::host::authority;
use super::settings::ProxySetting;

/// A proxy.
#[derive(Clone)]
pub(super) struct Upstream {
    url: Url,
    /// Scheme, host and port.
    pub(super) shown: Arc<str>,
}

/// The proxies of a client.
#[derive(Clone, Default)]
pub(super) struct Proxies {
    http: Option<Upstream>,
    https: Option<Upstream>,
    exceptions: Exceptions,
}

impl Proxies {
    /// What the setting says; `variable` looks up the environment.
    pub(super) fn new(setting: &ProxySetting, variable: impl Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        let first = |names: [&str; 2]| names.into_iter().filter_map(&variable).find(|text| !text.trim().is_empty());
        let exceptions = Exceptions::parse(&first(["NO_PROXY", "no_proxy"]).unwrap_or_default());
        match setting {
            ProxySetting::Direct => Ok(Self::default()),
            ProxySetting::Url(url) => {
                let upstream = Upstream::parse("the proxy URL", url.expose())?;
                Ok(Self { http: Some(upstream.clone()), https: Some(upstream), exceptions })
            }
            ProxySetting::Environment => {
                // A web server passes the header `Proxy:` of a request on to programs as HTTP_PROXY.
                if variable("REQUEST_METHOD").is_some() {
                    return Ok(Self::default());
                }
                let all = first(["ALL_PROXY", "all_proxy"]);
                let of = |setting, names| {
                    let own = first(names).map(|text| Upstream::parse(setting, &text));
                    let general = || all.as_ref().map(|text| Upstream::parse("the proxy in ALL_PROXY", text));
                    own.or_else(general).transpose()
                };
                Ok(Self {
                    http: of("the proxy in HTTP_PROXY", ["HTTP_PROXY", "http_proxy"])?,
                    https: of("the proxy in HTTPS_PROXY", ["HTTPS_PROXY", "https_proxy"])?,
                    exceptions,
                })
            }
        }
    }

    /// The proxy for `url`, if it goes through one.
    pub(super) fn of(&self, url: &Url) -> Option<&Upstream> {
        let upstream = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() };
        upstream.filter(|_| !self.exceptions.list(url))
    }

    /// Has the client go through these, and through no other.
    pub(super) fn apply(&self, builder: ClientBuilder) -> ClientBuilder {
        let proxies = self.clone();
        let builder = builder.no_proxy();
        if self.http.is_none() && self.https.is_none() {
            return builder;
        }
        builder.proxy(Proxy::custom(move |url| proxies.of(url).map(|upstream| upstream.url.clone())))
    }
}

impl Upstream {
    fn parse(setting: &'static str, text: &str) -> Result<Self, SourceError> {
        // The text may hold a password: it is not shown.
        let bad = |why: &str| SourceError::Setting { setting, why: why.to_owned() };
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&full).map_err(|_| bad("it is not a URL of a proxy"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("only proxies that begin with http:// or https:// are supported"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("it names no host"));
        }
        let shown = format!("{}://{}", url.scheme(), authority(&url)).into();
        Ok(Self { url, shown })
    }
}

/// What `NO_PROXY` lists.
#[derive(Clone, Default)]
struct Exceptions {
    all: bool,
    entries: Vec<(What, Option<u16>)>,
}

#[derive(Clone)]
enum What {
    /// An address and how many of its bits count.
    Net(IpAddr, u32),
    /// A name and all names below it.
    Domain(String),
    /// All names below, such as `.example`.
    Below(String),
}

impl Exceptions {
    fn parse(list: &str) -> Self {
        let mut exceptions = Self::default();
        for entry in list.split(|c: char| c == ',' || c.is_whitespace()) {
            let entry = entry.to_ascii_lowercase();
            match entry.as_str() {
                "" => {}
                "*" => exceptions.all = true,
                entry => exceptions.entries.extend(parse_entry(entry)),
            }
        }
        exceptions
    }

    fn list(&self, url: &Url) -> bool {
        let host =
            url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        if self.all || host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback()) {
            return true;
        }
        let port = url.port_or_known_default();
        self.entries.iter().any(|(what, only)| {
            let fits = match (what, address) {
                (What::Net(net, bits), Some(address)) => within(address, *net, *bits),
                (What::Domain(name), None) => {
                    host == *name || host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'))
                }
                (What::Below(name), None) => host.strip_suffix(name.as_str()).is_some_and(|rest| !rest.is_empty()),
                _ => false,
            };
            fits && only.is_none_or(|only| port == Some(only))
        })
    }
}

/// One entry; none if it means nothing.
fn parse_entry(entry: &str) -> Option<(What, Option<u16>)> {
    if let Some((address, bits)) = entry.split_once('/') {
        let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        return (bits <= most).then_some((What::Net(address, bits), None));
    }
    let whole = |address: IpAddr| What::Net(address, if address.is_ipv4() { 32 } else { 128 });
    // An IPv6 address without brackets has colons, but no port.
    if let Ok(address) = entry.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Some((whole(address), None));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some((whole(address), port));
    }
    let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
    match host.strip_prefix('.') {
        Some("") => None,
        Some(_) => Some((What::Below(host.to_owned()), port)),
        None if host.is_empty() => None,
        None => Some((What::Domain(host.to_owned()), port)),
    }
}

/// Whether the first `bits` of both addresses are the same.
fn within(address: IpAddr, net: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| bits == 0 || (a ^ b) >> (width - bits) == 0;
    match (address.to_canonical(), net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::secret::Secret;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, SourceError> {
        let variables: Vec<_> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let find = move |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Proxies::new(&ProxySetting::Environment, find)
    }

    fn through(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxies = proxies(variables).unwrap();
        proxies.of(&Url::parse(url).unwrap()).map(|upstream| upstream.shown.to_string())
    }

    /// The answers are those of Go's `httpproxy`, which docker, skopeo, crane and helm use.
    #[test]
    fn exceptions_are_read_as_go_reads_them() {
        for (list, url, direct) in [
            ("", "https://r.example/", false),
            ("*", "https://r.example/", true),
            ("other.example,*", "https://r.example/", true),
            (" * ", "https://10.0.0.1/", true),
            ("r.example", "https://r.example/", true),
            ("R.Example", "https://r.EXAMPLE/", true),
            ("example", "https://r.example/", true),
            ("r.example", "https://xr.example/", false),
            ("r.example", "https://a.r.example:5000/", true),
            (".example", "https://r.example/", true),
            (".r.example", "https://r.example/", false),
            ("*.example", "https://r.example/", true),
            ("*.r.example", "https://r.example/", false),
            ("r.*", "https://r.example/", false),
            ("r.example:443", "https://r.example/", true),
            ("r.example:443", "https://r.example:443/", true),
            ("r.example:443", "http://r.example/", false),
            ("r.example:80", "http://r.example/", true),
            ("r.example:5000", "https://r.example:5000/", true),
            ("r.example:5000", "https://r.example:5001/", false),
            ("r.example:5000", "https://r.example/", false),
            ("r.example:x", "https://r.example/", false),
            (".example:5000", "https://r.example:5000/", true),
            ("10.0.0.1", "https://10.0.0.1/", true),
            ("10.0.0.1", "https://10.0.0.11/", false),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/", true),
            ("10.0.0.1:5000", "https://10.0.0.1/", false),
            ("10.0.0.0/8", "https://10.255.0.1:5000/", true),
            ("10.0.0.0/8", "https://11.0.0.1/", false),
            ("10.0.0.0/0", "https://11.0.0.1/", true),
            ("10.0.0.0/33", "https://10.0.0.1/", false),
            ("10.0.0.0/8", "https://r.example/", false),
            ("fd00::/8", "https://[fd12::1]:5000/", true),
            ("fd00::1", "https://[fd00::1]/", true),
            ("[fd00::1]", "https://[fd00::1]/", true),
            ("[fd00::1]:5000", "https://[fd00::1]:5000/", true),
            ("[fd00::1]:5000", "https://[fd00::1]:5001/", false),
            ("a.example, r.example ,b.example", "https://r.example/", true),
            ("a.example r.example", "https://r.example/", true),
            (",,", "https://r.example/", false),
            (".", "https://r.example/", false),
            // Loopback never goes through a proxy.
            ("", "http://localhost:5000/", true),
            ("", "http://127.0.0.1:5000/", true),
            ("", "https://127.9.9.9/", true),
            ("", "https://[::1]:5000/", true),
            ("", "https://localhost.example/", false),
        ] {
            let proxy = [("HTTPS_PROXY", "http://p:3128"), ("HTTP_PROXY", "http://p:3128"), ("NO_PROXY", list)];
            assert_eq!(through(&proxy, url).is_none(), direct, "NO_PROXY={list:?} {url}");
        }
    }

    #[test]
    fn the_scheme_picks_the_variable() {
        let all = [("HTTPS_PROXY", "https://s.example"), ("HTTP_PROXY", "h.example:3128"), ("ALL_PROXY", "http://a")];
        let (https, http) = ("https://r.example/", "http://r.example/");
        assert_eq!(through(&all, https).as_deref(), Some("https://s.example"));
        assert_eq!(through(&all, http).as_deref(), Some("http://h.example:3128"));
        assert_eq!(through(&all[2..], https).as_deref(), Some("http://a"));
        assert_eq!(through(&[("http_proxy", "low:1"), ("HTTP_PROXY", "")], http).as_deref(), Some("http://low:1"));
        assert_eq!(through(&[("HTTP_PROXY", "http://me:hunter2@p:1/x")], http).as_deref(), Some("http://p:1"));
        assert_eq!(through(&[("HTTP_PROXY", "http://p:1")], https), None);
        assert_eq!(through(&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], http), None);
        assert_eq!(through(&[("HTTPS_PROXY", "p:1"), ("no_proxy", "example")], https), None);
        for bad in ["socks5://p:1", "http://", "http://me:hunter2@", "http://p:hunter2"] {
            let error = proxies(&[("HTTPS_PROXY", bad)]).err().unwrap();
            let text = format!("{error} {error:?}");
            assert!(text.contains("HTTPS_PROXY") && !text.contains("hunter2"), "{text}");
        }
        let own = ProxySetting::Url(Secret::new("http://me:hunter2@p:1"));
        let own = Proxies::new(&own, |name| (name == "NO_PROXY").then(|| "r.example".to_owned())).unwrap();
        assert!(own.of(&Url::parse(https).unwrap()).is_none());
        assert!(own.of(&Url::parse("https://s.example/").unwrap()).is_some());
    }
}
