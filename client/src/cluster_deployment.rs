//! A deployment to a cluster: the image of a function is built, brought to the nodes, and named in its object.

use crate::client_error::ClientError;
use crate::cluster_target::ClusterTarget;
use crate::deploy::DeployArgs;
use crate::image_builder::{self, ImageBuilder};
use crate::image_transfer::ImageTransfer;
use crate::manifest::ManifestFunction;
use crate::ordered_value::OrderedValue;
use crate::output;
use crate::server_client::ServerClient;

/// Name of the Service of the control plane, as k8s/ gives it, and its port.
const SERVICE: (&str, u16) = ("picofaas", 8080);

/// A cluster, and what images need once one is to be built.
pub(crate) struct ClusterDeployment {
    cluster: ClusterTarget,
    kube: kube::Client,
    /// The program that builds, and the way to the nodes, once they were looked for.
    images: Option<(ImageBuilder, ImageTransfer)>,
}

impl ClusterDeployment {
    /// A deployment to the cluster that the client goes to.
    ///
    /// # Errors
    /// The kubeconfig does not fit.
    pub(crate) async fn new(client: &mut ServerClient) -> Result<Self, ClientError> {
        match client.cluster().await? {
            Some((cluster, kube)) => Ok(Self { cluster, kube, images: None }),
            None => Err(ClientError::Usage("a server is no cluster".to_owned())),
        }
    }

    /// Makes the image of a function and brings it to the nodes. Answers its fields with that image; a function
    /// without a Dockerfile has the image that its manifest names.
    ///
    /// # Errors
    /// A program fails, or is not there.
    pub(crate) async fn prepare(
        &mut self,
        function: &ManifestFunction,
        arguments: &DeployArgs,
    ) -> Result<OrderedValue, ClientError> {
        let flags = &arguments.image_args;
        let dockerfile = image_builder::dockerfile(function).filter(|_| !function.is_pool());
        let Some(dockerfile) = dockerfile else {
            if function.image().is_none() && !function.is_pool() {
                let message = "it has neither an image nor a Dockerfile beside its manifest, so a cluster has \
                               nothing to run of it; `picofaas new` writes one";
                return Err(ClientError::UnfitFunction(message.to_owned()));
            }
            return Ok(function.cluster_spec(function.image()));
        };
        let (builder, transfer) = match &self.images {
            Some(images) => images,
            None => {
                let transfer =
                    ImageTransfer::find(flags.registry.as_ref(), &self.cluster, self.kube.clone()).await?;
                let builder = ImageBuilder::find(flags.builder).await?;
                self.images.insert((builder, transfer))
            }
        };
        if arguments.dry_run {
            output::say(&format!("would build: {}, by {builder}, {transfer}", dockerfile.display()));
            let registry = flags.registry.clone().unwrap_or_default();
            return Ok(function.cluster_spec(Some(&format!("{registry}/{}", function.name))));
        }
        let image = builder.build(function, &dockerfile, flags, arguments.verbose).await?;
        let reference = transfer.bring(*builder, &image).await?;
        output::say(&format!("image {reference}"));
        Ok(function.cluster_spec(Some(&reference)))
    }

    /// URL of the control plane for clients in the cluster.
    pub(crate) fn base_url(&self) -> String {
        let (service, port) = SERVICE;
        format!("http://{service}.{}:{port}", self.cluster.namespace)
    }
}
