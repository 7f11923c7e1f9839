//! A plan as text: every command and file that will touch a host, in order, with no secret in it.

use std::ops::Range;

use ferry_bundle_format::Digest;

use super::{Batch, Lacking, Plan, Planned, Step, batches, diff};
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

/// What of a plan is shown beside what changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    /// What is so already.
    pub all: bool,
    /// Every script, exactly as it will run.
    pub scripts: bool,
}

/// The whole plan: each change with its title, and what becomes of files; more of it as `shown` says.
#[must_use]
pub fn show(plan: &Plan, shown: Shown) -> String {
    let all = shown.all;
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
            show_step(step, shown, &mut text);
        }
        if !all && stage.steps.iter().all(|step| step.open() == 0) {
            text.push_str("   nothing to do\n");
        }
    }
    text
}

fn show_step(step: &Step, Shown { all, scripts }: Shown, text: &mut String) {
    text.push_str(&format!("\n-- {}: {}\n", step.id, step.title));
    let mut shown = 0;
    for range in open_batches(step) {
        show_actions(&step.actions[shown..range.end], all, text);
        shown = range.end;
        let together = &step.actions[range];
        let parts: Vec<Part> = together.iter().filter_map(|planned| planned.action.part()).collect();
        if scripts && !parts.is_empty() {
            let reads = match input(&parts).as_str() {
                "nothing" => String::new(),
                reads => format!("   # reads {reads}"),
            };
            indented("$", &format!("{}{reads}", script(&parts).trim_end()), text);
        }
        match together.first().map(|planned| planned.action.way()) {
            Some(Way::Upload) if scripts => {
                text.push_str("     > upload over SSH to a part file, digest compared, renamed\n");
            }
            Some(Way::Push) if scripts => {
                text.push_str("     > push by the distribution API through the SSH connection\n");
            }
            Some(_) | None => {}
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
        text.push_str(&format!("   {} {}{}\n", sign(planned), planned.action.title(), detail(planned)));
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

fn detail(planned: &Planned) -> String {
    match &planned.action {
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
        Action::Push(push) => match &planned.lacking {
            Some(Lacking { images, files, bytes }) => {
                format!(" ({} images and {} files are missing: {bytes} bytes)", images.len(), files.len())
            }
            None => format!(" ({} bytes)", push.bytes),
        },
        // What is there instead.
        Action::Run(_) if sign(planned) == '~' => {
            format!(" (now: {})", planned.before.as_ref().map_or("", |state| state.seen.as_str()))
        }
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
        Action::Block(block) => diff::lines(planned.text.as_deref().unwrap_or_default(), &block.text),
        Action::Push(push) => {
            let line = |image: &crate::action::PushedImage| format!("+ {}@{}\n", image.repository, image.digest);
            let file = |file: &crate::action::PushedFile| format!("+ {} {}\n", file.name, file.content.digest());
            let lacks_image = |image: &&crate::action::PushedImage| {
                planned.lacking.as_ref().is_none_or(|lacking| lacking.images.contains(&image.digest))
            };
            let lacks_file = |file: &&crate::action::PushedFile| {
                planned.lacking.as_ref().is_none_or(|lacking| lacking.files.contains(&file.content.digest()))
            };
            let images = push.images.iter().filter(lacks_image).map(line);
            images.chain(push.files.iter().filter(lacks_file).map(file)).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use ferry_bundle_format::lock::Timestamp;

    use super::*;
    use crate::action::{Block, File, Push, PushedImage, Run, State, Subject};
    use crate::plan::{FORMAT, Stage, summary};

    fn planned(action: Action, seen: &str) -> Planned {
        Planned { before: Some(State { satisfied: seen == "yes", seen: seen.into() }), ..Planned::new(action) }
    }

    fn image(name: &str) -> PushedImage {
        PushedImage { repository: name.into(), tag: Some("1".into()), digest: Digest::of(name.as_bytes()), made: false }
    }

    fn plan() -> Plan {
        let names = Block { path: "/etc/hosts".into(), name: "hosts".into(), text: "10.0.0.1 a\n10.0.0.2 b\n".into() };
        let mut names = planned(Action::Block(names), "0123");
        names.text = Some("10.0.0.1 a\n10.9.9.9 b\n".into());
        let run = |title: &str| Action::Run(Run::unless(title, Subject::Objects, "question", "command"));
        let images = vec![image("r/old"), image("r/new")];
        let push = Push { server: "r".into(), port: 1, images, files: vec![], bytes: 574_000_000 };
        let mut push = planned(Action::Push(push), "no");
        push.lacking = Some(Lacking { images: [Digest::of(b"r/new")].into(), bytes: 3_000_000, ..Lacking::default() });
        let actions = vec![
            names,
            planned(run("label gpu=true of a"), "false"),
            planned(run("image docker.io/shop/web:1"), "no longer pinned"),
            planned(run("taint x of a"), "no"),
            planned(Action::File(File::text("/etc/done", "x")), "yes"),
            push,
        ];
        let step = Step { id: "s.t/a".into(), host: "a".into(), title: "things".into(), essential: true, actions };
        let (site, bundle) = (Digest::of(b"s"), Digest::of(b"b"));
        let (product, created) = ("shop 2".to_owned(), Timestamp::from_unix(0));
        let stages = vec![Stage { name: "all".into(), steps: vec![step], serial: false }];
        Plan { format: FORMAT, cluster: "c".into(), site, bundle, product, created, stages }
    }

    #[test]
    fn changes_are_shown_and_scripts_only_when_asked_for() {
        let text = show(&plan(), Shown::default());
        let new = Digest::of(b"r/new");
        let expected = format!(
            "== 1/1 all\n\n-- s.t/a: things\n   ~ lines in /etc/hosts\n         10.0.0.1 a\n       - 10.9.9.9 b\n       + 10.0.0.2 b\n   \
             ~ label gpu=true of a (now: false)\n   ~ image docker.io/shop/web:1 (now: no longer pinned)\n   + taint x of a\n   \
             + 2 images into the registry (1 images and 0 files are missing: 3000000 bytes)\n       + r/new@{new}\n"
        );
        assert_eq!(text.split_once("\n\n").unwrap().1, expected);
        let scripts = show(&plan(), Shown { scripts: true, ..Shown::default() });
        assert!(scripts.contains("     $ set -eu") && scripts.contains("> push by the distribution API"));
        assert!(show(&plan(), Shown { all: true, ..Shown::default() }).contains("   = file /etc/done\n"));
    }

    #[test]
    fn only_what_would_be_sent_is_counted() {
        let whole = summary(&plan());
        assert_eq!((whole.hosts["a"].images, whole.already), (1, 1));
        assert_eq!(whole.bytes, 3_000_000 + 22, "the push, and the lines of /etc/hosts");
        let mut seen = plan();
        seen.stages[0].steps[0].actions[5].lacking = None;
        assert_eq!(seen.id(), plan().id(), "what was seen is no part of a plan's identity");
    }
}
