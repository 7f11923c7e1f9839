//! Logging in: the ways of the site file in their order, each at most once, and what became of each.
//!
//! A password is offered once by `password`, or once by `keyboard-interactive` where the server asks so; a server that
//! asks again has refused it. Nothing is retried: hosts lock users out.

use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, load_secret_key};
use russh::{MethodKind, MethodSet};

use super::algorithms::allows_sha1;
use super::settings::Settings;
use super::verify::Watch;
use crate::host::{HostError, HostErrorKind, Secret};
use crate::site::Jump;
use crate::site::file::{Auth, KeyFile};

/// Questions that one keyboard-interactive login may ask before it is a loop: a password and some banners.
const ROUNDS: usize = 5;

/// How one way ended.
enum Ended {
    In,
    Not(String),
}

/// Logs in at `jump`, or says what was tried and how each try ended.
pub(super) async fn login(handle: &mut Handle<Watch>, jump: &Jump, settings: &Settings) -> Result<(), HostError> {
    let mut tried = Vec::new();
    // What the server takes; asking for `none` is how it is found out.
    let mut methods = match handle.authenticate_none(&jump.user).await {
        Ok(AuthResult::Success) => return Ok(()),
        Ok(AuthResult::Failure { remaining_methods, .. }) => remaining_methods,
        Err(error) => return Err(lost(jump, &error)),
    };
    for auth in &jump.auth {
        let (way, ended) = match auth {
            Auth::Agent(_) => ("agent".to_owned(), within(settings, agent(handle, jump, settings, &mut methods)).await),
            Auth::Key(file) => (format!("key {}", file.file), key(handle, jump, file, settings, &mut methods).await?),
            Auth::Password(reference) => {
                let secret = settings.secret(&jump.name, reference).await?;
                ("password".to_owned(), within(settings, password(handle, jump, &secret, &mut methods)).await)
            }
        };
        match ended {
            Ended::In => return Ok(()),
            Ended::Not(why) => tried.push(format!("{way}: {why}")),
        }
        if handle.is_closed() {
            tried.push("then the host closed the connection".to_owned());
            break;
        }
    }
    let taken: Vec<String> = methods.iter().map(String::from).collect();
    if !taken.is_empty() {
        tried.push(format!("the host takes {}", taken.join(", ")));
    }
    Err(HostError::new(&jump.name, HostErrorKind::Login { user: jump.user.clone(), tried: tried.join("; ") }))
}

/// Only the host is hurried: a person who types a passphrase is not.
async fn within(settings: &Settings, way: impl Future<Output = Ended>) -> Ended {
    let late = || Ended::Not(format!("no answer for {} s", settings.patience.as_secs()));
    tokio::time::timeout(settings.patience, way).await.unwrap_or_else(|_| late())
}

fn lost(jump: &Jump, error: &russh::Error) -> HostError {
    HostError::new(&jump.name, HostErrorKind::Lost(format!("while logging in: {error}")))
}

fn verdict(result: Result<AuthResult, impl std::fmt::Display>, methods: &mut MethodSet) -> Ended {
    match result {
        Ok(AuthResult::Success) => Ended::In,
        Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
            if !remaining_methods.is_empty() {
                *methods = remaining_methods;
            }
            Ended::Not(if partial_success { "accepted, but the host wants one more" } else { "refused" }.to_owned())
        }
        Err(error) => Ended::Not(error.to_string()),
    }
}

/// The hash for signatures of an RSA key: the best that the server names; SHA-1 only where it is allowed.
async fn rsa_hash(handle: &Handle<Watch>, jump: &Jump) -> Option<HashAlg> {
    match handle.best_supported_rsa_hash().await {
        Ok(Some(Some(hash))) => Some(hash),
        _ if allows_sha1(&jump.legacy_algorithms) => None,
        _ => Some(HashAlg::Sha512),
    }
}

async fn key(
    handle: &mut Handle<Watch>,
    jump: &Jump,
    file: &KeyFile,
    settings: &Settings,
    methods: &mut MethodSet,
) -> Result<Ended, HostError> {
    let path = settings.file(&file.file);
    let passphrase = match &file.passphrase {
        Some(reference) => Some(settings.secret(&jump.name, reference).await?),
        None => None,
    };
    let load = move || load_secret_key(&path, passphrase.as_ref().map(Secret::expose));
    let key = match tokio::task::spawn_blocking(load).await {
        Ok(Ok(key)) => key,
        Ok(Err(russh::keys::Error::KeyIsEncrypted)) => {
            return Ok(Ended::Not("it has a passphrase; give it as `passphrase`".to_owned()));
        }
        Ok(Err(error)) => return Ok(Ended::Not(error.to_string())),
        Err(error) => return Ok(Ended::Not(error.to_string())),
    };
    let key = Arc::new(key);
    let hash = if key.algorithm().is_rsa() { rsa_hash(handle, jump).await } else { None };
    let ended = offer(handle, jump, &key, hash, settings, methods).await;
    // Some old servers name SHA-2 and take SHA-1 only.
    let again = matches!(ended, Ended::Not(_)) && hash.is_some() && allows_sha1(&jump.legacy_algorithms);
    Ok(if again { offer(handle, jump, &key, None, settings, methods).await } else { ended })
}

async fn offer(
    handle: &mut Handle<Watch>,
    jump: &Jump,
    key: &Arc<PrivateKey>,
    hash: Option<HashAlg>,
    settings: &Settings,
    methods: &mut MethodSet,
) -> Ended {
    let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
    within(settings, async { verdict(handle.authenticate_publickey(&jump.user, key).await, methods) }).await
}

async fn agent(handle: &mut Handle<Watch>, jump: &Jump, settings: &Settings, methods: &mut MethodSet) -> Ended {
    let Some(socket) = &settings.agent else {
        return Ended::Not("there is none (SSH_AUTH_SOCK is not set)".to_owned());
    };
    let mut client = match AgentClient::connect_uds(socket).await {
        Ok(client) => client,
        Err(error) => return Ended::Not(format!("no answer at {}: {error}", socket.display())),
    };
    // Binding lets an agent check its destination constraints; agents that know no binding refuse it, which is fine.
    if let Some(binding) = handle.agent_session_binding().cloned() {
        let _ = client.bind_session(&binding, false).await;
    }
    let identities = match client.request_identities().await {
        Ok(identities) => identities,
        Err(error) => return Ended::Not(error.to_string()),
    };
    let mut offered = 0;
    let mut last = "it holds no keys".to_owned();
    for identity in identities {
        let AgentIdentity::PublicKey { key, .. } = identity else { continue };
        let hash = if key.algorithm().is_rsa() { rsa_hash(handle, jump).await } else { None };
        offered += 1;
        let result = handle.authenticate_publickey_with(&jump.user, key, hash, &mut client).await;
        match verdict(result, methods) {
            Ended::In => return Ended::In,
            Ended::Not(why) => last = why,
        }
        if handle.is_closed() {
            break;
        }
    }
    Ended::Not(if offered > 0 { format!("{offered} keys offered, the last was {last}") } else { last })
}

async fn password(handle: &mut Handle<Watch>, jump: &Jump, secret: &Secret, methods: &mut MethodSet) -> Ended {
    // A server that names its methods is asked only in one that it has; one that names none is asked by `password`.
    if methods.contains(&MethodKind::Password) || !methods.contains(&MethodKind::KeyboardInteractive) {
        return verdict(handle.authenticate_password(&jump.user, secret.expose()).await, methods);
    }
    let mut given = false;
    let mut answer = handle.authenticate_keyboard_interactive_start(&jump.user, None).await;
    for _ in 0..ROUNDS {
        let prompts = match answer {
            Ok(KeyboardInteractiveAuthResponse::Success) => return Ended::In,
            Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                return verdict(
                    Ok::<_, russh::Error>(AuthResult::Failure { remaining_methods, partial_success }),
                    methods,
                );
            }
            Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => prompts,
            Err(error) => return Ended::Not(error.to_string()),
        };
        if given && !prompts.is_empty() {
            return Ended::Not(format!("answered once, and asked again: {:?}", prompts[0].prompt.trim()));
        }
        if let Some(visible) = prompts.iter().find(|prompt| prompt.echo) {
            return Ended::Not(format!("the host asks for something else: {:?}", visible.prompt.trim()));
        }
        given = !prompts.is_empty();
        let answers = prompts.iter().map(|_| secret.expose().to_owned()).collect();
        answer = handle.authenticate_keyboard_interactive_respond(answers).await;
    }
    Ended::Not("the host asked without end".to_owned())
}
