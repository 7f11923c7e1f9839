//! How the origin wants to be asked: openly, with a password, or with tokens.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A user and a password. Printing it never shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    user: String,
    password: String,
}

impl Account {
    /// An account.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }

    /// Whether this `Authorization` header is that of the account.
    #[must_use]
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        let expected = STANDARD.encode(format!("{}:{}", self.user, self.password));
        authorization
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, credentials)| scheme.eq_ignore_ascii_case("basic") && credentials.trim() == expected)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({:?}, password redacted)", self.user)
    }
}

/// Who may use the registry.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Anybody.
    #[default]
    None,
    /// Whoever sends this account with each request.
    Basic(Account),
    /// Whoever has a token for what it asks.
    Bearer(Bearer),
}

/// Tokens, as Docker Hub and most others have them.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// Who gets tokens; `None`: anybody.
    pub account: Option<Account>,
    /// Whether those without an account get tokens for reading.
    pub anonymous_pull: bool,
    /// The realm that challenges name. Ordinarily this origin's `/token`; a test may point it elsewhere.
    pub realm: Option<String>,
    /// The service that challenges name.
    pub service: String,
    /// How long a token lasts.
    pub lifetime: Duration,
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            account: None,
            anonymous_pull: false,
            realm: None,
            service: "ferry-origin".to_owned(),
            lifetime: Duration::from_secs(300),
        }
    }
}
