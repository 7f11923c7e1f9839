//! A plan as text: every command and file that will touch a host, in order, with no secret in it.

use std::ops::Range;

use ferry_bundle_format::Digest;

use super::{Batch, Plan, Planned, Step, batches, diff};
use crate::action::{Action, Content, Part, Way, script, stdin};
use crate::host::{Secret, Stdin};

/// A command of a plan, as it will run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The step.
    pub step: String,
    /// The host.
    pub host: String,
    /// The script, exactly.
    pub script: String,
    /// What it reads, as the journal will name it.
    pub input: String,
}

/// Every changing script of what is to do, exactly as it will run, in the order of each host. (Scripts in which nothing is to do
/// run as well, and only look.)
#[must_use]
pub fn commands(plan: &Plan) -> Vec<Listed> {
    let mut list = Vec::new();
    for step in plan.steps() {
        for range in open_batches(step) {
            let parts: Vec<Part> = step.actions[range].iter().filter_map(|planned| planned.action.part()).collect();
            if !parts.is_empty() {
                let (step, host) = (step.id.clone(), step.host.clone());
                list.push(Listed { step, host, script: script(&parts), input: input(&parts) });
            }
        }
    }
    list
}

/// The actions that are seen to together, where something is to be done.
fn open_batches(step: &Step) -> impl Iterator<Item = Range<usize>> {
    let range = |batch| match batch {
        Batch::Script(range) => range,
        Batch::Transfer(n) => n..n + 1,
    };
    let open = |range: &Range<usize>| step.actions[range.clone()].iter().any(|planned| !planned.is_done());
    batches(step).into_iter().map(range).filter(open)
}

/// How the journal names what the script of these parts reads.
fn input(parts: &[Part]) -> String {
    match stdin(parts, &|_| Some(Secret::new(""))) {
        Some(Stdin::Text(text)) => format!("{} bytes, {}", text.len(), Digest::of(text.as_bytes()).short()),
        Some(Stdin::Secret(_)) => "«secret»".into(),
        Some(Stdin::Empty) | None => "nothing".into(),
    }
}

/// The whole plan. With `all`, also what is so already.
#[must_use]
pub fn show(plan: &Plan, all: bool) -> String {
    let mut text = format!(
        "plan {}\ncluster {}, bundle {} ({})\n",
        plan.id().short(),
        plan.cluster,
        plan.bundle.short(),
        plan.product
    );
    for (n, stage) in plan.stages.iter().enumerate() {
        text.push_str(&format!("\n== {}/{} {}\n", n + 1, plan.stages.len(), stage.name));
        for step in stage.steps.iter().filter(|step| all || step.open() > 0) {
            show_step(step, all, &mut text);
        }
        if !all && stage.steps.iter().all(|step| step.open() == 0) {
            text.push_str("   nothing to do\n");
        }
    }
    text
}

fn show_step(step: &Step, all: bool, text: &mut String) {
    text.push_str(&format!("\n-- {}: {}\n", step.id, step.title));
    let mut shown = 0;
    for range in open_batches(step) {
        show_actions(&step.actions[shown..range.end], all, text);
        shown = range.end;
        let together = &step.actions[range];
        let parts: Vec<Part> = together.iter().filter_map(|planned| planned.action.part()).collect();
        if !parts.is_empty() {
            let reads = match input(&parts).as_str() {
                "nothing" => String::new(),
                reads => format!("   # reads {reads}"),
            };
            indented("$", &format!("{}{reads}", script(&parts).trim_end()), text);
        }
        match together.first().map(|planned| planned.action.way()) {
            Some(Way::Upload) => text.push_str("     > upload over SSH to a part file, digest compared, renamed\n"),
            Some(Way::Push) => text.push_str("     > push by the distribution API through the SSH connection\n"),
            Some(Way::Script) | None => {}
        }
    }
    show_actions(&step.actions[shown..], all, text);
}

fn show_actions(actions: &[Planned], all: bool, text: &mut String) {
    for planned in actions {
        if planned.is_done() {
            if all {
                text.push_str(&format!("   = {}\n", planned.action.title()));
            }
            continue;
        }
        text.push_str(&format!("   {} {}{}\n", sign(planned), planned.action.title(), detail(&planned.action)));
        for line in content(planned).lines() {
            text.push_str(&format!("       {line}\n"));
        }
    }
}

fn indented(mark: &str, script: &str, text: &mut String) {
    for (n, line) in script.lines().enumerate() {
        text.push_str(&format!("     {} {line}\n", if n == 0 { mark } else { " " }));
    }
}

/// `+` for what is not there yet, `~` for what changes.
fn sign(planned: &Planned) -> char {
    match planned.before.as_ref().map(|state| state.seen.as_str()) {
        Some("absent" | "no" | "none") | None => '+',
        Some(_) => '~',
    }
}

fn detail(action: &Action) -> String {
    match action {
        Action::File(file) => {
            let from = match &file.content {
                Content::Text(_) => String::new(),
                Content::Vault { .. } => ", «secret»".into(),
                Content::Blob { digest, .. } => format!(", bundle {}", digest.short()),
                Content::Fetched { digest, .. } => format!(", {} from the registry", digest.short()),
                Content::Member { member, archive, .. } => format!(", {member} of bundle {}", archive.short()),
            };
            format!(" ({:o} {}, {} bytes{from})", file.mode, file.owner, file.content.size())
        }
        Action::Folder(folder) => format!(" ({:o} {})", folder.mode, folder.owner),
        Action::Push(push) => format!(" ({} bytes)", push.bytes),
        Action::Block(_) | Action::Unit(_) | Action::Run(_) => String::new(),
    }
}

/// What a text file will hold, as a difference where it is there already.
fn content(planned: &Planned) -> String {
    match &planned.action {
        Action::File(file) => match &file.content {
            Content::Text(text) => diff::lines(planned.text.as_deref().unwrap_or_default(), text),
            _ => String::new(),
        },
        Action::Block(block) => diff::lines("", &block.text),
        Action::Push(push) => {
            let line = |image: &crate::action::PushedImage| format!("+ {}@{}\n", image.repository, image.digest);
            let file = |file: &crate::action::PushedFile| format!("+ {} {}\n", file.name, file.content.digest());
            push.images.iter().map(line).chain(push.files.iter().map(file)).collect()
        }
        _ => String::new(),
    }
}
