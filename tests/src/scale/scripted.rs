//! One scripted host. It answers the gather script as a Debian host of its own name, and remembers what was done to it.
//!
//! It understands an action by the form of the scripts alone: each part of a changing script carries the question it asks first
//! and the answer with which nothing is to be done. Once the change has run (and, for an upload, its file has been placed), the same
//! question gets that answer. What it does not understand fails, so that a new kind of script is noticed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ferry_engine::host::Output;
use ferry_engine::host::fake::{Answer, Asked, Nature};

use super::site::{Entry, PASSWORD};

/// What a Debian 12 host says, as the parser's own test has it.
const DEBIAN: &str = include_str!("../../../installer/engine/src/facts/fixtures/debian-12.txt");

/// What stands before each question of a look, after the line that says the word of its marks.
const MARK: &str = "echo \"@ferry-probe $f_mark ";
/// The word of this host's marks. A host makes one by chance for each script; nobody is to be deceived here.
const WORD: &str = "scripted";

#[derive(Default)]
struct Memory {
    /// Question → answer.
    so: BTreeMap<String, String>,
    /// Questions whose answer changes when a file is placed.
    pending: Vec<(String, String)>,
}

/// The host of an entry.
#[must_use]
pub fn nature(entry: &Entry) -> Nature {
    let facts = facts(entry);
    let memory = Mutex::new(Memory::default());
    let handler = move |asked: &Asked| {
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        answer(&asked.script, &facts, &mut memory)
    };
    Nature { handler: Arc::new(handler), password: Some(PASSWORD.to_owned()), remembers: false, ..Nature::default() }
}

/// The fixture with this host's own names and numbers.
fn facts(entry: &Entry) -> String {
    let number = entry.number;
    let (high, low) = (number / 256, number % 256);
    DEBIAN
        // With curl a host takes programs from the registry; without it they would cross the operator's link to each.
        .replace("\n== binaries\n", "\n== binaries\n|curl=/usr/bin/curl\n")
        .replace("10.0.0.11/24", &format!("{}/16", entry.internal))
        .replace("10.0.0.0/24", "10.20.0.0/16")
        .replace("10.0.0.255", "10.20.255.255")
        .replace("10.0.0.11", &entry.internal)
        .replace("10.0.0.", "10.20.254.")
        .replace("node1", &entry.name)
        .replace("52:54:00:00:00:11", &format!("52:54:00:01:{high:02x}:{low:02x}"))
        .replace("3d1219c7c4c5404aaa1f6d2a48adfda4", &format!("{number:032x}"))
        .replace("4C4C4544-0042-3010-8051-B4C04F533132", &format!("4C4C4544-0042-3010-8051-{number:012X}"))
}

fn answer(script: &str, facts: &str, memory: &mut Memory) -> Answer {
    if script.contains("== ferry-facts 1") {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        // Both clocks of the fixture show the same second.
        let text = facts.replace("1795242777000000000", &now);
        return Answer::text(text);
    }
    if script.contains("d=/run/ferry; f=$d/lease") {
        return Answer::text("taken\n");
    }
    if script.lines().take(2).any(|line| line.starts_with(MARK)) {
        return Answer::text(look(script, memory));
    }
    let parts = parts(script);
    if !parts.is_empty() {
        return Answer::text(see_to(parts, memory));
    }
    if script.contains("its folder does not exist") {
        return Answer::text("free 100000000\n");
    }
    if script.starts_with("umask 077; ") && script.contains("cat >> ") {
        return Answer::text("");
    }
    if script.contains("its digest on the host is") {
        let placed = std::mem::take(&mut memory.pending);
        memory.so.extend(placed);
        return Answer::text("");
    }
    let said = format!("the scripted host does not understand: {script}");
    Answer::Say(Output { status: 1, stdout: Vec::new(), stderr: said.into_bytes() })
}

/// Answers every question of a look.
fn look(script: &str, memory: &Memory) -> String {
    let mut said = format!("@ferry-marks {WORD}\n");
    for part in format!("\n{script}").split(&format!("\n{MARK}")).skip(1) {
        let Some((number, question)) = part.split_once("\"\n") else { continue };
        let question = question.trim_end_matches('\n');
        let answer = memory.so.get(question).map_or_else(|| untouched(question), String::as_str);
        said.push_str(&format!("@ferry-probe {WORD} {number}\n{answer}\n"));
    }
    said
}

/// What a host says on which nothing was done.
fn untouched(question: &str) -> &'static str {
    if question.ends_with("else echo no; fi") {
        "no"
    } else if question.contains("systemctl is-enabled") {
        "disabled inactive none"
    } else {
        "absent"
    }
}

/// A part of a changing script.
struct Part<'a> {
    question: &'a str,
    wanted: String,
    body: &'a str,
}

/// The parts of a changing script, in order.
fn parts(script: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = script;
    while let Some(part) = part(&mut rest, parts.len()) {
        parts.push(part);
    }
    parts
}

/// The part of this number; what comes after it is left in `rest`.
fn part<'a>(rest: &mut &'a str, n: usize) -> Option<Part<'a>> {
    let (_, after) = rest.split_once(&format!("\np{n}() {{\n"))?;
    let (question, after) = after.split_once(&format!("\n}}\nd{n}() {{\n"))?;
    let (body, after) = after.split_once(&format!("\n}}\nf_part {n} "))?;
    let (call, _) = after.split_once('\n')?;
    // The next one is found by what stands before it.
    *rest = &after[call.len()..];
    let wanted = words(call).get(1)?.clone();
    Some(Part { question: question.trim_end_matches('\n'), wanted, body })
}

/// The words of a line, as a shell reads them: bare, or in single quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in line.chars() {
        match c {
            _ if escaped => escaped = false,
            '\'' => {
                quoted = !quoted;
                continue;
            }
            '\\' if !quoted => {
                escaped = true;
                continue;
            }
            ' ' if !quoted => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        words.last_mut().expect("one").push(c);
    }
    words
}

/// Does what is missing, and says how everything stands.
fn see_to(parts: Vec<Part<'_>>, memory: &mut Memory) -> String {
    let mut said = format!("@ferry-marks {WORD}\n");
    for (n, Part { question, wanted, body }) in parts.into_iter().enumerate() {
        if memory.so.get(question) != Some(&wanted) {
            said.push_str(&format!("\n@ferry-begin {WORD} {n}\n"));
            // The script only keeps what a file was, before the file is brought.
            if body.starts_with("f_keep ") && body.lines().count() == 1 {
                memory.pending.push((question.to_owned(), wanted));
                return format!("{said}\n@ferry-seen {WORD} {n} {}\n", untouched(question));
            }
            memory.so.insert(question.to_owned(), wanted.clone());
        }
        said.push_str(&format!("\n@ferry-seen {WORD} {n} {wanted}\n"));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_engine::action::{self, Action, Block, Content, DataKind, File, Folder, Run, Subject, Unit, Way};

    fn said(answer: &Answer) -> String {
        match answer {
            Answer::Say(output) if output.status == 0 => output.text(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_of_action_is_understood() {
        let blob = Content::Blob { digest: ferry_bundle_format::Digest::of(b"x"), size: 1 };
        let actions = [
            Action::File(File::text("/etc/a b", "text")),
            Action::File(File { content: blob, ..File::text("/usr/bin/x", "") }),
            Action::Folder(Folder::new("/etc/f", 0o755)),
            Action::Folder(Folder::new("/srv/d", 0o700).data(DataKind::Etcd)),
            Action::Block(Block { path: "/etc/hosts".into(), name: "demo".into(), text: "1.2.3.4 a\n".into() }),
            Action::Unit(Unit { name: "a.service".into(), inputs: "abc".into(), running: true }),
            Action::Run(Run::unless("it's done", Subject::Other, "[ -e /a ]\nb", "c").stamped().undone_by("d")),
        ];
        let other = Action::Folder(Folder::new("/etc/other", 0o755));
        for action in &actions {
            let mut memory = Memory::default();
            let question = action.probe().unwrap();
            let ask = |memory: &mut Memory| {
                let text = said(&answer(&format!("{MARK}0\"\ntrue\n{MARK}1\"\n{question}\n"), "", memory));
                action.judge(text.lines().last().unwrap())
            };
            assert!(!ask(&mut memory).satisfied, "{action:?}");
            let script = action::script(&[other.part().unwrap(), action.part().unwrap()]);
            let heard = action::said(&said(&answer(&script, "", &mut memory)));
            assert!(heard.begun.contains(&1) && heard.rest.is_empty(), "{heard:?}");
            assert_eq!(action.judge(&heard.seen[&1]).satisfied, action.way() == Way::Script, "{action:?}");
            if action.way() == Way::Upload {
                assert_eq!(said(&answer("echo its digest on the host is", "", &mut memory)), "");
            }
            assert!(ask(&mut memory).satisfied, "{action:?}");
        }
    }

    #[test]
    fn every_host_tells_its_own_facts() {
        let entries = super::super::site::entries(300);
        let text = facts(&entries[299]);
        let facts = ferry_engine::facts::parse(&text, 1_795_242_777_000_000_000, 1_795_242_777_000_000_000).unwrap();
        assert_eq!(facts.identity.hostname, "w0296");
        assert!(facts.network.holding("10.20.1.100".parse().unwrap()).is_some());
        assert!(!text.contains("10.0.0."));
        assert!(facts.has("curl"), "it can fetch from the registry");
    }
}
