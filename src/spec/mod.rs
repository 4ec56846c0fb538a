//! Specifications of functions, and how they are read and checked.
//!
//! A specification comes through one of two doors. Over HTTP it is one flat JSON object
//! ([`parse_function`], [`parse_function_named`]); on disk it is a YAML manifest that carries the
//! same fields under `spec` ([`read_manifests`], [`load_dir`]). Both doors turn their text into the
//! same tree, and one reader turns the tree into a [`FunctionSpec`], so a rule is written once and
//! holds at both.
//!
//! Reading never stops at the first mistake. Each one becomes a [`FieldError`](crate::error::FieldError) that names the field and
//! says what it may be; a specification with any error is refused whole, so nothing is ever half
//! registered. An error from a manifest also carries its line.
//!
//! Everything here is plain data. Nothing starts a thread, keeps state or knows about time, and the
//! only input and output is the reading of manifest files.
//!
//! | module | holds |
//! |---|---|
//! | `function_spec` | [`FunctionSpec`], its parts, its JSON form and its `ETag` |
//! | `name` | [`FunctionName`] |
//! | `bounds` | range, default and unit of every number |
//! | `endpoint` | [`EndpointUrl`]: where a POOL function already listens |
//! | `quantity` | [`Quantity`] and [`ResourceList`]: CPU and memory as Kubernetes writes them |
//! | `field_errors` | [`FieldErrors`] and their collector |
//! | `tree` | JSON or YAML text as a tree that remembers lines and repeated keys |
//! | `object` | one object of that tree, read field by field |
//! | `nearest` | the known word that a misspelt one probably meant |
//! | `parse` | the tree of a specification to a [`FunctionSpec`] |
//! | `container` | the fields that describe a container or process, as in a pod |
//! | `environment` | [`EnvVar`] and [`EnvFrom`]: values, and where Kubernetes finds them |
//! | `pod_template` | [`PodTemplate`]: where pods may run, and as whom |
//! | `manifest` | YAML text to specifications |
//! | `crd` | the definition of the resource says the same (tests) |
//! | `folder` | finding and loading all manifests below a folder |

pub mod bounds;
mod container;
#[cfg(test)]
mod crd;
mod endpoint;
mod environment;
mod field_errors;
mod folder;
mod function_spec;
mod manifest;
mod name;
mod nearest;
mod object;
mod parse;
mod pod_template;
mod quantity;
mod tree;

pub use bounds::Bounds;
pub use container::is_object_name;
pub use endpoint::{ENDPOINTS_MAX, EndpointUrl, InvalidEndpoint, SOCKET_PATH_BYTES_MAX};
pub use environment::{
    EnvFrom, EnvSource, EnvValue, EnvVar, KeyRef, RESERVED_ENV, SourceRef, ValueFrom, hide_values,
};
pub use field_errors::{FIELD_ERRORS_MAX, FieldErrors};
pub use folder::{Loaded, discover, load_dir};
pub use function_spec::{ExecutionMode, FunctionSpec, Local, Replicas, Resources};
pub use manifest::{LocatedError, MANIFEST_BYTES_MAX, ManifestError, read_manifests};
pub use name::{FunctionName, InvalidName, NAME_BYTES_MAX};
#[cfg(test)]
pub(crate) use parse::FIELDS;
pub use parse::{SpecError, parse_function, parse_function_named};
pub use pod_template::{ANNOTATIONS_BYTES_MAX, PodTemplate, TaintEffect, Toleration, TolerationOperator};
pub use quantity::{InvalidQuantity, Quantity, ResourceList};

/// A function of an image with these fields, for tests; or its errors, as text.
#[cfg(test)]
fn read_fields(fields: &str) -> Result<FunctionSpec, Vec<String>> {
    let text = format!(r#"{{"name":"f","image":"i",{fields}}}"#);
    parse_function(text.as_bytes()).map_err(|error| match error {
        SpecError::Fields(errors) => errors.0.iter().map(ToString::to_string).collect(),
        SpecError::Json { .. } => panic!("{fields}: {error}"),
    })
}
