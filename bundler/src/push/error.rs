//! Why a push fails.

use ferry_bundle_format::Digest;
use ferry_bundle_format::open::OpenError;

use crate::failure::{ExitCode, Failure};
use crate::source::SourceError;

/// Why a push fails.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Not a registry.
    #[error("{text:?} is not HOST[:PORT][/PROJECT]")]
    Target {
        /// The text.
        text: String,
    },
    /// Two images would get the same name.
    #[error("{first} and {second} would both become {repository}")]
    SameName {
        /// The first image.
        first: String,
        /// The second.
        second: String,
        /// The repository.
        repository: String,
    },
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
            PushError::SameName { .. } => {
                Self::of(ExitCode::Input, &error).hint("--full-names keeps the origin registry as part of the name")
            }
            PushError::NoProject { .. } => {
                Self::of(ExitCode::Input, &error).hint("push to HOST/PROJECT: everything then goes below that project")
            }
            PushError::ReadBack { .. } => Self::of(ExitCode::Content, &error)
                .hint("the registry or something before it changes content; do not use what it holds"),
            PushError::Several(errors) => {
                let message = PushError::several(&errors);
                let mut failure = Self::of_several(message, errors.into_iter().map(Self::from).collect());
                failure.hints.push("push again: what is there already is not sent twice".into());
                failure
            }
        }
    }
}
