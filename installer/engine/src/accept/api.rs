//! The API: ready on each control-plane address, and reached by its name from every host.

use serde::Deserialize;

use super::context::Context;
use super::finding::Finding;
use super::{http, tls};
use crate::host::Host;
use crate::site::file::{EndpointKind, Role};

const FIX: &str = "see the API server's log: `crictl logs` or /var/log/pods/kube-system_kube-apiserver-* on that host";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

pub(super) async fn ready(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in context.site.with(Role::ControlPlane) {
        let server = format!("--server=https://{}", std::net::SocketAddr::new(host.internal, 6443));
        let seen = async {
            let kubectl = context.kubectl()?;
            let ready = kubectl.text(&format!("{server} get --raw '/readyz?verbose'")).await?;
            let version: Version = kubectl.json(&format!("{server} get --raw /version")).await?;
            Ok::<_, String>((ready, version.git_version))
        };
        findings.push(match seen.await {
            Err(why) => Finding::failed(&host.name, why, FIX),
            Ok((ready, version)) => {
                let well = ready.lines().any(|line| line.trim() == "readyz check passed");
                let right = context.needs.kubernetes.as_ref().is_none_or(|wanted| *wanted == version);
                let count = ready.lines().filter(|line| line.starts_with("[+]")).count();
                let wrong: Vec<&str> = ready.lines().filter(|line| line.starts_with("[-]")).collect();
                let evidence = format!("{version}, {count} parts ready {}", wrong.join("\n"));
                Finding::judged(well && right, &host.name, evidence, FIX)
            }
        });
    }
    findings
}

pub(super) async fn endpoint(context: &Context<'_>) -> Vec<Finding> {
    // A balancer at 127.0.0.1 runs where a kubelet does.
    let local = context.site.endpoint.kind == EndpointKind::Local;
    context
        .each(
            |host| !local || host.is_node(),
            |host, connection| async move { vec![by_name(context, &host.name, connection).await] },
        )
        .await
}

/// Over the host's own resolver and routes; nothing is needed on it.
async fn by_name(context: &Context<'_>, subject: &str, connection: &dyn Host) -> Finding {
    let (name, port) = (&context.site.endpoint.name, context.site.endpoint.port);
    let seen = async {
        let (mut stream, served) = tls::connect(connection, name, port, name).await?;
        served.verify(&context.needs.cluster_ca, &[name.to_string()])?;
        http::get(&mut stream, &format!("{name}:{port}"), "/readyz", None).await
    };
    let fix = "see that the name stands in /etc/hosts of that host, and that what balances the API runs there";
    match seen.await {
        Err(why) => Finding::failed(subject, format!("{name}:{port}: {why}"), fix),
        Ok((200, body)) => Finding::passed(subject, format!("{name}:{port} answers {}", body.trim())),
        // The way is good; the API server only does not talk to strangers.
        Ok((status @ (401 | 403), _)) => {
            Finding::passed(subject, format!("{name}:{port} answers {status}: reached; anonymous requests are off"))
        }
        Ok((status, body)) => Finding::failed(subject, format!("{name}:{port} answers {status}: {}", body.trim()), FIX),
    }
}
