//! What operators look at with their own eyes: the page, and `/debug/state`.

use std::sync::atomic::Ordering;

use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::api::response;
use crate::api::response::Body;
use crate::control::Control;

/// Everything is in one file, and it calls nobody but us.
const PAGE: &str = include_str!("page.html");
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

/// `GET /`.
#[must_use]
pub fn page() -> Response<Body> {
    let mut response = response::json(200, PAGE);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// `GET /debug/state`: the settings in force, and where the threads and tables stand. For people:
/// its fields may change with any version.
#[must_use]
pub fn state(control: &Control) -> Response<Body> {
    let rings = &control.rings;
    let gateways: Vec<Value> = rings
        .gateways
        .iter()
        .map(|gateway| {
            let gauges = &gateway.gauges;
            json!({
                "live": gauges.live.load(Ordering::Relaxed),
                "unread": gauges.unread.load(Ordering::Relaxed),
                "retained": gauges.retained.load(Ordering::Relaxed),
                "connections": gauges.connections.load(Ordering::Relaxed),
                "asleep": gateway.doorbell.is_asleep(),
                "grantsWaiting": gateway.commands.len(),
            })
        })
        .collect();
    let settings = &control.settings;
    let state = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "draining": control.draining.get(),
        "loaded": control.registry.is_loaded(),
        "scheduler": {
            "policy": format!("{:?}", settings.policy),
            "reason": settings.policy_reason,
            "core": settings.scheduler_core,
            "gatewayTicks": settings.gateway_ticks,
            "ticks": rings.ticks.load(Ordering::Relaxed),
            "parked": rings.doorbell.is_asleep(),
            "eventsWaiting": rings.gateway_events.len(),
            "ordersWaiting": rings.scheduler_commands.len(),
        },
        "gateways": gateways,
        "functions": control.registry.functions().len(),
        "versions": control.registry.versions().all().len(),
        "settings": format!("{:?}", settings.flags),
    });
    response::json(200, state.to_string())
}
