//! The verbs: each a file with its `Args` and a `run` that reads as what it does.

pub mod apply;
pub mod completions;
pub mod demo;
pub mod diff;
pub mod export;
pub mod fetch;
pub mod keygen;
pub mod lock;
pub mod make;
pub mod pack;
pub mod permit;
pub mod push;
pub mod receipt;
pub mod receive;
pub mod resend;
pub mod schema;
pub mod serve;
pub mod show;
pub mod split;
pub mod storage;
pub mod verify;
