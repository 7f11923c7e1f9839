//! Logging in against a real sshd where the site is not as simple as the manual: agents with many keys, user
//! certificates, start files that take the shell.

use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use ferry_engine::host::{Command, Host, HostError, HostErrorKind, Tunnel, ssh};
use ferry_engine::site::Jump;
use ferry_engine::site::file::{Auth, Nothing, Privilege};

use crate::key_auth;
use crate::sshd::{Agent, Options, Sshd, User, host, keygen};

/// Logs in with these ways, and with this agent.
async fn login(sshd: &Sshd, agent: Option<&Agent>, auth: Vec<Auth>) -> Result<(), HostError> {
    let mut settings = sshd.settings();
    settings.agent = agent.map(|agent| agent.socket.clone());
    ssh::connect(&host(vec![Jump { auth, ..sshd.jump() }]), &settings).await.map(drop)
}

fn agent_auth() -> Vec<Auth> {
    vec![Auth::Agent(Nothing {})]
}

#[tokio::test]
async fn an_agent_with_more_keys_than_the_host_tries_does_not_hide_the_next_way() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let at = |name: &str| sshd.folder().join(name);
    keygen(&at("other0"), "ed25519", "");
    let agent = Agent::start(sshd.folder(), &at("other0"));
    for number in 1..7 {
        let key = at(&format!("other{number}"));
        keygen(&key, "ed25519", "");
        agent.add(&key);
    }
    login(&sshd, Some(&agent), [agent_auth(), key_auth(&at("id"), None)].concat()).await.unwrap();
    let stranger = || key_auth(&at("other0"), None);
    login(&sshd, Some(&agent), [stranger(), agent_auth(), stranger(), key_auth(&at("id"), None)].concat())
        .await
        .unwrap();
    for auth in [agent_auth(), [agent_auth(), stranger()].concat()] {
        let error = login(&sshd, Some(&agent), auth).await.unwrap_err();
        assert!(matches!(error.kind, HostErrorKind::Login { .. }), "{error}");
        assert!(error.to_string().contains("then the host closed the connection"), "{error}");
        assert!(error.hint().unwrap().contains("MaxAuthTries"), "{error}");
    }
}

#[tokio::test]
async fn many_key_files_are_all_tried() {
    let Some(sshd) = Sshd::start(&Options { config: "MaxAuthTries 2".into(), ..Options::default() }) else { return };
    let at = |name: &str| sshd.folder().join(name);
    let mut auth = Vec::new();
    for number in 0..5 {
        let key = at(&format!("other{number}"));
        keygen(&key, "ed25519", "");
        auth.extend(key_auth(&key, None));
    }
    auth.extend(key_auth(&at("id"), None));
    login(&sshd, None, auth).await.unwrap();
}

/// Signs a user certificate for `key`.
fn certify(ca: &Path, key: &Path, user: &str, validity: &str) {
    let mut command = Process::new("ssh-keygen");
    command.args(["-q", "-I", "test", "-n", user, "-V", validity, "-s"]).arg(ca).arg(key.with_extension("pub"));
    assert!(command.status().unwrap().success());
}

#[tokio::test]
async fn user_certificates_open_the_host_from_a_file_and_from_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca");
    keygen(&ca, "ed25519", "");
    let config = format!("TrustedUserCAKeys {}.pub\nAuthorizedKeysFile none", ca.display());
    let Some(sshd) = Sshd::start(&Options { config, ..Options::default() }) else { return };
    let at = |name: &str| sshd.folder().join(name);
    for (name, kind) in [("curve", "ed25519"), ("rsa", "rsa"), ("nist", "ecdsa")] {
        keygen(&at(name), kind, "");
        let error = login(&sshd, None, key_auth(&at(name), None)).await.unwrap_err();
        assert!(error.to_string().contains("refused") && !error.to_string().contains("certificate"), "{error}");
        certify(&ca, &at(name), "root,ops", "+2h");
        login(&sshd, None, key_auth(&at(name), None)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let agent_folder = tempfile::tempdir().unwrap();
        let agent = Agent::start(agent_folder.path(), &at(name));
        login(&sshd, Some(&agent), agent_auth()).await.unwrap_or_else(|error| panic!("agent, {name}: {error}"));
    }
    for (name, user, validity, expected) in
        [("other", "backup", "+2h", "for backup"), ("old", "root", "20200101:20200102", "until 2020-01-02")]
    {
        keygen(&at(name), "ed25519", "");
        certify(&ca, &at(name), user, validity);
        let error = login(&sshd, None, key_auth(&at(name), None)).await.unwrap_err();
        assert!(error.to_string().contains("its certificate") && error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_refused_or_broken_does_not_hide_its_key() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let at = |name: &str| sshd.folder().join(name);
    keygen(&at("ca"), "ed25519", "");
    certify(&at("ca"), &at("id"), "root", "+2h");
    login(&sshd, None, key_auth(&at("id"), None)).await.unwrap();
    std::fs::write(at("id-cert.pub"), "not a certificate\n").unwrap();
    login(&sshd, None, key_auth(&at("id"), None)).await.unwrap();
    keygen(&at("stranger"), "ed25519", "");
    std::fs::write(at("stranger-cert.pub"), "ssh-ed25519-cert-v01@openssh.com AAAA\n").unwrap();
    let error = login(&sshd, None, key_auth(&at("stranger"), None)).await.unwrap_err();
    assert!(error.to_string().contains("its certificate cannot be read"), "{error}");
}

#[tokio::test]
async fn a_wrong_passphrase_is_named_as_one() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let key = sshd.folder().join("locked");
    keygen(&key, "ed25519", "open sesame");
    let error = login(&sshd, None, key_auth(&key, Some("wrong"))).await.unwrap_err();
    assert!(error.to_string().contains("the passphrase does not open"), "{error}");
}

#[tokio::test]
async fn start_files_that_take_the_shell_are_named() {
    let user = |name| User { name, shell: "/bin/bash", password: "p", sudo: "ALL=(ALL) NOPASSWD: ALL" };
    let Some(sshd) = Sshd::start(&Options { users: vec![user("asks"), user("well")], ..Options::default() }) else {
        return;
    };
    let rc = sshd.folder().join("asks/.bashrc");
    for (text, expected) in [
        ("read -p 'Configure this host now? [y/n] ' answer", "runs no command"),
        ("exec sh", "runs no command"),
        ("exec bash --norc", "runs no command"),
        ("echo 'Please wait'; sleep 1000", "Please wait"),
        ("cat >/dev/null", "runs no command"),
        ("select shell in bash zsh; do break; done", "runs no command"),
        ("echo 'no logins here'; exit 3", "no logins here"),
    ] {
        std::fs::write(&rc, text).unwrap();
        let mut settings = sshd.settings();
        settings.begin = Duration::from_secs(2);
        let host = ssh::connect(&sshd.host_as("asks", Privilege::Sudo(Nothing {})), &settings).await.unwrap();
        let error = host.run(&Command::root("true").within(Duration::from_secs(60))).await.unwrap_err();
        assert!(matches!(error.kind, HostErrorKind::Login { .. }), "{text}: {error}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
        // The second command is told the same, at once: it is not tried again.
        let again = host.run(&Command::root("true")).await.unwrap_err();
        assert!(again.to_string() == error.to_string() || text.contains("exit"), "{text}: {again}");
    }
    // A command that begins late on a host whose shell is known to work is waited for.
    let rc = sshd.folder().join("well/.bashrc");
    let mut settings = sshd.settings();
    settings.begin = Duration::from_secs(3);
    let host = ssh::connect(&sshd.host_as("well", Privilege::Sudo(Nothing {})), &settings).await.unwrap();
    host.run(&Command::root("true")).await.unwrap();
    std::fs::write(&rc, "sleep 4").unwrap();
    host.run(&Command::root("true")).await.unwrap();
}

/// A server on loopback that answers one connection: reads until it has `expect` bytes, then sends `reply`.
async fn echo(expect: usize, reply: Vec<u8>) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (reply, mut heard) = (reply.clone(), vec![0; expect]);
            tokio::spawn(async move {
                stream.read_exact(&mut heard).await.unwrap();
                stream.write_all(&heard).await.unwrap();
                stream.write_all(&reply).await.unwrap();
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_reached_through_a_session_where_forwarding_is_forbidden() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let noise = "echo Willkommen; echo FERRY-PIPE-x open";
    for (config, user, expected) in [
        ("AllowTcpForwarding no", "bash", Tunnel::Session),
        ("DisableForwarding yes", "bash", Tunnel::Session),
        ("Match User bash\nAllowTcpForwarding no\nMatch all", "bash", Tunnel::Session),
        ("Match User bash\nAllowTcpForwarding no\nMatch all", "csh", Tunnel::Forwarding),
        ("AllowTcpForwarding local", "bash", Tunnel::Forwarding),
        ("AllowTcpForwarding remote", "csh", Tunnel::Session),
        ("PermitOpen 192.0.2.1:1", "bash", Tunnel::Session),
        ("MaxSessions 1\nAllowTcpForwarding no", "bash", Tunnel::Session),
        ("AllowTcpForwarding no", "closed", Tunnel::None(String::new())),
    ] {
        let person = |name, shell| User { name, shell, password: "p", sudo: "ALL=(ALL) NOPASSWD: ALL" };
        let users =
            vec![person("bash", "/bin/bash"), person("csh", "/bin/tcsh"), person("closed", "/usr/sbin/nologin")];
        let Some(sshd) = Sshd::start(&Options { users, config: config.into(), ..Options::default() }) else { return };
        std::fs::write(sshd.folder().join("bash/.bashrc"), noise).unwrap();
        let host = ssh::connect(&sshd.host_as(user, Privilege::Sudo(Nothing {})), &sshd.settings()).await.unwrap();
        let tunnel = host.tunnel().await.unwrap();
        if let (Tunnel::None(why), Tunnel::None(_)) = (&tunnel, &expected) {
            assert!(why.contains("not available"), "{why}");
            assert!(host.dial("127.0.0.1", 1).await.is_err());
            continue;
        }
        assert_eq!(tunnel, expected, "{config}");
        let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let reply: Vec<u8> = sent.iter().map(|byte| !byte).collect();
        let port = echo(sent.len(), reply.clone()).await;
        if config.starts_with("PermitOpen") || !config.contains("MaxSessions") {
            let dials = (0..2).map(|_| host.dial("127.0.0.1", port));
            for stream in futures_util::future::join_all(dials).await {
                let (mut from, mut to) = tokio::io::split(stream.unwrap());
                let writing = async { to.write_all(&sent).await };
                let mut heard = Vec::new();
                let (written, read) = tokio::join!(writing, from.read_to_end(&mut heard));
                written.unwrap();
                read.unwrap();
                assert!(heard == [sent.clone(), reply.clone()].concat(), "{config}: {} bytes", heard.len());
            }
        }
        let error = host.dial("127.0.0.1", 1).await.err().unwrap();
        assert!(matches!(error.kind, HostErrorKind::Unreachable { .. }), "{config}: {error}");
        assert!(error.to_string().contains("can't connect to it"), "{config}: {error}");
        // Commands go on beside it.
        host.run(&Command::root("true")).await.unwrap();
        let facts = ferry_engine::facts::gather(&host).await.unwrap();
        assert_eq!(facts.sshd.tunnel, Some(tunnel), "{config}");
    }
}
