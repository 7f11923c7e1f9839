//! The SSH layer against hosts that do wrong: each fault is one that real hosts have, and each test names the trap.

use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_bundle_format::Digest;
use ferry_engine::host::fake::{Answer, FakeHost, Nature, Questions};
use ferry_engine::host::known::KnownKeys;
use ferry_engine::host::ssh::{self, Settings, SshHost, Trace};
use ferry_engine::host::{
    Bytes, Command, Host, HostError, HostErrorKind, Output, Secret, SecretStore, Source, Stdin, Upload,
};
use futures_util::future::join_all;

const PASSWORD: &str = "planted-password";

fn settings(folder: &tempfile::TempDir) -> Settings {
    let ask = Arc::new(|_: &str| Some(Secret::new(PASSWORD)));
    let redactor = ferry_engine::host::Redactor::default();
    let secrets = Arc::new(SecretStore::new(folder.path(), ask, redactor.clone()));
    let mut settings = Settings::new(folder.path(), secrets, KnownKeys::new(folder.path().join("known")));
    settings.redactor = redactor;
    settings.first_sight = Arc::new(ssh::Answer::Accept);
    settings.patience = Duration::from_secs(5);
    settings
}

async fn start(nature: Nature) -> (FakeHost, tempfile::TempDir) {
    (FakeHost::start(nature).await.unwrap(), tempfile::tempdir().unwrap())
}

async fn connect(fake: &FakeHost, settings: &Settings) -> Result<SshHost, HostError> {
    ssh::connect(&fake.site_host("node-1"), settings).await
}

fn answers(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Nature {
    Nature { handler: Arc::new(move |asked| answer(&asked.script)), ..Nature::default() }
}

#[tokio::test]
async fn a_fake_host_really_runs_commands() {
    let (fake, folder) = start(Nature { noise: "Welcome!\n".into(), ..Nature::default() }).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    let script = "pwd; cat; printf '\\377' >&2; exit 3";
    let output = host.run(&Command::new(script).reading(Stdin::Text("in".into()))).await.unwrap();
    assert_eq!((output.status, output.stderr.as_slice()), (3, b"\xff".as_slice()));
    assert_eq!(output.text(), format!("{}\nin", fake.folder().display()));
    assert_eq!(fake.asked()[0].script, script, "what ran is what was given");
    assert_eq!(host.noise(), ["Welcome!"]);
    let output = host.run(&Command::new("kill -TERM $$")).await.unwrap();
    assert_eq!(output.status, 143);
}

#[tokio::test]
async fn trap_status_and_eof_come_in_any_order() {
    let output = Output { status: 5, stdout: vec![b'x'; 1_000_000], stderr: b"e".to_vec() };
    let expected = output.clone();
    let (fake, folder) = start(answers(move |_| Answer::Backwards(output.clone()))).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    for _ in 0..20 {
        assert_eq!(host.run(&Command::new("x")).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn trap_a_missing_status_is_no_success() {
    let (fake, folder) = start(answers(|_| Answer::NoStatus)).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    let error = host.run(&Command::new("x")).await.unwrap_err();
    assert!(matches!(error.kind, HostErrorKind::Cut(_)) && !error.is_absence() && error.may_pass(), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_fails_its_call_and_is_made_anew_by_the_next() {
    let nature = answers(|script| if script == "break" { Answer::Break(b"half".to_vec()) } else { Answer::text("ok") });
    let (fake, folder) = start(nature).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    for _ in 0..3 {
        let error = host.run(&Command::new("break")).await.unwrap_err();
        assert!(matches!(error.kind, HostErrorKind::Lost(_)) && error.is_absence(), "{error}");
        assert_eq!(host.run(&Command::new("x")).await.unwrap().text(), "ok");
        fake.cut();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(host.run(&Command::new("x")).await.unwrap().text(), "ok", "lost while idle: nothing had begun");
    }
    fake.off();
    let error = host.run(&Command::new("x")).await.unwrap_err();
    assert!(error.is_absence(), "{error}");
}

#[tokio::test]
async fn more_commands_than_the_host_has_sessions_queue() {
    for max_sessions in [1, 3] {
        let late =
            |_: &str| Answer::Late(Duration::from_millis(20), Output { status: 0, stdout: vec![], stderr: vec![] });
        let (fake, folder) = start(Nature { max_sessions, ..answers(late) }).await;
        let host = connect(&fake, &settings(&folder)).await.unwrap();
        let command = Command::new("x");
        let outcomes = join_all((0..30).map(|_| host.run(&command))).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_command_that_prints_without_end_is_ended() {
    let (fake, folder) = start(answers(|_| Answer::Flood)).await;
    let mut settings = settings(&folder);
    settings.output_limit = 1 << 20;
    let host = connect(&fake, &settings).await.unwrap();
    let error = host.run(&Command::new("yes")).await.unwrap_err();
    assert!(matches!(error.kind, HostErrorKind::Flood { limit: 0x10_0000, .. }), "{error}");
}

#[tokio::test]
async fn cancel_ends_what_is_under_way_and_refuses_what_comes() {
    let (fake, folder) = start(Nature::default()).await;
    let settings = settings(&folder);
    let host = connect(&fake, &settings).await.unwrap();
    let (command, cancel) = (Command::new("echo $$ > pid; sleep 1000"), settings.cancel.clone());
    let pid = fake.folder().join("pid");
    let stop = async {
        while std::fs::read_to_string(&pid).unwrap_or_default().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(host.run(&command), stop);
    assert!(matches!(outcome.unwrap_err().kind, HostErrorKind::Cancelled));
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(), "it is gone when the call returns");
    assert!(matches!(host.run(&Command::new("x")).await.unwrap_err().kind, HostErrorKind::Cancelled));
}

#[tokio::test]
async fn a_shell_that_runs_nothing_is_named() {
    let (fake, folder) = start(answers(|_| Answer::Refuse("This account is currently not available.\n".into()))).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    let error = host.run(&Command::new("x")).await.unwrap_err();
    assert!(
        matches!(error.kind, HostErrorKind::Login { .. }) && error.to_string().contains("not available"),
        "{error}"
    );
}

#[tokio::test]
async fn trap_keyboard_interactive_asks_without_end() {
    for (questions, works) in [(Questions::Never, true), (Questions::Once, true), (Questions::Endless, false)] {
        let (fake, folder) = start(Nature { password: Some(PASSWORD.into()), questions, ..Nature::default() }).await;
        let outcome = connect(&fake, &settings(&folder)).await;
        assert_eq!(outcome.is_ok(), works, "{questions:?}");
        assert_eq!(fake.logins(), 1, "a password is offered once");
        if let Err(error) = outcome {
            assert!(matches!(error.kind, HostErrorKind::Login { .. }), "{error}");
            assert!(error.to_string().contains("asked again"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_refused_password_is_not_offered_again() {
    let (fake, folder) = start(Nature { password: Some("another".into()), ..Nature::default() }).await;
    let host = SshHost::idle(&fake.site_host("node-1"), &settings(&folder));
    let command = Command::new("x");
    for outcome in join_all((0..5).map(|_| host.run(&command))).await {
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("password: refused"), "{error}");
        assert!(!error.to_string().contains(PASSWORD));
    }
    assert_eq!(fake.logins(), 1);
}

/// The keys of hosts that were accepted.
#[derive(Default)]
struct Heard(std::sync::Mutex<Vec<(String, String)>>);

impl ssh::Trace for Heard {
    fn began(&self, _: &str, _: &Command) -> u64 {
        0
    }
    fn ended(&self, _: u64, _: &Result<Output, HostError>, _: std::time::Duration) {}
    fn host_key(&self, host: &str, fingerprint: &str) {
        self.0.lock().unwrap().push((host.to_owned(), fingerprint.to_owned()));
    }
}

fn is_key_error(outcome: Result<SshHost, HostError>, origin: &str) {
    let error = outcome.err().expect("refused");
    assert!(matches!(error.kind, HostErrorKind::HostKey { .. }), "{error}");
    assert!(error.to_string().contains(origin), "{error}");
}

#[tokio::test]
async fn host_keys_are_pinned_recorded_or_accepted_at_first_sight() {
    let (fake, folder) = start(Nature { keys: vec!["ssh-ed25519", "ecdsa-sha2-nistp256"], ..Nature::default() }).await;
    let mut settings = settings(&folder);
    settings.first_sight = Arc::new(ssh::Answer::Refuse);
    let refused = connect(&fake, &settings).await.err().expect("refused");
    assert!(refused.to_string().contains("not accepted"), "{refused}");
    let hint = refused.hint().expect("a hint");
    assert!(hint.contains("ssh-keygen -lf") && hint.contains("--accept-host-keys"), "{hint}");
    let heard = Arc::new(Heard::default());
    settings.trace = heard.clone();
    assert_eq!(settings.known.get("node-1").unwrap(), None);
    // A pin names no algorithm: the host has the pinned key, but shows another first.
    for print in fake.fingerprints() {
        let mut host = fake.site_host("node-1");
        host.way[0].host_key = Some(print.clone());
        ssh::connect(&host, &settings).await.unwrap();
        // Whoever keeps the journal learns of it, though nobody had to be asked.
        assert_eq!(heard.0.lock().unwrap().pop(), Some(("node-1".to_owned(), print.clone())));
    }
    let mut host = fake.site_host("node-1");
    host.way[0].host_key = Some("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into());
    let refused = ssh::connect(&host, &settings).await.err().expect("refused").to_string();
    assert!(refused.contains("pinned in the site file"), "{refused}");
    for print in fake.fingerprints() {
        assert!(refused.contains(print.as_str()), "what it shows can be compared: {refused}");
    }
    assert!(heard.0.lock().unwrap().is_empty(), "a key that does not fit is no host's key");
    settings.first_sight = Arc::new(ssh::Answer::Accept);
    connect(&fake, &settings).await.unwrap();
    assert_eq!(settings.known.get("node-1").unwrap().unwrap().algorithm, "ssh-ed25519");
    settings.first_sight = Arc::new(ssh::Answer::Refuse);
    connect(&fake, &settings).await.unwrap();
}

#[tokio::test]
async fn trap_another_algorithm_is_no_first_sight() {
    let (fake, folder) = start(Nature::default()).await;
    let settings = settings(&folder);
    let host = connect(&fake, &settings).await.unwrap();
    let port = fake.port();
    drop(fake);
    // The same name, another machine: it has only a key of an algorithm that was never seen from this host.
    let other =
        FakeHost::start_at(port, Nature { keys: vec!["ecdsa-sha2-nistp256"], ..Nature::default() }).await.unwrap();
    is_key_error(connect(&other, &settings).await, "recorded in");
    assert!(matches!(host.run(&Command::new("x")).await.unwrap_err().kind, HostErrorKind::HostKey { .. }));
    drop(other);
    // With both, the one that is recorded is asked for, so the change of the other does not hide it.
    let both = Nature { keys: vec!["ecdsa-sha2-nistp256", "ssh-ed25519"], ..Nature::default() };
    let other = FakeHost::start_at(port, both).await.unwrap();
    is_key_error(connect(&other, &settings).await, "recorded in");
}

#[tokio::test]
async fn the_recorded_algorithm_is_asked_for() {
    let (fake, folder) = start(Nature { keys: vec!["ssh-ed25519", "ecdsa-sha2-nistp256"], ..Nature::default() }).await;
    let settings = settings(&folder);
    // Known by its second key; a client that prefers ed25519 would call it changed.
    let key = fake.keys()[1].clone();
    settings.known.put("node-1", key).unwrap();
    connect(&fake, &settings).await.unwrap();
}

#[tokio::test]
async fn bastions_pass_on_or_say_that_they_do_not() {
    let (target, folder) = start(answers(|_| Answer::text("target"))).await;
    let (first, second) =
        (FakeHost::start(Nature::default()).await.unwrap(), FakeHost::start(Nature::default()).await.unwrap());
    let mut host = target.site_host("node-1");
    host.way = vec![first.jump("gate"), second.jump("inner"), target.jump("node-1")];
    let over = ssh::connect(&host, &settings(&folder)).await.unwrap();
    assert_eq!(over.run(&Command::new("x")).await.unwrap().text(), "target");
    let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = over.dial("127.0.0.1", echo.local_addr().unwrap().port()).await.unwrap();
    let (mut peer, _) = echo.accept().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"through").await.unwrap();
    let mut heard = [0; 7];
    tokio::io::AsyncReadExt::read_exact(&mut peer, &mut heard).await.unwrap();
    assert_eq!(&heard, b"through");
    drop(echo);
    first.cut();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(over.run(&Command::new("x")).await.unwrap().text(), "target", "the whole chain is made anew");

    let closed = FakeHost::start(Nature { forwards: false, ..Nature::default() }).await.unwrap();
    host.way = vec![closed.jump("shut"), target.jump("node-1")];
    let error = ssh::connect(&host, &settings(&folder)).await.err().unwrap();
    assert!(error.to_string().contains("AllowTcpForwarding") && error.to_string().contains("shut"), "{error}");
    target.off();
    host.way = vec![second.jump("inner"), target.jump("node-1")];
    let error = ssh::connect(&host, &settings(&folder)).await.err().unwrap();
    assert!(error.is_absence() && error.to_string().contains("inner can't connect"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (fake, folder) = start(Nature::default()).await;
    let mut settings = settings(&folder);
    settings.patience = Duration::from_millis(300);
    let mut host = fake.site_host("node-1");
    host.way[0].port = silent.local_addr().unwrap().port();
    let error = ssh::connect(&host, &settings).await.err().unwrap();
    assert!(error.is_absence() && error.to_string().contains("no answer in the SSH handshake"), "{error}");
}

#[derive(Default)]
struct Written(Mutex<Vec<String>>);

impl Trace for Written {
    fn began(&self, host: &str, command: &Command) -> u64 {
        let mut lines = self.0.lock().unwrap();
        lines.push(format!("{host} {command:?}"));
        lines.len() as u64
    }
    fn ended(&self, id: u64, outcome: &Result<Output, HostError>, _: Duration) {
        self.0.lock().unwrap().push(format!("{id} {outcome:?}"));
    }
}

#[tokio::test]
async fn every_command_is_traced_and_no_secret_is() {
    let (fake, folder) = start(Nature { password: Some(PASSWORD.into()), ..Nature::default() }).await;
    let (written, mut settings) = (Arc::new(Written::default()), settings(&folder));
    settings.trace = written.clone();
    let host = connect(&fake, &settings).await.unwrap();
    let command = Command::new("cat > secret").reading(Stdin::Secret(Secret::new(PASSWORD)));
    host.run(&command).await.unwrap();
    assert_eq!(std::fs::read_to_string(fake.folder().join("secret")).unwrap(), PASSWORD);
    let lines = written.0.lock().unwrap().join("\n");
    assert!(lines.contains("cat > secret") && lines.contains("1 Ok"), "{lines}");
    assert!(!lines.contains(PASSWORD), "{lines}");
    assert_eq!(settings.redactor.redact(PASSWORD), "«secret»", "the redactor knows it");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hosts_fit_into_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    // A hundred handshakes at once, in a debug build, on a machine that does other things too.
    settings.patience = Duration::from_secs(120);
    let fakes = join_all((0..100).map(|_| FakeHost::start(answers(|_| Answer::text("ok"))))).await;
    let work = fakes.iter().enumerate().map(|(index, fake)| {
        let settings = settings.clone();
        async move {
            let host = fake.as_ref().unwrap().site_host(&format!("node-{index}"));
            ssh::connect(&host, &settings).await?.run(&Command::new("x")).await
        }
    });
    let outcomes = join_all(work).await;
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_or_else(|error| panic!("{error}")).text(), "ok");
    }
}

fn file(fake: &FakeHost, length: u32) -> Upload {
    let bytes: Vec<u8> = (0..length).flat_map(u32::to_le_bytes).collect();
    let there = std::fs::metadata(fake.folder()).unwrap();
    Upload {
        digest: Digest::of(&bytes),
        source: Arc::new(Bytes(Arc::new(bytes))),
        path: fake.folder().join("file").display().to_string(),
        mode: 0o644,
        owner: format!("{}:{}", there.uid(), there.gid()),
    }
}

#[tokio::test]
async fn an_upload_that_broke_goes_on_where_it_stopped() {
    let (fake, folder) = start(Nature::default()).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    let upload = file(&fake, 8 << 20);
    let sent = AtomicU64::new(0);
    let error = host
        .upload(&upload, &|more| {
            if sent.fetch_add(more, Ordering::Relaxed) + more > 16 << 20 {
                fake.cut();
            }
        })
        .await
        .unwrap_err();
    assert!(error.is_absence(), "{error}");
    let part = fake.folder().join(format!(".ferry-part-{}", upload.digest.short()));
    // What was on its way may still be written.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let kept = std::fs::metadata(&part).unwrap().len();
    assert!(kept > 1 << 20 && !fake.folder().join("file").exists(), "{kept}");
    let heard = Mutex::new(Vec::new());
    host.upload(&upload, &|more| heard.lock().unwrap().push(more)).await.unwrap();
    let heard = heard.into_inner().unwrap();
    assert_eq!((heard[0], heard.iter().sum::<u64>()), (kept, 32 << 20), "what was there was not sent again");
    assert_eq!(Digest::of(&std::fs::read(fake.folder().join("file")).unwrap()), upload.digest);
}

#[tokio::test]
async fn an_upload_is_refused_where_others_could_put_a_link_in_its_way() {
    use std::os::unix::fs::PermissionsExt as _;
    let (fake, folder) = start(Nature::default()).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    let target = fake.folder().join("target");
    std::fs::write(&target, "kept").unwrap();
    let open = fake.folder().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let upload = Upload { path: open.join("file").display().to_string(), ..file(&fake, 1 << 10) };
    std::os::unix::fs::symlink(&target, open.join(format!(".ferry-part-{}", upload.digest.short()))).unwrap();
    let error = host.upload(&upload, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("can be changed by other users than root"), "{error}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
    assert!(!open.join("file").exists());
}

#[tokio::test]
async fn a_disk_that_fills_up_meanwhile_keeps_what_has_arrived() {
    let full = |script: &str| {
        if script.contains("cat >>") {
            let stderr = b"cat: write error: No space left on device\n".to_vec();
            return Answer::Say(Output { status: 1, stdout: Vec::new(), stderr });
        }
        Answer::Run
    };
    let (fake, folder) = start(answers(full)).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    let upload = file(&fake, 1 << 20);
    let part = fake.folder().join(format!(".ferry-part-{}", upload.digest.short()));
    let mut beginning = Vec::new();
    upload.source.open_at(0).unwrap().take(1_000_000).read_to_end(&mut beginning).unwrap();
    std::fs::write(&part, beginning).unwrap();
    let error = host.upload(&upload, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("no space: 3194304 bytes are missing; what has arrived is kept"), "{error}");
    assert_eq!(std::fs::metadata(&part).unwrap().len(), 1_000_000);
}

#[tokio::test]
async fn a_source_that_is_shorter_than_it_says_is_named() {
    struct Short;
    impl Source for Short {
        fn length(&self) -> u64 {
            1000
        }
        fn open_at(&self, _: u64) -> std::io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(std::io::Cursor::new(vec![0; 10])))
        }
    }
    let (fake, folder) = start(Nature::default()).await;
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    let error = host.upload(&Upload { source: Arc::new(Short), ..file(&fake, 1) }, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("ends after 10 of 1000 bytes"), "{error}");
    assert!(!fake.folder().join("file").exists());
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up() {
    let (fake, folder) = start(Nature::default()).await;
    let mut settings = settings(&folder);
    settings.keepalive = Duration::from_millis(100);
    // Known already, so that there is one connection.
    settings.known.put("node-1", fake.keys()[0].clone()).unwrap();
    let (port, still) = (fake.port(), tokio_util::sync::CancellationToken::new());
    let between = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut host = fake.site_host("node-1");
    host.way[0].port = between.local_addr().unwrap().port();
    let stop = still.clone();
    tokio::spawn(async move {
        let (mut near, _) = between.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = stop.cancelled() => std::future::pending().await,
        }
    });
    let host = ssh::connect(&host, &settings).await.unwrap();
    let command = Command::new("sleep 1; echo late");
    assert_eq!(host.run(&command).await.unwrap().text(), "late\n", "a command that says nothing is not silence");
    let cable = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        still.cancel();
    };
    let slow = Command::new("sleep 1000");
    let (outcome, ()) = tokio::join!(host.run(&slow), cable);
    let error = outcome.unwrap_err();
    assert!(matches!(error.kind, HostErrorKind::Lost(_)), "{error}");
}

#[tokio::test]
async fn a_fake_host_leaves_no_process_behind() {
    let (fake, folder) = start(Nature::default()).await;
    let pid = fake.folder().join("pid");
    let kept = folder.path().join("pid");
    let host = connect(&fake, &settings(&folder)).await.unwrap();
    let command = Command::new(format!("sleep 1000 & echo $! > pid; cp pid {}; wait", kept.display()));
    let begun = async {
        while std::fs::read_to_string(&kept).unwrap_or_default().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fake.off();
    };
    let (outcome, ()) = tokio::join!(host.run(&command), begun);
    assert!(outcome.unwrap_err().is_absence());
    let process = format!("/proc/{}", std::fs::read_to_string(&kept).unwrap().trim());
    while std::path::Path::new(&process).exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(pid.exists());
}

#[tokio::test]
async fn the_users_known_hosts_are_believed_where_nothing_is_recorded() {
    let (fake, folder) = start(Nature { keys: vec!["ssh-ed25519", "ecdsa-sha2-nistp256"], ..Nature::default() }).await;
    let mut settings = settings(&folder);
    settings.first_sight = Arc::new(ssh::Answer::Refuse);
    let path = folder.path().join("known_hosts");
    settings.known_hosts = Some(path.clone());
    for key in fake.keys() {
        std::fs::write(&path, format!("[127.0.0.1]:{} {} {}\n", fake.port(), key.algorithm, key.key)).unwrap();
        connect(&fake, &settings).await.unwrap();
    }
    let other = FakeHost::start(Nature::default()).await.unwrap();
    let key = &other.keys()[0];
    std::fs::write(&path, format!("[127.0.0.1]:{} {} {}\n", fake.port(), key.algorithm, key.key)).unwrap();
    is_key_error(connect(&fake, &settings).await, "known_hosts");
}

#[tokio::test]
async fn who_waits_for_a_host_that_is_away_waits_once() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (fake, folder) = start(Nature::default()).await;
    let mut settings = settings(&folder);
    settings.patience = Duration::from_millis(200);
    let mut host = fake.site_host("node-1");
    host.way[0].port = silent.local_addr().unwrap().port();
    let host = SshHost::idle(&host, &settings);
    let command = Command::new("x");
    let outcomes = join_all((0..8).map(|_| host.run(&command))).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(HostError::is_absence)));
    let mut tries = 0;
    while tokio::time::timeout(Duration::from_millis(100), silent.accept()).await.is_ok() {
        tries += 1;
    }
    assert_eq!(tries, 1);
}
