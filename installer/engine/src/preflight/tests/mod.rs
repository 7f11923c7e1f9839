//! Each check on a site where all is well and on the same site broken in exactly that way.

mod cases;
mod measuring;
mod outcomes;
pub(crate) mod site;
