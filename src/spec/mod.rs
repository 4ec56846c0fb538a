//! Specifications of functions, and how they are read and checked.
//!
//! A specification comes through one of two doors. Over HTTP it is one flat JSON object
//! ([`parse_function`], [`parse_function_named`]); on disk it is a YAML manifest that carries the
//! same fields under `spec` ([`load_dir`]). Both doors turn their text into the
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
//! | `fields` | one row for each field: its name, its bounds, and what the schemas say of it |
//! | `function_spec` | [`FunctionSpec`], its parts, their reading, its JSON form and its `ETag` |
//! | `replicas` | [`Replicas`] and `Standby`: numbers of instances, and their reading |
//! | `web` | [`Web`]: HTTP requests as they are |
//! | `name` | [`FunctionName`] |
//! | `bounds` | range, default and unit of a number; bounds of CPU and memory |
//! | `endpoint` | [`EndpointUrl`]: where a POOL function already listens |
//! | `quantity` | [`Quantity`] and [`ResourceList`]: CPU and memory as Kubernetes writes them |
//! | `field_errors` | [`FieldErrors`] and their collector |
//! | `tree` | JSON or YAML text as a tree that remembers lines and repeated keys |
//! | `object` | one object of that tree, read field by field |
//! | `nearest` | the known word that a misspelt one probably meant |
//! | `parse` | JSON text to a [`FunctionSpec`] |
//! | `container` | the fields that describe a container or process, as in a pod |
//! | `environment` | [`EnvVar`] and [`EnvFrom`]: values, and where Kubernetes finds them |
//! | `pod_template` | [`PodTemplate`]: where pods may run, and as whom |
//! | `manifest` | YAML text to specifications |
//! | `schema` | writes the generated parts of `k8s/10-crd.yaml` and `openapi.yaml` (tests) |
//! | `crd` | the definition of the resource says the same (tests) |
//! | `folder` | finding and loading all manifests below a folder |
//!
//! # Adding a field
//!
//! | edit | where |
//! |---|---|
//! | its row: name, bounds, default, description | `fields` |
//! | its place in [`FunctionSpec`] with its comment, and the line that reads it | `function_spec` |
//! | its line in the table of fields | `docs/functions.md` |
//! | a test of what it does; where it has a default, the form and the `ETag` that `parse/tests.rs` has | beside what does it |
//!
//! Then `cargo xtask schema` writes the schemas of `k8s/10-crd.yaml` and `openapi.yaml`. The rest follows from the row
//! and the struct: the names that the reader knows and suggests, the JSON form, the `ETag`. Tests hold the schemas to
//! the rows, try each bound and default of a number at the reader, and look for it in the table of `docs/functions.md`.
//! A value that is neither number, text, word nor list of texts has its schemas by hand beside the generated parts, and
//! so have the rules between fields: `x-kubernetes-validations` of the resource and the text about `FunctionSpec`.

pub(crate) mod bounds;
mod container;
#[cfg(test)]
mod crd;
mod endpoint;
mod environment;
mod field_errors;
mod fields;
mod folder;
mod function_spec;
mod manifest;
mod name;
pub(crate) mod nearest;
mod object;
mod parse;
pub(crate) mod pod_template;
mod quantity;
mod replicas;
#[cfg(test)]
mod schema;
mod tree;
mod web;

pub(crate) use bounds::Bounds;
pub(crate) use container::is_object_name;
pub(crate) use endpoint::EndpointUrl;
pub(crate) use environment::{EnvFrom, EnvSource, EnvValue, EnvVar, ValueFrom, hide_values};
pub(crate) use field_errors::FieldErrors;
pub(crate) use folder::{Loaded, load_dir};
pub use function_spec::{ExecutionMode, FunctionSpec};
pub(crate) use function_spec::{Local, Resources};
pub(crate) use manifest::ManifestError;
pub(crate) use name::FunctionName;
pub use parse::parse_function;
pub(crate) use parse::{SpecError, parse_function_named};
pub(crate) use pod_template::PodTemplate;
pub(crate) use quantity::{Quantity, ResourceList};
pub(crate) use replicas::Standby;
pub(crate) use web::Web;
#[cfg(test)]
pub(crate) use {
    environment::RESERVED_ENV,
    field_errors::FIELD_ERRORS_MAX,
    fields::{names_in, number_count},
    manifest::read_manifests,
    name::{InvalidName, NAME_BYTES_MAX},
    replicas::Replicas,
};

/// A function of an image with these fields, for tests; or its errors, as text.
#[cfg(test)]
fn read_fields(fields: &str) -> Result<FunctionSpec, Vec<String>> {
    let text = format!(r#"{{"name":"f","image":"i",{fields}}}"#);
    parse_function(text.as_bytes()).map_err(|error| match error {
        SpecError::Fields(errors) => errors.0.iter().map(ToString::to_string).collect(),
        SpecError::Json { .. } => panic!("{fields}: {error}"),
    })
}
