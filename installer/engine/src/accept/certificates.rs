//! Certificates as they are served: for how long, for which names, and by whom signed.
//!
//! Every server is asked over the connection of its own host, at the address that others use.

use std::net::IpAddr;

use super::context::{Context, Unseen, now};
use super::finding::Finding;
use super::tls::{self, Served};
use crate::site::{self, file::Role};

/// A server that shows a certificate.
struct Server {
    what: &'static str,
    port: u16,
    /// Whose authority is to have signed it. None: the server may have signed it itself.
    authority: Option<String>,
    /// The names by which it is called.
    names: Vec<String>,
}

/// The servers of a host.
fn servers(context: &Context<'_>, host: &site::Host) -> Vec<Server> {
    let (site, needs) = (context.site, context.needs);
    let address = host.internal.to_string();
    let mut servers = Vec::new();
    if host.is(Role::ControlPlane) {
        let mut names = vec![site.endpoint.name.to_string(), address.clone(), "kubernetes.default.svc".into()];
        names.push(format!("kubernetes.default.svc.{}", site.kubernetes.dns_domain));
        names.extend(site.kubernetes.service_cidr.value.nth(1).map(|first: IpAddr| first.to_string()));
        let authority = Some(needs.cluster_ca.clone());
        servers.push(Server { what: "API server", port: 6443, authority, names });
    }
    if host.is_node() {
        servers.push(Server { what: "kubelet", port: 10250, authority: None, names: vec![host.name.clone()] });
    }
    if host.is(Role::Etcd) {
        for (what, port) in [("etcd, clients", 2379), ("etcd, peers", 2380)] {
            let authority = Some(needs.etcd_ca.clone());
            servers.push(Server { what, port, authority, names: vec![address.clone()] });
        }
    }
    if host.is(Role::Registry) {
        let authority = Some(needs.registry_ca.clone());
        let names = vec![site.registry.name.to_string()];
        servers.push(Server { what: "registry", port: site.registry.port, authority, names });
    }
    servers
}

async fn every(
    context: &Context<'_>,
    judge: impl Fn(&Server, &Served) -> Result<(bool, String), Unseen> + Sync,
    fix: &str,
) -> Vec<Finding> {
    let judge = &judge;
    context
        .each(
            |_| true,
            |host, connection| async move {
                let servers = servers(context, host);
                let mut findings = Vec::new();
                for server in servers {
                    let name = server.names.first().cloned().unwrap_or_default();
                    let served = tls::served(connection, &host.internal.to_string(), server.port, &name).await;
                    let subject = format!("{}:{}", host.name, server.port);
                    findings.push(match served.and_then(|served| judge(&server, &served)) {
                        Ok((well, seen)) => Finding::judged(well, subject, format!("{}: {seen}", server.what), fix),
                        Err(why) => Finding::failed(subject, format!("{}: {why}", server.what), fix),
                    });
                }
                findings
            },
        )
        .await
}

pub(super) async fn expiry(context: &Context<'_>) -> Vec<Finding> {
    // What the site asks for is a limit; else a year's certificate of two months is told, and one that is about to end fails.
    let wanted = context.site.threshold("certificates.expiry", 300.0);
    let least = context.site.threshold("certificates.expiry", 30.0);
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit")]
    let now = now() as i64;
    let judge = move |_: &Server, served: &Served| {
        let (days, until) = (served.days(now)?, served.until()?);
        #[expect(clippy::cast_precision_loss, reason = "days of a certificate are few")]
        let days_left = days as f64;
        Ok((days_left >= least, format!("{days} days, until {until}; at least {wanted} are wanted")))
    };
    let soon = |finding: Finding| {
        let days = finding.evidence.split(": ").nth(1).and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        match days {
            Some(days) if finding.fix.is_none() && days < wanted => {
                Finding::noted(finding.subject.clone(), format!("{}; it is not renewed by itself", finding.evidence))
            }
            _ => finding,
        }
    };
    let fix = "renew it: `kubeadm certs renew all` on each control-plane host for the API server, then restart its pods; \
               `ferry-install install` makes those of etcd and registry again when they end within 30 days";
    every(context, judge, fix).await.into_iter().map(soon).collect()
}

pub(super) async fn names(context: &Context<'_>) -> Vec<Finding> {
    let judge = |server: &Server, served: &Served| {
        let (names, issuer) = (served.names()?.join(", "), served.issuer()?);
        if let Some(authority) = &server.authority {
            served.verify(authority, &server.names)?;
            return Ok((true, format!("leads to the site's authority ({issuer}); stands for {names}")));
        }
        let trusted = served.verify(&context.needs.cluster_ca, &server.names).is_ok();
        let by = if trusted { "leads to the cluster's authority" } else { "made by the server itself" };
        let wanted = server.names.iter().all(|name| names.split(", ").any(|one| one == name));
        Ok((wanted, format!("{by} ({issuer}); stands for {names}")))
    };
    every(context, judge, "run the installer again with the site file as it is now; then restart that server").await
}
