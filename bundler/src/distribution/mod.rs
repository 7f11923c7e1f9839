//! The OCI distribution API, the serving side, over any content.
//!
//! Owns the wire: strict paths, paging, ranges, error documents, streamed bodies of bounded memory, graceful
//! shutdown. It does not own content: whatever implements [`Content`] (a bundle archive, the embedded origin)
//! can be served, and is only ever read. Writes are refused with `UNSUPPORTED`; the one registry that takes
//! them is [`crate::origin`], which answers them itself and leaves reading to this module.
//!
//! ```text
//! request ─► path ─► answer ─► Content ─► body (256 KiB–1 MiB chunks read on blocking threads) ─► client
//!                      └─► refusal (JSON with a code)
//! ```

pub(crate) mod answer;
pub(crate) mod blob;
mod body;
mod connection;
mod content;
pub(crate) mod meter;
pub(crate) mod paging;
pub(crate) mod path;
mod range;
mod refusal;
pub(crate) mod service;
mod tls;

pub use content::{BlobReader, Content, Selector, StoredManifest};
pub use refusal::{Code, Refusal};
pub use service::{Access, Service, serve};
pub use tls::{TlsError, TlsIdentity};
