//! An embedded origin: a writable registry and a file server with generated content, in this process.
//!
//! Product code, because `ferry-bundle demo` shows the whole way of a bundle without a network, and the tests
//! use the same origin with scripted faults. It listens on loopback only, keeps nothing on disk but unnamed
//! spool files, and its generated content is a function of a seed. It is no registry for production: reading
//! is [`crate::distribution`], writing is just enough for real clients to push.
//!
//! ```text
//! 127.0.0.1:port   /v2/…      gate ─► faults ─► MemoryRegistry ─► sabotage ─► client
//!                  /token     tokens for the gate       ▲
//!                  /files/…   FileStore                 └─ ImageSpec, ChartSpec: generated, published
//!                  /charts/…  FileStore (index.yaml)
//! ```

mod auth;
mod chart;
mod faults;
mod files;
mod flavour;
mod gate;
mod generated;
mod image;
mod image_spec;
mod layer;
mod manifests;
mod record;
mod registry;
mod sabotage;
mod server;
mod spool;
mod tarball;
mod uploads;
mod writes;

pub use auth::{Account, Auth, Bearer};
pub use chart::ChartSpec;
pub use faults::{Action, Fault, Faults, When};
pub use files::FileStore;
pub use flavour::Flavour;
pub use generated::{Concatenated, GeneratedBlob, StoredGzip};
pub use image::{Image, Variant};
pub use image_spec::{ImageSpec, Quirk};
pub use layer::Layer;
pub use record::{Recorded, SeenAuthorization};
pub use registry::{MemoryRegistry, RegistryOptions};
pub use server::{Around, Origin, OriginConfig};
pub use spool::FileBlob;
pub use tarball::{Entry, Tarball};
