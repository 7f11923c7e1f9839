//! What the integration tests of all ferry crates share: other programs, a plain HTTP client, archives as
//! other tools write them, the real `ferry-bundle` and a delivery for it to carry. The fakes that product code
//! needs too (the origin) are in the crates themselves.

pub mod bench;
pub mod delivery;
pub mod docker_archive;
pub mod docker_registry;
pub mod ferry;
pub mod harbor;
pub mod hostile;
pub mod http;
pub mod kills;
pub mod members;
pub mod oci_layout;
pub mod program;
pub mod proxy;
pub mod scale;
pub mod size;
