//! The report for machines.

use super::model::Report;

/// The report as JSON, indented, with a line end.
#[must_use]
pub fn json(report: &Report) -> String {
    let mut value = serde_json::to_value(report).unwrap_or_default();
    // What follows from the rest stands there, too: a reader need not know the rules.
    value["deliverable"] = report.deliverable().into();
    value["hindrances"] = report.hindrances().into();
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}
