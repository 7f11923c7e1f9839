//! Why a push fails.

use ferry_bundle_format::Digest;
use ferry_bundle_format::open::OpenError;

use crate::failure::{ExitCode, Failure};
use crate::names::Clashes;
use crate::source::{SourceError, SourceErrorKind};

/// Why a push fails.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Not a registry.
    #[error("{text:?} is not HOST[:PORT][/PROJECT]")]
    Target {
        /// The text.
        text: String,
    },
    /// Two contents would get the same name.
    #[error(transparent)]
    Names(#[from] Clashes),
    /// The registry failed.
    #[error("{what}")]
    Source {
        /// What was being done.
        what: String,
        /// Why.
        #[source]
        error: SourceError,
    },
    /// Harbor needs a project.
    #[error("{registry} is a Harbor, where every repository needs a project; {repository} has none")]
    NoProject {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
    },
    /// Harbor's names of projects are narrower than those of repositories.
    #[error("{registry} is a Harbor, which takes no project named {}", names.join(", "))]
    ProjectNames {
        /// The registry.
        registry: String,
        /// The names.
        names: Vec<String>,
        /// Whether the target named the project.
        below: bool,
    },
    /// A project that mirrors another registry.
    #[error("nothing can be pushed to {registry}: {} a cache of another registry", Self::are(names))]
    ProxyProject {
        /// The registry.
        registry: String,
        /// The projects.
        names: Vec<String>,
    },
    /// The bundle failed.
    #[error(transparent)]
    Bundle(#[from] OpenError),
    /// What the registry gives back is something else.
    #[error("{name} reads back as {actual}, not as {expected}")]
    ReadBack {
        /// The name.
        name: String,
        /// What was put.
        expected: Digest,
        /// What came back.
        actual: Digest,
    },
    /// Several of the above.
    #[error("{}", Self::several(.0))]
    Several(Vec<PushError>),
}

impl PushError {
    fn are(names: &[String]) -> String {
        match names {
            [one] => format!("project {one} is"),
            all => format!("projects {} are each", all.join(", ")),
        }
    }

    /// Whether the rest of the push would fail in the same way.
    pub(super) fn is_for_all(&self) -> bool {
        let error = match self {
            Self::Source { error, .. } => error,
            Self::Several(errors) => return errors.iter().any(Self::is_for_all),
            _ => return false,
        };
        // A token service in trouble has been asked as often as may be.
        matches!(error.kind(), SourceErrorKind::Auth | SourceErrorKind::Declined)
            || matches!(error, SourceError::Token { .. })
    }

    /// Whether the same push may succeed later without anybody doing something.
    fn may_pass(&self) -> bool {
        match self {
            Self::Source { error, .. } => {
                matches!(error.kind(), SourceErrorKind::Unreachable | SourceErrorKind::RateLimited)
            }
            Self::Several(errors) => errors.iter().any(Self::may_pass),
            _ => false,
        }
    }

    fn several(errors: &[Self]) -> String {
        let line = |error: &Self| format!("\n  {}", Failure::of(ExitCode::Network, error).causes.join(": "));
        format!("{} pushes failed:{}", errors.len(), errors.iter().map(line).collect::<String>())
    }

    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

impl From<PushError> for Failure {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Source { what, error } => Self::from(error).while_doing(what),
            PushError::Bundle(error) => error.into(),
            PushError::Target { .. } => Self::of(ExitCode::Usage, &error),
            PushError::Names(clashes) => clashes.into(),
            PushError::NoProject { .. } => {
                Self::of(ExitCode::Input, &error).hint("push to HOST/PROJECT: everything then goes below that project")
            }
            PushError::ProjectNames { below, .. } => {
                let grammar = "a project's name is words of a-z and 0-9 with one of . _ - between them";
                Self::of(ExitCode::Input, &error).hint(if below {
                    format!("choose another project, HOST/PROJECT: {grammar}")
                } else {
                    format!("push to HOST/PROJECT: everything then goes below that project; {grammar}")
                })
            }
            PushError::ProxyProject { .. } => {
                Self::of(ExitCode::Input, &error).hint("push to another project: HOST/PROJECT")
            }
            PushError::ReadBack { .. } => Self::of(ExitCode::Content, &error)
                .hint("the registry or something before it changes content; do not use what it holds"),
            PushError::Several(errors) => {
                let message = PushError::several(&errors);
                let passing = errors.iter().any(PushError::may_pass);
                let mut failure = Self::of_several(message, errors.into_iter().map(Self::from).collect());
                if passing {
                    failure.hints.push("push again: what is there already is not sent twice".into());
                }
                failure
            }
        }
    }
}
