//! A page of somebody else, shown in a browser, and what came of it.

use serde_json::Value;

use super::attempts::{assert_refused, calls};
use super::chromium::Chromium;
use super::recorder::Recorder;
use super::site::{PAGE_PATH, SANDBOX_PATH, Site};
use crate::support::patience::eventually;

/// Where a page is from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// Another port of the same address: the same site, to a browser.
    AnotherPort,
    /// Another name: another site.
    AnotherName,
    /// A frame without an origin.
    Sandbox,
    /// A file, which has none, either.
    File,
}

/// Every place that a page can be from.
pub(crate) const EVERYWHERE: [From; 4] = [From::AnotherPort, From::AnotherName, From::Sandbox, From::File];

/// Shows a page that makes the attempts, and checks that nothing came of them.
pub(crate) fn try_in_vain(from: From, attempts: &[(&Recorder, Vec<Value>)]) {
    let site = Site::new();
    let all: Vec<Value> = attempts.iter().flat_map(|(_, attempts)| attempts.clone()).collect();
    site.serve(&all);
    let (address, file) = (site.address(), tempfile::Builder::new().suffix(".html").tempfile().unwrap());
    std::fs::write(file.path(), site.page(&all)).unwrap();
    let url = match from {
        From::AnotherPort => format!("http://{address}{PAGE_PATH}"),
        From::AnotherName => format!("http://localhost:{}{PAGE_PATH}", address.port()),
        From::Sandbox => format!("http://{address}{SANDBOX_PATH}"),
        From::File => format!("file://{}", file.path().display()),
    };
    let before: Vec<usize> = attempts.iter().map(|(recorder, _)| recorder.records().len()).collect();
    let _browser = Chromium::open(&url);
    let told = site.told();
    let mut told = told.as_slice();
    for ((recorder, attempts), before) in attempts.iter().zip(before) {
        // A page is not told when a beacon has arrived.
        let records = eventually(&format!("every attempt of {from:?} arrives"), || {
            let records = recorder.records().split_off(before);
            (records.len() >= calls(attempts).len()).then_some(records)
        });
        let (of_these, rest) = told.split_at(attempts.len());
        assert_refused(&records, attempts, of_these);
        told = rest;
    }
}
