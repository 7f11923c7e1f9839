//! What Harbor has beside the distribution API: projects. Asked with the same credentials, over the same connections.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::error::{SourceError, SourceErrorKind};
use super::files::FileClient;
use super::outgoing::Outgoing;
use super::payload::Payload;
use super::registry::RegistryClient;

/// The largest answer of Harbor's API that is read, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// A Harbor: a registry with projects.
#[derive(Clone)]
pub struct Harbor {
    files: FileClient,
    base: Url,
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
    /// Sees to it that a project is there; a new one is private. Whether it was made now.
    pub async fn ensure_project(&self, name: &str) -> Result<bool, SourceError> {
        let asked = self.url("projects", Some(name))?;
        let reply = self.files.call(&asked, || Outgoing::new(Method::HEAD, asked.clone())).await?;
        match reply.status() {
            StatusCode::OK => return Ok(false),
            StatusCode::NOT_FOUND => {}
            _ => return Err(reply.into_failure().await),
        }
        let url = self.url("projects", None)?;
        let body = serde_json::json!({ "project_name": name, "metadata": { "public": "false" } }).to_string();
        let make = || {
            Outgoing::new(Method::POST, url.clone())
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .payload(Payload::Bytes(Bytes::from(body.clone())))
        };
        let reply = self.files.call(&url, make).await?;
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
