//! A healthy node: answers captured on a real one (Kubernetes 1.34.4, etcd 3.6.5, containerd 2.2.7), and real TLS servers.

use std::sync::Arc;

use ferry_engine::host::Stream;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsAcceptor;

use super::Scripted;
use super::probe::{self, Ill, PODS};

/// A captured text.
pub(crate) fn captured(name: &str) -> String {
    let path = format!("{}/tests/fixtures/accept/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An authority.
#[derive(Clone)]
pub(crate) struct Authority {
    pem: String,
    issuer: Arc<Issuer<'static, KeyPair>>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Arc::new(Issuer::new(parameters, key)) }
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    /// A server whose certificate it has signed, valid until a year: every connection is answered with `answer`, an HTTP response.
    pub(crate) fn server(
        &self,
        names: &[&str],
        until: i32,
        answer: &'static str,
    ) -> impl Fn() -> Box<dyn Stream> + use<> {
        self.server_in(names, std::time::Duration::from_secs(0), until, answer)
    }

    /// Likewise, valid until some time after the beginning of a year.
    pub(crate) fn server_in(
        &self,
        names: &[&str],
        after: std::time::Duration,
        until: i32,
        answer: &'static str,
    ) -> impl Fn() -> Box<dyn Stream> + use<> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_after = rcgen::date_time_ymd(until, 1, 1) + after;
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        move || {
            let (near, far) = tokio::io::duplex(1 << 16);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(far).await.ok()?;
                let mut request = [0; 2048];
                let _ = stream.read(&mut request).await.ok()?;
                stream.write_all(answer.as_bytes()).await.ok()?;
                stream.shutdown().await.ok()
            });
            Box::new(near)
        }
    }
}

/// A server without TLS.
pub(crate) fn plain(answer: String) -> impl Fn() -> Box<dyn Stream> {
    move || {
        let (near, mut far): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 20);
        let answer = answer.clone();
        tokio::spawn(async move {
            let mut request = [0; 2048];
            let _ = far.read(&mut request).await;
            let _ = far.write_all(answer.as_bytes()).await;
        });
        Box::new(near)
    }
}

/// The authorities of a site.
pub(crate) struct Authorities {
    pub(crate) cluster: Authority,
    pub(crate) etcd: Authority,
    pub(crate) registry: Authority,
}

/// A year that no test will see.
pub(crate) const LATER: i32 = 2099;
pub(crate) const OK: &str = "HTTP/1.0 200 OK\r\n\r\nok";
pub(crate) const REFUSED: &str = "HTTP/1.0 401 Unauthorized\r\n\r\n";

/// etcd's metrics as an answer.
pub(crate) fn metrics(text: &str) -> impl Fn() -> Box<dyn Stream> + use<> {
    plain(format!("HTTP/1.0 200 OK\r\n\r\n{text}"))
}

/// The names in the API server's certificate.
pub(crate) const API: [&str; 5] =
    ["api.lab.local", "10.77.0.11", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "10.96.0.1"];

/// The host `node1`, on which all is well.
pub(crate) fn healthy(authorities: &Authorities, probe_digest: &str) -> Scripted {
    let image = format!("registry.lab.local:5000/ferry/probe@{probe_digest}");
    let images = captured("images.txt");
    let held =
        format!("{images}{image} application/vnd.oci.image.manifest.v1+json {probe_digest} 850.6 KiB linux/amd64 -\n");
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        format!("{}.{:09}\n", now.as_secs(), now.subsec_nanos())
    };
    let newest = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        format!("{now}\n{}.5 /var/backups/ferry/etcd/one.db\n{}", now - 3600, captured("snapshot.json"))
    };
    Scripted::new("node1")
        .says(&["get nodes -o json"], &captured("nodes.json"))
        .says(&["get pods -A -o json"], &captured("pods.json"))
        .says(&["/readyz?verbose"], &captured("readyz.txt"))
        .says(&["get --raw /version"], &captured("version.json"))
        .says(&["etcdctl", "endpoint health"], &captured("etcd-health.json"))
        .says(&["etcdctl", "endpoint status"], &captured("etcd-status.json"))
        .says(&["etcdctl", "endpoint hashkv"], &captured("etcd-hashkv.json"))
        .says(&["etcdctl", "alarm list"], &captured("etcd-alarms.json"))
        .says(&["images ls"], &held)
        .says(&["images rm --sync"], "")
        .says(&["content ls"], "")
        .says(&["images pull"], "done")
        .says(&["images label"], "")
        .answers(&["date +%s.%N"], move |_, _| (0, now()))
        .says(&["chronyc -n tracking"], "chrony yes 0A4D0001 (10.77.0.1)\n")
        .says(&["systemctl is-active ferry-etcd-snapshot.timer"], "active\nenabled\nSat 2026-11-21 12:00:00 UTC\n")
        .answers(&["etcdutl snapshot status"], move |_, _| (0, newest()))
        .says(&["nf_conntrack"], "10.77.0.0/24\n10.244.0.0/24\n-----\nipv4     2 tcp      6 86398 ESTABLISHED src=10.77.0.11 dst=10.77.0.11 sport=42750 dport=2379 src=10.77.0.11 dst=10.77.0.11 sport=2379 dport=42750 [ASSURED] mark=0 zone=0 use=2\n")
        .says(&["delete namespace ferry-accept"], "")
        .says(&["apply -f -"], "")
        .says(&["get pods -n ferry-accept"], &pods())
        .says(
            &["get endpointslices -n ferry-accept"],
            &json!({"items": [{"endpoints": [{"addresses": PODS, "conditions": {"ready": true}}]}]}).to_string(),
        )
        .says(&["get service -n ferry-accept"], "10.96.7.7")
        .says(&["ip -o link show"], "1500\n")
        .says(&["/etc/resolv.conf"], "0\n")
        .says(&["get pvc -n ferry-accept"], "Bound")
        .says(&["get pod -n ferry-accept"], "Succeeded")
        .says(&["delete pod -n ferry-accept"], "")
        .says(&["logs -n ferry-accept"], "{\"verb\":\"write\",\"ok\":true}")
        .says(&["get pods,pvc -n ferry-accept"], "NAME READY\n")
        .says(&["get events -n ferry-accept"], "AT KIND\n")
        .answers(&["ferry-probe "], |script, _| probe::run(script, Ill::Nothing))
        .serves(6443, authorities.cluster.server(&API, LATER, OK))
        .serves(10250, Authority::new("node1-ca").server(&["node1"], LATER, OK))
        .serves(2379, authorities.etcd.server(&["10.77.0.11", "node1"], LATER, OK))
        .serves(2380, authorities.etcd.server(&["10.77.0.11", "node1"], LATER, OK))
        .serves(2381, metrics(&captured("metrics.txt")))
        .serves(5000, authorities.registry.server(&["registry.lab.local"], LATER, REFUSED))
}

/// The pods that measure and are measured.
pub(crate) fn pods() -> String {
    let pod = |side: &str, address: &str| {
        json!({
            "metadata": {"name": format!("{side}-amd64-x"), "labels": {"side": side}},
            "spec": {"nodeName": "node1"},
            "status": {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
        })
    };
    json!({"items": [pod("a", PODS[0]), pod("b", PODS[1])]}).to_string()
}
