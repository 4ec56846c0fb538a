//! One version of a function, as every thread sees it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::instance::{Address, Ending, InstanceKey, InstanceProblem, VersionIndex};
use crate::metrics::MetricsByGateway;
use crate::queue::function_queue::FunctionQueue;
use crate::spec::FunctionSpec;

/// The tags by which clients tell one version of a function from another, in `ETag`.
#[derive(Debug, Default)]
pub struct VersionTags {
    /// Of its specification with all values.
    pub shown: String,
    /// Where its values are hidden: at random, as what is made of the values would tell whether a guess at them is
    /// right.
    pub hidden: String,
}

impl VersionTags {
    /// The tag for those who are shown the values, or not.
    #[must_use]
    pub(crate) fn tag(&self, shows_values: bool) -> &str {
        if shows_values { &self.shown } else { &self.hidden }
    }
}

/// One version of a function: its specification and what the threads share of it.
///
/// | field | written by | read by | published by |
/// |---|---|---|---|
/// | `addresses` | control, before it tells the scheduler of the instance | gateways, at a grant | `ArcSwapOption` |
/// | `endings` | control, as soon as it knows | gateways whose connection to an instance was lost | `ArcSwapOption` |
/// | `problem` | control | gateways when they must explain, reads of the function | `ArcSwapOption` |
/// | `metrics` | each gateway its own | scrapes | relaxed counts |
/// | `queue` | see [`FunctionQueue`] | | |
#[derive(Debug)]
pub struct FunctionVersion {
    /// The specification that was asked for.
    pub spec: FunctionSpec,
    /// See [`VersionTags`].
    pub tags: Arc<VersionTags>,
    /// Its index in the scheduler's table of versions.
    pub index: VersionIndex,
    /// Its ring and its credits.
    pub queue: Arc<FunctionQueue>,
    /// By the instance's place.
    pub addresses: Box<[ArcSwapOption<Address>]>,
    /// How the last instance that crashed did, by its place.
    pub endings: Box<[ArcSwapOption<Ending>]>,
    /// Its metrics, over all versions.
    pub metrics: Arc<MetricsByGateway>,
    /// Why no instance could be started or reached.
    pub problem: Arc<ArcSwapOption<InstanceProblem>>,
}

impl FunctionVersion {
    /// The address of an instance, unless it has gone.
    #[must_use]
    pub(crate) fn address(&self, instance: InstanceKey) -> Option<Arc<Address>> {
        let address = self.addresses.get(usize::from(instance.place))?.load_full();
        address.filter(|address| address.generation == instance.generation)
    }
}
