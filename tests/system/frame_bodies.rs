//! Frames: bodies of any length, both ways.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use bytes::{Bytes, BytesMut};
use picofaas_frames::{GatewayConnection, GatewayEvent, InstanceEvent, RequestHead, Settings};

use crate::support::bystander::while_others_are_served;
use crate::support::endpoint::EndpointProcess;
use crate::support::framed_endpoint::{DATA, END, FramedEndpoint, FramedPeer, HEAD, PING, frame, opened};
use crate::support::patience::PATIENCE;
use crate::support::server::Server;
use crate::support::specification::{With, framed};

/// Bytes of a large body, which is nearly as large as one may be by default.
const LARGE: usize = 1_000_000;
/// The kind of a frame that allows more.
const WINDOW: u8 = 4;
/// A window that a large body fits.
const WIDE: u32 = 1 << 20;

#[test]
fn bodies_of_any_length_go_both_ways_and_one_that_is_too_long_is_refused_alone() {
    let (server, endpoint) = (Server::start(&[]), EndpointProcess::start("identity", 0));
    server.register(&framed("large", endpoint.url()));
    let mut client = server.client();
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..10 {
                    let answer = client.invoke("large", &large);
                    assert_eq!(answer.status, 200);
                    assert_eq!(answer.output()["input"].as_str().map(str::len), Some(1_000_000));
                }
            });
        }
        for number in 0..200 {
            assert_eq!(client.invoke("large", number).output()["input"], number);
        }
    });
    let endpoint = FramedEndpoint::listen();
    let mut peer = opened(&server, &framed("long", endpoint.url()), &endpoint);
    client.ask_invoke("long", "", 1);
    let attempt = peer.attempt();
    let mut other = server.client();
    other.ask_invoke("long", "", 2);
    let second = peer.attempt();
    peer.answer(attempt.sequence, 200, &format!("\"{}\"", "x".repeat(2_000_000))).unwrap();
    client.receive().assert_error(500, "OUTPUT_TOO_LARGE", "function", &["1048576"]);
    // The rest of it is not sent, and the connection goes on.
    while peer.event().is_some() {}
    peer.answer(second.sequence, 200, "7").unwrap();
    assert_eq!(other.receive().output(), 7);
}

#[test]
fn a_gateway_sends_and_takes_a_large_body_without_a_round_trip() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    server.register(&framed("gateway", endpoint.url()));
    assert_eq!(server.invoke("gateway", 1).output(), "http");
    let mut peer = endpoint.greeted_with(Settings { window_bytes: WIDE, ..Settings::default() });
    let mut client = server.client();
    let large = format!("\"{}\"", "x".repeat(LARGE));
    client.ask_invoke("gateway", "", &large);
    let InstanceEvent::Invoked { sequence, ends: false, .. } = peer.next() else { panic!("it came whole") };
    // Nothing of it is said to be consumed, so that nothing more is allowed than at first.
    let mut came = 0;
    loop {
        let InstanceEvent::Data { bytes, ends, .. } = peer.next() else { panic!("{came} bytes came") };
        came += bytes.len();
        if ends {
            break;
        }
    }
    assert!(came > LARGE);
    // Nothing is read meanwhile, so that nothing more can be allowed.
    peer.answer(sequence, 200, &large).unwrap();
    assert_eq!(peer.frames.in_flight(), 0, "a part of the answer waits for a WINDOW");
    assert_eq!(client.receive().output().as_str().map(str::len), Some(LARGE));
}

#[test]
fn the_rust_runtime_takes_and_sends_a_large_body_without_a_round_trip() {
    let process = EndpointProcess::start("identity", 0);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, process.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let opening = "GET /invoke HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: picofaas-frames/1\r\n\r\n";
    stream.write_all(opening.as_bytes()).unwrap();
    let mut accepted = Vec::new();
    while !accepted.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        accepted.extend_from_slice(&byte);
    }
    let mut gateway = GatewayConnection::new(Settings { window_bytes: WIDE, ..Settings::default() }, 0);
    let (mut input, mut read) = (BytesMut::new(), [0; 64 * 1024]);
    let mut next = |gateway: &mut GatewayConnection, stream: &mut TcpStream| {
        loop {
            if let Some(event) = gateway.poll_event(0, &mut input) {
                return event;
            }
            let bytes = stream.read(&mut read).unwrap();
            input.extend_from_slice(&read[..bytes]);
        }
    };
    assert!(matches!(next(&mut gateway, &mut stream), GatewayEvent::Open { .. }));
    let head = RequestHead {
        execution_id: [1; 20],
        trace_id: [2; 16],
        parent_span_id: [3; 8],
        trace_flags: 0,
        attempt: 1,
        deadline_ms: 60_000,
    };
    let body = Bytes::from(format!("{{\"input\":\"{}\"}}", "x".repeat(LARGE)));
    gateway.begin(0, &head, &[], &body).unwrap();
    // Nothing is read meanwhile, so that nothing more can be allowed.
    let mut written = 0;
    while gateway.has_outgoing() {
        let bytes = gateway.outgoing().to_vec();
        stream.write_all(&bytes).unwrap();
        gateway.written(bytes.len());
        written += bytes.len();
    }
    assert!(written > LARGE, "{written} bytes were written, and the rest waits for a WINDOW");
    let GatewayEvent::Answer { head, ends: false, .. } = next(&mut gateway, &mut stream) else {
        panic!("it came whole");
    };
    assert_eq!(head.status, 200);
    // Nothing of it is said to be consumed.
    let mut came = 0;
    loop {
        let GatewayEvent::Data { bytes, ends, .. } = next(&mut gateway, &mut stream) else {
            panic!("{came} came")
        };
        came += bytes.len();
        if ends {
            break;
        }
    }
    assert!(came > LARGE);
}

/// Begins an answer with the status 200 that says to have so many bytes.
fn begin_answer(peer: &mut FramedPeer, sequence: u32, bytes: u64) {
    let head = [&[200, 0, 0, 0][..], &bytes.to_le_bytes(), &[0; 4]].concat();
    peer.send(&frame(HEAD, 0, sequence, &head));
}

#[test]
fn an_answer_of_a_length_that_is_not_known_or_not_true_is_bounded_and_costs_no_other() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    let mut peer = opened(&server, &framed("vast", endpoint.url()).with("maxRetries", 0), &endpoint);
    let (mut client, mut other) = (server.client(), server.client());
    other.ask_invoke("vast", "", 1);
    let beside = peer.attempt().sequence;
    for said in [4 << 30, u64::MAX - 1] {
        client.ask_invoke("vast", "", 1);
        let sequence = peer.attempt().sequence;
        begin_answer(&mut peer, sequence.get(), said);
        client.receive().assert_error(500, "OUTPUT_TOO_LARGE", "function", &["1048576"]);
        assert_eq!(peer.cancelled(), sequence);
    }
    // Without a length it ends where it has become too long.
    client.ask_invoke("vast", "", 1);
    let sequence = peer.attempt().sequence;
    begin_answer(&mut peer, sequence.get(), u64::MAX);
    let piece = frame(DATA, 0, sequence.get(), &[b' '; 16_384]);
    peer.send(&piece.repeat(40));
    // The gateway allows more when it has had half of its window.
    let mut window = [0; 16];
    peer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.stream.read_exact(&mut window).unwrap();
    assert_eq!((window[8], &window[4..8]), (WINDOW, &sequence.get().to_le_bytes()[..]));
    peer.send(&piece.repeat(40));
    client.receive().assert_error(500, "OUTPUT_TOO_LARGE", "function", &["1048576"]);
    assert_eq!(peer.cancelled(), sequence);
    peer.answer(beside, 200, "7").unwrap();
    assert_eq!(other.receive().output(), 7);
}

#[test]
fn a_flood_of_small_frames_is_read_and_holds_up_nobody_else() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    let mut peer = opened(&server, &framed("flood", endpoint.url()), &endpoint);
    let mut client = server.client();
    client.ask_invoke("flood", "", 1);
    let sequence = peer.attempt().sequence;
    while_others_are_served(&server, || {
        for _ in 0..1000 {
            peer.send(&frame(PING, 0, 0, b"question").repeat(1000));
        }
        begin_answer(&mut peer, sequence.get(), u64::MAX);
        let text = format!("\"{}\"", "x".repeat(100_000));
        for byte in text.bytes() {
            peer.send(&frame(DATA, 0, sequence.get(), &[byte]));
        }
        peer.send(&frame(DATA, END, sequence.get(), b""));
        assert_eq!(client.receive().output().as_str().map(str::len), Some(100_000));
    });
    assert_eq!(endpoint.http_calls(), 1, "the connection goes on");
}
