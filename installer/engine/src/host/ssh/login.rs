//! Logging in: the ways of the site file in their order, each at most once, and what became of each.
//!
//! A password is offered once by `password`, or once by `keyboard-interactive` where the server asks so; a server that
//! asks again has refused it. Nothing is retried: hosts lock users out. A server that closes the connection over one way
//! (`MaxAuthTries`, six by default, which an agent with many keys uses up) is connected to again for the next way.
//! OpenSSH user certificates are offered before their plain key, as `ssh` does: the file `KEY-cert.pub` beside a key file,
//! and those in the agent.

use std::sync::Arc;

use ferry_bundle_format::lock::Timestamp;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::{self, private::KeypairData};
use russh::keys::{self, signature::Signer};
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, load_openssh_certificate, load_secret_key};
use russh::{MethodKind, MethodSet};

use super::algorithms::allows_sha1;
use super::settings::Settings;
use super::verify::Watch;
use crate::host::{HostError, HostErrorKind, Secret};
use crate::site::Jump;
use crate::site::file::{Auth, KeyFile};

/// Questions that one keyboard-interactive login may ask before it is a loop: a password and some banners.
const ROUNDS: usize = 5;

/// Words of a hidden question that asks for something else than the password: a one-time code, which would be wasted.
const NOT_A_PASSWORD: [&str; 8] = ["verification", "one-time", "one time", "otp", "token", "passcode", "code", "pin:"];

/// How one way ended.
enum Ended {
    In,
    Not(String),
}

/// Which ways of a site's `auth` have been tried at one host, over as many connections as it takes.
#[derive(Default)]
pub(super) struct Tries {
    /// The place of the next way in the list.
    next: usize,
    /// What was tried, and how each ended.
    tried: Vec<String>,
}

/// Logs in at `jump`. `false`: the host closed the connection, and there are ways left for a new one. Otherwise the error
/// says what was tried and how each try ended.
pub(super) async fn login(
    handle: &mut Handle<Watch>,
    jump: &Jump,
    settings: &Settings,
    tries: &mut Tries,
) -> Result<bool, HostError> {
    // What the server takes; asking for `none` is how it is found out. OpenSSH does not count it as a try.
    let mut methods = match handle.authenticate_none(&jump.user).await {
        Ok(AuthResult::Success) => return Ok(true),
        Ok(AuthResult::Failure { remaining_methods, .. }) => remaining_methods,
        Err(error) => return Err(lost(jump, &error)),
    };
    while let Some(auth) = jump.auth.get(tries.next) {
        tries.next += 1;
        let (way, ended) = match auth {
            Auth::Agent(_) => ("agent".to_owned(), within(settings, agent(handle, jump, settings, &mut methods)).await),
            Auth::Key(file) => (format!("key {}", file.file), key(handle, jump, file, settings, &mut methods).await?),
            Auth::Password(reference) => {
                let secret = settings.secret(&jump.name, reference).await?;
                ("password".to_owned(), within(settings, password(handle, jump, &secret, &mut methods)).await)
            }
        };
        match ended {
            Ended::In => return Ok(true),
            Ended::Not(why) => tries.tried.push(format!("{way}: {why}")),
        }
        if handle.is_closed() {
            tries.tried.push("then the host closed the connection".to_owned());
            if tries.next < jump.auth.len() {
                return Ok(false);
            }
        }
    }
    let mut tried = std::mem::take(&mut tries.tried);
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
    let beside = beside(&path);
    let passphrase = match &file.passphrase {
        Some(reference) => Some(settings.secret(&jump.name, reference).await?),
        None => None,
    };
    let load = move || load_secret_key(&path, passphrase.as_ref().map(Secret::expose));
    let key = match tokio::task::spawn_blocking(load).await {
        Ok(Ok(key)) => key,
        Ok(Err(keys::Error::KeyIsEncrypted)) => {
            return Ok(Ended::Not("it has a passphrase; give it as `passphrase`".to_owned()));
        }
        // What the library says of a wrong passphrase is "cryptographic error".
        Ok(Err(keys::Error::SshKey(_))) if file.passphrase.is_some() => {
            return Ok(Ended::Not(format!("the passphrase does not open {}", file.file)));
        }
        Ok(Err(error)) => return Ok(Ended::Not(error.to_string())),
        Err(error) => return Ok(Ended::Not(error.to_string())),
    };
    let key = Arc::new(key);
    let mut before = String::new();
    match load_openssh_certificate(&beside) {
        Ok(certificate) => {
            let about = about(&certificate);
            let hash = if key.algorithm().is_rsa() { rsa_hash(handle, jump).await } else { None };
            let mut signer = KeySigner(key.clone());
            let asked = handle.authenticate_certificate_with(&jump.user, certificate, hash, &mut signer);
            match within(settings, async { verdict(asked.await, methods) }).await {
                Ended::In => return Ok(Ended::In),
                Ended::Not(why) => before = format!("its certificate ({about}) {why}; without it "),
            }
            if handle.is_closed() {
                return Ok(Ended::Not(before + "not tried"));
            }
        }
        Err(error) if beside.exists() => before = format!("its certificate cannot be read ({error}); without it "),
        Err(_) => {}
    }
    let hash = if key.algorithm().is_rsa() { rsa_hash(handle, jump).await } else { None };
    let ended = offer(handle, jump, &key, hash, settings, methods).await;
    // Some old servers name SHA-2 and take SHA-1 only.
    let again = matches!(ended, Ended::Not(_)) && hash.is_some() && allows_sha1(&jump.legacy_algorithms);
    let ended = if again { offer(handle, jump, &key, None, settings, methods).await } else { ended };
    Ok(match ended {
        Ended::Not(why) => Ended::Not(before + &why),
        Ended::In => Ended::In,
    })
}

/// Signs with a key in hand for its certificate. The library's own way for this signs with SHA-1 where the key is RSA.
struct KeySigner(Arc<PrivateKey>);

impl russh::Signer for KeySigner {
    type Error = russh::AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signature = match self.0.key_data() {
            KeypairData::Rsa(pair) => Signer::try_sign(&(pair, hash), &to_sign),
            pair => Signer::try_sign(pair, &to_sign),
        };
        let mut signed = to_sign;
        signature
            .map_err(ssh_key::Error::from)
            .and_then(|one| Ok(one.encode_prefixed(&mut signed)?))
            .map_err(keys::Error::from)?;
        Ok(signed)
    }
}

/// Where `ssh` looks for the certificate of a key file: `KEY-cert.pub`.
fn beside(key: &std::path::Path) -> std::path::PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push("-cert.pub");
    name.into()
}

/// What decides whether a certificate is taken: for whom it is, and until when.
fn about(certificate: &Certificate) -> String {
    let users = certificate.valid_principals();
    let users = if users.is_empty() { "any user".to_owned() } else { users.join(", ") };
    // One without an end has the largest number there is.
    let end = i64::try_from(certificate.valid_before()).ok().map(Timestamp::from_unix);
    let until = end.map_or_else(|| "without end".to_owned(), |end| format!("until {end}"));
    format!("for {users}, {until}")
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
        offered += 1;
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                let hash = if key.algorithm().is_rsa() { rsa_hash(handle, jump).await } else { None };
                handle.authenticate_publickey_with(&jump.user, key, hash, &mut client).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                let hash = if certificate.algorithm().is_rsa() { rsa_hash(handle, jump).await } else { None };
                handle.authenticate_certificate_with(&jump.user, certificate, hash, &mut client).await
            }
        };
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
        if let Some(other) = prompts.iter().find(|prompt| prompt.echo || !asks_for_password(&prompt.prompt)) {
            return Ended::Not(format!("the host asks for something else: {:?}", other.prompt.trim()));
        }
        if let [_, second, ..] = prompts.as_slice() {
            return Ended::Not(format!("the host asks for a second secret: {:?}", second.prompt.trim()));
        }
        given = !prompts.is_empty();
        let answers = prompts.iter().map(|_| secret.expose().to_owned()).collect();
        answer = handle.authenticate_keyboard_interactive_respond(answers).await;
    }
    Ended::Not("the host asked without end".to_owned())
}

/// Whether a hidden question is about the password. A one-time code is not: the password would be refused in its place.
fn asks_for_password(question: &str) -> bool {
    let question = question.to_lowercase();
    !NOT_A_PASSWORD.iter().any(|word| question.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_for_a_one_time_code_is_not_answered_with_the_password() {
        for asked in ["Password: ", "(ops@node1) Password:", "Passwort:", "密码：", "Enter your LDAP password"] {
            assert!(asks_for_password(asked), "{asked}");
        }
        for asked in [
            "Verification code: ",
            "One-time password (OATH) for `ops': ",
            "Enter OTP:",
            "Passcode or option (1-3):",
            "PIN:",
            "Token_Response:",
        ] {
            assert!(!asks_for_password(asked), "{asked}");
        }
    }

    #[test]
    fn a_certificate_is_looked_for_where_ssh_looks() {
        assert_eq!(beside(std::path::Path::new("/k/id.old")), std::path::Path::new("/k/id.old-cert.pub"));
    }
}
