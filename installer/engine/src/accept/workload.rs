//! The objects that the checks make in the cluster, as JSON: all in one namespace, all under the `restricted` pod standard.

use ferry_bundle_format::{Arch, Digest};
use serde_json::{Value, json};

use super::arena::{DATA_PORT, NAMESPACE, WEB_PORT};

/// The label that all pods of the matrix have.
const APP: &str = "ferry-probe";

/// The namespace.
pub(super) fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {
        "app.kubernetes.io/managed-by": "ferry",
        "pod-security.kubernetes.io/enforce": "restricted",
    }}})
}

/// One pod of kind `side` (`a` measures, `b` is measured) on every node of an architecture.
pub(super) fn pods(side: &str, arch: Arch, image: &str, token: &str) -> Value {
    let labels = json!({"app": APP, "side": side, "arch": arch.as_str()});
    let container = |name: &str, arguments: Value| container(name, image, &arguments);
    let spec = pod_spec(&json!([
        container("web", json!(["http", "--listen", format!(":{WEB_PORT}")])),
        container(
            "data",
            json!([
                "serve",
                "--listen",
                format!("tcp:{DATA_PORT}"),
                "--listen",
                format!("udp:{DATA_PORT}"),
                "--for",
                "86400",
                "--token",
                token,
            ])
        ),
    ]));
    let mut spec = spec;
    spec["nodeSelector"] = json!({"kubernetes.io/arch": arch.as_str()});
    spec["containers"][0]["readinessProbe"] =
        json!({"httpGet": {"path": "/healthz", "port": WEB_PORT}, "periodSeconds": 1, "timeoutSeconds": 3});
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": format!("{side}-{arch}"), "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    })
}

/// A Service over all pods of the matrix.
pub(super) fn service(name: &str, headless: bool) -> Value {
    let mut spec = json!({"selector": {"app": APP}, "ports": [{"port": 80, "targetPort": WEB_PORT}]});
    if headless {
        spec["clusterIP"] = json!("None");
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

/// A claim on a volume of the default class.
pub(super) fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "128Mi"}}},
    })
}

/// A pod that runs one command of the probe on a claim's volume, mounted at `/data`, and ends.
pub(super) fn volume_pod(name: &str, arch: Arch, image: &str, claim: &str, arguments: &Value) -> Value {
    let mut one = container("volume", image, arguments);
    one["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    let mut spec = pod_spec(&json!([one]));
    spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    spec["restartPolicy"] = json!("Never");
    spec["nodeSelector"] = json!({"kubernetes.io/arch": arch.as_str()});
    spec["securityContext"]["fsGroup"] = json!(65532);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

/// The probe's image by digest: the very bytes that were sent.
pub(super) fn image(authority: &str, digest: &Digest) -> String {
    format!("{authority}/{}@{digest}", crate::registry::PROBE_REPOSITORY)
}

fn pod_spec(containers: &Value) -> Value {
    json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": containers,
    })
}

fn container(name: &str, image: &str, arguments: &Value) -> Value {
    json!({
        "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "args": arguments,
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}},
    })
}
