//! The page of the management listener.

use crate::pages::own::assert_reads;
use crate::pages::recorder::Recorder;
use crate::support::server::Server;

#[test]
fn the_page_for_operators_reads_what_it_shows_in_a_browser() {
    let server = Server::start(&[]);
    assert_reads(&Recorder::before(server.management));
}
