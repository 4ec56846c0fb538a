//! The keys and certificates of a cluster, made by openssl, and the kubeconfigs that name them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::layout::{Layout, NODE};
use super::network;

const OPENSSL_CONFIGURATION: &str = include_str!("../../cluster/openssl.cnf");
const KUBECONFIG: &str = include_str!("../../cluster/kubeconfig.yaml");

/// A cluster lives for hours.
const VALID_DAYS: &str = "365";

/// Holders of certificates: the name of their files, and their subject, which Kubernetes takes for user and groups.
const CLIENTS: [(&str, &str); 6] = [
    ("admin", "/O=system:masters/CN=picofaas-admin"),
    ("kube-controller-manager", "/CN=system:kube-controller-manager"),
    ("kube-scheduler", "/CN=system:kube-scheduler"),
    ("kube-proxy", "/CN=system:kube-proxy"),
    ("apiserver-of-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
    ("apiserver-of-etcd", "/CN=kube-apiserver-etcd-client"),
];

/// Makes everything in `certificates/`, and the administrator's kubeconfig.
pub(super) fn make(layout: &Layout) -> Result<()> {
    layout.write("certificates/openssl.cnf", OPENSSL_CONFIGURATION)?;
    let node_user = format!("/O=system:nodes/CN=system:node:{NODE}");
    let (node, api) = (network::NODE_ADDRESS, network::API_SERVICE_ADDRESS);
    let authority =
        Certificate { name: "authority", subject: "/CN=picofaas-cluster", kind: CertificateKind::Authority };
    authority.make(layout)?;
    for (name, subject) in CLIENTS {
        Certificate { name, subject, kind: CertificateKind::Client }.make(layout)?;
    }
    Certificate { name: "kubelet", subject: &node_user, kind: CertificateKind::Client }.make(layout)?;
    let names = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc";
    let servers = [
        ("apiserver", format!("{names},DNS:kubernetes.default.svc.cluster.local,IP:{node},IP:{api}")),
        ("etcd", "DNS:localhost,IP:127.0.0.1".to_owned()),
        ("kubelet-server", format!("DNS:{NODE},IP:{node}")),
    ];
    for (name, alternatives) in &servers {
        let subject = format!("/CN={name}");
        Certificate { name, subject: &subject, kind: CertificateKind::Server(alternatives) }.make(layout)?;
    }
    service_account_keys(layout)?;
    for name in ["kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"] {
        layout.fill(&format!("certificates/{name}.kubeconfig"), KUBECONFIG, &[("@user@", name)])?;
    }
    layout.fill("kubeconfig", KUBECONFIG, &[("@user@", "admin")])
}

enum CertificateKind<'a> {
    Authority,
    Client,
    /// With the names and addresses it is reached at.
    Server(&'a str),
}

struct Certificate<'a> {
    name: &'a str,
    subject: &'a str,
    kind: CertificateKind<'a>,
}

impl Certificate<'_> {
    fn make(&self, layout: &Layout) -> Result<()> {
        let file = |extension: &str| layout.path("certificates").join(format!("{}.{extension}", self.name));
        let (extensions, alternatives) = match self.kind {
            CertificateKind::Authority => ("authority", ""),
            CertificateKind::Client => ("client", ""),
            CertificateKind::Server(alternatives) => ("server", alternatives),
        };
        let mut request = Command::new("openssl");
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]);
        request.args(["-days", VALID_DAYS, "-subj", self.subject, "-extensions", extensions, "-config"]);
        request.arg(layout.path("certificates/openssl.cnf")).env("SUBJECT_ALT_NAME", unread(alternatives));
        request.arg("-keyout").arg(file("key")).arg("-out").arg(file("crt"));
        if !matches!(self.kind, CertificateKind::Authority) {
            request.arg("-CA").arg(layout.path("certificates/authority.crt"));
            request.arg("-CAkey").arg(layout.path("certificates/authority.key"));
        }
        run(&mut request)
    }
}

/// The configuration names the variable in a section that clients and the authority do not use; openssl
/// reads it all the same, and refuses an empty one.
fn unread(alternatives: &str) -> &str {
    if alternatives.is_empty() { "DNS:localhost" } else { alternatives }
}

/// Makes the keys that the tokens of service accounts are signed with.
fn service_account_keys(layout: &Layout) -> Result<()> {
    let (private, public) =
        (layout.path("certificates/service-accounts.key"), layout.path("certificates/service-accounts.pub"));
    let mut make = Command::new("openssl");
    make.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]).arg(&private);
    run(&mut make)?;
    let mut publish = Command::new("openssl");
    publish.args(["pkey", "-pubout", "-in"]).arg::<&Path>(&private).arg("-out").arg(&public);
    run(&mut publish)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("cannot run openssl")?;
    if !output.status.success() {
        bail!("openssl could not make a certificate: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
