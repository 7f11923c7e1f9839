//! Taints of nodes, by the API server's rules.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::Invalid;
use super::{LabelKey, LabelValue};

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// None is put on the node.
    NoSchedule,
    /// One is put there only if there is no other place.
    PreferNoSchedule,
    /// None is put there, and those that run there are ended.
    NoExecute,
}

impl Effect {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// A taint. It is written `key=value:Effect`, or `key:Effect` without a value, which is shown as `key=:Effect`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Taint {
    /// The key.
    pub key: LabelKey,
    /// The value; empty where there is none.
    pub value: LabelValue,
    /// What it does.
    pub effect: Effect,
}

impl FromStr for Taint {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let shape = "key=value:Effect or key:Effect, with NoSchedule, PreferNoSchedule or NoExecute";
        let refused = |why: String| Invalid::new(text, why).hint(shape);
        let Some((pair, effect)) = text.rsplit_once(':') else {
            return Err(refused("is no taint: it has no effect".into()));
        };
        let effects = [Effect::NoSchedule, Effect::PreferNoSchedule, Effect::NoExecute];
        let Some(effect) = effects.into_iter().find(|one| one.as_str() == effect) else {
            return Err(refused("is no taint: there is no such effect".into()));
        };
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let part = |error: Invalid| refused(format!("is no taint: {error}"));
        Ok(Self { key: key.parse().map_err(part)?, value: value.parse().map_err(part)?, effect })
    }
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.key, self.value, self.effect.as_str())
    }
}

impl TryFrom<String> for Taint {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Taint> for String {
    fn from(taint: Taint) -> Self {
        taint.to_string()
    }
}

impl schemars::JsonSchema for Taint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Taint".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A taint, `key=value:Effect` or `key:Effect`",
            "pattern": r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?(=([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?)?:(NoSchedule|PreferNoSchedule|NoExecute)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taint_without_a_value_is_the_same_in_both_spellings() {
        for text in ["dedicated:NoSchedule", "dedicated=:NoSchedule"] {
            assert_eq!(text.parse::<Taint>().unwrap().to_string(), "dedicated=:NoSchedule");
        }
        assert_eq!("a.b/c=d:NoExecute".parse::<Taint>().unwrap().to_string(), "a.b/c=d:NoExecute");
    }

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        for text in [
            "",
            "a",
            ":NoSchedule",
            "=:NoSchedule",
            "a=b",
            "a=b:",
            "a=b:noschedule",
            "bad key=x:NoSchedule",
            "a b=c d:NoSchedule",
            "a=b=c:NoSchedule",
            "a:b:NoSchedule",
            "a=$(id):NoSchedule",
            "a=b\nc:NoSchedule",
            "a=b:NoSchedule ",
        ] {
            assert!(text.parse::<Taint>().is_err(), "{text:?}");
        }
    }
}
