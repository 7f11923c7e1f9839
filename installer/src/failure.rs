//! How the program ends: documented exit codes, the chain of causes, and `hint:` lines.

use std::error::Error;

use ferry_bundle_format::open::OpenError;
use ferry_bundle_format::volume::VolumeError;
use ferry_bundle_format::volume::join::JoinError;
use ferry_bundle_format::yaml::Problems;
use ferry_engine::host::{HostError, HostErrorKind, Redactor};
use ferry_engine::plan::PlanFileError;
use ferry_engine::run::StepError;
use ferry_engine::step::StepBuildError;
use ferry_engine::supply::SupplyError;
use ferry_engine::vault::VaultError;

/// The exit codes of `ferry-install`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// All is well.
    Success = 0,
    /// A bug in ferry.
    Bug = 1,
    // 2 is clap's own: the command line is wrong.
    /// The site file, a plan, or another input is wrong.
    Input = 3,
    /// The bundle is refused: damaged, not what its index says, or lacking something.
    Refused = 4,
    /// The bundle is refused: not signed by those who are trusted, or older than what was seen.
    Untrusted = 5,
    /// The hosts are no longer as the plan saw them.
    Drift = 6,
    /// A host can't be reached or logged in to.
    Host = 7,
    /// A secret can't be had, or does not open what it should.
    Secret = 8,
    /// The operator's machine: no space, no permission.
    Machine = 9,
    /// A step failed on a host; a rerun goes on from there.
    Step = 10,
    /// Preflight: a host is not fit.
    Unfit = 11,
    /// Acceptance: something does not work.
    NotAccepted = 12,
    /// Somebody else is at work on a host.
    Held = 13,
    /// Done, but for hosts that could not be reached.
    Owed = 14,
    /// Volumes or blocks are missing; more media, or a resend, complete them.
    Incomplete = 15,
    /// `plan --exit-code`: something is to be done.
    Open = 16,
    /// Ended by Ctrl-C; a rerun goes on.
    Interrupted = 130,
}

impl ExitCode {
    /// How a run that came to this code ended, for the journal.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Drift => "the hosts have changed since the plan was made",
            Self::Unfit => "the site is not fit",
            Self::NotAccepted => "not accepted",
            Self::Held => "somebody else is at work",
            Self::Owed => "done, but for hosts that could not be reached",
            Self::Incomplete => "volumes are missing",
            Self::Open => "something is to be done",
            Self::Interrupted => "stopped on request",
            Self::Bug
            | Self::Input
            | Self::Refused
            | Self::Untrusted
            | Self::Host
            | Self::Secret
            | Self::Machine
            | Self::Step => "failed",
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: ExitCode,
    /// What failed, then each cause.
    pub(crate) causes: Vec<String>,
    /// What to do.
    pub(crate) hints: Vec<String>,
}

impl Failure {
    /// Without an underlying error.
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, causes: vec![message.into()], hints: Vec::new() }
    }

    /// From an error and its causes.
    pub(crate) fn of(code: ExitCode, error: &(dyn Error + 'static)) -> Self {
        let mut causes = vec![error.to_string()];
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last().is_none_or(|last| !last.ends_with(&text)) {
                causes.push(text);
            }
            next = cause.source();
        }
        Self { code, causes, hints: Vec::new() }
    }

    /// That these of `all` hosts can't be worked on.
    pub(crate) fn of_hosts<'a>(failures: impl ExactSizeIterator<Item = &'a HostError> + Clone, all: usize) -> Self {
        let text = format!("{} of {all} hosts can't be worked on", failures.len());
        let mut failure = Self::new(code_of_all(failures.clone()), text);
        for error in failures {
            failure.causes.push(error.to_string());
            failure.hints.extend(error.hint());
        }
        failure.hints.dedup();
        failure
    }

    /// That the script `step` of a host did not come to its end.
    pub(crate) fn at_step(step: &str, error: &HostError) -> Self {
        let mut failure = Self::of(code_of(error, ExitCode::Step), error).hints(error.hint());
        failure.causes.insert(0, format!("{step} did not come to its end"));
        failure
    }

    /// With something to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// Without the secrets that a run has used: an error may repeat what a program said of its input.
    pub(crate) fn redacted(&self, redactor: &Redactor) -> Self {
        let clean = |texts: &[String]| texts.iter().map(|text| redactor.redact(text)).collect();
        Self { code: self.code, causes: clean(&self.causes), hints: clean(&self.hints) }
    }

    /// As it is shown on standard error.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (n, cause) in self.causes.iter().enumerate() {
            text.push_str(if n == 0 { "error: " } else { "  because: " });
            text.push_str(cause.trim_end());
            text.push('\n');
        }
        for hint in &self.hints {
            text.push_str(&format!("hint: {hint}\n"));
        }
        text
    }
}

/// A file of the operator's that can't be used.
pub(crate) fn file(doing: &str, path: &std::path::Path) -> impl Fn(std::io::Error) -> Failure {
    let message = format!("can't {doing} {}", path.display());
    move |error| {
        let mut failure = Failure::of(ExitCode::Machine, &error);
        failure.causes.insert(0, message.clone());
        failure
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::of(ExitCode::Input, &problems)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        if let OpenError::Volumes(error) = error {
            return error.into();
        }
        let code = match &error {
            OpenError::Untrusted(_) | OpenError::Serial(_) | OpenError::Signature(_) => ExitCode::Untrusted,
            OpenError::Read { .. } | OpenError::NotAFile { .. } => ExitCode::Machine,
            _ => ExitCode::Refused,
        };
        Self::of(code, &error).hints(error.hint())
    }
}

impl From<VolumeError> for Failure {
    fn from(error: VolumeError) -> Self {
        let code = match &error {
            VolumeError::Io { .. } | VolumeError::Busy { .. } | VolumeError::Room(_) => ExitCode::Machine,
            VolumeError::Join { source: JoinError::Wrong { .. }, .. } => ExitCode::Refused,
            VolumeError::Join { .. } => ExitCode::Bug,
            VolumeError::Nothing { .. } => ExitCode::Incomplete,
            _ => ExitCode::Input,
        };
        Self::of(code, &error).hints(error.hint())
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self::of(code_of(&error, ExitCode::Host), &error).hints(error.hint())
    }
}

/// The code of a host's error: that of its own kind where it has one, else `otherwise`.
pub(crate) fn code_of(error: &HostError, otherwise: ExitCode) -> ExitCode {
    match &error.kind {
        HostErrorKind::Cancelled => ExitCode::Interrupted,
        HostErrorKind::Secret(_) => ExitCode::Secret,
        HostErrorKind::Records { .. } => ExitCode::Machine,
        HostErrorKind::NotInSite => ExitCode::Input,
        _ => otherwise,
    }
}

/// The code of several hosts' errors together: that of all of them where they agree. Ctrl-C goes before everything else.
pub(crate) fn code_of_all<'a>(errors: impl Iterator<Item = &'a HostError>) -> ExitCode {
    let mut codes = errors.map(|error| code_of(error, ExitCode::Host));
    let Some(first) = codes.next() else { return ExitCode::Host };
    codes.fold(first, |one, other| match (one, other) {
        (ExitCode::Interrupted, _) | (_, ExitCode::Interrupted) => ExitCode::Interrupted,
        (one, other) if one == other => one,
        _ => ExitCode::Host,
    })
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let code = if matches!(error, VaultError::File { .. }) { ExitCode::Machine } else { ExitCode::Secret };
        let hint = error.hint();
        Self::of(code, &error).hints(hint)
    }
}

impl From<SupplyError> for Failure {
    fn from(error: SupplyError) -> Self {
        Self::of(ExitCode::Refused, &error).hints(error.hint())
    }
}

impl From<PlanFileError> for Failure {
    fn from(error: PlanFileError) -> Self {
        let code = if matches!(error, PlanFileError::File { .. }) { ExitCode::Machine } else { ExitCode::Input };
        Self::of(code, &error)
    }
}

impl From<StepBuildError> for Failure {
    fn from(error: StepBuildError) -> Self {
        match error {
            StepBuildError::Supply(error) => error.into(),
            other => Self::of(ExitCode::Input, &other),
        }
    }
}

impl From<&StepError> for Failure {
    fn from(error: &StepError) -> Self {
        let hint = match error {
            StepError::Host { source, .. } => source.hint(),
            StepError::Supply { source, .. } => source.hint(),
            _ => None,
        };
        let code = match error {
            StepError::Host { source, .. } => code_of(source, ExitCode::Step),
            _ => ExitCode::Step,
        };
        Self::of(code, error).hints(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: HostErrorKind) -> HostError {
        HostError::new("one", kind)
    }

    #[test]
    fn a_second_ctrl_c_ends_with_130_wherever_it_comes() {
        assert_eq!(Failure::from(error(HostErrorKind::Cancelled)).code, ExitCode::Interrupted);
        let step = StepError::Host { title: "x".into(), source: error(HostErrorKind::Cancelled) };
        assert_eq!(Failure::from(&step).code, ExitCode::Interrupted);
        assert_eq!(Failure::at_step("a/one", &error(HostErrorKind::Cancelled)).code, ExitCode::Interrupted);
        let lost = error(HostErrorKind::Lost("x".into()));
        assert_eq!(code_of_all([&lost, &error(HostErrorKind::Cancelled)].into_iter()), ExitCode::Interrupted);
        assert_eq!(Failure::at_step("a/one", &lost).code, ExitCode::Step);
    }

    #[test]
    fn a_secret_that_is_not_there_ends_with_8_and_says_what_to_do() {
        let secret = || error(HostErrorKind::Secret("the environment variable X is not set".into()));
        let failure = Failure::from(secret());
        assert!(failure.code == ExitCode::Secret && !failure.hints.is_empty(), "{failure:?}");
        assert_eq!(code_of_all([&secret(), &secret()].into_iter()), ExitCode::Secret);
        let lost = error(HostErrorKind::Lost("x".into()));
        assert_eq!(code_of_all([&secret(), &lost].into_iter()), ExitCode::Host);
        let records = error(HostErrorKind::Records { path: "/s/host-keys".into(), why: "no permission".into() });
        assert!(matches!(Failure::from(records), Failure { code: ExitCode::Machine, hints, .. } if hints.len() == 1));
    }

    #[test]
    fn no_secret_is_told_in_a_failure() {
        let redactor = Redactor::default();
        redactor.learn(&ferry_engine::host::Secret::new("hunter2!"));
        let failure = Failure::new(ExitCode::Step, "curl: hunter2! is wrong").hint("not hunter2!");
        let told = failure.redacted(&redactor);
        assert_eq!(told.text(), "error: curl: «secret» is wrong\nhint: not «secret»\n");
    }
}
