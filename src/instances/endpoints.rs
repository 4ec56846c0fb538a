//! Endpoints of `POOL` functions, which already run somewhere.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::backoff::ExponentialBackoff;
use crate::function_version::FunctionVersion;
use crate::instance::{Address, InstanceKey, InstanceProblem, InstanceStart, Target};
use crate::scheduler::command_sender::CommandSender;
use crate::scheduler::message::SchedulerCommand;
use crate::spec::EndpointUrl;

/// Period at which names are resolved again: a name server does not tell of a change.
const RESOLVE_PERIOD: Duration = Duration::from_secs(10);
/// The first pause between two looks whether an endpoint is back, of which nothing tells; it doubles.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two such looks.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Longest wait for an endpoint to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
struct EndpointSlot {
    generation: u32,
    target: Option<Target>,
}

/// The endpoints of one version.
#[derive(Debug)]
pub struct Endpoints {
    commands: Rc<CommandSender>,
    function: Arc<FunctionVersion>,
    slots: RefCell<Vec<EndpointSlot>>,
    closed: Cell<bool>,
    /// The problem that is told is a name that could not be resolved.
    unresolved: Cell<bool>,
}

impl Endpoints {
    /// The endpoints of this version. Each has been resolved or tried once when this returns; they
    /// are offered to the scheduler from now on.
    pub async fn open(commands: Rc<CommandSender>, function: Arc<FunctionVersion>) -> Rc<Self> {
        let slots = vec![EndpointSlot { generation: 0, target: None }; function.spec.endpoint_urls.len()];
        let endpoints = Rc::new(Self {
            commands,
            function,
            slots: RefCell::new(slots),
            closed: Cell::new(false),
            unresolved: Cell::new(false),
        });
        let first: Vec<_> = (0..endpoints.function.spec.endpoint_urls.len())
            .map(|at| {
                let endpoints = endpoints.clone();
                tokio::task::spawn_local(async move {
                    // A name server that does not answer must not hold up the registration.
                    let _ = tokio::time::timeout(CONNECT_TIMEOUT, endpoints.resolve(at)).await;
                })
            })
            .collect();
        for (at, resolved) in first.into_iter().enumerate() {
            // It ends, because it has a time-out.
            let _ = resolved.await;
            tokio::task::spawn_local(endpoints.clone().keep_resolved(at));
        }
        endpoints
    }

    /// Number of endpoints.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.function.addresses.len()).unwrap_or(u32::MAX)
    }

    /// Looks after none of them any more.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// A connection to an endpoint failed: it is granted again when it accepts one.
    pub fn look_after(self: &Rc<Self>, instance: InstanceKey) {
        let endpoints = self.clone();
        tokio::task::spawn_local(async move {
            let mut pauses = ExponentialBackoff::doubling(PROBE_PAUSE_MIN, PROBE_PAUSE_MAX);
            loop {
                pauses.pause().await;
                let at = usize::from(instance.place);
                endpoints.resolve(at).await;
                let slot = endpoints.slots.borrow()[at].clone();
                if endpoints.closed.get() || slot.generation != instance.generation {
                    return;
                }
                if let Some(target) = &slot.target {
                    match connect(target).await {
                        Ok(()) => {
                            endpoints.function.problem.store(None);
                            endpoints.commands.send(SchedulerCommand::Ready { instance, started: false });
                            return;
                        }
                        Err(error) => endpoints.complain(at, &error.to_string()),
                    }
                }
            }
        });
    }

    async fn keep_resolved(self: Rc<Self>, at: usize) {
        match &self.function.spec.endpoint_urls[at] {
            EndpointUrl::Unix { .. } => return,
            // An address is its own name for ever.
            EndpointUrl::Http { host, .. } if host.parse::<IpAddr>().is_ok() => return,
            EndpointUrl::Http { .. } => {}
        }
        while !self.closed.get() {
            tokio::time::sleep(RESOLVE_PERIOD).await;
            self.resolve(at).await;
        }
    }

    /// Resolves one endpoint; another address than before is another instance.
    async fn resolve(&self, at: usize) {
        let url = &self.function.spec.endpoint_urls[at];
        let (target, host) = match url {
            EndpointUrl::Unix { socket } => (Target::Unix(socket.clone()), "localhost".to_owned()),
            EndpointUrl::Http { host, port, .. } => {
                let known = match &self.slots.borrow()[at].target {
                    Some(Target::Tcp(address)) => Some(*address),
                    Some(Target::Unix(_)) | None => None,
                };
                match lookup(host, *port, known).await {
                    Ok(address) => (Target::Tcp(address), host_header(host, *port)),
                    Err(error) => {
                        self.complain(at, &format!("{host} cannot be resolved: {error}"));
                        self.unresolved.set(true);
                        return;
                    }
                }
            }
        };
        if self.unresolved.get() {
            self.unresolved.set(false);
            self.function.problem.store(None);
        }
        let place = u16::try_from(at).unwrap_or(u16::MAX);
        let mut slots = self.slots.borrow_mut();
        if slots[at].target.as_ref() == Some(&target) || self.closed.get() {
            return;
        }
        let key = |generation| InstanceKey { version: self.function.index, place, generation };
        let old = slots[at].generation;
        if slots[at].target.is_some() {
            self.commands.send(SchedulerCommand::Down { instance: key(old) });
        }
        let generation = old + 1;
        let start = InstanceStart { name: url.to_string().into(), ..InstanceStart::default() };
        let address = Address::new(generation, start, target.clone(), &host, url.path());
        let address = address.of_endpoint(url.path());
        self.function.addresses[at].store(Some(Arc::new(address)));
        slots[at] = EndpointSlot { generation, target: Some(target) };
        self.commands.send(SchedulerCommand::Ready { instance: key(generation), started: false });
    }

    fn complain(&self, at: usize, text: &str) {
        let text = format!("endpoint {}: {text}", self.function.spec.endpoint_urls[at]);
        self.function.problem.store(Some(Arc::new(InstanceProblem::new(text))));
    }
}

/// The address of a name; the one already in use where the name still has it.
async fn lookup(host: &str, port: u16, known: Option<SocketAddr>) -> std::io::Result<SocketAddr> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    if let Some(known) = known.filter(|known| found.contains(known)) {
        return Ok(known);
    }
    found.first().copied().ok_or_else(|| std::io::Error::other("it has no address"))
}

fn host_header(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

async fn connect(target: &Target) -> std::io::Result<()> {
    let connecting = async {
        match target {
            Target::Tcp(address) => TcpStream::connect(address).await.map(drop),
            Target::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    };
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}
