//! The seven daemons of a cluster and their flags.

use std::path::PathBuf;

use super::binaries::ClusterBinaries;
use super::daemon::Daemon;
use super::layout::{Layout, NODE};
use super::network::{API_PORT, NODE_ADDRESS, SERVICE_NETWORK};

/// In the order they are started in.
pub(super) const NAMES: [&str; 7] = [
    "etcd",
    "containerd",
    "kube-apiserver",
    "kubelet",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
];

/// Both are on 127.0.0.1 only, and below the ports that the kernel gives to connections.
const ETCD_CLIENTS: &str = "https://127.0.0.1:12379";
const ETCD_PEERS: &str = "https://127.0.0.1:12380";

/// Where a pull from a public registry ends at once: nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

pub(super) fn etcd(layout: &Layout) -> Daemon {
    let certificate = |file: &str| layout.text(&format!("certificates/{file}"));
    let (authority, crt, key) =
        (certificate("authority.crt"), certificate("etcd.crt"), certificate("etcd.key"));
    let arguments = vec![
        "--name=picofaas".to_owned(),
        format!("--data-dir={}", layout.text("etcd")),
        format!("--listen-client-urls={ETCD_CLIENTS}"),
        format!("--advertise-client-urls={ETCD_CLIENTS}"),
        format!("--listen-peer-urls={ETCD_PEERS}"),
        format!("--initial-advertise-peer-urls={ETCD_PEERS}"),
        format!("--initial-cluster=picofaas={ETCD_PEERS}"),
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={authority}"),
        format!("--cert-file={crt}"),
        format!("--key-file={key}"),
        "--peer-client-cert-auth".to_owned(),
        format!("--peer-trusted-ca-file={authority}"),
        format!("--peer-cert-file={crt}"),
        format!("--peer-key-file={key}"),
        "--logger=zap".to_owned(),
        "--log-level=warn".to_owned(),
        // A cluster of tests may be lost with the machine.
        "--unsafe-no-fsync".to_owned(),
    ];
    Daemon { name: "etcd", program: PathBuf::from("etcd"), arguments, environment: Vec::new() }
}

pub(super) fn containerd(layout: &Layout) -> Daemon {
    Daemon {
        name: "containerd",
        program: PathBuf::from("containerd"),
        arguments: vec![format!("--config={}", layout.text("containerd/config.toml"))],
        // It fetches nothing from outside: an image that is not there is an error at once.
        environment: vec![
            ("HTTP_PROXY", NOWHERE.to_owned()),
            ("HTTPS_PROXY", NOWHERE.to_owned()),
            ("NO_PROXY", format!("127.0.0.1,localhost,{NODE_ADDRESS}")),
        ],
    }
}

pub(super) fn api_server(layout: &Layout, binaries: &ClusterBinaries) -> Daemon {
    let certificate = |file: &str| layout.text(&format!("certificates/{file}"));
    let arguments = vec![
        format!("--bind-address={NODE_ADDRESS}"),
        format!("--advertise-address={NODE_ADDRESS}"),
        format!("--secure-port={API_PORT}"),
        format!("--cert-dir={}", layout.text("certificates")),
        format!("--tls-cert-file={}", certificate("apiserver.crt")),
        format!("--tls-private-key-file={}", certificate("apiserver.key")),
        format!("--client-ca-file={}", certificate("authority.crt")),
        format!("--etcd-servers={ETCD_CLIENTS}"),
        format!("--etcd-cafile={}", certificate("authority.crt")),
        format!("--etcd-certfile={}", certificate("apiserver-of-etcd.crt")),
        format!("--etcd-keyfile={}", certificate("apiserver-of-etcd.key")),
        format!("--kubelet-certificate-authority={}", certificate("authority.crt")),
        format!("--kubelet-client-certificate={}", certificate("apiserver-of-kubelet.crt")),
        format!("--kubelet-client-key={}", certificate("apiserver-of-kubelet.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        // Tests put containers of their own into pods by it, as a mesh does.
        "--feature-gates=MutatingAdmissionPolicy=true".to_owned(),
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", certificate("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", certificate("service-accounts.key")),
        format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
    ];
    of_kubernetes("kube-apiserver", binaries, arguments)
}

pub(super) fn controller_manager(layout: &Layout, binaries: &ClusterBinaries) -> Daemon {
    let certificate = |file: &str| layout.text(&format!("certificates/{file}"));
    let mut arguments = vec![
        "--secure-port=10257".to_owned(),
        "--leader-elect=false".to_owned(),
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", certificate("service-accounts.key")),
        format!("--root-ca-file={}", certificate("authority.crt")),
        format!("--cluster-signing-cert-file={}", certificate("authority.crt")),
        format!("--cluster-signing-key-file={}", certificate("authority.key")),
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        "--profiling=false".to_owned(),
    ];
    arguments.extend(on_loopback(layout, "kube-controller-manager"));
    arguments.push(format!("--kubeconfig={}", certificate("kube-controller-manager.kubeconfig")));
    of_kubernetes("kube-controller-manager", binaries, arguments)
}

pub(super) fn scheduler(layout: &Layout, binaries: &ClusterBinaries) -> Daemon {
    let mut arguments =
        vec!["--secure-port=10259".to_owned(), format!("--config={}", layout.text("kube-scheduler.yaml"))];
    arguments.extend(on_loopback(layout, "kube-scheduler"));
    of_kubernetes("kube-scheduler", binaries, arguments)
}

pub(super) fn kubelet(layout: &Layout, binaries: &ClusterBinaries) -> Daemon {
    let arguments = vec![
        format!("--config={}", layout.text("kubelet.yaml")),
        format!("--kubeconfig={}", layout.text("certificates/kubelet.kubeconfig")),
        format!("--root-dir={}", layout.text("kubelet")),
        format!("--cert-dir={}", layout.text("kubelet/certificates")),
        format!("--hostname-override={NODE}"),
        format!("--node-ip={NODE_ADDRESS}"),
    ];
    of_kubernetes("kubelet", binaries, arguments)
}

pub(super) fn proxy(layout: &Layout, binaries: &ClusterBinaries) -> Daemon {
    of_kubernetes("kube-proxy", binaries, vec![format!("--config={}", layout.text("kube-proxy.yaml"))])
}

/// Where it serves its metrics, and whom it asks who may read them.
fn on_loopback(layout: &Layout, name: &str) -> [String; 4] {
    let kubeconfig = layout.text(&format!("certificates/{name}.kubeconfig"));
    [
        "--bind-address=127.0.0.1".to_owned(),
        format!("--cert-dir={}", layout.text(&format!("certificates/of-{name}"))),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
    ]
}

fn of_kubernetes(name: &'static str, binaries: &ClusterBinaries, arguments: Vec<String>) -> Daemon {
    Daemon { name, program: binaries.path(name), arguments, environment: Vec::new() }
}
