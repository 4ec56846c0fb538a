//! Rows of the fields of a function, one for each: what the reader knows, and what the schemas say.
//!
//! The reader takes the names that it knows and the bounds of numbers from here. The parts of `k8s/10-crd.yaml` and
//! `openapi.yaml` that are marked as generated are written from the same rows by `cargo xtask schema`. How a field
//! is added is said in [`spec`](super).

use super::bounds::{Bounds, DAY_MS, HOUR_MS, SECOND_MS};

/// One field of a function.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "schemas are written by a test"))]
pub(crate) struct FieldRow {
    /// Path from the function, such as `replicas.min`.
    pub(crate) path: &'static str,
    /// Kind of its value.
    pub(crate) kind: FieldKind,
    /// Description in the schemas, with code in backquotes. `instance` is written as `pod` where there is a cluster.
    /// Empty where the schema is written by hand.
    pub(crate) about: &'static str,
}

/// Kind of the value of a field, as a schema can say it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "schemas are written by a test"))]
pub(crate) enum FieldKind {
    /// A whole number with a default.
    Number(Bounds),
    /// A whole number without a default: where it is left out, another field counts, or there is no limit. One that is 0
    /// then is not in an answer.
    FollowingNumber(Bounds),
    /// A text that is not empty.
    Text { chars_max: usize, pattern: &'static str },
    /// A list of texts.
    Texts,
    /// One of a few words.
    Word { words: &'static [&'static str], default: &'static str },
    /// One of a few words, without a default: where it is left out, another field counts.
    FollowingWord(&'static [&'static str]),
    /// A boolean, with what it is where it is left out.
    Boolean { default: bool },
    /// A value whose schemas are written by hand, beside the generated parts.
    ByHand,
}

/// Every field in the order of an answer. `status` is what an answer adds: it is passed over, so that what was read
/// with `GET` can be sent back.
pub(crate) const FIELDS: &[FieldRow] = &[
    by_hand("name"),
    FieldRow {
        path: "executionMode",
        kind: FieldKind::Word { words: &["JOB", "WARM", "POOL"], default: "JOB" },
        about: "`JOB`: a fresh instance for every attempt, never reused. `WARM`: instances that stay alive and take many attempts. `POOL`: something that already runs, named by `endpointUrl`.",
    },
    FieldRow {
        path: "image",
        kind: FieldKind::Text { chars_max: 1024, pattern: "^[!-~]+$" },
        about: "The image that pods run.",
    },
    FieldRow {
        path: "command",
        kind: FieldKind::Texts,
        about: "Replaces the image's entry point. Unlike in a pod, nothing is expanded in it.",
    },
    FieldRow {
        path: "args",
        kind: FieldKind::Texts,
        about: "Strings after the command, the image's or `local.command`; they replace the image's arguments. Unlike in a pod, nothing is expanded in them.",
    },
    by_hand("env"),
    by_hand("envFrom"),
    by_hand("secrets"),
    by_hand("imagePullSecrets"),
    by_hand("resources"),
    by_hand("podTemplate"),
    by_hand("local"),
    by_hand("endpointUrl"),
    FieldRow {
        path: "frames",
        kind: FieldKind::Boolean { default: false },
        about: "Whether each endpoint is one server that speaks frames, and is asked for them. Instances of `WARM` functions always are.",
    },
    by_hand("web"),
    FieldRow {
        path: "web.origins",
        kind: FieldKind::Texts,
        about: "Origins of other web pages that may call it, as browsers write them (`https://app.example`), or `*`.",
    },
    FieldRow {
        path: "web.streamIdleMs",
        kind: FieldKind::Number(Bounds { min: 1, max: DAY_MS, default: 300 * SECOND_MS, unit: "ms" }),
        about: "Milliseconds in which nothing comes and nothing goes, of a body of a request or an answer, or of a connection that was upgraded, after which it is broken off.",
    },
    FieldRow {
        path: "web.maxStreamMs",
        kind: FieldKind::FollowingNumber(Bounds { min: 1, max: DAY_MS, default: DAY_MS, unit: "ms" }),
        about: "Milliseconds from the head of an answer that streams to its end, after which it is broken off. No limit where it is left out, and none for connections that were upgraded.",
    },
    FieldRow {
        path: "web.maxBodyBytes",
        kind: FieldKind::FollowingNumber(Bounds { min: 1, max: u32::MAX, default: u32::MAX, unit: "bytes" }),
        about: "Bytes of the largest body of a request. The smaller of it and `--web-body-max` counts. No limit where both are left out.",
    },
    FieldRow {
        path: "web.maxConnections",
        kind: FieldKind::Number(Bounds { min: 1, max: 100_000, default: 1_000, unit: "connections" }),
        about: "Connections that were upgraded, as a WebSocket's, and are open at once on one gateway thread. They do not count against `concurrency`.",
    },
    FieldRow {
        path: "web.async",
        kind: FieldKind::Boolean { default: true },
        about: "Whether a request with `Prefer: respond-async` is answered at once, and the function's answer kept with its execution. Where not, it is passed on as any other.",
    },
    FieldRow {
        path: "timeoutMs",
        kind: FieldKind::Number(Bounds { min: 1, max: DAY_MS, default: 30 * SECOND_MS, unit: "ms" }),
        about: "Milliseconds. `:invoke`: from admission to answer, everything included, at most 300000. `:enqueue`: from the first dispatch to the end. With `web`: until the head of the answer.",
    },
    FieldRow {
        path: "maxQueueMs",
        kind: FieldKind::Number(Bounds { min: 1, max: DAY_MS, default: HOUR_MS, unit: "ms" }),
        about: "Milliseconds that an enqueued execution may wait for its first dispatch.",
    },
    FieldRow {
        path: "attemptTimeoutMs",
        kind: FieldKind::FollowingNumber(Bounds { min: 1, max: DAY_MS, default: 30 * SECOND_MS, unit: "ms" }),
        about: "Milliseconds for one attempt. `timeoutMs` where it is left out.",
    },
    FieldRow {
        path: "concurrency",
        kind: FieldKind::Number(Bounds { min: 1, max: 10_000, default: 4, unit: "attempts in flight" }),
        about: "Attempts in flight for the function.",
    },
    FieldRow {
        path: "instanceConcurrency",
        kind: FieldKind::FollowingNumber(Bounds {
            min: 1,
            max: 10_000,
            default: 4,
            unit: "attempts in flight",
        }),
        about: "Attempts in flight on one instance. `concurrency` where it is left out.",
    },
    FieldRow {
        path: "queueSize",
        kind: FieldKind::Number(Bounds { min: 1, max: 65_536, default: 100, unit: "executions" }),
        about: "Executions that wait for their first dispatch.",
    },
    FieldRow {
        path: "dropUnreachable",
        kind: FieldKind::Boolean { default: false },
        about: "Whether an invocation of a `WARM` or `POOL` function without `web` that would hardly end by its deadline is ended with `DEADLINE_UNREACHABLE` before it is begun.",
    },
    FieldRow {
        path: "queueOrder",
        kind: FieldKind::FollowingWord(&["FIFO", "LIFO", "DEADLINE"]),
        about: "Which of the executions that wait is begun next. `FIFO`: the one that came first. `LIFO`: the one that came last, while the first has waited for a quarter of its time. `DEADLINE`: the one whose deadline is the earliest. Where it is left out, `DEADLINE` with `dropUnreachable` and `FIFO` without.",
    },
    FieldRow {
        path: "maxRetries",
        kind: FieldKind::Number(Bounds { min: 0, max: 10, default: 3, unit: "retries" }),
        about: "Attempts after the first. Functions must be idempotent, or set 0.",
    },
    FieldRow {
        path: "retryBackoffMs",
        kind: FieldKind::Number(Bounds { min: 0, max: HOUR_MS, default: 100, unit: "ms" }),
        about: "Milliseconds, the bound of the first random pause before a retry. It doubles with each.",
    },
    FieldRow {
        path: "retryMaxBackoffMs",
        kind: FieldKind::Number(Bounds { min: 0, max: HOUR_MS, default: 5 * SECOND_MS, unit: "ms" }),
        about: "Milliseconds, what that bound doubles up to.",
    },
    by_hand("replicas"),
    FieldRow {
        path: "replicas.min",
        kind: FieldKind::Number(Bounds { min: 0, max: 1_000, default: 1, unit: "replicas" }),
        about: "Instances that stay even when idle. 0 starts on demand.",
    },
    FieldRow {
        path: "replicas.max",
        kind: FieldKind::Number(Bounds { min: 1, max: 1_000, default: 4, unit: "replicas" }),
        about: "Instances it may grow to.",
    },
    FieldRow {
        path: "headroom",
        kind: FieldKind::FollowingNumber(Bounds { min: 0, max: 1_000, default: 0, unit: "instances" }),
        about: "Of a `WARM` function, instances that are kept idle beside those that are busy, while calls come. At most `replicas.max`, which they count against. None where it is left out.",
    },
    FieldRow {
        path: "scaleAhead",
        kind: FieldKind::Boolean { default: false },
        about: "Whether instances of a `WARM` function are started before calls wait for them: when the busy ones become more so fast that they would be missed before they could be ready. At most `replicas.max`.",
    },
    by_hand("standby"),
    FieldRow {
        path: "standby.min",
        kind: FieldKind::Number(Bounds { min: 0, max: 1_000, default: 1, unit: "instances" }),
        about: "Single-use instances that are started ahead and kept ready, always.",
    },
    FieldRow {
        path: "standby.max",
        kind: FieldKind::FollowingNumber(Bounds { min: 1, max: 1_000, default: 1, unit: "instances" }),
        about: "Single-use instances that may be ready while calls come. `standby.min` where it is left out, and at least 1.",
    },
    FieldRow {
        path: "idleTimeoutMs",
        kind: FieldKind::Number(Bounds { min: 1, max: DAY_MS, default: 300 * SECOND_MS, unit: "ms" }),
        about: "Milliseconds after which idle instances above `replicas.min` stop, and those ready above `standby.min` when no call has come for as long.",
    },
    by_hand("status"),
];

const fn by_hand(path: &'static str) -> FieldRow {
    FieldRow { path, kind: FieldKind::ByHand, about: "" }
}

/// Names of the fields of an object of a function, by the object's path; an empty path is the function itself.
pub(crate) fn names_in(object: &str) -> Vec<&'static str> {
    let name = |row: &FieldRow| match row.path.rsplit_once('.') {
        Some((above, name)) => (above == object).then_some(name),
        None => object.is_empty().then_some(row.path),
    };
    FIELDS.iter().filter_map(name).collect()
}

/// How many of the fields are numbers.
#[cfg(test)]
pub(crate) fn number_count() -> usize {
    let is_number =
        |row: &&FieldRow| matches!(row.kind, FieldKind::Number(_) | FieldKind::FollowingNumber(_));
    FIELDS.iter().filter(is_number).count()
}

/// A number of a function, for the reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberField {
    path: &'static str,
    pub(super) bounds: Bounds,
}

impl NumberField {
    /// Name of the field in its object.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }
}

/// Number of this path. It is called while compiling, so that a path that has no row does not compile.
pub(super) const fn number(path: &str) -> NumberField {
    let mut at = 0;
    while at < FIELDS.len() {
        let row = &FIELDS[at];
        if is_same(row.path, path) {
            return match row.kind {
                FieldKind::Number(bounds) | FieldKind::FollowingNumber(bounds) => {
                    NumberField { path: row.path, bounds }
                }
                FieldKind::Text { .. }
                | FieldKind::Texts
                | FieldKind::Word { .. }
                | FieldKind::FollowingWord(_)
                | FieldKind::Boolean { .. }
                | FieldKind::ByHand => panic!("the field is no number"),
            };
        }
        at += 1;
    }
    panic!("no row has this path")
}

/// Whether two texts are equal, while compiling.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
