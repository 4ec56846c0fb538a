//! A port of the control plane's pod, forwarded by the API server of its cluster.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use tokio::io::DuplexStream;

use crate::client_error::ClientError;
use crate::cluster_target::ClusterTarget;

/// Labels of the control plane, as k8s/ gives them.
const LABELS: &str = "app.kubernetes.io/name=picofaas,app.kubernetes.io/component=control-plane";

/// Name of the port for operators, which serves all of the API.
const PORT_NAME: &str = "management";

/// Its number where the pod does not say.
const PORT: u16 = 8081;

/// Opens a stream to the control plane.
///
/// # Errors
/// There is no ready pod of it, or the API server does not forward.
pub(crate) async fn open(cluster: &ClusterTarget, client: Client) -> Result<DuplexStream, ClientError> {
    let pods: Api<Pod> = Api::namespaced(client, &cluster.namespace);
    let found = pods.list(&ListParams::default().labels(LABELS)).await;
    let found = found.map_err(|error| cluster.error(error))?;
    let Some(pod) = found.items.iter().find(|pod| is_ready(pod)) else {
        let reason = match found.items.len() {
            0 => "no control plane runs there (`kubectl apply -f k8s/` installs one)".to_owned(),
            _ => "its control plane is not ready (`kubectl get pods` says why)".to_owned(),
        };
        return Err(ClientError::NoServer { server: cluster.name(), reason });
    };
    let port = port_of(pod);
    let mut forwarder =
        pods.portforward(&pod.name_any(), &[port]).await.map_err(|error| cluster.error(error))?;
    forwarder.take_stream(port).ok_or_else(|| ClientError::NoServer {
        server: cluster.name(),
        reason: format!("port {port} of the pod {} was not forwarded", pod.name_any()),
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_going = pod.metadata.deletion_timestamp.is_some();
    !is_going && conditions.into_iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True")
}

fn port_of(pod: &Pod) -> u16 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = ports.find(|port| port.name.as_deref() == Some(PORT_NAME));
    named.and_then(|port| u16::try_from(port.container_port).ok()).unwrap_or(PORT)
}
