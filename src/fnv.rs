//! 64-bit FNV-1a of written bytes: tells states of one thing apart, the same in every process and on
//! every machine. It does not withstand somebody who searches for a collision.

use std::hash::Hasher;

/// A writer whose output is only hashed.
#[derive(Default)]
pub(crate) struct Fnv1a(fnv::FnvHasher);

impl Fnv1a {
    /// The hash of everything written so far.
    #[must_use]
    pub(crate) fn hash(&self) -> u64 {
        self.0.finish()
    }
}

impl std::io::Write for Fnv1a {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn it_is_the_hash_of_the_authors_test_vectors() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            let mut hashed = Fnv1a::default();
            hashed.write_all(text.as_bytes()).expect("it takes every byte");
            assert_eq!(hashed.hash(), hash, "{text}");
        }
    }
}
