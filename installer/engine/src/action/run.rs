//! A command, with the question that tells whether it is needed.

use serde::{Deserialize, Serialize};

use super::Input;
use super::script::{Part, key};
use crate::host::quote;

/// What a probe prints when nothing is to be done.
pub(super) const YES: &str = "yes";

/// What a command is about, for summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// A kernel setting or module.
    Kernel,
    /// A user account.
    User,
    /// An image in the container runtime.
    Image,
    /// A phase of kubeadm.
    Kubeadm,
    /// Objects in the cluster.
    Objects,
    /// Waiting until something answers.
    Wait,
    /// Something else.
    Other,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// One line for people; also its name in the ledger.
    pub title: String,
    /// What it is about.
    pub about: Subject,
    /// Ends with status 0 if nothing is to be done.
    pub question: String,
    /// Makes it so. Run under `set -eu`.
    pub command: String,
    /// Prints on one line what is there instead, if something is: for people who read a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// Whether a stamp is needed beside the question: where results can be half there, the stamp is written when the
    /// command has ended well, and names its inputs.
    pub stamped: bool,
    /// How many seconds it may take.
    pub seconds: u64,
    /// How many more times it is tried when it fails. Only where trying again does no harm.
    pub retries: u32,
}

impl Run {
    /// A command that is needed while `question` fails.
    pub fn unless(
        title: impl Into<String>,
        about: Subject,
        question: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        Self {
            title: title.into(),
            about,
            question: question.into(),
            command: command.into(),
            instead: None,
            undo: None,
            stamped: false,
            seconds: 120,
            retries: 0,
        }
    }

    /// With a stamp beside the question.
    #[must_use]
    pub fn stamped(mut self) -> Self {
        self.stamped = true;
        self
    }

    /// With this much time, in seconds.
    #[must_use]
    pub fn within(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }

    /// Tried again this often.
    #[must_use]
    pub fn retried(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// With a script that prints what is there instead: then a plan says what changes, and from what.
    #[must_use]
    pub fn instead_of(mut self, instead: impl Into<String>) -> Self {
        self.instead = Some(instead.into());
        self
    }

    /// With a way back.
    #[must_use]
    pub fn undone_by(mut self, undo: impl Into<String>) -> Self {
        self.undo = Some(undo.into());
        self
    }

    /// The ledger has one line for each: a title with other lines in it must not add to them.
    fn what(&self) -> String {
        format!("run:{}", self.title.replace(char::is_control, " "))
    }

    fn stamp(&self) -> (String, String) {
        (key(&self.what()), key(&self.command))
    }

    pub(super) fn probe(&self) -> String {
        let stamp = if self.stamped {
            let (name, value) = self.stamp();
            format!("[ \"$(cat /var/lib/ferry/stamps/{name} 2>/dev/null)\" = {value} ] && ")
        } else {
            String::new()
        };
        // What is printed becomes part of the plan: one short line of letters, and never the word that means it is so.
        let no = self.instead.as_ref().map_or_else(
            || "echo no".to_owned(),
            |script| {
                format!(
                    "f_is=$( ( {script}\n) 2>/dev/null </dev/null | head -n 1 | tr -cd '[:alnum:] .,:/=_+-' | cut -c1-80 )\n\
                     case $f_is in *[![:space:]]*) [ \"$f_is\" != {YES} ] || f_is=no;; *) f_is=no;; esac; echo \"$f_is\""
                )
            },
        );
        format!("if {stamp}( {}\n) >/dev/null 2>&1 </dev/null; then echo {YES}; else {no}; fi", self.question)
    }

    pub(super) fn part(&self) -> Part {
        let stamp = if self.stamped {
            let (name, value) = self.stamp();
            format!(
                "\nsync; printf %s {value} >$S/stamps/{name}.part; f_sync $S/stamps/{name}.part; mv -f $S/stamps/{name}.part $S/stamps/{name}"
            )
        } else {
            String::new()
        };
        let record = self.undo.as_ref().map_or_else(String::new, |undo| {
            let name = key(&self.what());
            format!(
                "printf '%s\\n' {} >$S/undo/{name}.part; f_sync $S/undo/{name}.part; mv -f $S/undo/{name}.part $S/undo/{name}\n",
                quote(undo)
            )
        });
        // The lock is not for children that go on living, such as a unit's shim.
        let body = format!("{record}( exec 9>&-\n{}\n)\n{stamp}", self.command);
        Part { what: self.what(), probe: self.probe(), wanted: YES.into(), body, input: Input::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_instead_is_one_short_line_and_never_a_yes() {
        for (question, instead, seen) in [
            ("true", "echo other", "yes"),
            ("false", "echo false", "false"),
            ("false", "printf 'two\\nlines'", "two"),
            ("false", "echo yes", "no"),
            ("false", ":", "no"),
            ("false", "exit 3", "no"),
            ("false", "printf '\\033[2J$(reboot)'", "2Jreboot"),
        ] {
            for shell in ["dash", "bash"] {
                let probe = Run::unless("t", Subject::Other, question, ":").instead_of(instead).probe();
                let output = std::process::Command::new(shell).args(["-euc", &probe]).output().unwrap();
                assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), seen, "{shell} {instead}: {output:?}");
            }
        }
    }
}
