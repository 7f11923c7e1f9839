//! Whether a site may be handed over: checks of the running cluster, each with evidence, run from the operator's side.
//!
//! ```text
//! table::CHECKS ─► run ──Command──► hosts (kubectl, etcdctl, ctr, the probe; TLS handshakes from here)
//!                   └──Finding──► waivers ──Event::Check──► journal ──► report
//! ```
//! A host that can't be reached is looked for once more and then given up (`reach`): what needs it fails at once, and nothing is
//! waited for. One file a topic; a new check is a function there and one row in [`CHECKS`]. Nothing is left behind: what is made in the
//! cluster lies in the namespace [`NAMESPACE`], and goes with it, at the end of a run and at the start of the next.

mod api;
mod arena;
mod backup;
mod certificates;
mod clock;
mod context;
mod dns;
mod egress;
mod etcd;
mod finding;
mod http;
mod images;
mod kubectl;
mod metrics;
mod needs;
mod network_daemon;
mod nodes;
mod pod_network;
mod pods;
mod probe;
mod reach;
mod registry;
mod rolling;
mod run;
mod service;
mod table;
mod tls;
mod volume;
mod workload;

pub use arena::NAMESPACE;
pub use finding::{Finding, Verdicts};
pub use needs::{AcceptNeeds, digests};
pub use run::run;
pub use table::{CHECKS, Check, topics, unknown};
