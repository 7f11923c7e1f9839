//! Becoming root: by which program, and what its words mean.
//!
//! A password is written to the program's standard input when it has asked, once. A program that asks a second time has
//! refused it: it is not asked again on this connection or any other of the same host, so that nobody is locked out.

use super::wrap::Mark;
use crate::host::Secret;

/// The way from the user to root.
#[derive(Debug, Clone)]
pub(super) enum Climb {
    /// None: the user runs it.
    None,
    /// `sudo -n`.
    Sudo,
    /// `sudo -S`.
    SudoPassword(Secret),
    /// `su`.
    Su(Secret),
}

impl Climb {
    /// The program that runs the (quoted) wrapper with the (quoted) script.
    pub(super) fn program(&self, wrapper: &str, script: &str, mark: &Mark) -> String {
        match self {
            Self::None => format!("exec /bin/sh -c {wrapper} ferry {script}"),
            Self::Sudo => format!("LC_ALL=C exec sudo -n -- /bin/sh -c {wrapper} ferry {script}"),
            Self::SudoPassword(_) => {
                let prompt = mark.prompt();
                format!("LC_ALL=C exec sudo -S -p {prompt} -- /bin/sh -c {wrapper} ferry {script}")
            }
            // The words travel in variables: what `su -c` gets is read once more by a shell.
            Self::Su(_) => format!(
                "W={wrapper} S={script} LC_ALL=C; export W S LC_ALL; \
                 exec su -s /bin/sh -c 'w=$W s=$S; unset W S; exec /bin/sh -c \"$w\" ferry \"$s\"' root"
            ),
        }
    }

    /// The password, if this way has one.
    pub(super) fn password(&self) -> Option<&Secret> {
        match self {
            Self::SudoPassword(secret) | Self::Su(secret) => Some(secret),
            Self::None | Self::Sudo => None,
        }
    }

    /// How often `said` (what came before the beginning) asks for a password.
    pub(super) fn asked(&self, said: &str, mark: &Mark) -> usize {
        match self {
            Self::None | Self::Sudo => 0,
            Self::SudoPassword(_) => {
                let marked = said.matches(mark.prompt().as_str()).count();
                // Some PAM modules ask in words of their own.
                if marked == 0 { usize::from(asks(said)) } else { marked }
            }
            Self::Su(_) => said.matches("assword:").count().max(usize::from(asks(said))),
        }
    }

    /// Why root was not had, from what the program said.
    pub(super) fn verdict(&self, said: &str, mark: &Mark, given: bool) -> Option<String> {
        let said = said.replace(mark.prompt().as_str(), "").trim().to_owned();
        let has = |words: &str| said.contains(words);
        let program = match self {
            Self::None => return None,
            Self::Su(_) => "su",
            Self::Sudo | Self::SudoPassword(_) => "sudo",
        };
        if has("must have a tty") {
            return Some(format!(
                "sudo wants a terminal (requiretty): put `Defaults:USER !requiretty` into sudoers: {said}"
            ));
        }
        if has("is not in the sudoers file") || has("is not allowed to") || has("may not run sudo") {
            return Some(format!("the rules of sudo do not allow it: {said}"));
        }
        if has("a password is required") && matches!(self, Self::Sudo) {
            return Some("sudo asks for a password, but `privilege` is `sudo`: set `sudoPassword`".to_owned());
        }
        if (has("sudo") || has("su:")) && has("not found") {
            return Some(format!("there is no {program} on the host: {said}"));
        }
        if given || has("incorrect password") || has("Authentication failure") || has("Sorry, try again") {
            return Some(format!("{program} refused the password; it is not tried again: {said}"));
        }
        (!said.is_empty() && (said.starts_with("sudo:") || said.starts_with("su:"))).then_some(said)
    }
}

fn asks(said: &str) -> bool {
    let end = said.trim_end();
    end.ends_with(':') && end.lines().last().is_some_and(|line| line.to_ascii_lowercase().contains("password"))
}
