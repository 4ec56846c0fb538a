//! Function objects in a program that was built without clusters (feature `cluster`): there are none.

use std::rc::Rc;

use super::invalid_spec::InvalidSpec;
use super::{Registered, Registry};
use crate::clock::Clock;
use crate::error::ApiError;
use crate::kubernetes::cluster::Cluster;
use crate::spec::FunctionSpec;

pub(crate) use self::NoFunctionObjects as FunctionObjects;

/// In place of the objects of a cluster's namespace.
#[derive(Debug)]
pub enum NoFunctionObjects {}

impl NoFunctionObjects {
    #[expect(clippy::needless_pass_by_value, reason = "called as the one that it stands for")]
    pub(crate) fn new(cluster: Rc<Cluster>, _: Rc<Registry>, _: Clock) -> Rc<Self> {
        match *cluster {}
    }

    pub(crate) async fn keep_registry(self: Rc<Self>) {
        match *self {}
    }

    pub(crate) async fn release(&self) {
        match *self {}
    }

    pub(crate) fn waits_for(&self) -> Option<String> {
        match *self {}
    }

    pub(crate) fn invalid(&self, _: &str) -> Option<InvalidSpec> {
        match *self {}
    }

    pub(crate) async fn create_object(&self, _: &FunctionSpec, _: &[u8]) -> Result<(), ApiError> {
        match *self {}
    }

    pub(crate) async fn put_object(
        &self,
        _: &FunctionSpec,
        _: &[u8],
        _: impl Fn(Option<&Registered>) -> Result<(), ApiError>,
    ) -> Result<bool, ApiError> {
        match *self {}
    }

    pub(crate) async fn scale_object(&self, _: &str, _: u32) -> Result<(), ApiError> {
        match *self {}
    }

    pub(crate) async fn scale_object_if(
        &self,
        _: &str,
        _: u32,
        _: impl Fn(Option<&Registered>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        match *self {}
    }

    pub(crate) async fn delete_object(&self, _: &str) -> Result<(), ApiError> {
        match *self {}
    }

    pub(crate) async fn delete_object_if(
        &self,
        _: &str,
        _: impl Fn(Option<&Registered>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        match *self {}
    }
}
