//! The page of the management listener, shown in a browser.

use super::chromium::Chromium;
use super::recorder::{Record, Recorder};
use crate::support::patience::eventually;

/// Calls that it reads to show their answers.
const CALLS: [&str; 3] = ["GET /v1/functions", "GET /v1/executions?limit=25", "GET /debug/state"];

/// Checks that it is shown and reads what it shows, under both names of this machine.
pub(crate) fn assert_reads(recorder: &Recorder) {
    for host in ["127.0.0.1", "localhost"] {
        let before = recorder.records().len();
        let _browser = Chromium::open(&format!("http://{host}:{}/", recorder.address.port()));
        let of_page = |records: &[Record], call: &str| {
            records.iter().filter(|record| record.call == call).cloned().collect::<Vec<_>>()
        };
        let records = eventually("the page reads, and reads again", || {
            let records = recorder.records().split_off(before);
            CALLS.iter().all(|call| of_page(&records, call).len() > 1).then_some(records)
        });
        let page = of_page(&records, "GET /");
        assert_eq!((page.len(), page[0].status, page[0].site.as_deref()), (1, 200, Some("none")), "{page:?}");
        for call in CALLS {
            for record in of_page(&records, call) {
                assert_eq!((record.status, record.site.as_deref()), (200, Some("same-origin")), "{record:?}");
            }
        }
    }
}
