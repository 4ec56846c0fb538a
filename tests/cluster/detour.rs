//! A way to the API server that can be closed, so that it is away for one control plane only.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::NamedTempFile;

use crate::stage::kubectl;

/// The open connections; `None` while the way is closed.
type Connected = Arc<Mutex<Option<Vec<TcpStream>>>>;

pub(crate) struct Detour {
    connected: Connected,
    kubeconfig: NamedTempFile,
}

impl Detour {
    /// A way that is open.
    pub(crate) fn to_api_server() -> Self {
        let url =
            kubectl(&["config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}"]);
        let api_server: SocketAddr = url.trim().trim_start_matches("https://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap();
        let kubeconfig = NamedTempFile::new().unwrap();
        let text = kubectl(&["config", "view", "--minify", "--raw", "--flatten"]);
        let by_name = format!("server: https://{own}\n    tls-server-name: kubernetes");
        std::fs::write(kubeconfig.path(), text.replace(&format!("server: {}", url.trim()), &by_name))
            .unwrap();
        let connected: Connected = Arc::new(Mutex::new(Some(Vec::new())));
        let of_thread = connected.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                // Where it is closed, the client is closed, too.
                if let (Ok(client), Some(open)) = (client, &mut *of_thread.lock().unwrap()) {
                    let server = TcpStream::connect(api_server).unwrap();
                    pass_on(client.try_clone().unwrap(), server.try_clone().unwrap());
                    pass_on(server.try_clone().unwrap(), client.try_clone().unwrap());
                    open.extend([client, server]);
                }
            }
        });
        Self { connected, kubeconfig }
    }

    /// The path of a kubeconfig that goes this way.
    pub(crate) fn kubeconfig(&self) -> &str {
        self.kubeconfig.path().to_str().unwrap()
    }

    /// Breaks every connection and takes no other.
    pub(crate) fn close(&self) {
        for connection in self.connected.lock().unwrap().take().into_iter().flatten() {
            // One that has ended is not there to be ended.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn open(&self) {
        *self.connected.lock().unwrap() = Some(Vec::new());
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        // Broken or ended, the other direction is to end as well.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
