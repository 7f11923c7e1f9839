//! How to reach servers: flags, and a config file for what does not change from call to call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ferry_bundle_format::yaml;
use serde::Deserialize;

use super::Context;
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};
use crate::source::{ClientSettings, Credentials, Mirrors, ProxySetting, RegistryClient, Secret};

/// How to reach servers.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Ask TO instead of FROM: `registry.k8s.io=mirror.example/k8s` or `https://dl.k8s.io=https://mirror.example/k8s`.
    /// Repeatable. Mirrors are not trusted: the digest decides.
    #[arg(long, value_name = "FROM=TO")]
    pub mirror: Vec<String>,
    /// Speak plain HTTP with this host[:port]. Repeatable.
    #[arg(long, value_name = "HOST")]
    pub plain_http: Vec<String>,
    /// Trust the CAs in this PEM file beside the system's. Repeatable.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Vec<PathBuf>,
    /// Do not check the certificate of this host[:port]. Repeatable.
    #[arg(long, value_name = "HOST")]
    pub insecure_tls: Vec<String>,
    /// Go out through this proxy; without it, as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Log in to HOST as NAME. The password is FERRY_PASSWORD, or asked for. Without it, docker's and podman's own
    /// logins are used.
    #[arg(long, value_name = "HOST=NAME")]
    pub user: Vec<String>,
    /// Let the token server REALM see the credentials for REGISTRY.
    #[arg(long, value_name = "REGISTRY=REALM")]
    pub allow_realm: Vec<String>,
    /// Give up a request after this many attempts.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub attempts: u32,
    /// Give up a connection on which nothing moves for this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub idle_timeout: u64,
    /// A file with `mirrors`, `plainHttp`, `caFiles`, `insecureTls`, `realms`, `proxy`.
    #[arg(long, value_name = "FILE", env = "FERRY_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The config file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    mirrors: Vec<String>,
    #[serde(default)]
    plain_http: Vec<String>,
    #[serde(default)]
    ca_files: Vec<PathBuf>,
    #[serde(default)]
    insecure_tls: Vec<String>,
    #[serde(default)]
    realms: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    proxy: Option<String>,
}

fn read_config(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path).map_err(failure::io("read", path))?;
    let mut config: Config = yaml::read(path, &text)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for file in &mut config.ca_files {
        *file = folder.join(&file);
    }
    Ok(config)
}

fn pair<'a>(text: &'a str, what: &str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=')
        .filter(|(a, b)| !a.is_empty() && !b.is_empty())
        .ok_or_else(|| Failure::new(ExitCode::Usage, format!("{text:?} is not {what}")))
}

impl NetworkArgs {
    /// The client these flags describe. Retries are shown through the context.
    pub fn client(&self, context: &Context) -> Result<RegistryClient, Failure> {
        let reporter = context.reporter.clone();
        let hook = Arc::new(move |retry: &crate::source::RetryEvent| {
            reporter.event(&Event::Retry {
                what: retry.host.clone(),
                why: retry.why.clone(),
                attempt: retry.attempt,
                after_ms: u64::try_from(retry.delay.as_millis()).unwrap_or(u64::MAX),
            });
        });
        Ok(RegistryClient::new(&self.settings()?, hook)?)
    }

    /// The same for a question that is asked once: what does not answer is not asked again.
    pub fn once(&self, context: &Context) -> Result<RegistryClient, Failure> {
        Self { attempts: 1, ..self.clone() }.client(context)
    }

    /// The settings these flags and the config file describe.
    pub fn settings(&self) -> Result<ClientSettings, Failure> {
        let config = self.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
        let mut settings = ClientSettings::default();
        // Flags before the file: the first rule of a FROM is asked first.
        let mirrors = Mirrors::parse(self.mirror.iter().chain(&config.mirrors));
        settings.mirrors = mirrors.map_err(|error| Failure::of(ExitCode::Usage, &error))?;
        for host in self.plain_http.iter().chain(&config.plain_http) {
            settings.plain_http.insert(host);
        }
        for host in self.insecure_tls.iter().chain(&config.insecure_tls) {
            settings.insecure_tls.insert(host);
        }
        settings.ca_files = self.ca_file.iter().chain(&config.ca_files).cloned().collect();
        if let Some(url) = self.proxy.as_ref().or(config.proxy.as_ref()) {
            settings.proxy = ProxySetting::Url(Secret::new(url.clone()));
        }
        for text in &self.allow_realm {
            let (registry, realm) = pair(text, "REGISTRY=REALM")?;
            settings.allow_realm(registry, realm);
        }
        for (registry, realms) in &config.realms {
            for realm in realms {
                settings.allow_realm(registry, realm);
            }
        }
        settings.retries.attempts = self.attempts.max(1);
        settings.idle_timeout = Duration::from_secs(self.idle_timeout.max(1));
        settings.credentials = self.credentials()?;
        Ok(settings)
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let mut credentials = Credentials::from_environment();
        for text in &self.user {
            let (host, user) = pair(text, "HOST=NAME")?;
            let password = match std::env::var("FERRY_PASSWORD") {
                Ok(password) => password,
                Err(_) => rpassword::prompt_password(format!("Password of {user} at {host}: ")).map_err(|error| {
                    Failure::of(ExitCode::Usage, &error).hint("set FERRY_PASSWORD where nobody can type")
                })?,
            };
            credentials = credentials.with_password(host, user, Secret::new(password));
        }
        Ok(credentials)
    }
}
