//! Two engineers on one site, at every stage of a run: one is turned away, or stopped, and nobody holds what nobody works on.
//! The scripts really run, on hosts whose `/run` is a folder and whose uptime a test sets.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_engine::event::{Display, Event};
use ferry_engine::host::{Command, Host, HostError, HostErrorKind, Output, Progress, Redactor, Stream, Upload};
use ferry_engine::journal::{self, Journal};
use ferry_engine::run::{Gone, Guarded, LeaseError, Leases, Stop, Terms};
use futures_util::future::BoxFuture;

struct Nobody;
impl Display for Nobody {
    fn show(&self, _: &Event) {}
}

/// A machine: what is below its `/run`, and how long it is up.
struct Machine {
    name: String,
    folder: PathBuf,
}

impl Machine {
    fn up(&self, seconds: u64) {
        std::fs::write(self.folder.join("uptime"), format!("{seconds}.00 1.00\n")).unwrap();
    }

    fn lease(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.join("run/lease")).ok()?;
        text.split(' ').next().map(str::to_owned)
    }
}

/// One engineer's way to a machine, which may be cut.
struct Way {
    machine: Arc<Machine>,
    cut: Arc<AtomicBool>,
    /// Commands that have run.
    ran: Mutex<usize>,
}

impl Host for Way {
    fn name(&self) -> &str {
        &self.machine.name
    }
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        Box::pin(async move {
            let gone = || {
                let kind = HostErrorKind::Unreachable { address: "10.0.0.1:22".into(), why: "no route to host".into() };
                HostError::new(&self.machine.name, kind)
            };
            if self.cut.load(Ordering::SeqCst) {
                return Err(gone());
            }
            let at = |name: &str| self.machine.folder.join(name).display().to_string();
            let script = command
                .script
                .replace("/run/ferry", &at("run"))
                .replace("/proc/uptime", &at("uptime"))
                .replace("/proc/sys/kernel/random/boot_id", &at("boot"));
            let output = tokio::process::Command::new("sh").args(["-c", &script]).output().await.unwrap();
            *self.ran.lock().unwrap() += 1;
            Ok(Output { status: output.status.code().unwrap(), stdout: output.stdout, stderr: output.stderr })
        })
    }
    fn upload<'a>(&'a self, _: &'a Upload, _: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        unreachable!("nothing is uploaded here")
    }
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        unreachable!("nothing is dialled here")
    }
}

/// A site of two machines.
struct Site {
    folder: tempfile::TempDir,
    machines: Vec<Arc<Machine>>,
}

/// An engineer with a state folder.
struct Engineer {
    name: &'static str,
    ways: Vec<Arc<Way>>,
    stop: Stop,
    gone: Gone,
    journal: PathBuf,
}

/// Renewed at once and often; lasts as long as in life by the hosts' clocks.
const FAST: Terms = Terms { seconds: 90, every: Duration::from_millis(30) };
/// Taken for lost after a second without an answer.
const SHORT: Terms = Terms { seconds: 1, every: Duration::from_millis(100) };

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = |name: &str| {
            let machine = Machine { name: name.into(), folder: folder.path().join(name) };
            std::fs::create_dir(&machine.folder).unwrap();
            std::fs::write(machine.folder.join("boot"), "b1\n").unwrap();
            machine.up(1000);
            Arc::new(machine)
        };
        let machines = vec![machine("one"), machine("two")];
        Self { folder, machines }
    }

    fn up(&self, seconds: u64) {
        self.machines.iter().for_each(|machine| machine.up(seconds));
    }

    fn engineer(&self, name: &'static str) -> Engineer {
        let way = |machine: &Arc<Machine>| {
            Arc::new(Way { machine: machine.clone(), cut: Arc::default(), ran: Mutex::default() })
        };
        let ways = self.machines.iter().map(way).collect();
        let journal = self.folder.path().join(format!("{name}.jsonl"));
        Engineer { name, ways, stop: Stop::default(), gone: Gone::default(), journal }
    }

    fn holders(&self) -> Vec<Option<String>> {
        self.machines.iter().map(|machine| machine.lease()).collect()
    }
}

impl Engineer {
    fn hosts(&self) -> BTreeMap<String, Arc<dyn Host>> {
        let guarded = |way: &Arc<Way>| {
            let host: Arc<dyn Host> = Arc::new(Guarded::new(way.clone(), self.gone.clone()));
            (way.machine.name.clone(), host)
        };
        self.ways.iter().map(guarded).collect()
    }

    /// Her leases; without the host `one` nothing goes on.
    fn leases(&self, terms: Terms) -> Leases {
        let journal = Journal::open(&self.journal, Arc::new(Nobody), Redactor::default()).unwrap();
        let owner = format!("id-{}", self.name);
        let heard = (self.stop.clone(), journal);
        Leases::new(&self.hosts(), |name| name == "one", (&owner, self.name), self.gone.clone(), heard).on(terms)
    }

    fn lost(&self) -> Vec<(String, bool)> {
        let records = journal::read(&self.journal).unwrap().records;
        let lost = records.into_iter().filter_map(|record| match record.event {
            Event::LeaseLost { host, stopped, .. } => Some((host, stopped)),
            _ => None,
        });
        lost.collect()
    }

    async fn touches(&self, host: &str) -> Result<(), HostError> {
        self.hosts()[host].run(&Command::new("true")).await.map(drop)
    }
}

#[tokio::test]
async fn the_second_is_turned_away_before_anything_is_looked_at_and_gives_back_what_was_taken() {
    let site = Site::new();
    let (anna, ben, carl) = (site.engineer("anna"), site.engineer("ben"), site.engineer("carl"));
    // Anna works on `two` only.
    let hosts = anna.hosts().into_iter().filter(|(name, _)| name == "two").collect();
    let journal = Journal::open(&anna.journal, Arc::new(Nobody), Redactor::default()).unwrap();
    let two = Leases::new(&hosts, |_| true, ("id-anna", "anna"), anna.gone.clone(), (anna.stop.clone(), journal));
    two.hold(async {
        let mut began = false;
        let error = ben.leases(FAST).hold(async { began = true }).await.unwrap_err();
        let LeaseError::Held(held) = &error else { panic!("{error}") };
        assert!(held.host == "two" && held.who == "anna" && held.seconds > 80, "{held:?}");
        assert!(!began, "nothing was looked at");
        assert_eq!(site.holders(), [None, Some("id-anna".into())], "`one` was given back at once");
        // So somebody else can work on it at once.
        let mut hosts = carl.hosts();
        hosts.remove("two");
        let journal = Journal::open(&carl.journal, Arc::new(Nobody), Redactor::default()).unwrap();
        let heard = (carl.stop.clone(), journal);
        let one = Leases::new(&hosts, |_| true, ("id-carl", "carl"), carl.gone.clone(), heard);
        one.hold(std::future::ready(())).await.unwrap();
    })
    .await
    .unwrap();
    assert_eq!(site.holders(), [None, None]);
    ben.leases(FAST).hold(std::future::ready(())).await.unwrap();
}

#[tokio::test]
async fn it_is_held_while_a_question_is_open_however_long() {
    let site = Site::new();
    let (anna, ben) = (site.engineer("anna"), site.engineer("ben"));
    let question = async {
        for minutes in 1..=10 {
            let up = 1000 + minutes * 60;
            site.up(up);
            // The renewal sees the new time before it is far enough for the lease to lapse.
            let until = |machine: &Machine| {
                let text = std::fs::read_to_string(machine.folder.join("run/lease")).unwrap_or_default();
                text.split(' ').nth(2).and_then(|text| text.parse().ok()).unwrap_or(0_u64)
            };
            while !site.machines.iter().all(|machine| until(machine) == up + 90) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let error = ben.leases(FAST).hold(std::future::ready(())).await.unwrap_err();
            assert!(matches!(&error, LeaseError::Held(held) if held.who == "anna"), "{error}");
        }
    };
    anna.leases(FAST).hold(question).await.unwrap();
    assert!(anna.lost().is_empty() && !anna.stop.asked());
}

#[tokio::test]
async fn who_was_away_too_long_is_stopped_when_somebody_else_works_there() {
    let site = Site::new();
    let (anna, ben) = (site.engineer("anna"), site.engineer("ben"));
    let work = async {
        // Anna's network breaks for longer than a lease lasts, and Ben comes.
        anna.ways.iter().for_each(|way| way.cut.store(true, Ordering::SeqCst));
        tokio::time::sleep(Duration::from_millis(100)).await;
        site.up(1100);
        let ben = ben.leases(FAST).hold(async {
            anna.ways.iter().for_each(|way| way.cut.store(false, Ordering::SeqCst));
            anna.stop.when_asked().await;
            assert_eq!(site.holders(), [Some("id-ben".into()), Some("id-ben".into())]);
            for host in ["one", "two"] {
                while anna.touches(host).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        ben.await.unwrap();
    };
    let error = anna.leases(FAST).hold(work).await.unwrap_err();
    let LeaseError::Lost { why, .. } = &error else { panic!("{error}") };
    assert!(why.contains("ben"), "{why}");
    assert!(anna.lost().iter().all(|(_, stopped)| *stopped) && !anna.lost().is_empty());
    assert_eq!(site.holders(), [None, None], "Ben has given his back, and Anna has not taken anything of it");
}

#[tokio::test]
async fn a_run_that_was_killed_goes_on_at_once_and_keeps_others_out_for_no_longer_than_ninety_seconds() {
    let site = Site::new();
    let (anna, ben) = (site.engineer("anna"), site.engineer("ben"));
    let leases = anna.leases(FAST);
    let (sender, begun) = tokio::sync::oneshot::channel();
    let run = leases.hold(async {
        sender.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    tokio::select! {
        _ = run => unreachable!("it is killed"),
        begun = begun => begun.unwrap(),
    }
    assert_eq!(site.holders(), [Some("id-anna".into()), Some("id-anna".into())], "as a kill leaves it");
    site.up(1089);
    assert!(matches!(ben.leases(FAST).hold(async {}).await, Err(LeaseError::Held(held)) if held.seconds == 1));
    site.up(1090);
    ben.leases(FAST).hold(async {}).await.unwrap();
    // The same engineer need not wait.
    let leases = anna.leases(FAST);
    leases.hold(async {}).await.unwrap();
}

#[tokio::test]
async fn a_host_that_could_not_be_reached_is_left_alone_for_the_rest_of_the_run() {
    let site = Site::new();
    let (anna, ben) = (site.engineer("anna"), site.engineer("ben"));
    anna.ways[1].cut.store(true, Ordering::SeqCst);
    anna.leases(FAST)
        .hold(async {
            // It comes back, and somebody else works there: not a command of Anna's reaches it.
            anna.ways[1].cut.store(false, Ordering::SeqCst);
            let error = anna.touches("two").await.unwrap_err();
            assert!(error.is_absence() && error.to_string().contains("no route to host"), "{error}");
            assert!(anna.touches("one").await.is_ok());
        })
        .await
        .unwrap();
    assert_eq!(*anna.ways[1].ran.lock().unwrap(), 0);
    ben.leases(FAST).hold(async {}).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_falls_silent_is_left_alone_and_the_run_goes_on() {
    let site = Site::new();
    let anna = site.engineer("anna");
    anna.leases(SHORT)
        .hold(async {
            anna.ways[1].cut.store(true, Ordering::SeqCst);
            while anna.lost().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anna.ways[1].cut.store(false, Ordering::SeqCst);
            assert!(anna.touches("two").await.unwrap_err().is_absence());
            assert!(!anna.stop.asked() && anna.touches("one").await.is_ok());
        })
        .await
        .unwrap();
    assert_eq!(anna.lost(), [("two".to_owned(), false)]);
}

#[tokio::test]
async fn a_host_without_which_nothing_goes_on_stops_the_run_when_its_lease_lapses() {
    let site = Site::new();
    let anna = site.engineer("anna");
    let work = async {
        anna.ways[0].cut.store(true, Ordering::SeqCst);
        anna.stop.when_asked().await;
    };
    let error = anna.leases(SHORT).hold(work).await.unwrap_err();
    assert!(matches!(&error, LeaseError::Lost { host, why } if host == "one" && why.contains("no route")), "{error}");
    assert_eq!(anna.lost(), [("one".to_owned(), true)]);
}

#[tokio::test]
async fn a_host_that_gives_no_lease_is_named_and_so_are_all_of_them() {
    let site = Site::new();
    let anna = site.engineer("anna");
    for machine in &site.machines {
        std::fs::write(machine.folder.join("run"), "a file where the folder should be").unwrap();
    }
    let error = anna.leases(FAST).hold(async {}).await.unwrap_err();
    let LeaseError::Hosts(errors) = &error else { panic!("{error}") };
    assert!(errors.len() == 2 && errors.iter().all(|error| !error.is_absence()), "{errors:?}");
}

#[tokio::test]
async fn whoever_stops_while_leases_are_taken_has_none() {
    let site = Site::new();
    let anna = site.engineer("anna");
    anna.stop.ask();
    assert!(matches!(anna.leases(FAST).hold(async {}).await, Err(LeaseError::Stopped)));
    assert_eq!(site.holders(), [None, None]);
}
