//! The standard streams of a child.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

/// The other end of a standard stream of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// `/dev/null`.
    Null,
    /// The other end of our own stream.
    Inherited,
    /// A pipe to us.
    Piped,
}

/// All three standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    pub stdin: Stream,
    pub stdout: Stream,
    pub stderr: Stream,
}

impl Streams {
    /// Nothing to read, and pipes to us for its output.
    pub const OUTPUT: Self = Self { stdin: Stream::Null, stdout: Stream::Piped, stderr: Stream::Piped };
}

/// Both ends of a stream, where it has them.
pub(crate) struct StreamEnds {
    pub(crate) ours: Option<OwnedFd>,
    theirs: Option<OwnedFd>,
}

impl Stream {
    /// Opens a stream that a child reads from.
    pub(crate) fn for_reading(self) -> io::Result<StreamEnds> {
        Ok(match self {
            Self::Null => StreamEnds { ours: None, theirs: Some(null(OFlags::RDONLY)?) },
            Self::Inherited => StreamEnds { ours: None, theirs: None },
            Self::Piped => {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                StreamEnds { ours: Some(writer), theirs: Some(reader) }
            }
        })
    }

    /// Opens a stream that a child writes to.
    pub(crate) fn for_writing(self) -> io::Result<StreamEnds> {
        Ok(match self {
            Self::Null => StreamEnds { ours: None, theirs: Some(null(OFlags::WRONLY)?) },
            Self::Inherited => StreamEnds { ours: None, theirs: None },
            Self::Piped => {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                StreamEnds { ours: Some(reader), theirs: Some(writer) }
            }
        })
    }
}

impl StreamEnds {
    /// The descriptor that takes the place of the child's stream; none where it keeps its own.
    pub(crate) fn theirs(&self) -> Option<RawFd> {
        self.theirs.as_ref().map(AsRawFd::as_raw_fd)
    }
}

fn null(access: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(c"/dev/null", access | OFlags::CLOEXEC, Mode::empty())?)
}
