//! Pushing: a bundle's content into a registry or Harbor, only what is missing, verified by reading back.
//!
//! ```text
//! Lock + Naming ─► PushPlan (data: per repository its blobs, then manifests, then tags)
//!   ─► Pusher: projects looked at ─► what is held ─► projects made ─► blobs ─► documents ─► read back
//! ```
//! A blob travels once per registry: other repositories get it mounted, where the registry does that. An index goes
//! up after its manifests, a tag after its index, so that a half push leaves no name that can't be pulled. What is
//! there already is not put again: a registry may have fixed it.

mod blob;
mod error;
mod held;
mod plan;
mod project;
mod run;

pub use error::PushError;
pub use plan::{Naming, PushPlan, RepositoryPlan, TaggedDocument};
pub use project::{Projects, invalid_projects};
pub use run::{Pushed, Pusher};
