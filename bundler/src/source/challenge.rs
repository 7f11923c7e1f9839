//! What a server asks for: the `WWW-Authenticate` header, parsed.
//!
//! One header may hold several challenges, and there may be several headers; parameters are tokens or
//! quoted strings, in which commas mean nothing. Bearer is preferred to Basic, because it shows the
//! password to one server only.

use reqwest::Url;

/// How a server wants to be convinced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from elsewhere.
    Bearer {
        /// Where tokens are had.
        realm: Url,
        /// What to call the server there.
        service: Option<String>,
    },
}

impl Challenge {
    /// The best challenge of these header values that we can answer.
    pub(super) fn best_of(headers: &[String]) -> Option<Self> {
        let all: Vec<Raw> = headers.iter().flat_map(|header| parse(header)).collect();
        let bearer = all.iter().filter(|c| c.scheme == "bearer").find_map(|raw| {
            let realm = Url::parse(raw.parameter("realm")?).ok()?;
            Some(Self::Bearer { realm, service: raw.parameter("service").map(str::to_owned) })
        });
        bearer.or_else(|| all.iter().any(|c| c.scheme == "basic").then_some(Self::Basic))
    }
}

/// One challenge: the scheme in lower case, and its parameters, names in lower case.
#[derive(Debug, PartialEq, Eq)]
struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Raw {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// `scheme [name=value *(, name=value)] *(, scheme …)`. What does not parse ends the header.
fn parse(header: &str) -> Vec<Raw> {
    let mut challenges: Vec<Raw> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return challenges;
        }
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let Some((value, after)) = parameter_value(value.trim_start()) else { return challenges };
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.push((word.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            challenges.push(Raw { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
            rest = after;
        }
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(text.len());
    text.split_at(end)
}

/// A quoted string, or everything up to the next comma or blank: some servers forget the quotes.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(headers: &[&str]) -> Option<Challenge> {
        Challenge::best_of(&headers.iter().map(|&h| h.to_owned()).collect::<Vec<_>>())
    }

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: Url::parse(realm).unwrap(), service: service.map(str::to_owned) }
    }

    #[test]
    fn headers_of_the_field_parse() {
        assert_eq!(
            best(&[
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#
            ]),
            Some(bearer("https://auth.docker.io/token", Some("registry.docker.io")))
        );
        assert_eq!(best(&[r#"Basic realm="Registry Realm""#]), Some(Challenge::Basic));
        assert_eq!(best(&["basic"]), Some(Challenge::Basic));
        assert_eq!(
            best(&[r#"Basic realm="x, Bearer y", bearer Realm = "https://a.example/t" ,Service=s"#]),
            Some(bearer("https://a.example/t", Some("s")))
        );
        assert_eq!(
            best(&["Negotiate abc==", "Basic realm=x", r#"BEARER realm="https://a.example/""#]),
            Some(bearer("https://a.example/", None))
        );
        assert_eq!(
            best(&[r#"Bearer realm="https://a.example/?q=\"x\"",error="invalid_token""#]),
            Some(bearer("https://a.example/?q=\"x\"", None))
        );
    }

    #[test]
    fn nonsense_is_no_challenge_and_no_panic() {
        for header in
            ["", ",", "=", "Bearer", "Bearer realm", r#"Bearer realm="/relative""#, r#"Bearer realm="unclosed"#]
        {
            assert_eq!(best(&[header]), None, "{header}");
        }
        assert_eq!(best(&[r#"Bearer realm="\"#]), None);
        assert_eq!(best(&["Digest realm=ä, nonce=é"]), None);
    }
}
