//! How the program ends: documented exit codes, the chain of causes, and `hint:` lines.

use std::error::Error;

use ferry_bundle_format::lock::contents::ContentsError;
use ferry_bundle_format::open::{ExpandError, OpenError};
use ferry_bundle_format::store::StoreError;
use ferry_bundle_format::volume::VolumeError;
use ferry_bundle_format::volume::join::JoinError;
use ferry_bundle_format::volume::split::SplitError;
use ferry_bundle_format::write::WriteError;
use ferry_bundle_format::yaml::Problems;

use crate::fetch::FetchError;
use crate::names::Clashes;
use crate::pack::PackError;
use crate::resolve::ResolveError;
use crate::source::{SourceError, SourceErrorKind};

/// The exit codes of `ferry-bundle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All is well.
    Success = 0,
    /// A bug in ferry.
    Bug = 1,
    /// The command line is wrong (clap's own code).
    Usage = 2,
    /// A manifest, lock, vendor list, key or other input is wrong.
    Input = 3,
    /// A bundle is refused: damaged, or not what its index says.
    Refused = 4,
    /// A bundle is refused: not signed by those who are trusted, or older than what was seen.
    Untrusted = 5,
    /// `lock --check`: what the manifest asks for is no longer what the lock says.
    Drift = 6,
    /// A server does not answer, does not answer as it should, or refuses by a rule of its own, whoever asks.
    Network = 7,
    /// A server wants other credentials, or the user has no right there.
    Credentials = 8,
    /// The machine: no space, no permission, a file in use.
    Machine = 9,
    /// Content is not what its digest says.
    Content = 10,
    /// Volumes or blocks are missing; more media, or a resend, complete them.
    Incomplete = 15,
    /// Ended by Ctrl-C; a rerun goes on.
    Interrupted = 130,
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: ExitCode,
    /// What failed, then each cause.
    pub causes: Vec<String>,
    /// What to do.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without an underlying error.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, causes: vec![message.into()], hints: Vec::new() }
    }

    /// From an error and its sources.
    pub fn of(code: ExitCode, error: &(dyn Error + 'static)) -> Self {
        let mut causes = vec![error.to_string()];
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some libraries repeat their source's text; once is enough.
            if causes.last().is_none_or(|last| !last.ends_with(&text)) {
                causes.push(text);
            }
            next = cause.source();
        }
        Self { code, causes, hints: Vec::new() }
    }

    /// From several failures with one text: the code that they share, else that of wrong input if any of them is
    /// that, else `Network`; each hint once.
    pub(crate) fn of_several(message: String, failures: Vec<Self>) -> Self {
        let first = failures.first().map_or(ExitCode::Network, |failure| failure.code);
        let code = if failures.iter().all(|failure| failure.code == first) {
            first
        } else if failures.iter().any(|failure| failure.code == ExitCode::Input) {
            ExitCode::Input
        } else {
            ExitCode::Network
        };
        let mut all = Self::new(code, message);
        for hint in failures.into_iter().flat_map(|failure| failure.hints) {
            if !all.hints.contains(&hint) {
                all.hints.push(hint);
            }
        }
        all
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With what was being done, before the causes.
    #[must_use]
    pub fn while_doing(mut self, what: impl Into<String>) -> Self {
        self.causes.insert(0, what.into());
        self
    }

    /// The text for people: the error, its causes, the hints.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("error: {}", self.causes.first().map_or("", String::as_str));
        for cause in self.causes.iter().skip(1) {
            text.push_str("\n  because: ");
            text.push_str(cause);
        }
        for hint in &self.hints {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        text
    }
}

/// From an input or output error on a path.
pub fn io(doing: &str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Failure {
    let what = format!("can't {doing} {}", path.display());
    move |error| Failure::of(ExitCode::Machine, &error).while_doing(what)
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
            OpenError::Read { .. } | OpenError::NotAFile { .. } => ExitCode::Machine,
            OpenError::Untrusted(_) | OpenError::Serial(_) | OpenError::Signature(_) => ExitCode::Untrusted,
            OpenError::Missing(_) | OpenError::Base { .. } => ExitCode::Input,
            _ => ExitCode::Refused,
        };
        let mut failure = Self::of(code, &error);
        failure.hints.extend(error.hint());
        failure
    }
}

impl From<ExpandError> for Failure {
    fn from(error: ExpandError) -> Self {
        match error {
            ExpandError::Open(error) => error.into(),
            ExpandError::Verbatim => {
                Self::of(ExitCode::Input, &error).hint("nothing has to be applied: use it as it is")
            }
            ExpandError::Head(_) => {
                Self::of(ExitCode::Refused, &error).hint("carry the file again, or ask for a full bundle")
            }
            ExpandError::Room(_) => {
                Self::of(ExitCode::Machine, &error).hint("make room, or write to another disk with -o")
            }
            ExpandError::Write { .. } => Self::of(ExitCode::Machine, &error),
        }
    }
}

impl From<ContentsError> for Failure {
    fn from(error: ContentsError) -> Self {
        Self::of(ExitCode::Input, &error).hint("run `ferry-bundle lock` again")
    }
}

impl From<Clashes> for Failure {
    fn from(clashes: Clashes) -> Self {
        Self::of(ExitCode::Input, &clashes).hint(clashes.hint())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Damaged { .. } => {
                Self::of(ExitCode::Content, &error).hint("run the command again: the blob is fetched anew")
            }
            StoreError::Busy { .. } => {
                Self::of(ExitCode::Machine, &error).hint("wait for the other one, or give another --store")
            }
            StoreError::Io { .. } => Self::of(ExitCode::Machine, &error),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match &error {
            WriteError::Damaged { .. } => Self::of(ExitCode::Content, &error)
                .hint("remove the blob from the store and run `ferry-bundle fetch` again"),
            WriteError::Read { .. } => {
                Self::of(ExitCode::Machine, &error).hint("run `ferry-bundle fetch` first, with the same --store")
            }
            WriteError::Write(_) => Self::of(ExitCode::Machine, &error),
        }
    }
}

impl From<VolumeError> for Failure {
    fn from(error: VolumeError) -> Self {
        let code = match &error {
            VolumeError::Join { source: JoinError::Wrong { .. }, .. } => ExitCode::Refused,
            VolumeError::Split { source: SplitError::Set(_) | SplitError::Code(_), .. } | VolumeError::Join { .. } => {
                ExitCode::Bug
            }
            VolumeError::Io { .. } | VolumeError::Busy { .. } | VolumeError::Room(_) | VolumeError::Split { .. } => {
                ExitCode::Machine
            }
            VolumeError::Nothing { .. } => ExitCode::Incomplete,
            _ => ExitCode::Input,
        };
        let mut failure = Self::of(code, &error);
        failure.hints.extend(error.hint());
        failure
    }
}

impl From<SourceErrorKind> for ExitCode {
    fn from(kind: SourceErrorKind) -> Self {
        match kind {
            SourceErrorKind::Auth => Self::Credentials,
            SourceErrorKind::Digest => Self::Content,
            SourceErrorKind::Local => Self::Machine,
            SourceErrorKind::Tls
            | SourceErrorKind::NotFound
            | SourceErrorKind::RateLimited
            | SourceErrorKind::Unreachable
            | SourceErrorKind::Protocol
            | SourceErrorKind::Declined
            | SourceErrorKind::Refused => Self::Network,
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let mut failure = Self::of(error.kind().into(), &error);
        failure.hints.extend(error.hint());
        failure
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        error.into_failure()
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        error.into_failure()
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        error.into_failure()
    }
}
