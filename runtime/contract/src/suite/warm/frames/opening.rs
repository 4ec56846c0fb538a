//! The change from HTTP/1.1 to frames, and connections beside each other.

use picofaas_contract::frame_wire::{Frame, FrameConnection, assert_opens, opening};
use picofaas_contract::frames_client::FramesClient;
use picofaas_contract::invocation::Invocation;
use picofaas_contract::wire::SWITCHING_PROTOCOLS;

use super::{greeted, usual_hello};
use crate::suite::case::Transport;
use crate::suite::subject::Subject;
use crate::suite::warm::warm_instance::{ListenerKind, WarmInstance};

/// A runtime that does not speak frames gives an ordinary answer, and serves.
pub(crate) fn are_declined(subject: &Subject) {
    for listener in [ListenerKind::Socket, ListenerKind::Port] {
        let instance = WarmInstance::with(subject, "echo", listener, &[]);
        let mut connection = instance.connect();
        connection.send(opening(""));
        let answer = connection.receive();
        assert_ne!(answer.status, SWITCHING_PROTOCOLS, "it is said not to speak frames: {answer:?}");
        assert!((400..500).contains(&answer.status), "nothing is to be had there: {answer:?}");
        assert_eq!(instance.client(Transport::Http).invoke_with("1").text(), "1", "it serves on");
    }
}

pub(crate) fn opened(subject: &Subject) {
    for listener in [ListenerKind::Socket, ListenerKind::Port] {
        let instance = WarmInstance::with(subject, "echo", listener, &[]);
        for head in [
            "Connection: Upgrade\r\nUpgrade: picofaas-frames/1\r\n",
            "connection: upgrade\r\nupgrade: picofaas-frames/1\r\n",
            "Upgrade: picofaas-frames/1\r\nConnection: keep-alive, Upgrade\r\n",
        ] {
            let mut connection = instance.connect();
            connection.send(format!("GET /invoke HTTP/1.1\r\nHost: instance\r\n{head}\r\n"));
            assert_opens(&connection.receive());
        }
        let mut connection = FrameConnection::open(instance.connect());
        connection.send(&[&usual_hello()]);
        let limits = connection.limits();
        assert!(limits.attempts_max >= 1, "it takes attempts: {limits:?}");
        assert!(limits.window_bytes >= 16_384 && limits.payload_bytes_max >= 8_192, "{limits:?}");
        connection.send(&[&Frame::request(1, &Invocation::of("7"))]);
        assert_eq!(connection.next_event().expect("an answer").answer(), (200, &b"7"[..]));
    }
}

/// The request that opens is refused as any other of a browser.
pub(crate) fn a_web_page(subject: &Subject) {
    for listener in [ListenerKind::Socket, ListenerKind::Port] {
        let instance = WarmInstance::with(subject, "echo", listener, &[]);
        for marks in [
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            "Origin: http://instance\r\nSec-Fetch-Site: same-origin\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
        ] {
            let mut connection = instance.connect();
            connection.send(opening(marks));
            let answer = connection.receive();
            assert_eq!(answer.failure(), (403, "FOREIGN_ORIGIN".to_owned()), "{marks}");
            assert_eq!(answer.header("upgrade"), None);
            assert!(connection.is_closed());
        }
    }
}

/// The request that opens says one host, as any other.
pub(crate) fn no_host(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n"] {
        let mut connection = instance.connect();
        connection.send(opening("").replace("Host: instance\r\n", hosts));
        assert_eq!(connection.receive().failure(), (400, "BAD_REQUEST".to_owned()), "{hosts}");
        assert!(connection.is_closed());
    }
}

/// A request that does not ask for these frames at this path is answered as ever.
pub(crate) fn another_protocol(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let invocation = String::from_utf8(Invocation::of("1").http()).unwrap();
    let frames = "Connection: Upgrade\r\nUpgrade: picofaas-frames/1\r\n";
    let get = |path: &str, head: &str| format!("GET {path}\r\nHost: instance\r\n{head}\r\n");
    for (request, status) in [
        (get("/invoke HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), 405),
        (get("/invoke HTTP/1.1", "Connection: Upgrade\r\nUpgrade: picofaas-frames/2\r\n"), 405),
        (get("/invoke HTTP/1.1", "Connection: Upgrade\r\nUpgrade: picofaas-frames\r\n"), 405),
        (get("/invoke HTTP/1.1", "Connection: Upgrade\r\n"), 405),
        // An `Upgrade` counts for this connection only where `Connection` says so.
        (get("/invoke HTTP/1.1", "Upgrade: picofaas-frames/1\r\n"), 405),
        // In HTTP/1.0 there is none.
        (get("/invoke HTTP/1.0", frames), 405),
        (get("/health HTTP/1.1", frames), 200),
        (get("/nowhere HTTP/1.1", frames), 404),
        (invocation.replace("Host: fn\r\n", &format!("Host: fn\r\n{frames}")), 200),
    ] {
        let mut connection = instance.connect();
        connection.send(&request);
        let answer = connection.receive();
        assert_eq!(answer.status, status, "{request} gave {answer:?}");
        if answer.header("connection") != Some("close") && !request.contains("HTTP/1.0") {
            assert_eq!(connection.get("/health").status, 200, "HTTP/1.1 goes on after {request}");
        }
    }
}

pub(crate) fn http_beside_frames(subject: &Subject) {
    let instance = WarmInstance::of(subject, "sleep");
    let mut client = instance.frames();
    let mut connection = instance.connect();
    let (short, shorter) = (Invocation::of(r#"{"ms":3}"#), Invocation::of(r#"{"ms":2}"#));
    for _ in 0..5 {
        let number = client.begin(&short);
        connection.send(shorter.http());
        assert_eq!(connection.receive().json()["ms"], 2);
        assert_eq!(client.answer_to(number).json()["ms"], 3);
    }
    client.close();
    client.close_reason();
    assert_eq!(connection.invoke("", r#"{"input":{"ms":1}}"#).status, 200, "it serves on");
    assert_eq!(instance.frames().invoke(&short).status, 200);
}

pub(crate) fn two_connections(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut clients = [instance.frames(), instance.frames()];
    let begin = |client: &mut FramesClient, n: usize| client.begin(&Invocation::of(&n.to_string()));
    let begun: Vec<_> = (0..40).map(|n| (n, begin(&mut clients[n % 2], n))).collect();
    for (n, number) in begun {
        assert_eq!(clients[n % 2].answer_to(number).text(), n.to_string());
    }
    let [mut staying, mut leaving] = clients;
    let (number, _) = (begin(&mut staying, 7), begin(&mut leaving, 8));
    drop(leaving);
    assert_eq!(staying.answer_to(number).text(), "7");
    assert_eq!(staying.invoke(&Invocation::of("9")).text(), "9");
    // A third numbers its attempts from 1, too.
    let (mut third, _) = greeted(&instance);
    third.send(&[&Frame::request(1, &Invocation::of("10"))]);
    assert_eq!(third.next_event().expect("an answer").answer(), (200, &b"10"[..]));
}
