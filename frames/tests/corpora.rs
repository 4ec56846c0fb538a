//! The corpora of the fuzz targets, each file read by both ends, whole and in pieces.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs;
use std::path::Path;

use picofaas_frames::{CloseReason, Violation};

#[path = "../fuzz/fuzz_targets/reader.rs"]
mod reader;

use reader::{read_as_gateway, read_as_instance};

/// Lengths of the pieces in which a file is read.
const PIECES: [usize; 5] = [1, 7, 13, 100, usize::MAX];

/// Every file of a corpus, with its name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect()
}

/// The violation that the name of a file begins with, by its code; `None` for `valid`.
fn expected(name: &str) -> Option<u16> {
    name.split('-').next().unwrap().parse().ok()
}

fn code(reason: CloseReason) -> Option<u16> {
    match reason {
        CloseReason::Violation(violation) => Some(violation.code()),
        CloseReason::Silent | CloseReason::HalfFrame | CloseReason::Disconnected | CloseReason::Closed => {
            None
        }
    }
}

#[test]
fn each_file_ends_as_its_name_says_however_it_is_cut_and_no_other_end_panics_on_it() {
    let mut seen = Vec::new();
    for (name, bytes) in corpus("decode_gateway") {
        for piece in PIECES {
            assert_eq!(code(read_as_gateway(&bytes, piece)), expected(&name), "{name} in pieces of {piece}");
            read_as_instance(&bytes, piece);
        }
        seen.extend(expected(&name));
    }
    for (name, bytes) in corpus("decode_instance") {
        for piece in PIECES {
            assert_eq!(code(read_as_instance(&bytes, piece)), expected(&name), "{name} in pieces of {piece}");
            read_as_gateway(&bytes, piece);
        }
        seen.extend(expected(&name));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        seen,
        (1..=Violation::TooManyAttempts.code()).collect::<Vec<u16>>(),
        "each violation has a file"
    );
}
