//! The standard streams of a child.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

/// Where a standard stream leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// To `/dev/null`.
    Null,
    /// Where our own leads.
    Inherited,
    /// To us.
    Piped,
}

/// All three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    pub stdin: Stream,
    pub stdout: Stream,
    pub stderr: Stream,
}

impl Streams {
    /// Nothing to read, and what it writes is ours.
    pub const OUTPUT: Self = Self { stdin: Stream::Null, stdout: Stream::Piped, stderr: Stream::Piped };
}

/// Both ends of a stream, where it has them.
pub(crate) struct Ends {
    pub(crate) ours: Option<OwnedFd>,
    theirs: Option<OwnedFd>,
}

impl Stream {
    /// Opens what a child reads from.
    pub(crate) fn for_reading(self) -> io::Result<Ends> {
        Ok(match self {
            Self::Null => Ends { ours: None, theirs: Some(null(OFlags::RDONLY)?) },
            Self::Inherited => Ends { ours: None, theirs: None },
            Self::Piped => {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                Ends { ours: Some(writer), theirs: Some(reader) }
            }
        })
    }

    /// Opens what a child writes to.
    pub(crate) fn for_writing(self) -> io::Result<Ends> {
        Ok(match self {
            Self::Null => Ends { ours: None, theirs: Some(null(OFlags::WRONLY)?) },
            Self::Inherited => Ends { ours: None, theirs: None },
            Self::Piped => {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                Ends { ours: Some(reader), theirs: Some(writer) }
            }
        })
    }
}

impl Ends {
    /// What takes the place of the child's stream; none where it keeps its own.
    pub(crate) fn theirs(&self) -> Option<RawFd> {
        self.theirs.as_ref().map(AsRawFd::as_raw_fd)
    }
}

fn null(access: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(c"/dev/null", access | OFlags::CLOEXEC, Mode::empty())?)
}
