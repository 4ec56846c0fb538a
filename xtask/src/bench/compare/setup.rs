//! The programs and files of a comparison.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::load_point::LoadPoint;
use super::open_loop::Vegeta;
use super::payload::Payload;
use super::peak::Peak;
use super::program::{FunctionProgram, FunctionRuntime};

pub(super) struct Setup {
    /// For generated files and logs.
    pub folder: PathBuf,
    pub nginx_template: PathBuf,
    /// Empty when no row is of picofaas.
    pub picofaas: PathBuf,
    /// The picofaas of an earlier commit; empty where none was given.
    pub against: PathBuf,
    /// Of one measurement.
    pub seconds: u32,
    pub programs: BTreeMap<FunctionRuntime, FunctionProgram>,
    /// By their size in bytes.
    pub payloads: BTreeMap<u32, Payload>,
    /// `None` where no load is an open loop.
    pub vegeta: Option<Vegeta>,
    /// `None` until it was measured.
    pub peak: Option<Peak>,
}

impl Setup {
    pub(super) fn program(&self, point: &LoadPoint) -> Result<&FunctionProgram> {
        self.programs.get(&point.runtime).with_context(|| format!("{point}: its function is not there"))
    }

    pub(super) fn payload(&self, point: &LoadPoint) -> Result<&Payload> {
        self.payloads.get(&point.body_bytes).with_context(|| format!("{point}: its body is not there"))
    }

    pub(super) fn vegeta(&self) -> Result<&Vegeta> {
        self.vegeta.as_ref().context("vegeta is not there")
    }

    pub(super) fn peak(&self) -> Result<&Peak> {
        self.peak.as_ref().context("nginx's peak was not measured")
    }
}
