//! What Harbor has beside the distribution API: projects. Asked with the same credentials, over the same connections.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::error::{SourceError, SourceErrorKind};
use super::files::FileClient;
use super::outgoing::Outgoing;
use super::payload::Payload;
use super::registry::RegistryClient;

/// The largest answer of Harbor's API that is read, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// The longest name of a project.
const MAX_PROJECT: usize = 255;

/// A Harbor: a registry with projects.
#[derive(Clone)]
pub struct Harbor {
    files: FileClient,
    base: Url,
}

/// A project that is there, as far as we may look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// Everybody may pull from it.
    pub public: bool,
    /// It is a cache of another registry: nothing can be pushed.
    pub proxy: bool,
    /// Only signed images, or images without known weaknesses, may be pulled.
    pub guarded: bool,
}

/// Whether Harbor takes `name` for a project: a narrower grammar than that of repositories.
#[must_use]
pub fn is_project_name(name: &str) -> bool {
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= MAX_PROJECT && name.split(['.', '_', '-']).all(word)
}

impl RegistryClient {
    /// The Harbor behind a registry, if it is one: it answers `/api/v2.0/systeminfo`, to strangers too.
    pub async fn harbor(&self, registry: &str) -> Result<Option<Harbor>, SourceError> {
        let base = self.base(registry)?;
        let harbor = Harbor { files: self.files(), base };
        match harbor.files.get(&harbor.url("systeminfo", None)?, MAX_ANSWER).await {
            Ok(bytes) => {
                let answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
                Ok(answer.get("auth_mode").map(|_| harbor))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    SourceErrorKind::Unreachable | SourceErrorKind::Tls | SourceErrorKind::Local
                ) =>
            {
                Err(error)
            }
            Err(_) => Ok(None),
        }
    }
}

impl Harbor {
    /// Looks at a project with the login for `repository`, which is below it: none if there is no such project. With
    /// the user that Harbor took, if it wanted one.
    pub async fn project(
        &self,
        name: &str,
        repository: &str,
    ) -> Result<(Option<Project>, Option<String>), SourceError> {
        let asked = self.url("projects", Some(name))?;
        let make = || Outgoing::new(Method::HEAD, asked.clone());
        let (reply, user) = self.files.call_as(&asked, Some(repository), make).await?;
        match reply.status() {
            StatusCode::OK => Ok((Some(self.details(name, repository).await.unwrap_or_default()), user)),
            StatusCode::NOT_FOUND => Ok((None, user)),
            _ => Err(reply.into_failure().await),
        }
    }

    /// What the project is like. Not everybody who may push may ask, so no answer is no error.
    async fn details(&self, name: &str, repository: &str) -> Option<Project> {
        let url = self.url(&format!("projects/{name}"), None).ok()?;
        let by_name = || {
            // Else a name of digits is taken for a number.
            Outgoing::new(Method::GET, url.clone())
                .header(HeaderName::from_static("x-is-resource-name"), HeaderValue::from_static("true"))
        };
        let (mut reply, _) = self.files.call_as(&url, Some(repository), by_name).await.ok()?;
        if reply.status() != StatusCode::OK {
            return None;
        }
        let answer: serde_json::Value = serde_json::from_slice(&reply.bytes(MAX_ANSWER).await.ok()?).ok()?;
        let set = |key: &str| answer["metadata"][key] == "true";
        Some(Project {
            public: set("public"),
            proxy: answer["registry_id"].as_u64().is_some_and(|id| id > 0),
            guarded: ["enable_content_trust", "enable_content_trust_cosign", "prevent_vul"].into_iter().any(set),
        })
    }

    /// Makes a private project with the login for `repository`. Whether it was made, and not by somebody else just now.
    pub async fn make_project(&self, name: &str, repository: &str) -> Result<bool, SourceError> {
        let url = self.url("projects", None)?;
        let body = serde_json::json!({ "project_name": name, "metadata": { "public": "false" } }).to_string();
        let make = || {
            Outgoing::new(Method::POST, url.clone())
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .payload(Payload::Bytes(Bytes::from(body.clone())))
        };
        let (reply, _) = self.files.call_as(&url, Some(repository), make).await?;
        match reply.status() {
            StatusCode::CREATED => Ok(true),
            // Somebody else was quicker.
            StatusCode::CONFLICT => Ok(false),
            _ => Err(reply.into_failure().await),
        }
    }

    fn url(&self, path: &str, project: Option<&str>) -> Result<Url, SourceError> {
        let mut url = self
            .base
            .join(&format!("api/v2.0/{path}"))
            .map_err(|_| SourceError::Repository { text: path.to_owned() })?;
        if let Some(project) = project {
            url.query_pairs_mut().append_pair("project_name", project);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_names_are_those_that_harbor_takes() {
        let long = "a".repeat(256);
        for good in ["a", "platform", "my-proj", "my_proj", "a.b-c_d1", "0", &long[..255]] {
            assert!(is_project_name(good), "{good}");
        }
        for bad in ["", "my__proj", "my--proj", "my.-proj", "-a", "a-", "A", "a b", "a/b", "ä", &long] {
            assert!(!is_project_name(bad), "{bad}");
        }
    }
}
