//! Invocations of the function `sleep` that are out together.

use picofaas_contract::invocation::Invocation;
use picofaas_contract::patience::until;

use super::client::Client;
use super::warm_instance::WarmInstance;
use crate::suite::case::Transport;

/// Clients that wait, each with the milliseconds of those that it waits for.
pub(crate) struct Sleepers(Vec<(Client, Vec<u64>)>);

impl Sleepers {
    /// Sends this many invocations to the function `sleep`: over HTTP/1.1 each on a connection of its own, over frames
    /// all on one.
    pub(crate) fn begin(instance: &WarmInstance, transport: Transport, count: u64, shortest_ms: u64) -> Self {
        let times = shortest_ms..shortest_ms + count;
        let on_one = |times: Vec<u64>| {
            let mut client = instance.client(transport);
            for ms in &times {
                client.begin(&Invocation::of(&format!(r#"{{"ms":{ms}}}"#)));
            }
            (client, times)
        };
        Self(match transport {
            Transport::Http => times.map(|ms| on_one(vec![ms])).collect(),
            Transport::Frames => vec![on_one(times.collect())],
        })
    }

    /// The same once all of them are in flight together. If the first has ended by then, as on a busy
    /// machine, they sleep longer.
    #[track_caller]
    pub(crate) fn together(
        instance: &WarmInstance,
        transport: Transport,
        count: u64,
        shortest_ms: u64,
    ) -> Self {
        const SUCCESS: &str = "picofaas_runtime_invocations_total{outcome=\"success\"}";
        for longer in [1, 4, 16] {
            let before = instance.metric(SUCCESS);
            let mut sleepers = Self::begin(instance, transport, count, shortest_ms * longer);
            let together = until(
                || format!("{count} are not in flight together, and none of them ends"),
                || {
                    let together = instance.metric("picofaas_runtime_in_flight") == count;
                    (together || instance.metric(SUCCESS) > before).then_some(together)
                },
            );
            if together {
                return sleepers;
            }
            sleepers.wake();
        }
        panic!("{count} are never in flight together");
    }

    /// Waits for all, which must have slept as long as they were told; their clients.
    #[track_caller]
    pub(crate) fn wake(&mut self) -> Vec<&mut Client> {
        for (client, times) in &mut self.0 {
            for ms in times.drain(..) {
                let answer = client.receive();
                assert_eq!(
                    (answer.status, &answer.json()["ms"]),
                    (200, &serde_json::json!(ms)),
                    "{answer:?}"
                );
            }
        }
        self.0.iter_mut().map(|(client, _)| client).collect()
    }
}
