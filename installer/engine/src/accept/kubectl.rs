//! `kubectl` on a control-plane host: commands as text, answers as JSON.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::{Unseen, output};
use crate::host::{Command, Host, Stdin};

/// How it is called.
pub(super) const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig=/etc/kubernetes/admin.conf";

/// `kubectl` on one host.
#[derive(Clone, Copy)]
pub(super) struct Kubectl<'a> {
    host: &'a dyn Host,
}

impl<'a> Kubectl<'a> {
    pub(super) fn on(host: &'a dyn Host) -> Self {
        Self { host }
    }

    /// The host.
    pub(super) fn host(&self) -> &'a dyn Host {
        self.host
    }

    /// What a call prints. The arguments are shell words.
    pub(super) async fn text(&self, arguments: &str) -> Result<String, Unseen> {
        let script = format!("{KUBECTL} --request-timeout=20s {arguments}");
        output(self.host, &Command::root(script).within(Duration::from_secs(60))).await
    }

    /// What a call that may take long prints.
    pub(super) async fn slow(&self, arguments: &str, seconds: u64) -> Result<String, Unseen> {
        let command = Command::root(format!("{KUBECTL} {arguments}")).within(Duration::from_secs(seconds));
        output(self.host, &command).await
    }

    /// What a call prints as JSON. `-o json` stands in the arguments, where the call needs it.
    pub(super) async fn json<T: DeserializeOwned>(&self, arguments: &str) -> Result<T, Unseen> {
        let text = self.text(arguments).await?;
        serde_json::from_str(&text).map_err(|error| format!("kubectl {arguments}: {error}"))
    }

    /// Makes objects, or makes them so.
    pub(super) async fn apply(&self, objects: &[Value]) -> Result<(), Unseen> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let command = Command::root(format!("{KUBECTL} --request-timeout=20s apply -f -"));
        output(self.host, &command.reading(Stdin::Text(list.to_string()))).await.map(|_| ())
    }
}
