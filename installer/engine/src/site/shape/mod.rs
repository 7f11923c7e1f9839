//! The shape of a site file: every unknown key, wrong type and text that its type refuses, all at once, each with its place and
//! what was probably meant. What is wrong is taken out of the tree, so that the rest can be read and checked, too.
//!
//! The rules are those of the JSON Schema that is made from the file's types; texts are judged by the types themselves.

mod leaf;
mod near;
mod secret;
mod walk;

pub(crate) use near::{distance, nearest};
pub(super) use walk::Checked;

use std::path::Path;

use ferry_bundle_format::yaml::Problems;
use ferry_bundle_format::yaml::tree::{self, Node, Value};

use super::file::SiteFile;

/// Reads what of a site file can be read, with everything that is wrong with its shape. An error is a text that is no YAML.
pub(super) fn read(file: &Path, text: &str) -> Result<(SiteFile, Problems, Checked), Problems> {
    let mut problems = Problems::new(file, text);
    let mut tree = tree::parse(file, text).map_err(|mut problems| {
        problems.hide(&secret::lines(text));
        problems
    })?;
    let schema = serde_json::to_value(schemars::schema_for!(SiteFile)).unwrap_or_default();
    let checked = walk::check(&mut tree, &schema, text, &mut problems);
    problems.hide(&checked.secret);
    if let Value::Map(list) = &mut tree.value {
        fill(list);
    }
    if let Ok(raw) = tree.read() {
        return Ok((raw, problems, checked));
    }
    // What serde says may show a value, which may be a secret: it is not passed on.
    if problems.list.is_empty() {
        problems.add_whole("the file is not understood", Some("compare it with `ferry-install site schema`"));
    }
    Err(problems)
}

/// What a refused file lacks, so that the rest of it can be read on.
fn fill(list: &mut Vec<(Node, Node)>) {
    let text = |text: &str| Node::made(Value::Text(text.to_owned()));
    let map = |key: &str, value| Node::made(Value::Map(vec![(text(key), value)]));
    for (key, value) in [
        ("apiVersion", text("ferry.dev/v1")),
        ("kind", text("Site")),
        ("cluster", text("cluster")),
        ("vault", map("passphrase", map("env", text("FERRY_VAULT")))),
        ("hosts", Node::made(Value::List(Vec::new()))),
    ] {
        if !list.iter().any(|(name, _)| name.text() == Some(key)) {
            list.push((text(key), value));
        }
    }
}
