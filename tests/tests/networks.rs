//! Plans for five hosts with each kind of pod network and of API endpoint: what stands in them, what a changed setting changes,
//! and that the same site gives the same plan. Where a `kubectl` is found, Calico's settings are laid over a manifest by it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use ferry_bundle_format::Arch;
use ferry_bundle_format::lock::Timestamp;
use ferry_bundle_format::sign::secret::generate_identity;
use ferry_engine::action::{Action, Content};
use ferry_engine::facts::{Facts, Interface};
use ferry_engine::host::Secret;
use ferry_engine::pki;
use ferry_engine::plan::{self, Plan};
use ferry_engine::registry::ProbeImage;
use ferry_engine::site::{self, Site};
use ferry_engine::step::{Context, StepBuildError};
use ferry_engine::supply::Supply;
use ferry_engine::vault::{Vault, VaultKey};
use serde_json::Value;
use tests::scale::bundle::supply_with;

const MANIFEST: &str = include_str!("../data/networks/calico.yaml");
const IMAGES: [&str; 5] = [
    "docker.io/calico/cni:v3.31.7",
    "docker.io/calico/node:v3.31.7",
    "docker.io/calico/kube-controllers:v3.31.7",
    "ghcr.io/flannel-io/flannel:v0.28.4",
    "docker.io/osixia/keepalived:2.0.20",
];

/// Three control planes, a worker, a registry: the roles of the last two can be added to.
fn text(more: &str) -> String {
    format!(
        "apiVersion: ferry.dev/v1\nkind: Site\ncluster: demo\nvault: {{identity: id}}\nhosts:\n\
         - {{name: cp1, address: 10.77.0.11, roles: [control-plane, etcd]}}\n\
         - {{name: cp2, address: 10.77.0.12, roles: [control-plane, etcd]}}\n\
         - {{name: cp3, address: 10.77.0.13, roles: [control-plane, etcd]}}\n\
         - {{name: worker1, address: 10.77.0.14, roles: [worker]}}\n\
         - {{name: registry1, address: 10.77.0.15, roles: [registry]}}\nstorage: {{kind: none}}\n{more}\n"
    )
}

struct Bench {
    folder: tempfile::TempDir,
    supply: Supply,
    vault: Vault,
}

impl Bench {
    fn new() -> Self {
        Self::carrying(&IMAGES, &[("calico.yaml", MANIFEST)])
    }

    fn carrying(images: &[&str], files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let supply = supply_with(&folder.path().join("site.ferry"), images, files).expect("a bundle");
        let identity = VaultKey::Identity(Secret::new(generate_identity().0.as_str()));
        let vault = Vault::open(&folder.path().join("vault.age"), identity).expect("a vault");
        Self { folder, supply, vault }
    }

    fn site(&self, text: &str) -> Site {
        site::read(&self.folder.path().join("site.yaml"), text).map_err(|error| error.to_string()).expect("a site")
    }

    fn plan(&mut self, text: &str) -> Plan {
        self.try_plan(text, |_| ()).map_err(|error| error.to_string()).expect("a plan")
    }

    fn try_plan(&mut self, text: &str, change: impl Fn(&mut Facts)) -> Result<Plan, StepBuildError> {
        let site = self.site(text);
        let facts: BTreeMap<String, Facts> =
            site.hosts.iter().map(|host| (host.name.clone(), facts(host, &change))).collect();
        let now = Timestamp::from_unix(1_795_242_777);
        pki::prepare(&site, &mut self.vault, now).expect("keys");
        let image = ProbeImage::make(&self.supply, Arch::Amd64).expect("the probe's image");
        let images = BTreeMap::from([(Arch::Amd64, image)]);
        plan::build(&mut Context::new(&site, &facts, &self.supply, &mut self.vault, &images), now)
    }
}

/// A host with two interfaces, of which the second has the address that the others use.
fn facts(host: &site::Host, change: &impl Fn(&mut Facts)) -> Facts {
    let mut facts = Facts { arch: "amd64".into(), virtualization: "kvm".into(), ..Facts::default() };
    facts.binaries.insert("curl".into(), "/usr/bin/curl".into());
    let interface =
        |address: std::net::IpAddr| Interface { mtu: 1500, addresses: vec![(address, 24)], ..Interface::default() };
    facts.network.interfaces.insert("eth0".into(), interface("192.168.7.9".parse().expect("an address")));
    facts.network.interfaces.insert("eth1".into(), interface(host.internal));
    change(&mut facts);
    facts
}

/// The actions of one step on a host.
fn actions<'a>(plan: &'a Plan, host: &str, id: &str) -> Vec<&'a Action> {
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    let found = steps.filter(|step| step.host == host && step.id.starts_with(id));
    found.flat_map(|step| &step.actions).map(|planned| &planned.action).collect()
}

fn file<'a>(plan: &'a Plan, host: &str, path: &str) -> Option<&'a str> {
    let all = plan.stages.iter().flat_map(|stage| &stage.steps).filter(|step| step.host == host);
    all.flat_map(|step| &step.actions).find_map(|planned| match &planned.action {
        Action::File(file) if file.path == path => match &file.content {
            Content::Text(text) => Some(text.as_str()),
            _ => Some(""),
        },
        _ => None,
    })
}

fn json(plan: &Plan, name: &str) -> Value {
    let text = file(plan, "cp1", &format!("/etc/ferry/objects/calico/{name}")).expect("it is there");
    serde_json::from_str(text).expect("JSON")
}

/// The value of one of the daemon's settings.
fn setting(plan: &Plan, name: &str) -> Option<String> {
    let node = json(plan, "node.json");
    let list = node["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("settings").clone();
    list.iter().find(|one| one["name"] == name).and_then(|one| one["value"].as_str().map(str::to_owned))
}

/// What actions of one plan are not in another, by host and title.
fn changed(one: &Plan, two: &Plan) -> Vec<String> {
    let all = |plan: &Plan| -> Vec<(String, String)> {
        let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
        steps
            .flat_map(|step| step.actions.iter().map(move |planned| (step.host.clone(), planned.action.clone())))
            .map(|(host, action)| (format!("{host}: {}", action.title()), format!("{action:?}")))
            .collect()
    };
    let before = all(one);
    all(two).into_iter().filter(|action| !before.contains(action)).map(|(title, _)| title).collect()
}

#[test]
fn calico_by_each_encapsulation() {
    let mut bench = Bench::new();
    for (way, backend, ipip, vxlan) in
        [("vxlan", "vxlan", "Never", "Always"), ("ipip", "bird", "Always", "Never"), ("bgp", "bird", "Never", "Never")]
    {
        let plan = bench.plan(&text(&format!("network: {{kind: calico, encapsulation: {way}}}")));
        assert_eq!(json(&plan, "config.json")["data"]["calico_backend"], backend, "{way}");
        assert_eq!(json(&plan, "config.json")["data"]["veth_mtu"], "0");
        assert_eq!(setting(&plan, "IP_AUTODETECTION_METHOD").as_deref(), Some("kubernetes-internal-ip"));
        assert_eq!(setting(&plan, "NO_DEFAULT_POOLS").as_deref(), Some("true"));
        assert_eq!(setting(&plan, "FELIX_FEATUREDETECTOVERRIDE"), None);
        let pool = file(&plan, "cp1", "/etc/ferry/objects/calico-pool.yaml").expect("a pool");
        for line in
            ["cidr: 10.244.0.0/16", "blockSize: 26", &format!("ipipMode: {ipip}"), &format!("vxlanMode: {vxlan}")]
        {
            assert!(pool.contains(line), "{way}: {line} in {pool}");
        }
        // Where nothing speaks BGP, nothing that does is asked whether it is well.
        let probe =
            &json(&plan, "node.json")["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["exec"]["command"];
        let wanted = if way == "vxlan" { serde_json::json!(["/bin/calico-node", "-felix-live"]) } else { Value::Null };
        assert_eq!(*probe, wanted, "{way}");
        // The nodes' shares are Calico's own business.
        assert!(
            actions(&plan, "cp1", "cluster.network").iter().all(|action| !action.title().starts_with("pod addresses"))
        );
        assert!(file(&plan, "worker1", "/etc/cni/net.d/10-ferry.conflist").is_none());
        let noted = actions(&plan, "worker1", "runtime.network");
        assert_eq!(noted[0].title(), "the node's pod network is calico");
    }
}

#[test]
fn calico_with_the_sites_own_settings() {
    let mut bench = Bench::new();
    let plain = bench.plan(&text(""));
    assert!(changed(&plain, &bench.plan(&text(""))).is_empty(), "the same site gives the same plan");
    let more = "network: {kind: calico, interface: eth1.100, mtu: 1400, blockPrefix: 24}";
    let plan = bench.plan(&text(more));
    assert_eq!(setting(&plan, "IP_AUTODETECTION_METHOD").as_deref(), Some("interface=^eth1\\.100$"));
    assert_eq!(json(&plan, "config.json")["data"]["veth_mtu"], "1400");
    assert!(file(&plan, "cp1", "/etc/ferry/objects/calico-pool.yaml").expect("a pool").contains("blockSize: 24"));
    let titles = changed(&plain, &plan);
    let about = ["node.json", "config.json", "objects: Calico", "calico-pool.yaml", "the pool keeps its addresses"];
    assert!(
        titles.iter().all(|title| title.starts_with("cp1: ") && about.iter().any(|word| title.contains(word))),
        "{titles:?}"
    );
    assert!(about.iter().all(|word| titles.iter().any(|title| title.contains(word))), "{titles:?}");

    let card = |facts: &mut Facts| facts.network.interfaces.get_mut("eth1").expect("it").driver = "vmxnet3".into();
    let plan = bench.try_plan(&text(""), card).map_err(|error| error.to_string()).expect("a plan");
    assert_eq!(setting(&plan, "FELIX_FEATUREDETECTOVERRIDE").as_deref(), Some("ChecksumOffloadBroken=true"));
    let bgp = bench.try_plan(&text("network: {encapsulation: bgp}"), card).map_err(|error| error.to_string());
    assert_eq!(setting(&bgp.expect("a plan"), "FELIX_FEATUREDETECTOVERRIDE"), None);
}

#[test]
fn what_the_bundle_lacks_for_calico_is_said() {
    let mut bench = Bench::carrying(&IMAGES[..1], &[("calico.yaml", MANIFEST)]);
    let error = bench.try_plan(&text(""), |_| ()).expect_err("images are missing").to_string();
    assert!(
        error.contains("quay.io/calico/node:v3.31.7") && error.contains("kube-controllers") && !error.contains("/cni:"),
        "{error}"
    );
    let mut bench = Bench::carrying(&IMAGES, &[]);
    let error = bench.try_plan(&text(""), |_| ()).expect_err("no manifest").to_string();
    assert!(error.contains("the bundle carries no calico.yaml"), "{error}");
    let mut bench = Bench::carrying(&IMAGES, &[("calico.yaml", "kind: Namespace\n")]);
    let error = bench.try_plan(&text(""), |_| ()).expect_err("another file").to_string();
    assert!(error.contains("no DaemonSet calico-node"), "{error}");
}

/// A `kubectl` to try settings with: the one on the path, or what the test bed has built.
fn kubectl() -> Option<PathBuf> {
    let bed = std::env::var_os("FERRY_VM_TESTS").map(PathBuf::from);
    let bed = bed.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/ferry-vm-tests")))?;
    let built = std::fs::read_dir(bed.join("components")).into_iter().flatten().flatten();
    let built = built.map(|entry| entry.path().join("kubectl")).find(|path| path.is_file());
    let on_path =
        || Command::new("kubectl").args(["version", "--client"]).output().ok().map(|_| PathBuf::from("kubectl"));
    built.or_else(on_path)
}

#[expect(clippy::print_stderr, reason = "a test that can't run says so")]
#[test]
fn kubectl_lays_the_settings_over_the_manifest() {
    let Some(kubectl) = kubectl() else {
        eprintln!("skipped: there is no kubectl here");
        return;
    };
    let mut bench = Bench::new();
    let plan = bench.plan(&text("network: {kind: calico, mtu: 1400}"));
    let folder = bench.folder.path().join("calico");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("calico.yaml"), MANIFEST).expect("written");
    for name in ["node.json", "config.json", "kustomization.yaml"] {
        let text = file(&plan, "cp1", &format!("/etc/ferry/objects/calico/{name}")).expect("it is there");
        std::fs::write(folder.join(name), text).expect("written");
    }
    let output = Command::new(kubectl).arg("kustomize").arg(&folder).output().expect("kubectl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let read = |document: &str| -> Value {
        ferry_bundle_format::yaml::read_foreign(Path::new("out.yaml"), document)
            .map_err(|e| e.to_string())
            .expect("YAML")
    };
    let objects: Vec<Value> = text.split("\n---\n").map(read).collect();
    assert_eq!(objects.len(), 5, "{text}");
    let object = |kind: &str| objects.iter().find(|one| one["kind"] == kind).expect("it is there");
    let pods = &object("DaemonSet")["spec"]["template"]["spec"];
    let node = &pods["containers"][0];
    let env = node["env"].as_array().expect("settings");
    assert_eq!(env.len(), 5, "its own settings stay: {env:?}");
    assert_eq!(node["livenessProbe"]["exec"]["command"], serde_json::json!(["/bin/calico-node", "-felix-live"]));
    assert_eq!(node["readinessProbe"]["exec"]["command"], serde_json::json!(["/bin/calico-node", "-felix-ready"]));
    assert_eq!(node["livenessProbe"]["periodSeconds"], 10);
    // As the bundle carries them.
    assert_eq!(node["image"], "docker.io/calico/node:v3.31.7");
    assert_eq!(pods["initContainers"][0]["image"], "docker.io/calico/cni:v3.31.7");
    let config = &object("ConfigMap")["data"];
    assert_eq!((&config["calico_backend"], &config["veth_mtu"]), (&"vxlan".into(), &"1400".into()));
    assert!(config["cni_network_config"].as_str().is_some_and(|text| text.contains("__CNI_MTU__")));
}

#[test]
fn flannel_has_the_nodes_shares_and_a_bridge_of_its_mtu() {
    let mut bench = Bench::new();
    for (way, mtu) in [("vxlan", 1450), ("host-gw", 1500)] {
        let plan = bench.plan(&text(&format!("network: {{kind: flannel, encapsulation: {way}}}")));
        let list = file(&plan, "worker1", "/etc/cni/net.d/10-ferry.conflist").expect("a bridge");
        let bridge = &serde_json::from_str::<Value>(list).expect("JSON")["plugins"][0];
        assert_eq!((&bridge["mtu"], &bridge["ipMasq"]), (&mtu.into(), &false.into()), "{way}");
        assert_eq!(bridge["ipam"]["ranges"][0][0]["subnet"], "10.244.3.0/24");
        let objects = file(&plan, "cp1", "/etc/ferry/objects/flannel.yaml").expect("objects");
        assert!(objects.contains(&format!("\"Type\":\"{way}\"")), "{objects}");
        let titles: Vec<String> =
            actions(&plan, "cp1", "cluster.network").iter().map(|action| action.title()).collect();
        assert_eq!(titles.iter().filter(|title| title.starts_with("pod addresses")).count(), 4, "{titles:?}");
        assert!(file(&plan, "worker1", "/usr/local/lib/ferry/pod-routes").is_none());
    }
    let refused = site::read(Path::new("s.yaml"), &text("network: {kind: flannel, encapsulation: ipip}"));
    assert!(refused.expect_err("refused").to_string().contains("vxlan or host-gw"));
}

#[test]
fn a_virtual_address_is_held_by_the_control_planes() {
    let mut bench = Bench::new();
    let shape = "network: {kind: host-routes}\nendpoint: {kind: vip, address: 10.77.0.200}";
    let plan = bench.plan(&text(shape));
    let conf = |bench: &Bench, host: &str| {
        let name = format!("rendered/{host}/etc/ferry/virtual-address/keepalived.conf");
        bench.vault.get(&name).map(|text| text.expose().to_owned()).unwrap_or_default()
    };
    let (one, two) = (conf(&bench, "cp1"), conf(&bench, "cp2"));
    for line in [
        "state BACKUP",
        "nopreempt",
        "interface eth1",
        "priority 200",
        "unicast_src_ip 10.77.0.11",
        "10.77.0.200/32 dev eth1",
        "get http://127.0.0.1:8444/healthz",
    ] {
        assert!(one.contains(line), "{line} in {one}");
    }
    let peers = one.split("unicast_peer {").nth(1).and_then(|rest| rest.split('}').next()).expect("peers");
    assert_eq!(peers.split_whitespace().collect::<Vec<_>>(), ["10.77.0.12", "10.77.0.13"]);
    assert!(two.contains("priority 199"));
    let secret =
        |text: &str| text.lines().find(|line| line.contains("auth_pass")).map(str::to_owned).expect("a password");
    let id =
        |text: &str| text.lines().find(|line| line.contains("virtual_router_id")).map(str::to_owned).expect("an id");
    assert_eq!((secret(&one), id(&one)), (secret(&two), id(&two)));
    let other = {
        let mut other = Bench::new();
        other.plan(&text(shape));
        conf(&other, "cp1")
    };
    assert_ne!(secret(&one), secret(&other), "each site has its own");
    assert_eq!(secret(&one).split_whitespace().nth(1).map(str::len), Some(8));
    let haproxy = file(&plan, "cp2", "/etc/ferry/balancer/haproxy.cfg").expect("a balancer");
    assert!(
        haproxy.contains("bind *:8443")
            && haproxy.contains("monitor-uri /healthz")
            && haproxy.contains("bind 127.0.0.1:8444")
    );
    assert!(file(&plan, "worker1", "/etc/ferry/balancer/haproxy.cfg").is_none());
    let ends: Vec<String> = actions(&plan, "worker1", "runtime.balancer").iter().map(|action| action.title()).collect();
    assert_eq!(ends, ["no balancer of the API servers here"]);
    let text = format!("{plan:?}");
    assert!(!text.contains(secret(&one).split_whitespace().nth(1).expect("it")), "no plan shows the password");
}

/// Certificates carry the address of another kind from the start, so that the kind can be changed without a new one.
#[test]
fn another_kind_of_endpoint_changes_only_what_it_must() {
    let mut bench = Bench::new();
    let shape = |kind: &str| {
        text(&format!("network: {{kind: host-routes}}\nendpoint: {{kind: {kind}, address: 10.77.0.200, port: 8443}}"))
    };
    let plans: Vec<Plan> = ["local", "vip", "external"].iter().map(|kind| bench.plan(&shape(kind))).collect();
    let kubeadm = bench.vault.get("rendered/cp1/etc/ferry/kubeadm.yaml").expect("kubeadm's configuration");
    for name in ["10.77.0.200", "127.0.0.1", "localhost", "api.demo.local"] {
        assert!(kubeadm.expose().contains(&format!("  - \"{name}\"\n")), "{name}");
    }
    let allowed = [
        "lines in /etc/hosts",
        "/etc/ferry/balancer",
        "ferry-balancer.service",
        "balancer",
        "virtual-address",
        "virtual address",
        "keepalived",
        "haproxy",
        "coredns.yaml",
        "CoreDNS's configuration",
        "knows the API at",
    ];
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
        let titles = changed(&plans[from], &plans[to]);
        let others: Vec<&String> =
            titles.iter().filter(|title| !allowed.iter().any(|word| title.contains(word))).collect();
        assert!(others.is_empty(), "{from} to {to}: {others:?}");
        // A virtual address and an external one are the same address here.
        for what in ["worker1: lines in /etc/hosts", "cp1: kube-proxy knows the API at"] {
            let moved = titles.iter().any(|title| title.starts_with(what));
            assert_eq!(moved, from == 0 || to == 0, "{from} to {to}: {what} in {titles:?}");
        }
    }
    assert!(!format!("{:?}", plans[2]).contains("haproxy.cfg"), "an external balancer is not ferry's");
}

#[test]
fn a_second_registry_is_filled_by_itself_and_asked_by_everybody() {
    let mut bench = Bench::new();
    let one = text("network: {kind: host-routes}");
    let two = one.replace("roles: [worker]", "roles: [worker, registry]");
    let (alone, plan) = (bench.plan(&one), bench.plan(&two));
    assert_eq!(alone.stages.iter().filter(|stage| stage.name == "mirrors").count(), 0);
    let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    let at = |name: &str| names.iter().position(|one| *one == name).expect("a stage");
    assert!(at("registry") < at("mirrors") && at("mirrors") < at("runtime"), "{names:?}");
    // The first of the site file is the first registry: worker1 stands before registry1.
    let pushes = |host: &str| {
        let steps = plan.stages.iter().flat_map(|stage| &stage.steps).filter(|step| step.host == host);
        steps.flat_map(|step| &step.actions).filter(|planned| matches!(planned.action, Action::Push(_))).count()
    };
    assert_eq!((pushes("worker1"), pushes("registry1")), (1, 0), "content crosses the operator's link once");
    let mirror = actions(&plan, "registry1", "registry.mirror");
    let Some(Action::Run(run)) = mirror.last() else { panic!("{mirror:?}") };
    assert!(run.command.contains("from='https://worker1:5000/v2' to='https://127.0.0.1:5001/v2'"));
    // The list is a file on the host, so that its length has no limit.
    let list = format!("{mirror:?}");
    let lines: Vec<&str> = list.split("\\n").collect();
    let names = |kind: &str, name: &str| lines.iter().any(|line| line.starts_with(&format!("{kind} {name}")));
    assert!(names("b", "ferry/files sha256:") && (names("m", "ferry/probe ") || names("t", "ferry/probe ")), "{list}");
    let lines = lines.iter().filter(|line| line.starts_with("m ") || line.starts_with("t ")).count();
    assert!(lines >= IMAGES.len() + 5, "{lines}");
    let toml = |host: &str| {
        let name = format!("rendered/{host}/etc/containerd/certs.d/docker.io/hosts.toml");
        bench.vault.get(&name).map(|text| text.expose().to_owned()).expect("it is there")
    };
    let order = |host: &str| -> Vec<String> {
        toml(host).lines().filter(|line| line.starts_with("[host.")).map(str::to_owned).collect()
    };
    let (first, second) =
        ("[host.\"https://worker1:5000/v2/docker.io\"]", "[host.\"https://registry1:5000/v2/docker.io\"]");
    assert_eq!(order("worker1"), [first, second], "its own first");
    assert_eq!((order("cp1"), order("cp2")), (vec![first.into(), second.into()], vec![second.into(), first.into()]));
    let hosts = plan.stages.iter().flat_map(|stage| &stage.steps).filter(|step| step.host == "cp1");
    let block = hosts.flat_map(|step| &step.actions).find_map(|planned| match &planned.action {
        Action::Block(block) if block.path == "/etc/hosts" => Some(block.text.clone()),
        _ => None,
    });
    let block = block.expect("names");
    assert!(block.lines().filter(|line| line.contains("registry.demo.local")).count() == 2, "{block}");
}
