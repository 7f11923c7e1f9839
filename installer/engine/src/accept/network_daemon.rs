//! The daemon of the pod network, node by node, as it says itself: a node is Ready while Calico's Felix is dead.

use super::context::{Context, Unseen, said};
use super::finding::Finding;
use super::http;
use crate::host::Host;
use crate::site::file::NetworkKind;

const FIX: &str = "see the log of the network's pod on that node: `kubectl -n kube-system get pods -o wide`, `kubectl -n kube-system logs POD`";

/// Where a kind's daemon says how it is, on its host's loopback: what it is called, port, path.
fn asked(kind: NetworkKind) -> Option<(&'static str, u16, &'static str)> {
    match kind {
        NetworkKind::Calico => Some(("Calico's Felix", 9099, "/readiness")),
        NetworkKind::Flannel => Some(("flannel", 10260, "/healthz")),
        NetworkKind::HostRoutes => None,
    }
}

pub(super) async fn well(context: &Context<'_>) -> Vec<Finding> {
    let Some((what, port, path)) = asked(context.site.network.kind) else {
        return vec![Finding::passed("", "host-routes: there is no daemon")];
    };
    let look = || async {
        let ask = |host: &crate::site::Host| host.is_node();
        let findings = context
            .each(ask, |host, connection| async move {
                vec![match answer(connection, port, path).await {
                    Err(why) => Finding::failed(&host.name, format!("{what}: {why}"), FIX),
                    Ok(status) => Finding::judged(
                        (200..300).contains(&status),
                        &host.name,
                        format!("{what} answers {status} at 127.0.0.1:{port}{path}"),
                        FIX,
                    ),
                }]
            })
            .await;
        (findings.iter().all(|finding| finding.fix.is_none()), findings)
    };
    context.until(context.needs.patience, look).await
}

async fn answer(host: &dyn Host, port: u16, path: &str) -> Result<u16, Unseen> {
    let mut stream = host.dial("127.0.0.1", port).await.map_err(|error| said(&error))?;
    Ok(http::get(&mut stream, &format!("127.0.0.1:{port}"), path, None).await?.0)
}
