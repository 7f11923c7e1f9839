//! What is built, from which Go modules, and what becomes of it. The versions themselves are pinned by the `go.mod`
//! and `go.sum` of `components/NAME/`; the versions here are those that the programs are told to say.

use super::pack::Program;

/// A Go module of ours whose tools are built.
#[derive(Debug)]
pub(super) struct Component {
    /// The folder below `components/`.
    pub(super) name: &'static str,
    /// Words for `-ldflags`, beside `-s -w`.
    pub(super) ldflags: &'static [&'static str],
    /// With a C compiler, and linked statically.
    pub(super) cgo: bool,
    /// Build tags.
    pub(super) tags: &'static str,
}

const fn pure(name: &'static str, ldflags: &'static [&'static str]) -> Component {
    Component { name, ldflags, cgo: false, tags: "" }
}

/// The components, those that take longest first.
pub(super) const COMPONENTS: [Component; 10] = [
    pure(
        "kubernetes",
        &[
            "-X k8s.io/component-base/version.gitVersion=v1.34.4",
            "-X k8s.io/component-base/version.gitMajor=1",
            "-X k8s.io/component-base/version.gitMinor=34",
            "-X k8s.io/component-base/version.gitTreeState=clean",
            "-X k8s.io/component-base/version.gitCommit=0000000000000000000000000000000000000000",
            "-X k8s.io/component-base/version.buildDate=2026-01-01T00:00:00Z",
            "-X k8s.io/client-go/pkg/version.gitVersion=v1.34.4",
            "-X k8s.io/client-go/pkg/version.gitMajor=1",
            "-X k8s.io/client-go/pkg/version.gitMinor=34",
            "-X k8s.io/client-go/pkg/version.gitTreeState=clean",
            "-X k8s.io/client-go/pkg/version.gitCommit=0000000000000000000000000000000000000000",
            "-X k8s.io/client-go/pkg/version.buildDate=2026-01-01T00:00:00Z",
        ],
    ),
    pure("coredns", &[]),
    pure("etcd", &[]),
    pure("containerd", &["-X github.com/containerd/containerd/v2/version.Version=v2.2.7"]),
    pure("registry", &["-X github.com/distribution/distribution/v3/version.version=v3.0.0"]),
    pure("local-path-provisioner", &["-X main.VERSION=v0.0.30"]),
    Component { name: "runc", ldflags: &["-X main.gitCommit=v1.3.6"], cgo: true, tags: "netgo,osusergo,seccomp" },
    pure("cni-plugins", &["-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v1.9.1"]),
    pure("pause", &[]),
    // One of its backends is written in C.
    Component {
        name: "flannel",
        ldflags: &["-X github.com/flannel-io/flannel/pkg/version.Version=v0.28.4"],
        cgo: true,
        tags: "netgo,osusergo",
    },
];

/// A file that is served in a vendor's place.
#[derive(Debug)]
pub(super) struct Release {
    /// The component that the vendor lists know it under.
    pub(super) component: &'static str,
    /// The version that they know it under.
    pub(super) version: &'static str,
    /// Its name there.
    pub(super) name: &'static str,
    /// What is in it.
    pub(super) content: Content,
}

/// What a served file is made of.
#[derive(Debug)]
pub(super) enum Content {
    /// A program as it is.
    Plain(Program),
    /// A gzipped tar of programs, each under the path that the vendor's has.
    Tarball(&'static [(Program, &'static str)]),
}

const fn program(component: &'static str, name: &'static str) -> Program {
    Program { component, name }
}

const fn kubernetes(name: &'static str) -> Release {
    Release { component: "kubernetes", version: "v1.34.4", name, content: Content::Plain(program("kubernetes", name)) }
}

/// The files.
pub(super) const RELEASES: [Release; 8] = [
    kubernetes("kubeadm"),
    kubernetes("kubelet"),
    kubernetes("kubectl"),
    Release {
        component: "etcd",
        version: "v3.6.5",
        name: "etcd.tar.gz",
        content: Content::Tarball(&[
            (program("etcd", "server"), "etcd-v3.6.5-linux-amd64/etcd"),
            (program("etcd", "etcdctl"), "etcd-v3.6.5-linux-amd64/etcdctl"),
            (program("etcd", "etcdutl"), "etcd-v3.6.5-linux-amd64/etcdutl"),
        ]),
    },
    Release {
        component: "containerd",
        version: "v2.2.7",
        name: "containerd.tar.gz",
        content: Content::Tarball(&[
            (program("containerd", "containerd"), "bin/containerd"),
            (program("containerd", "containerd-shim-runc-v2"), "bin/containerd-shim-runc-v2"),
            (program("containerd", "ctr"), "bin/ctr"),
        ]),
    },
    Release { component: "runc", version: "v1.3.6", name: "runc", content: Content::Plain(program("runc", "runc")) },
    Release {
        component: "cni-plugins",
        version: "v1.9.1",
        name: "cni-plugins.tgz",
        content: Content::Tarball(&[
            (program("cni-plugins", "bandwidth"), "./bandwidth"),
            (program("cni-plugins", "bridge"), "./bridge"),
            (program("cni-plugins", "firewall"), "./firewall"),
            (program("cni-plugins", "host-local"), "./host-local"),
            (program("cni-plugins", "loopback"), "./loopback"),
            (program("cni-plugins", "portmap"), "./portmap"),
            (program("cni-plugins", "tuning"), "./tuning"),
        ]),
    },
    Release {
        component: "registry",
        version: "v3.0.0",
        name: "registry.tar.gz",
        content: Content::Tarball(&[(program("registry", "registry"), "registry")]),
    },
];

/// An image that is served in a registry's place.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Its reference.
    pub(super) reference: &'static str,
    /// The program, if it has one of ours.
    pub(super) program: Option<Program>,
    /// Where the program stands in it.
    pub(super) path: &'static str,
    /// What runs when nothing is said.
    pub(super) entrypoint: &'static [&'static str],
    /// What of a Debian is in it.
    pub(super) userland: Userland,
}

/// What of a Debian an image needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Userland {
    /// Nothing but who root is.
    None,
    /// busybox under all its names.
    Busybox,
    /// busybox as sh, and what changes packet filters.
    Netfilter,
    /// The balancer.
    Haproxy,
    /// What holds a virtual address.
    Keepalived,
}

const fn image(reference: &'static str, component: &'static str, name: &'static str, path: &'static str) -> Recipe {
    Recipe { reference, program: Some(program(component, name)), path, entrypoint: &[], userland: Userland::None }
}

/// The images. Those of Kubernetes get their command from kubeadm's manifests.
pub(super) const IMAGES: [Recipe; 11] = [
    image("registry.k8s.io/kube-apiserver:v1.34.4", "kubernetes", "kube-apiserver", "usr/local/bin/kube-apiserver"),
    image(
        "registry.k8s.io/kube-controller-manager:v1.34.4",
        "kubernetes",
        "kube-controller-manager",
        "usr/local/bin/kube-controller-manager",
    ),
    image("registry.k8s.io/kube-scheduler:v1.34.4", "kubernetes", "kube-scheduler", "usr/local/bin/kube-scheduler"),
    Recipe {
        userland: Userland::Netfilter,
        ..image("registry.k8s.io/kube-proxy:v1.34.4", "kubernetes", "kube-proxy", "usr/local/bin/kube-proxy")
    },
    Recipe {
        entrypoint: &["/coredns"],
        ..image("registry.k8s.io/coredns/coredns:v1.12.1", "coredns", "coredns", "coredns")
    },
    Recipe { entrypoint: &["/pause"], ..image("registry.k8s.io/pause:3.10.1", "pause", "pause", "pause") },
    Recipe {
        entrypoint: &["local-path-provisioner"],
        ..image(
            "docker.io/rancher/local-path-provisioner:v0.0.30",
            "local-path-provisioner",
            "local-path-provisioner",
            "usr/bin/local-path-provisioner",
        )
    },
    Recipe {
        reference: "docker.io/library/busybox:1.36",
        program: None,
        path: "",
        entrypoint: &["sh"],
        userland: Userland::Busybox,
    },
    Recipe {
        reference: "docker.io/library/haproxy:2.6.12",
        program: None,
        path: "",
        entrypoint: &["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
        userland: Userland::Haproxy,
    },
    Recipe {
        userland: Userland::Netfilter,
        entrypoint: &["/opt/bin/flanneld"],
        ..image("ghcr.io/flannel-io/flannel:v0.28.4", "flannel", "flannel", "opt/bin/flanneld")
    },
    Recipe {
        reference: "docker.io/osixia/keepalived:2.0.20",
        program: None,
        path: "",
        entrypoint: &["keepalived", "--dont-fork", "--log-console"],
        userland: Userland::Keepalived,
    },
];
