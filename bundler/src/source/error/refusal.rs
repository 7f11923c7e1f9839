//! Refusals by a rule of the registry, recognised by its words: statuses alone do not tell them from missing rights.

use super::SourceError;

/// Why a registry refuses what it understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Rule {
    /// The project's storage is full.
    Quota,
    /// The registry is in a mode for reading only.
    ReadOnly,
    /// The project is a cache of another registry.
    ProxyProject,
    /// This user may not make projects.
    NewProjects,
    /// The tag is fixed.
    Immutable,
    /// Content may not be pulled as it is: not signed, not scanned.
    Policy,
}

impl Rule {
    /// What a person can do about it.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Quota => {
                "the storage quota of the project is used up: have it raised, or have old content deleted there, then push again: what was sent is kept"
            }
            Self::ReadOnly => "the registry is in read-only mode: push again when its administrator has ended that",
            Self::ProxyProject => "a proxy cache takes nothing: push to another project, HOST/PROJECT",
            Self::NewProjects => {
                "have the project made by somebody who may, or push below one that exists: HOST/PROJECT"
            }
            Self::Immutable => {
                "the tag leads to other content there and is fixed by a rule for immutable tags: push to another project, or have that rule changed"
            }
            Self::Policy => {
                "the project lets only signed or scanned images be pulled, so what was put can't be read back: have that rule changed for this project, or push to another"
            }
        }
    }
}

impl SourceError {
    /// The rule by which the registry refuses, if its words name one.
    pub(in crate::source) fn rule(&self) -> Option<Rule> {
        let Self::Status { status, detail: Some(detail), .. } = self else { return None };
        let text = detail.to_ascii_lowercase();
        let says = |part: &str| text.contains(part);
        match status {
            403 if says("configured upper limit") || says("quota") => Some(Rule::Quota),
            403 if says("read only mode") || says("read-only") => Some(Rule::ReadOnly),
            403 if says("proxy project") => Some(Rule::ProxyProject),
            403 if says("can create project") => Some(Rule::NewProjects),
            412 if says("immutable") => Some(Rule::Immutable),
            412 if says("policyviolation") => Some(Rule::Policy),
            _ => None,
        }
    }

    /// Whether it is refused whoever asks.
    pub(super) fn is_declined(&self) -> bool {
        self.rule().is_some_and(|rule| rule != Rule::NewProjects)
    }

    /// Whether a fixed tag keeps other content in its place.
    pub(crate) fn is_immutable_tag(&self) -> bool {
        self.rule() == Some(Rule::Immutable)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SourceErrorKind as Kind;
    use super::*;

    #[test]
    fn words_of_registries_are_told_as_what_they_are() {
        for (status, detail, rule, kind) in [
            (
                403,
                "DENIED adding 3.0 MiB of storage resource, which when updated to current usage of 248 B will exceed the configured upper limit of 1.0 MiB.",
                Some(Rule::Quota),
                Kind::Declined,
            ),
            (403, "DENIED Quota exceeded for project x", Some(Rule::Quota), Kind::Declined),
            (
                403,
                "DENIED The system is in read only mode. Any modification is prohibited.",
                Some(Rule::ReadOnly),
                Kind::Declined,
            ),
            (
                403,
                "DENIED denied: can not push artifact to a proxy project: pcache",
                Some(Rule::ProxyProject),
                Kind::Declined,
            ),
            (403, "FORBIDDEN Only system level robot can create project", Some(Rule::NewProjects), Kind::Auth),
            (403, "FORBIDDEN Only system admin can create project", Some(Rule::NewProjects), Kind::Auth),
            (403, "DENIED requested access to the resource is denied", None, Kind::Auth),
            (
                412,
                "PRECONDITION Failed to process request due to 'charts/shop:1.0.0' configured as immutable.",
                Some(Rule::Immutable),
                Kind::Declined,
            ),
            (412, "PROJECTPOLICYVIOLATION The image is not signed by cosign.", Some(Rule::Policy), Kind::Declined),
            (412, "something else", None, Kind::Protocol),
            (500, "immutable", None, Kind::Unreachable),
        ] {
            let detail = Some(detail.to_owned());
            let error = SourceError::Status { url: "u".into(), status, detail: detail.clone(), retry_after: None };
            assert_eq!((error.rule(), error.kind()), (rule, kind), "{detail:?}");
            assert!(rule.is_none() || error.hint().is_some());
        }
    }
}
