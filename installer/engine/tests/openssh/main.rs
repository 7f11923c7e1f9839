//! The SSH layer against real OpenSSH servers that the tests start on loopback, with their own keys and settings.

mod login;
mod sshd;
mod throughput;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ferry_bundle_format::Digest;
use ferry_engine::host::{Bytes, Command, Host, HostErrorKind, Secret, Stdin, Upload, ssh};
use ferry_engine::site::Jump;
use ferry_engine::site::file::{Auth, KeyFile, Nothing, Privilege, SecretRef};
use sshd::{Agent, Options, Sshd, User, host, keygen};

#[tokio::test]
async fn runs_commands() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let host = sshd.connect().await.unwrap();
    let output = host.run(&Command::root("printf 'a\\000b'; echo e >&2; pwd >&2; umask >&2; exit 7")).await.unwrap();
    assert_eq!((output.status, output.stdout.as_slice()), (7, b"a\0b".as_slice()));
    assert_eq!(output.errors(), "e\n/\n0022\n");
    let output = host.run(&Command::new("cat").reading(Stdin::Text("hello".into()))).await.unwrap();
    assert_eq!(output.text(), "hello");
    let output = host.run(&Command::new("kill -9 $$")).await.unwrap();
    assert_eq!(output.status, 137, "{output:?}");
}

#[tokio::test]
async fn a_deadline_ends_the_process() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let host = sshd.connect().await.unwrap();
    let pid = sshd.folder().join("pid");
    let script = format!("echo $$ > {}; sleep 1000 & sleep 1000", pid.display());
    let error = host.run(&Command::root(script).within(Duration::from_secs(1))).await.unwrap_err();
    assert!(matches!(error.kind, HostErrorKind::Deadline { .. }), "{error}");
    let pid: u32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is still there");
}

#[tokio::test]
async fn uploads_arrive_whole_and_go_on_where_they_stopped() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let host = sshd.connect().await.unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let folder = sshd.folder().join("target");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("a file");
    let upload = Upload {
        digest: Digest::of(&bytes),
        source: Arc::new(Bytes(Arc::new(bytes.clone()))),
        path: path.display().to_string(),
        mode: 0o640,
        owner: "root:root".into(),
    };
    let part = folder.join(format!(".ferry-part-{}", upload.digest.short()));
    for (there, expected) in
        [(&bytes[..0], 0), (&bytes[..5_000_000], 5_000_000), (&[7_u8; 100][..], 0), (&bytes, 12_000_000)]
    {
        std::fs::write(&part, there).unwrap();
        let heard = std::sync::Mutex::new(Vec::new());
        host.upload(&upload, &|more| heard.lock().unwrap().push(more)).await.unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
        let heard = heard.into_inner().unwrap();
        assert_eq!(heard.iter().sum::<u64>(), 12_000_000);
        assert_eq!(if expected > 0 { heard[0] } else { 0 }, expected);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no part is left");
    }
}

fn people() -> Options {
    let user = |name, shell, sudo| User { name, shell, password: "right-pass", sudo };
    let users = vec![
        user("ops", "/bin/bash", "ALL=(ALL) NOPASSWD: ALL"),
        user("pw", "/bin/sh", "ALL=(ALL) ALL"),
        user("plain", "/bin/bash", ""),
        user("csh", "/bin/tcsh", "ALL=(ALL) NOPASSWD: ALL"),
        user("tty", "/bin/sh", "ALL=(ALL) NOPASSWD: ALL\nDefaults:tty requiretty"),
        user("out", "/usr/sbin/nologin", ""),
    ];
    Options { users, ..Options::default() }
}

fn prompt(answer: &str) -> SecretRef {
    SecretRef::Prompt(answer.into())
}

#[tokio::test]
async fn becomes_root_in_every_way() {
    let Some(sshd) = Sshd::start(&people()) else { return };
    let ways = [
        ("ops", Privilege::Sudo(Nothing {})),
        ("csh", Privilege::Sudo(Nothing {})),
        ("ops", Privilege::SudoPassword(prompt("right-pass"))),
        ("pw", Privilege::SudoPassword(prompt("right-pass"))),
        ("plain", Privilege::Su(prompt("root-pass"))),
        ("csh", Privilege::Su(prompt("root-pass"))),
    ];
    for (user, privilege) in ways {
        let host = ssh::connect(&sshd.host_as(user, privilege.clone()), &sshd.settings()).await.unwrap();
        let script = "id -u; printf '%s' \"it's \\$x \\\\ ! $(pwd) $(umask) $LC_ALL\"; printf '\\0\\377'; cat";
        for _ in 0..2 {
            let command = Command::root(script).reading(Stdin::Secret(Secret::new("the input\n")));
            let output = host.run(&command).await.unwrap_or_else(|error| panic!("{user} {privilege:?}: {error}"));
            let expected = [b"0\nit's $x \\ ! / 0022 C\0\xff".as_slice(), b"the input\n"].concat();
            assert_eq!(output.stdout, expected, "{user} {privilege:?} {output:?}");
            assert_eq!((output.status, output.errors().as_str()), (0, ""), "{user} {privilege:?}");
        }
        let output = host.run(&Command::new("id -un")).await.unwrap();
        assert_eq!(output.text().trim(), user, "commands without root are the user's own");
    }
}

#[tokio::test]
async fn says_why_root_is_not_had_and_tries_a_password_once() {
    let Some(sshd) = Sshd::start(&people()) else { return };
    let ways = [
        ("pw", Privilege::Sudo(Nothing {}), "sudoPassword"),
        ("pw", Privilege::SudoPassword(prompt("wrong-pass")), "refused the password"),
        ("plain", Privilege::SudoPassword(prompt("right-pass")), "not in the sudoers"),
        ("plain", Privilege::Su(prompt("wrong-pass")), "refused the password"),
        ("tty", Privilege::Sudo(Nothing {}), "requiretty"),
        ("plain", Privilege::None(Nothing {}), "run as plain"),
    ];
    for (user, privilege, expected) in ways {
        let host = ssh::connect(&sshd.host_as(user, privilege.clone()), &sshd.settings()).await.unwrap();
        let command = Command::root("touch /etc/no");
        let runs = (0..4).map(|_| host.run(&command));
        for outcome in futures_util::future::join_all(runs).await {
            let error = outcome.unwrap_err();
            assert!(matches!(error.kind, HostErrorKind::Privilege(_)), "{user} {privilege:?}: {error}");
            assert!(error.to_string().contains(expected), "{user} {privilege:?}: {error}");
            assert!(!error.to_string().contains("-pass"), "{error}");
        }
    }
    let host = ssh::connect(&sshd.host_as("out", Privilege::None(Nothing {})), &sshd.settings()).await.unwrap();
    let error = host.run(&Command::new("true")).await.unwrap_err();
    assert!(error.to_string().contains("not available"), "{error}");
}

pub(crate) fn key_auth(path: &Path, passphrase: Option<&str>) -> Vec<Auth> {
    vec![Auth::Key(KeyFile { file: path.display().to_string(), passphrase: passphrase.map(prompt) })]
}

#[tokio::test]
async fn logs_in_in_every_way_and_says_what_was_tried() {
    let config = "Match User pw\nPasswordAuthentication yes\nMatch all".into();
    let Some(sshd) = Sshd::start(&Options { config, ..people() }) else { return };
    let at = |name: &str| sshd.folder().join(name);
    for (name, kind, passphrase) in [("locked", "ed25519", "open sesame"), ("rsa", "rsa", ""), ("curve", "ecdsa", "")] {
        keygen(&at(name), kind, passphrase);
        let mut keys = std::fs::read_to_string(at("authorized_keys")).unwrap();
        keys += &std::fs::read_to_string(at(name).with_extension("pub")).unwrap();
        std::fs::write(at("authorized_keys"), keys).unwrap();
    }
    keygen(&at("stranger"), "ed25519", "");
    let agent = Agent::start(sshd.folder(), &at("rsa"));
    let mut settings = sshd.settings();
    settings.agent = Some(agent.socket.clone());
    let login = async |user: &str, auth: Vec<Auth>| {
        let host = host(vec![Jump { user: user.into(), auth, ..sshd.jump() }]);
        ssh::connect(&host, &settings).await
    };
    let agent = || vec![Auth::Agent(Nothing {})];
    let password = |text| vec![Auth::Password(prompt(text))];
    for auth in [
        key_auth(&at("id"), None),
        key_auth(Path::new("id"), None),
        key_auth(&at("locked"), Some("open sesame")),
        key_auth(&at("rsa"), None),
        key_auth(&at("curve"), None),
        agent(),
        [key_auth(&at("stranger"), None), key_auth(&at("id"), None)].concat(),
    ] {
        login("root", auth.clone()).await.unwrap_or_else(|error| panic!("{auth:?}: {error}"));
    }
    login("pw", password("right-pass")).await.unwrap();
    let all = [
        key_auth(&at("stranger"), None),
        key_auth(&at("locked"), Some("wrong")),
        key_auth(&at("locked"), None),
        key_auth(&at("none"), None),
        password("wrong-pass"),
    ];
    let error = login("pw", all.concat()).await.err().unwrap();
    assert!(matches!(error.kind, HostErrorKind::Login { .. }), "{error}");
    let text = error.to_string();
    for part in [
        "stranger: refused",
        "has a passphrase",
        "No such file",
        "password: refused",
        "the host takes publickey,password",
    ] {
        assert!(text.replace(", password", ",password").contains(part), "{part} in {text}");
    }
    assert!(!text.contains("wrong-pass"), "{text}");
    let error = login("root", password("root-pass")).await.err().unwrap();
    assert!(error.to_string().contains("the host takes publickey"), "{error}");
}

#[tokio::test]
async fn goes_through_a_chain_of_real_bastions() {
    let config = |text: &str| Options { config: text.into(), ..people() };
    let Some(first) = Sshd::start(&config("")) else { return };
    let second = Sshd::start(&Options { host_key: Some("rsa"), ..config("") }).unwrap();
    let target = Sshd::start(&Options { host_key: Some("ecdsa"), ..config("MaxSessions 2") }).unwrap();
    let closed = Sshd::start(&config("AllowTcpForwarding no")).unwrap();
    let way = vec![
        Jump { user: "plain".into(), ..first.jump() },
        second.jump(),
        Jump { user: "ops".into(), ..target.jump() },
    ];
    let mut to = host(way);
    to.privilege = Privilege::Sudo(Nothing {});
    let over = ssh::connect(&to, &target.settings()).await.unwrap();
    let command = Command::root("sleep 0.1; echo $SSH_CONNECTION; id -u");
    let outcomes = futures_util::future::join_all((0..12).map(|_| over.run(&command))).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|output| output.text().ends_with("0\n"))));
    let mut stream = over.dial("127.0.0.1", first.port).await.unwrap();
    let mut banner = [0; 8];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut banner).await.unwrap();
    assert_eq!(&banner, b"SSH-2.0-");
    let error = over.dial("127.0.0.1", 1).await.err().unwrap();
    assert!(matches!(error.kind, HostErrorKind::Unreachable { .. }), "{error}");
    to.way[0] = closed.jump();
    let error = ssh::connect(&to, &target.settings()).await.err().unwrap();
    assert!(error.to_string().contains("AllowTcpForwarding"), "{error}");
}

#[tokio::test]
async fn old_servers_are_reached_only_where_that_is_listed() {
    let config = "KexAlgorithms diffie-hellman-group14-sha1\nMACs hmac-sha1\nCiphers aes128-ctr\n\
                  HostKeyAlgorithms ssh-rsa\nPubkeyAcceptedAlgorithms ssh-rsa";
    let options = Options { config: config.into(), host_key: Some("rsa"), ..Options::default() };
    let Some(sshd) = Sshd::start(&options) else { return };
    keygen(&sshd.folder().join("rsa"), "rsa", "");
    std::fs::copy(sshd.folder().join("rsa.pub"), sshd.folder().join("authorized_keys")).unwrap();
    let mut host = host(vec![Jump { auth: key_auth(Path::new("rsa"), None), ..sshd.jump() }]);
    let error = ssh::connect(&host, &sshd.settings()).await.err().unwrap();
    assert!(error.to_string().contains("legacyAlgorithms"), "{error}");
    let legacy = ["ssh-rsa", "diffie-hellman-group14-sha1", "hmac-sha1"];
    host.way[0].legacy_algorithms = legacy.map(str::to_owned).to_vec();
    ssh::connect(&host, &sshd.settings()).await.unwrap();
}

#[tokio::test]
async fn noisy_shells_and_masks_change_nothing() {
    let user = |name, shell| User { name, shell, password: "p", sudo: "ALL=(ALL) NOPASSWD: ALL" };
    let users = vec![user("noisy", "/bin/bash"), user("csh", "/bin/tcsh")];
    let Some(sshd) = Sshd::start(&Options { users, ..Options::default() }) else { return };
    let rc = "echo Willkommen; echo warn >&2; export LC_ALL=de_DE.UTF-8 TMOUT=1; umask 077; set -x; cd /tmp; alias sh=false\n";
    std::fs::write(sshd.folder().join("noisy/.bashrc"), rc).unwrap();
    std::fs::write(sshd.folder().join("csh/.cshrc"), "echo Willkommen\numask 077\nset echo\nalias sh false\n").unwrap();
    for name in ["noisy", "csh"] {
        let host = ssh::connect(&sshd.host_as(name, Privilege::Sudo(Nothing {})), &sshd.settings()).await.unwrap();
        for command in [Command::root("umask; pwd; echo $LC_ALL"), Command::new("umask; pwd; echo $LC_ALL")] {
            let output = host.run(&command).await.unwrap();
            assert_eq!((output.text().as_str(), output.errors().as_str()), ("0022\n/\nC\n", ""), "{name}");
            assert_eq!(host.noise().first().map(String::as_str), Some("Willkommen"), "{name}");
        }
    }
}

#[tokio::test]
async fn uploads_work_without_sftp_as_a_user_and_say_what_is_missing() {
    let before = "mkdir small && mount -t tmpfs -o size=1m,mode=755 tmpfs small";
    let Some(sshd) = Sshd::start(&Options { before, ..people() }) else { return };
    let host = ssh::connect(&sshd.host_as("pw", Privilege::SudoPassword(prompt("right-pass"))), &sshd.settings())
        .await
        .unwrap();
    let upload = |path: PathBuf, length: usize| {
        let bytes = vec![7; length];
        let (digest, source) = (Digest::of(&bytes), Arc::new(Bytes(Arc::new(bytes))));
        Upload { digest, source, path: path.display().to_string(), mode: 0o600, owner: "pw:users".into() }
    };
    let path = sshd.folder().join("it's here");
    host.upload(&upload(path.clone(), 70_000), &|_| ()).await.unwrap();
    let there = std::fs::metadata(&path).unwrap();
    assert_eq!((there.len(), there.permissions().mode() & 0o777, there.uid(), there.gid()), (70_000, 0o600, 4001, 100));
    for (path, expected) in [
        (sshd.folder().join("absent/file"), "its folder does not exist"),
        (sshd.folder().join("small"), "a folder of this name"),
        (sshd.folder().join("small/file"), "are missing"),
    ] {
        let error = host.upload(&upload(path, 2_000_000), &|_| ()).await.unwrap_err();
        assert!(matches!(error.kind, HostErrorKind::Upload { .. }) && error.to_string().contains(expected), "{error}");
    }
    let mut wrong = upload(sshd.folder().join("wrong"), 10);
    wrong.digest = Digest::of(b"something else");
    let error = host.upload(&wrong, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(!sshd.folder().join("wrong").exists());
}

#[tokio::test]
async fn a_command_nobody_waits_for_and_a_command_of_root_are_ended() {
    let Some(sshd) = Sshd::start(&people()) else { return };
    let settings = sshd.settings();
    for privilege in [Privilege::SudoPassword(prompt("right-pass")), Privilege::Su(prompt("root-pass"))] {
        let host = ssh::connect(&sshd.host_as("pw", privilege), &settings).await.unwrap();
        let pid = sshd.folder().join("pid");
        // It ignores being asked: it is killed.
        let script = format!("trap '' TERM; echo $$ > {}; sleep 1000 & while :; do sleep 0.1; done", pid.display());
        let gone = |pid: &Path| {
            let pid = std::fs::read_to_string(pid).unwrap();
            !Path::new(&format!("/proc/{}", pid.trim())).exists()
        };
        let command = Command::root(script.clone()).within(Duration::from_secs(1));
        let error = host.run(&command).await.unwrap_err();
        assert!(matches!(error.kind, HostErrorKind::Deadline { .. }), "{error}");
        assert!(gone(&pid));
        std::fs::remove_file(&pid).unwrap();
        let command = Command::root(script);
        let begun = async {
            while std::fs::read_to_string(&pid).unwrap_or_default().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            _ = host.run(&command) => unreachable!("it does not end"),
            () = begun => {}
        }
        while !gone(&pid) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::fs::remove_file(&pid).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_stands_in_a_command_line() {
    let Some(sshd) = Sshd::start(&people()) else { return };
    let settings = sshd.settings();
    let (stop, seen) = (tokio_util::sync::CancellationToken::new(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let sampler = {
        let (stop, seen) = (stop.clone(), seen.clone());
        std::thread::spawn(move || {
            while !stop.is_cancelled() {
                let all = std::fs::read_dir("/proc").unwrap().flatten();
                let texts =
                    all.flat_map(|entry| ["cmdline", "environ"].map(|name| std::fs::read(entry.path().join(name))));
                seen.lock().unwrap().extend(texts.flatten().map(|text| String::from_utf8_lossy(&text).into_owned()));
            }
        })
    };
    for privilege in [Privilege::SudoPassword(prompt("right-pass")), Privilege::Su(prompt("root-pass"))] {
        let host = ssh::connect(&sshd.host_as("pw", privilege), &settings).await.unwrap();
        let command =
            Command::root("sleep 0.3; cat >/dev/null").reading(Stdin::Secret(Secret::new("a planted secret")));
        host.run(&command).await.unwrap();
    }
    stop.cancel();
    sampler.join().unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|text| text.contains("sleep 0.3")), "the commands themselves were seen");
    for secret in ["right-pass", "root-pass", "a planted secret"] {
        assert!(!seen.iter().any(|text| text.contains(secret)), "{secret} was seen");
    }
}
