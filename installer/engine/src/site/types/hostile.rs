//! Hostile text against every type of text: what gets through is one word for shells, and one text for YAML.

use std::process::Command;

use super::{
    AbsolutePath, Address, DataDir, DnsName, EnvironmentName, FileName, Interface, LabelKey, LabelValue, Line,
    SubjectName, Taint, UserName,
};
use crate::host::quote;

/// What a shell, a YAML reader, systemd, a template or a terminal obeys.
const PIECES: [&str; 40] = [
    "a",
    "Z",
    "0",
    "9",
    ".",
    "..",
    "-",
    "_",
    "/",
    "//",
    ":",
    "=",
    "@",
    "%n",
    "$(touch PLANTED)",
    "`touch PLANTED`",
    ";",
    "&",
    "|",
    "\n",
    "\r",
    "\t",
    " ",
    "'",
    "\"",
    "\\",
    "#",
    "*",
    "?",
    "[",
    "{",
    "}",
    "{{",
    ",",
    "~",
    "!",
    "<",
    "\u{1b}[2J",
    "\u{202e}",
    "区",
];

/// Texts of one to five pieces, in an order that is the same every time.
fn texts() -> impl Iterator<Item = String> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or(0)
    };
    let good = ["/data/etcd", "registry.site", "10.0.0.1", "ens192", "a.b/c", "k=v:NoSchedule", "ops", "v1"];
    (0..6_000).map(move |_| {
        let mut text = if next(2) == 0 { good[next(good.len())].to_owned() } else { String::new() };
        for _ in 0..=next(4) {
            let piece = PIECES[next(PIECES.len())];
            if next(3) == 0 { text.insert_str(0, piece) } else { text.push_str(piece) }
        }
        text
    })
}

/// The texts that a type lets through, as the type shows them.
fn through<T: std::str::FromStr + ToString>() -> Vec<String> {
    texts().filter_map(|text| Some(text.parse::<T>().ok()?.to_string())).collect()
}

/// What shells make of words that stand in a script as they are.
fn words(shell: &str, words: &[String]) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().ok()?;
    let script: String = words.iter().map(|word| format!("printf '%s\\0' {word}\n")).collect();
    let file = folder.path().join("script");
    std::fs::write(&file, script).ok()?;
    let output = Command::new(shell).arg(&file).current_dir(folder.path()).output().ok()?;
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(!folder.path().join("PLANTED").exists(), "{shell} obeyed a planted command");
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

fn one_word_each(texts: &[String], quoted: bool) {
    let written: Vec<String> = texts.iter().map(|text| if quoted { quote(text) } else { text.clone() }).collect();
    for shell in ["dash", "bash", "sh"] {
        // A machine may lack one of them, not all.
        let Some(seen) = words(shell, &written) else {
            assert_ne!(shell, "sh", "no shell");
            continue;
        };
        assert_eq!(seen, texts, "{shell}");
    }
}

fn one_text_in_yaml(texts: &[String]) {
    for text in texts {
        let file = format!("one: {{key: \"{text}\", list: [\"{text}\"]}}\n");
        let read: serde_json::Value = ferry_bundle_format::yaml::read_foreign(std::path::Path::new("y"), &file)
            .map_err(|error| format!("{text:?}: {error}"))
            .unwrap();
        assert_eq!(read, serde_json::json!({"one": {"key": text, "list": [text]}}));
    }
}

#[test]
fn what_hosts_are_given_is_one_word_for_shells_without_quotes_and_one_text_for_yaml() {
    for (name, texts) in [
        ("AbsolutePath", through::<AbsolutePath>()),
        ("DataDir", through::<DataDir>()),
        ("DnsName", through::<DnsName>()),
        ("Address", through::<Address>()),
        ("Interface", through::<Interface>()),
        ("LabelKey", through::<LabelKey>()),
        ("Taint", through::<Taint>()),
        ("EnvironmentName", through::<EnvironmentName>()),
    ] {
        assert!(texts.len() >= 5, "{name}: {} texts got through, which tests nothing", texts.len());
        one_word_each(&texts, false);
        one_text_in_yaml(&texts);
    }
    // A value may be empty, and a certificate's name may begin with a star: both stand in quotes.
    for texts in [through::<LabelValue>(), through::<SubjectName>()] {
        one_word_each(&texts, true);
        one_text_in_yaml(&texts);
    }
}

#[test]
fn texts_for_people_and_names_of_files_are_one_word_in_quotes_and_never_two_lines() {
    for (name, texts) in
        [("Line", through::<Line>()), ("FileName", through::<FileName>()), ("UserName", through::<UserName>())]
    {
        assert!(texts.len() >= 5, "{name}");
        assert!(texts.iter().all(|text| text.chars().all(super::text::is_printable)), "{name}");
        one_word_each(&texts, true);
    }
}
