//! One credential file, in the format docker and podman share. Owns `docker_credential`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError as Failure, DockerCredential};

use super::Credential;
use crate::source::error::{SourceError, printable};
use crate::source::secret::Secret;

/// A file that may hold credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AuthFile {
    pub(super) path: PathBuf,
    /// Named by the person: it has to be there.
    pub(super) required: bool,
}

/// Its content, and the names it has something for.
pub(super) struct OpenedAuthFile<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
    keys: Vec<String>,
}

impl AuthFile {
    /// The files that podman and docker would read, in order. `variable` reads the environment.
    pub(super) fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Self> {
        let directory = |name: &str| variable(name).map(PathBuf::from);
        let optional = |path: PathBuf| Self { path, required: false };
        let mut files = Vec::new();
        if let Some(path) = directory("REGISTRY_AUTH_FILE") {
            files.push(Self { path, required: true });
        } else {
            files.extend(directory("XDG_RUNTIME_DIR").map(|dir| optional(dir.join("containers/auth.json"))));
            let config = directory("XDG_CONFIG_HOME").or_else(|| directory("HOME").map(|home| home.join(".config")));
            files.extend(config.map(|dir| optional(dir.join("containers/auth.json"))));
        }
        let docker = directory("DOCKER_CONFIG").or_else(|| directory("HOME").map(|home| home.join(".docker")));
        files.extend(docker.map(|dir| optional(dir.join("config.json"))));
        files
    }

    /// Reads the file; none if it need not be there and is not.
    pub(super) fn open(&self, host: &str) -> Result<Option<OpenedAuthFile<'_>>, SourceError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.required => return Ok(None),
            Err(source) => return Err(SourceError::File { path: self.path.clone(), source }),
        };
        let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| SourceError::CredentialFile {
            host: host.to_owned(),
            path: self.path.clone(),
            why: format!("it is not JSON ({e})"),
        })?;
        let keys = ["auths", "credHelpers"]
            .iter()
            .filter_map(|member| json.get(member)?.as_object())
            .flat_map(|object| object.keys().cloned())
            .collect();
        Ok(Some(OpenedAuthFile { path: &self.path, bytes, keys }))
    }
}

impl OpenedAuthFile<'_> {
    /// Under which name the file is asked: the longest `host/path` it has, else the host's usual name.
    pub(super) fn key(&self, host: &str, repository: Option<&str>) -> String {
        let has = |key: &String| self.keys.iter().any(|k| k == key);
        let mut path = repository;
        while let Some(some) = path {
            let key = format!("{host}/{some}");
            if has(&key) {
                return key;
            }
            path = some.rsplit_once('/').map(|(head, _)| head);
        }
        if host != "docker.io" {
            return host.to_owned();
        }
        let names = ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"];
        names.map(str::to_owned).into_iter().find(has).unwrap_or_else(|| names[0].to_owned())
    }

    /// The credential under `key`; helpers are run.
    pub(super) fn credential(&self, host: &str, key: &str) -> Result<Option<Credential>, SourceError> {
        let why = match docker_credential::get_credential_from_reader(&self.bytes[..], key) {
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                return Ok(Some(Credential::Password { user, password: Secret::new(password) }));
            }
            Ok(DockerCredential::IdentityToken(token)) => {
                return Ok(Some(Credential::IdentityToken(Secret::new(token))));
            }
            Err(Failure::NoCredentialConfigured | Failure::ConfigNotFound) => return Ok(None),
            Err(Failure::HelperFailure { stdout, stderr, .. })
                if says_not_found(&stdout) || says_not_found(&stderr) =>
            {
                return Ok(None);
            }
            // What a helper prints on its standard output may be the secret; its complaint is shown alone.
            Err(Failure::HelperFailure { helper, stderr, .. }) => format!("{helper} failed: {}", printable(&stderr)),
            Err(Failure::HelperCommunicationError) => "its credential helper cannot be run".to_owned(),
            Err(Failure::MalformedHelperResponse) => "its credential helper answers nonsense".to_owned(),
            Err(Failure::CredentialDecodingError) => format!("the `auth` of {key:?} is not base64 of user:password"),
            Err(Failure::CredentialMismatchError) => format!("`auth` and `username` of {key:?} contradict each other"),
            Err(Failure::ConfigReadError) => "it has not the shape of docker's config.json".to_owned(),
        };
        Err(SourceError::CredentialFile { host: host.to_owned(), path: self.path.to_owned(), why })
    }
}

/// Whether a helper says that it knows nobody, which is no failure.
fn says_not_found(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("credentials not found") || text.contains("no credentials")
}

#[cfg(test)]
mod tests {
    use super::super::Credentials;
    use super::*;

    fn write(dir: &tempfile::TempDir, json: &str) -> PathBuf {
        let path = dir.path().join("auth.json");
        std::fs::write(&path, json).unwrap();
        path
    }

    async fn user(credentials: &Credentials, host: &str, repository: &str) -> Option<String> {
        credentials.find(host, Some(repository)).await.unwrap().map(|c| c.user().to_owned())
    }

    #[tokio::test]
    async fn trap_03_the_longest_key_wins_and_the_first_does_not_stick() {
        let dir = tempfile::tempdir().unwrap();
        // base64 of host:x, team:x, deep:x, hub:x
        let json = r#"{"auths":{"r.example":{"auth":"aG9zdDp4"},"r.example/team":{"auth":"dGVhbTp4"},
            "r.example/team/deep":{"auth":"ZGVlcDp4"},"https://index.docker.io/v1/":{"auth":"aHViOng"}}}"#;
        let credentials = Credentials::none().with_file(write(&dir, json));
        assert_eq!(user(&credentials, "r.example", "other/app").await.as_deref(), Some("host"));
        assert_eq!(user(&credentials, "r.example", "team/app").await.as_deref(), Some("team"));
        assert_eq!(user(&credentials, "r.example", "team/deep/app").await.as_deref(), Some("deep"));
        assert_eq!(user(&credentials, "r.example", "teams/app").await.as_deref(), Some("host"));
        assert_eq!(user(&credentials, "docker.io", "library/nginx").await.as_deref(), Some("hub"));
        assert_eq!(user(&credentials, "r.example:5000", "team/app").await, None);
        let given = credentials.with_password("R.example", "flag", Secret::new("x"));
        assert_eq!(user(&given, "r.example", "team/app").await.as_deref(), Some("flag"));
        assert_eq!(user(&given, "index.docker.io", "library/nginx").await.as_deref(), Some("hub"));
    }

    #[tokio::test]
    async fn the_first_file_that_knows_the_host_wins() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let podman = write(&a, r#"{"auths":{"one.example":{"auth":"aG9zdDp4"}}}"#);
        let docker = write(&b, r#"{"auths":{"one.example":{"auth":"dGVhbTp4"},"two.example":{"identitytoken":"t"}}}"#);
        let credentials = Credentials::none().with_file(podman).with_file(docker);
        assert_eq!(user(&credentials, "one.example", "x").await.as_deref(), Some("host"));
        let token = credentials.find("two.example", None).await.unwrap();
        assert_eq!(token, Some(Credential::IdentityToken(Secret::new("t"))));
    }

    #[tokio::test]
    async fn a_broken_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        for (json, says) in [
            ("{", "not JSON"),
            (r#"{"auths":{"r.example":{"auth":"%%%"}}}"#, "base64"),
            (r#"{"credHelpers":{"r.example":"ferry-no-such-helper"}}"#, "helper cannot be run"),
        ] {
            let credentials = Credentials::none().with_file(write(&dir, json));
            let error = credentials.find("r.example", None).await.unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("auth.json"), "{error}");
        }
        let missing = Credentials::none().with_file(dir.path().join("none.json"));
        assert!(matches!(missing.find("r.example", None).await, Err(SourceError::File { .. })));
    }

    #[test]
    fn the_files_are_those_of_podman_and_docker() {
        let paths = |set: &[(&str, &str)]| -> Vec<String> {
            AuthFile::of_environment(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
                .iter()
                .map(|file| format!("{}{}", file.path.display(), if file.required { "!" } else { "" }))
                .collect()
        };
        assert_eq!(
            paths(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/u")]),
            ["/run/u/containers/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"]
        );
        assert_eq!(paths(&[("REGISTRY_AUTH_FILE", "/a"), ("DOCKER_CONFIG", "/d")]), ["/a!", "/d/config.json"]);
        assert_eq!(paths(&[]), [""; 0]);
    }
}
