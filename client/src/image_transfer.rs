//! The way of an image to the nodes of a cluster: by a registry, or straight to its single node.

use std::fmt;

use k8s_openapi::api::core::v1::{Node, NodeSystemInfo};
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::child_command::ChildCommand;
use crate::client_error::ClientError;
use crate::cluster_target::ClusterTarget;
use crate::image_builder::{ImageBuilder, scratch_folder};
use crate::image_reference::{ImageName, Registry, digest_in};
use crate::output;

/// Beginning of the contexts that kind makes.
const KIND: &str = "kind-";

/// Part of the version of a kubelet that k3s runs.
const K3S: &str = "+k3s";

/// The kernel's id of this run of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Files of which the first that there is has the id of the machine, in the order of a kubelet.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// The ids by which a machine knows itself as a node. A container has the kernel's, but not the machine's.
#[derive(Debug)]
struct MachineIds {
    boot_id: String,
    machine_id: String,
}

/// A way to the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageTransfer {
    /// By a registry from which they pull.
    Registry(Registry),
    /// By kind, into the nodes of the cluster of this name.
    Kind(String),
    /// By this command, which is containerd's, into the only node, which is this machine.
    Containerd(Vec<&'static str>),
}

impl ImageTransfer {
    /// The registry that is named, or else the way to a cluster on this machine.
    ///
    /// # Errors
    /// No registry is named, and the cluster is elsewhere.
    pub(crate) async fn find(
        registry: Option<&Registry>,
        cluster: &ClusterTarget,
        kube: kube::Client,
    ) -> Result<Self, ClientError> {
        if let Some(registry) = registry {
            return Ok(Self::Registry(registry.clone()));
        }
        if let Some(name) = cluster.kube_context.strip_prefix(KIND) {
            return Ok(Self::Kind(name.to_owned()));
        }
        let nodes = Api::<Node>::all(kube).list(&ListParams::default()).await;
        let nodes = nodes.map_err(|error| {
            let error = cluster.error(error);
            ClientError::Usage(format!(
                "--registry HOST/PATH is required: whether this machine is the node of {} cannot be told: {error}",
                cluster.name()
            ))
        })?;
        Self::to_nodes(&nodes.items, &MachineIds::of_this()).map_err(|why| {
            ClientError::Usage(format!(
                "--registry HOST/PATH is required, from which the nodes of {} pull: {why}",
                cluster.name()
            ))
        })
    }

    fn to_nodes(nodes: &[Node], here: &MachineIds) -> Result<Self, String> {
        let [node] = nodes else { return Err(format!("it has {} nodes", nodes.len())) };
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        let elsewhere = || format!("its node {} is another machine", node.name_any());
        let info = info.filter(|info| here.are_of(info)).ok_or_else(elsewhere)?;
        if info.kubelet_version.contains(K3S) {
            Ok(Self::Containerd(vec!["k3s", "ctr"]))
        } else if info.container_runtime_version.starts_with("containerd://") {
            Ok(Self::Containerd(vec!["ctr"]))
        } else {
            let runtime = &info.container_runtime_version;
            Err(format!("its node runs {runtime}, into which nothing is imported"))
        }
    }

    /// Brings an image to the nodes, and answers the name by which they have it.
    ///
    /// # Errors
    /// A program fails.
    pub(crate) async fn bring(
        &self,
        builder: ImageBuilder,
        image: &ImageName,
    ) -> Result<String, ClientError> {
        let digest = match self {
            Self::Registry(registry) => builder.push(image, registry).await?,
            Self::Kind(cluster) => {
                let folder = scratch_folder()?;
                let archive = folder.path().join("image.tar");
                builder.save(image, &archive).await?;
                let what = format!("importing {image} into kind's cluster {cluster}");
                output::say(&what);
                let load = ChildCommand::new("kind").args(["load", "image-archive"]).arg(&archive);
                load.args(["--name", cluster]).run(&what).await?;
                // By their digest its nodes do not know it. The tag is made of the content, too.
                return Ok(image.to_string());
            }
            Self::Containerd(program) => import(program, builder, image).await?,
        };
        Ok(format!("{}@{digest}", image.repository))
    }
}

impl MachineIds {
    fn of_this() -> Self {
        // Without the kernel's, this machine is no node of Kubernetes; without its own, one that has none is it.
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let machine_id = MACHINE_ID.iter().map(|path| read(path)).find(|id| !id.is_empty());
        Self { boot_id: read(BOOT_ID), machine_id: machine_id.unwrap_or_default() }
    }

    /// Whether a node that says this is this machine.
    fn are_of(&self, info: &NodeSystemInfo) -> bool {
        !self.boot_id.is_empty() && info.boot_id == self.boot_id && info.machine_id == self.machine_id
    }
}

impl fmt::Display for ImageTransfer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => write!(out, "pushed to {registry}"),
            Self::Kind(cluster) => write!(out, "imported into kind's cluster {cluster}"),
            Self::Containerd(_) => out.write_str("imported into containerd of this machine"),
        }
    }
}

/// Imports an image into containerd, and names it there by its digest. Answers that.
async fn import(
    program: &[&'static str],
    builder: ImageBuilder,
    image: &ImageName,
) -> Result<String, ClientError> {
    let folder = scratch_folder()?;
    let archive = folder.path().join("image.tar");
    builder.save(image, &archive).await?;
    let what = format!("importing {image} into containerd");
    output::say(&what);
    let (ctr, arguments) = program.split_first().unwrap_or((&"ctr", &[]));
    let images = ChildCommand::new(*ctr).args(arguments).args(["--namespace", "k8s.io", "images"]);
    images.clone().arg("import").arg(&archive).run(&what).await?;
    let listed = images.clone().args(["list", &format!("name=={image}")]).run(&what).await?;
    let digest = digest_in(&listed).ok_or_else(|| {
        ClientError::Missing(format!("containerd does not list {image}, which was imported:\n{listed}"))
    })?;
    let by_digest = format!("{}@{digest}", image.repository);
    images.args(["tag", "--force", &image.to_string(), &by_digest]).run(&what).await?;
    Ok(digest.to_owned())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::NodeStatus;

    use super::*;

    fn node(boot_id: &str, runtime: &str, kubelet: &str) -> Node {
        let info = NodeSystemInfo {
            boot_id: boot_id.to_owned(),
            machine_id: "m".to_owned(),
            container_runtime_version: runtime.to_owned(),
            kubelet_version: kubelet.to_owned(),
            ..NodeSystemInfo::default()
        };
        let status = NodeStatus { node_info: Some(info), ..NodeStatus::default() };
        let mut node = Node { status: Some(status), ..Node::default() };
        node.metadata.name = Some("n".to_owned());
        node
    }

    #[test]
    fn an_image_is_imported_only_where_the_one_node_is_this_machine() {
        let here = node("here", "containerd://1.7", "v1.34.0");
        let machine = |boot_id| MachineIds { boot_id: String::from(boot_id), machine_id: "m".to_owned() };
        let find = |nodes: &[Node], boot_id| ImageTransfer::to_nodes(nodes, &machine(boot_id));
        assert_eq!(find(std::slice::from_ref(&here), "here"), Ok(ImageTransfer::Containerd(vec!["ctr"])));
        let k3s = node("here", "containerd://1.7-k3s1", "v1.34.0+k3s1");
        assert_eq!(find(&[k3s], "here"), Ok(ImageTransfer::Containerd(vec!["k3s", "ctr"])));
        let why = |nodes: &[Node], boot_id| find(nodes, boot_id).unwrap_err();
        assert_eq!(why(std::slice::from_ref(&here), "there"), "its node n is another machine");
        // A machine that does not know its own run is no node.
        assert_eq!(why(&[node("", "containerd://1.7", "v1")], ""), "its node n is another machine");
        // Nor is a container on it, which has the same kernel, and a containerd of its own.
        let mut container = here.clone();
        container.status.as_mut().unwrap().node_info.as_mut().unwrap().machine_id.clear();
        assert_eq!(why(&[container], "here"), "its node n is another machine");
        assert_eq!(why(&[here.clone(), here], "here"), "it has 2 nodes");
        let crio = node("here", "cri-o://1.34", "v1.34.0");
        assert!(why(&[crio], "here").contains("cri-o://1.34"));
    }
}
