//! chrony, where the site says whom to follow: its own time servers, or one or two hosts that ferry elects.
//!
//! Elected hosts follow the site's servers, where there are some, and each other; when none of that answers they go on by their
//! own clocks in agreement (`local stratum 10 orphan`, chrony.conf(5)). Nobody else ever takes its own clock for the time: a
//! host that reaches no source says that it is not synchronized. chrony itself is a package of the distribution: where it is
//! missing, preflight says so. Its configuration is replaced as a whole, because the distribution's names servers outside.

use super::context::{Context, StepBuildError, unit};
use crate::action::{Action, File};
use crate::distro::{Family, family};
use crate::plan::Step;
use crate::site::file::Role;
use crate::site::{Host, Site};

/// The hosts that the others follow, where the site wants that: the first two control-plane hosts.
pub(crate) fn masters(site: &Site) -> Vec<&Host> {
    if site.time.internal { site.with(Role::ControlPlane).take(2).collect() } else { Vec::new() }
}

/// Whether ferry configures chrony in a site.
pub(crate) fn is_wanted(site: &Site) -> bool {
    site.time.internal || !site.time.servers.is_empty()
}

/// The step of a host.
pub(super) fn step(context: &Context<'_>, host: &Host) -> Result<Option<Step>, StepBuildError> {
    let facts = context.facts_of(host)?;
    if !is_wanted(context.site) || !facts.has("chronyc") {
        return Ok(None);
    }
    let (path, service) = match family(&facts.os) {
        Family::Debian => ("/etc/chrony/chrony.conf", "chrony.service"),
        Family::RedHat | Family::Other => ("/etc/chrony.conf", "chronyd.service"),
    };
    let reads = vec![Action::File(File::text(path, configuration(context.site, host)))];
    let run = unit(service, true, &reads);
    let actions = reads.into_iter().chain([run]).collect();
    Ok(Some(Step::new("hosts.time", &host.name, "chrony", actions)))
}

/// Whom a host follows, by address or name.
pub(crate) fn sources(site: &Site, host: &Host) -> Vec<String> {
    let masters = masters(site);
    let is_master = masters.iter().any(|one| one.name == host.name);
    let mut found = Vec::new();
    if is_master || masters.is_empty() {
        found.extend(site.time.servers.iter().map(ToString::to_string));
    }
    found.extend(masters.iter().filter(|one| one.name != host.name).map(|one| one.internal.to_string()));
    found
}

fn configuration(site: &Site, host: &Host) -> String {
    let mut text = "# ferry's: written anew by every apply.\n".to_owned();
    for source in sources(site, host) {
        text.push_str(&format!("server {source} iburst\n"));
    }
    text.push_str("driftfile /var/lib/chrony/drift\nlogdir /var/log/chrony\nmakestep 1.0 3\nrtcsync\n");
    if masters(site).iter().any(|one| one.name == host.name) {
        text.push_str("local stratum 10 orphan\n");
        for other in site.hosts.iter().filter(|one| one.name != host.name) {
            text.push_str(&format!("allow {}\n", other.internal));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::tests::site::{site, site_with};

    fn of(site: &Site, host: &str) -> String {
        configuration(site, site.host(host).unwrap())
    }

    #[test]
    fn with_servers_everybody_follows_them_and_nobody_himself() {
        let site = site_with("time: {servers: [10.0.0.1, ntp.site]}\n");
        for host in ["node1", "node2"] {
            let text = of(&site, host);
            assert!(text.contains("server 10.0.0.1 iburst\nserver ntp.site iburst\n"), "{text}");
            assert!(!text.contains("local") && !text.contains("allow"));
        }
    }

    #[test]
    fn the_elected_follow_each_other_and_the_rest_follows_them() {
        let mut site = site_with("time: {internal: true, servers: [10.0.0.1]}\n");
        assert_eq!(masters(&site).iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["node1"]);
        assert!(
            of(&site, "node1").contains("server 10.0.0.1 iburst")
                && of(&site, "node1").contains("local stratum 10 orphan\nallow 10.0.0.12\n")
        );
        assert!(of(&site, "node2").contains("server 10.0.0.11 iburst") && !of(&site, "node2").contains("10.0.0.1 "));
        assert!(!of(&site, "node2").contains("local"));
        site.hosts[1].roles.push(Role::ControlPlane);
        assert!(
            of(&site, "node1").contains("server 10.0.0.12 iburst")
                && of(&site, "node2").contains("local stratum 10 orphan")
        );
    }

    #[test]
    fn without_a_word_of_the_site_hosts_keep_what_they_have() {
        assert!(!is_wanted(&site()) && masters(&site()).is_empty());
        assert!(is_wanted(&site_with("time: {internal: true}\n")));
    }
}
