//! How names are resolved on the hosts, and what pods would inherit from it.

use super::check::{OnHost, Run, Seen};
use super::{Check, Limit, Severity};
use crate::site::file::{EndpointKind, Role};

/// An empty resolv.conf makes CoreDNS crash, a missing one blocks pods, 127.0.0.53 makes loops.
pub(super) const NAMESERVER: Check = Check {
    id: "dns.nameserver",
    title: "there is a name server that pods could ask",
    severity: Severity::Fail,
    limit: None,
    fix: "set dns.upstream in the site file",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        let upstream: Vec<String> = on.site().dns.upstream.iter().map(ToString::to_string).collect();
        if !upstream.is_empty() {
            return Seen::good(format!("the site file names {}", upstream.join(", ")));
        }
        let usable: Vec<String> = on.facts.usable_nameservers().iter().map(ToString::to_string).collect();
        if !usable.is_empty() {
            return Seen::good(usable.join(", "));
        }
        let names = &on.facts.names;
        let evidence = match (names.resolv_conf, names.nameservers.as_slice()) {
            (false, _) => "there is no /etc/resolv.conf".to_owned(),
            (true, []) => "/etc/resolv.conf names none".to_owned(),
            (true, servers) => format!("only {}", servers.join(", ")),
        };
        Seen::planned(evidence, "CoreDNS answers unknown names itself; the kubelet gets a resolv.conf of its own")
    }),
};

/// musl and glibc read three name servers; Kubernetes passes 32 search domains on.
pub(super) const SEARCH: Check = Check {
    id: "dns.limits",
    title: "there are few enough name servers and search domains",
    severity: Severity::Warn,
    limit: Some(Limit { value: 3.0, unit: "name servers" }),
    fix: "shorten /etc/resolv.conf: pods get three more search domains, and resolvers ignore what is beyond the limit",
    run: Run::Host(|on| {
        let (servers, search) = (on.facts.names.nameservers.len(), on.facts.names.search.len());
        let few = u32::try_from(servers).is_ok_and(|count| f64::from(count) <= on.limit());
        Seen::judge(few && search <= 29, format!("{servers} name servers, {search} search domains"))
    }),
};

/// With a wildcard every misspelt or cluster-internal name resolves to a wrong address.
pub(super) const WILDCARD: Check = Check {
    id: "dns.wildcard",
    title: "a name that does not exist does not resolve",
    severity: Severity::Fail,
    limit: None,
    fix: "take the search domain with the wildcard record out of /etc/resolv.conf",
    run: Run::Host(|on| {
        let found: Vec<String> = on.facts.names.wildcard.iter().map(ToString::to_string).collect();
        if found.is_empty() {
            return Seen::good("it does not");
        }
        let (names, found) = (&on.facts.names, found.join(", "));
        if names.search.is_empty() {
            let servers = names.nameservers.join(", ");
            let fix = format!("take {servers} out of /etc/resolv.conf, or the wildcard record out of that name server");
            return Seen::bad_fixed_by(format!("it resolves to {found} without any search domain"), fix);
        }
        Seen::bad(format!("it resolves to {found}; search {}", names.search.join(" ")))
    }),
};

/// ferry's names stand in `/etc/hosts`; another line for them goes before or beside.
pub(super) const OWN_NAMES: Check = Check {
    id: "dns.own-names",
    title: "/etc/hosts gives the site's names no other address",
    severity: Severity::Strict,
    limit: None,
    fix: "take these lines out of /etc/hosts",
    run: Run::Host(own_names),
};

fn own_names(on: &OnHost<'_>) -> Seen {
    if on.is_ours() {
        return Seen::skipped("ferry has worked here: the lines are its own");
    }
    let site = on.site();
    let mut wanted: Vec<(&str, Vec<std::net::IpAddr>)> =
        site.hosts.iter().map(|h| (h.name.as_str(), vec![h.internal])).collect();
    wanted.push((&site.registry.name, site.with(Role::Registry).map(|host| host.internal).collect()));
    if site.endpoint.kind == EndpointKind::Direct {
        wanted.push((&site.endpoint.name, site.with(Role::ControlPlane).map(|host| host.internal).collect()));
    }
    let mut wrong = Vec::new();
    for (address, names) in &on.facts.names.hosts {
        for (name, right) in &wanted {
            // Debian gives a host's own name 127.0.1.1: ferry's block goes before it.
            let own = *name == on.host.name && address.is_loopback();
            if names.iter().any(|one| one == name) && !right.contains(address) && !own {
                wrong.push(format!("{name} is {address}"));
            }
        }
    }
    if wrong.is_empty() { Seen::good("none") } else { Seen::bad(wrong.join("; ")) }
}

/// Without `files` nothing reads `/etc/hosts`.
pub(super) const NSSWITCH: Check = Check {
    id: "dns.nsswitch",
    title: "names are looked up in /etc/hosts",
    severity: Severity::Fail,
    limit: None,
    fix: "put `files` first into the hosts: line of /etc/nsswitch.conf",
    run: Run::Host(|on| {
        let line = &on.facts.names.nsswitch;
        if line.is_empty() {
            return Seen::good("the library's default");
        }
        Seen::judge(line.split_whitespace().any(|word| word == "files"), line.clone())
    }),
};
