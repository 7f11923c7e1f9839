//! Pushing: a bundle's content into a registry or Harbor, only what is missing, verified by reading back.
//!
//! ```text
//! Lock + Naming ─► PushPlan (data: per repository its blobs, then manifests, then tags) ─► Pusher ─► read back
//! ```
//! A blob travels once per registry: other repositories get it mounted, where the registry does that. An index goes
//! up after its manifests, a tag after its index, so that a half push leaves no name that can't be pulled.

mod error;
mod held;
mod plan;
mod project;
mod run;

pub use error::PushError;
pub use plan::{Naming, PushPlan, RepositoryPlan, TaggedDocument};
pub use run::{Pushed, Pusher};
