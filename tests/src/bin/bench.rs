//! The benchmark: makes a set of images on a loopback registry and measures, in one run, `make`, `verify` and `push` of
//! ferry-bundle beside what skopeo and crane do for the same content, and `openssl dgst -sha256` and `cp` as the limit.
//! Prints; asserts nothing. `cargo run --release -p tests --bin bench [BYTES]` (default 1,980,000,000).

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use tests::bench::measure::{Cost, measure, measure_until, used};
use tests::bench::set;
use tests::docker_registry::{DockerRegistry, RegistryOptions};
use tests::program::Program;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn say(text: &str) {
    println!("{text}");
}

struct Bench {
    ferry: PathBuf,
    folder: tempfile::TempDir,
    names: Vec<String>,
    registry: DockerRegistry,
    /// As a float, for rates.
    bytes: f64,
}

fn run() -> Result<(), Failure> {
    let total = std::env::args().nth(1).map_or(Ok(1_980_000_000), |text| text.parse())?;
    let folder = tempfile::Builder::new()
        .prefix("ferry-bench-")
        .tempdir_in(std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (origin, names) = runtime.block_on(set::origin(total))?;
    let Some(registry) = DockerRegistry::start(&RegistryOptions::default()) else {
        return Err("it needs docker-registry".into());
    };
    let ferry = std::env::current_exe()?.with_file_name("ferry-bundle");
    let bench = Bench { ferry, folder, names, registry, bytes: f64::from(u32::try_from(total / 1000)?) * 1000.0 };

    say(&format!(
        "set: {} images, about {} MB in unique layers; filling the registry",
        bench.names.len(),
        total / 1_000_000
    ));
    let seed = bench.sub("seed")?;
    std::fs::write(seed.join("site.yaml"), set::manifest(&origin.registry_host(), &bench.names))?;
    let host = origin.registry_host();
    must(bench.ferry(&seed, &["make", "site.yaml", "-o", "seed.ferry", "--insecure-unsigned", "--plain-http", &host]))?;
    must(
        bench
            .ferry(&seed, &["push", "seed.ferry", &bench.host(), "--insecure-unsigned", "--plain-http", &bench.host()]),
    )?;
    drop(origin);
    std::fs::remove_dir_all(&seed)?;
    runtime.shutdown_background();

    bench.make()?;
    bench.verify()?;
    bench.serve()?;
    bench.push()
}

impl Bench {
    fn host(&self) -> String {
        self.registry.host()
    }

    fn sub(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    fn ferry(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.ferry);
        command.args(arguments).args(["--quiet"]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn make(&self) -> Result<(), Failure> {
        say("\nmake one archive                CPU s   wall s   RSS MB   disk MB");
        let mine = self.sub("ferry")?;
        std::fs::write(mine.join("site.yaml"), set::manifest(&self.host(), &self.names))?;
        let arguments = ["make", "site.yaml", "-o", "site.ferry", "--insecure-unsigned", "--plain-http", &self.host()];
        let ours = measure(&mut self.ferry(&mine, &arguments), &mine);
        row("ferry-bundle make", ours, None);
        if let Some(crane) = Program::crane() {
            let folder = self.sub("crane")?;
            let names = self.names.iter().map(|name| format!("{}/{name}", self.host())).collect::<Vec<_>>().join(" ");
            let script = format!(
                "{} pull --insecure --format=oci {names} layout && tar cf site.tar layout",
                crane.path().display()
            );
            row("crane pull + tar", shell(&script, &folder), Some(ours));
            std::fs::remove_dir_all(folder)?;
        }
        if let Some(skopeo) = Program::skopeo() {
            let folder = self.sub("skopeo")?;
            let copies = self.names.iter().map(|name| {
                let (host, skopeo) = (self.host(), skopeo.path().display());
                format!("{skopeo} --insecure-policy copy -q --preserve-digests --src-tls-verify=false docker://{host}/{name} oci:layout:{}", name.replace(['/', ':'], "-"))
            });
            let script = copies.chain(["tar cf site.tar layout".to_owned()]).collect::<Vec<_>>().join(" && ");
            row("skopeo copy each + tar", shell(&script, &folder), Some(ours));
            std::fs::remove_dir_all(folder)?;
        }
        let folder = self.sub("limit")?;
        let bundle = mine.join("site.ferry").display().to_string();
        row("cp", shell(&format!("cp --reflink=never {bundle} copy"), &folder), Some(ours));
        std::fs::remove_dir_all(folder)?;
        Ok(())
    }

    fn verify(&self) -> Result<(), Failure> {
        say("\nverify                          CPU s   wall s   RSS MB");
        let mine = self.sub("ferry")?;
        let ours = measure(&mut self.ferry(&mine, &["verify", "site.ferry", "--insecure-unsigned"]), &mine);
        row("ferry-bundle verify", ours, None);
        let limit = shell("openssl dgst -sha256 site.ferry", &mine);
        row("openssl dgst -sha256", limit, Some(ours));
        let cores = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let share = limit.wall.as_secs_f64() / ours.wall.as_secs_f64() / f64::from(cores);
        say(&format!(
            "verify runs at {:.0} % of openssl times {cores} cores ({:.2} GB/s)",
            share * 100.0,
            self.bytes / ours.wall.as_secs_f64() / 1e9
        ));
        Ok(())
    }

    /// Four clients at once read an image each from the served bundle.
    fn serve(&self) -> Result<(), Failure> {
        let Some(skopeo) = Program::skopeo() else { return Ok(()) };
        say("\nserve to four clients at once    CPU s   wall s   RSS MB");
        let (mine, folder) = (self.sub("ferry")?, self.sub("served")?);
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let host = format!("127.0.0.1:{port}");
        // The server is ended by its process id when the clients are done; `wait` gives its end to the script.
        let copies = self.names.iter().take(4).enumerate().map(|(n, name)| {
            let skopeo = skopeo.path().display();
            format!("{skopeo} --insecure-policy copy -q --retry-times 5 --src-tls-verify=false docker://{host}/{name} dir:{}/{n} &", folder.display())
        });
        let clients = std::thread::spawn({
            let script = format!("sleep 1; {} wait", copies.collect::<Vec<_>>().join(" "));
            move || Command::new("sh").arg("-c").arg(script).stdout(Stdio::null()).stderr(Stdio::null()).status()
        });
        let mut server = self.ferry(&mine, &["serve", "site.ferry", "--insecure-unsigned", "--listen", &host]);
        let cost = measure_until(&mut server, &folder, || clients.is_finished());
        row("ferry-bundle serve", cost, None);
        Ok(std::fs::remove_dir_all(folder)?)
    }

    fn push(&self) -> Result<(), Failure> {
        say("\npush to an empty registry       CPU s   wall s   RSS MB");
        let mine = self.sub("ferry")?;
        let start = || DockerRegistry::start(&RegistryOptions::default()).ok_or("it needs docker-registry");
        let target = start()?;
        let host = target.host();
        let ours = measure(
            &mut self.ferry(&mine, &["push", "site.ferry", &host, "--insecure-unsigned", "--plain-http", &host]),
            &mine,
        );
        row("ferry-bundle push", ours, None);
        drop(target);
        must(self.ferry(&mine, &["export", "site.ferry", "--insecure-unsigned", "--oci", "layout"]))?;
        if let Some(skopeo) = Program::skopeo() {
            let target = start()?;
            let copies = self.names.iter().map(|name| {
                let (host, from, skopeo) = (target.host(), self.host(), skopeo.path().display());
                format!("{skopeo} --insecure-policy copy -q --preserve-digests --dest-tls-verify=false oci:layout:{from}/{name} docker://{host}/{name}")
            });
            row("skopeo copy each", shell(&copies.collect::<Vec<_>>().join(" && "), &mine), Some(ours));
        }
        if let Some(crane) = Program::crane() {
            // crane pushes a layout's index as one thing: each image from a layout of its own.
            let target = start()?;
            let layouts = self.sub("crane-layouts")?;
            for name in &self.names {
                let one = layouts.join(name.replace(['/', ':'], "-"));
                let script = format!(
                    "{} pull --insecure --format=oci {}/{name} {}",
                    crane.path().display(),
                    self.host(),
                    one.display()
                );
                let mut pull = Command::new("sh");
                pull.arg("-c").arg(script);
                must(pull)?;
            }
            let pushes = self.names.iter().map(|name| {
                let one = layouts.join(name.replace(['/', ':'], "-"));
                format!("{} push --insecure {} {}/{name}", crane.path().display(), one.display(), target.host())
            });
            row("crane push each", shell(&pushes.collect::<Vec<_>>().join(" && "), &layouts), Some(ours));
        }
        say(&format!("\nbundle: {} MB on disk", used(&mine) / 1_000_000));
        Ok(())
    }
}

fn row(name: &str, cost: Cost, ours: Option<Cost>) {
    let ratio = ours.map_or(String::new(), |ours| {
        format!(
            "   CPU ×{:.2}, wall ×{:.2}",
            cost.processor.as_secs_f64() / ours.processor.as_secs_f64(),
            cost.wall.as_secs_f64() / ours.wall.as_secs_f64()
        )
    });
    let failed = if cost.ok { "" } else { "   FAILED" };
    let memory = if cost.memory == 0 { "-".to_owned() } else { (cost.memory / 1_000_000).to_string() };
    say(&format!(
        "{name:<28} {:>8.2} {:>8.2} {memory:>8} {:>9}{ratio}{failed}",
        cost.processor.as_secs_f64(),
        cost.wall.as_secs_f64(),
        cost.disk / 1_000_000
    ));
}

fn must(mut command: Command) -> Result<(), Failure> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// A script's own memory is not that of the programs it runs: it is not shown.
fn shell(script: &str, folder: &Path) -> Cost {
    let cost = measure(
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
        folder,
    );
    Cost { memory: 0, ..cost }
}
