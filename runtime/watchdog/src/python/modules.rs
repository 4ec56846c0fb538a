//! The modules of the Python runtime, as they are in the tree that this program was built from.

/// Name of the package.
pub const PACKAGE: &str = "picofaas_runtime";

macro_rules! module {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../pyruntime/src/picofaas_runtime/", $name)))
    };
}

const MODULES: [(&str, &str); 28] = [
    module!("__init__.py"),
    module!("__main__.py"),
    module!("asgi.py"),
    module!("buffers.py"),
    module!("context.py"),
    module!("current_request.py"),
    module!("failure.py"),
    module!("handler.py"),
    module!("http1.py"),
    module!("lifespan.py"),
    module!("log_writer.py"),
    module!("logs.py"),
    module!("one_by_one.py"),
    module!("own_loop.py"),
    module!("pipe.py"),
    module!("py.typed"),
    module!("request.py"),
    module!("side_by_side.py"),
    module!("signature.py"),
    module!("turn.py"),
    module!("web.py"),
    module!("web_app.py"),
    module!("web_request.py"),
    module!("websocket.py"),
    module!("websocket_frames.py"),
    module!("wire.py"),
    module!("worker.py"),
    module!("wsgi.py"),
];

/// A number that stands for all of them: another text of one is another number.
pub(super) const DIGEST: u64 = digest();

/// The files of [`PACKAGE`], each with its name and text.
#[must_use]
pub fn modules() -> &'static [(&'static str, &'static str)] {
    &MODULES
}

/// FNV-1a over names and texts. Computed as this is compiled.
const fn digest() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut module = 0;
    while module < MODULES.len() {
        hash = hashed(hash, MODULES[module].0.as_bytes());
        hash = hashed(hash, MODULES[module].1.as_bytes());
        module += 1;
    }
    hash
}

const fn hashed(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_of_the_package_is_brought() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pyruntime/src").join(PACKAGE);
        let there: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "__pycache__")
            .collect();
        let brought: BTreeSet<String> = modules().iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(brought, there);
    }
}
