//! A child process that is made without a copy of our memory.
//!
//! `fork` copies the page tables of the whole process, and what both sides then write. For a
//! process that lives for a millisecond, as one of a `JOB` does, that doubles its cost. Here the
//! child runs in our memory on a stack of its own, and the thread that made it stops until the
//! child has become another program. `posix_spawn` of glibc and musl does the same, but cannot do
//! what a function needs done before its program begins: a death signal, cgroups, limits.
//!
//! This is the one module with unsafe code of more than a line. Its interface is safe.
#![expect(unsafe_code, reason = "a process without a copy of our memory is made by a bare clone")]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, waitid, waitpid};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::confinement::Confinement;
use crate::environment::EnvironmentChanges;
use crate::process_end::ProcessEnd;
use crate::program::Program;
use crate::stream::Streams;

/// The stack of a child until its program begins, in bytes. It calls a few functions that keep
/// little; what is not touched costs nothing.
const STACK_BYTES: usize = 128 * 1024;
/// The largest number of a signal.
const SIGNALS_MAX: c_int = 64;

/// A child process. Dropped before it has been waited for, it is killed, and the reaper of orphans
/// reaps it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    end: ProcessEnd,
    status: Cell<Option<ExitStatus>>,
    /// Our ends of the streams that are piped.
    pub stdin: Option<Sender>,
    pub stdout: Option<Receiver>,
    pub stderr: Option<Receiver>,
}

/// The arguments of [`child_main`]: everything that a child reads on its way to its program. They live on
/// the stack of the thread that made it, which is stopped meanwhile.
struct SpawnArguments<'a> {
    file: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    /// Null where it is ours.
    directory: *const c_char,
    /// Descriptors that take the place of standard input, output and error.
    streams: [Option<RawFd>; 3],
    confinement: &'a Confinement,
    /// Written by the child: the error with which it has not become its program.
    failure: c_int,
}

impl Child {
    /// Makes a child in a process group of its own, which gets SIGKILL when the calling thread ends,
    /// enters the confinement, and becomes the program.
    ///
    /// # Errors
    /// If it cannot be made, or has not become the program.
    pub fn spawn(
        program: &Program,
        changes: &EnvironmentChanges,
        streams: Streams,
        confinement: &Confinement,
    ) -> io::Result<Self> {
        match Self::spawn_once(program, changes, streams, confinement) {
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
                Self::spawn_once(&program.in_a_shell()?, changes, streams, confinement)
            }
            made => made,
        }
    }

    fn spawn_once(
        program: &Program,
        changes: &EnvironmentChanges,
        streams: Streams,
        confinement: &Confinement,
    ) -> io::Result<Self> {
        let stdin = streams.stdin.for_reading()?;
        let (stdout, stderr) = (streams.stdout.for_writing()?, streams.stderr.for_writing()?);
        let mut arguments: Vec<*const c_char> = program.arguments.iter().map(|text| text.as_ptr()).collect();
        arguments.push(ptr::null());
        let mut environment = changes.applied_to(&program.environment);
        environment.push(ptr::null());
        let mut args = SpawnArguments {
            file: program.file.as_ptr(),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            directory: program.directory.as_ref().map_or(ptr::null(), |directory| directory.as_ptr()),
            streams: [stdin.theirs(), stdout.theirs(), stderr.theirs()],
            confinement,
            failure: 0,
        };
        let pid = clone(&mut args)?;
        if args.failure != 0 {
            // It has exited, so this returns at once; there is nothing else to learn of it.
            let _ = waitpid(Some(pid), WaitOptions::empty());
            return Err(io::Error::from_raw_os_error(args.failure));
        }
        let made = (|| {
            let end = ProcessEnd::of(pid)?;
            let stdin = stdin.ours.map(Sender::from_owned_fd).transpose()?;
            let stdout = stdout.ours.map(Receiver::from_owned_fd).transpose()?;
            let stderr = stderr.ours.map(Receiver::from_owned_fd).transpose()?;
            Ok(Self { pid, end, status: Cell::new(None), stdin, stdout, stderr })
        })();
        if made.is_err() {
            // Out of file descriptors, say. Killed, it ends at once.
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
        made
    }

    /// Its process id, until it has been waited for.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.status.get().is_none().then_some(self.pid)
    }

    /// Waits until it has ended and been reaped.
    ///
    /// # Errors
    /// If somebody else has waited for it.
    pub async fn wait(&self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.status.get() {
                return Ok(status);
            }
            let mut readable = self.end.readable().await?;
            if self.reap()?.is_none() {
                readable.clear_ready();
            }
        }
    }

    /// Waits until it has ended, and leaves it a zombie: the numbers of it and of its group stay its
    /// own until [`Child::reap`].
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub async fn ended(&self) -> io::Result<()> {
        while self.status.get().is_none() {
            let mut readable = self.end.readable().await?;
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            // Another that waits may have reaped it meanwhile.
            if self.status.get().is_some() || waitid(WaitId::Pid(self.pid), look)?.is_some() {
                break;
            }
            readable.clear_ready();
        }
        Ok(())
    }

    /// Reaps it and returns its exit status; `None` while it runs.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn reap(&self) -> io::Result<Option<ExitStatus>> {
        if self.status.get().is_none()
            && let Some((_, status)) = waitpid(Some(self.pid), WaitOptions::NOHANG)?
        {
            self.status.set(Some(ExitStatus::from_raw(status.as_raw())));
        }
        Ok(self.status.get())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            // It fails where it has just ended, which is what is wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Makes a process that runs [`child_main`] in our memory, and returns when that has become another
/// program or has failed to.
fn clone(args: &mut SpawnArguments<'_>) -> io::Result<Pid> {
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK_BYTES / size_of::<u128>());
    // Stacks grow downwards; an element is as large as the alignment that a stack must have.
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let _blocked = BlockedSignals::new();
    // SAFETY: `child_main` gets the pointer that it expects. The calling thread is stopped (CLONE_VFORK)
    // for as long as the child uses our memory, so `args`, what it points to and the stack outlive
    // the use. Other threads go on and are not disturbed: the child writes to nothing but its stack
    // and `args`, and the memory of this thread that libc keeps errno in. Every signal is blocked,
    // so no handler runs in it.
    let pid = unsafe {
        libc::clone(
            child_main,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            ptr::from_mut(args).cast(),
        )
    };
    Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)
}

/// The child's whole life in our memory. Its return value is its exit status.
extern "C" fn child_main(args: *mut c_void) -> c_int {
    // SAFETY: `clone` passes a pointer to a live `SpawnArguments` that nobody else uses meanwhile.
    let args = unsafe { &mut *args.cast::<SpawnArguments<'_>>() };
    args.failure = args.exec();
    127
}

impl SpawnArguments<'_> {
    /// Becomes the program; returns only where that fails, with the error's number.
    ///
    /// Nothing here allocates, locks or may panic: it runs in the memory of a process whose other
    /// threads may be anywhere.
    fn exec(&self) -> c_int {
        if let Err(error) = self.prepare() {
            return error.raw_os_error().unwrap_or(libc::EINVAL);
        }
        // SAFETY: all three are strings, or arrays of strings, that end in zero and null.
        unsafe { libc::execve(self.file, self.arguments, self.environment) };
        errno()
    }

    fn prepare(&self) -> io::Result<()> {
        rustix::process::setpgid(None, None)?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        self.confinement.enter()?;
        // SAFETY: the directory, where there is one, is a string that ends in zero, and the descriptors
        // are open. Flags of descriptors are this process's own.
        let failed = unsafe {
            // Our own are closed at exec anyway. Others were given to us by a shell or a supervisor, and are not for a
            // program of ours; a kernel before 5.11 leaves them open.
            let (behind, last) = (libc::STDERR_FILENO + 1, c_int::MAX);
            libc::syscall(libc::SYS_close_range, behind, last, libc::CLOSE_RANGE_CLOEXEC);
            (!self.directory.is_null() && libc::chdir(self.directory) < 0)
                || (0..)
                    .zip(self.streams)
                    .any(|(standard, stream)| stream.is_some_and(|stream| libc::dup2(stream, standard) < 0))
        };
        if failed {
            return Err(io::Error::from_raw_os_error(errno()));
        }
        default_signals();
        Ok(())
    }
}

/// Gives every signal its default action and unblocks all: a program begins with what it expects,
/// and no handler of ours can run before it does.
fn default_signals() {
    // SAFETY: both structures are plain numbers, for which zero stands for "default" and "none".
    // An action that cannot be set, such as that of SIGKILL, is as it should be already.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        for signal in 1..=SIGNALS_MAX {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Every signal is blocked on this thread for as long as this lives.
struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    fn new() -> Self {
        // SAFETY: the sets are plain numbers that the calls fill; they fail only for a wrong `how`.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self { before }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the kernel.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::stream::Stream;

    fn run<T>(test: impl AsyncFnOnce() -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test())
    }

    fn program(name: &str, arguments: &[&str]) -> io::Result<Program> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let environment = [("PATH", "/usr/bin:/bin"), ("ONLY", "this")];
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        Program::new(Path::new(name), &arguments, environment.into(), Some(Path::new("/")))
    }

    fn spawn(program: &Program) -> io::Result<Child> {
        Child::spawn(program, &EnvironmentChanges::default(), Streams::OUTPUT, &Confinement::default())
    }

    async fn output(name: &str, arguments: &[&str]) -> (String, ExitStatus) {
        let mut child = spawn(&program(name, arguments).unwrap()).unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        (text, child.wait().await.unwrap())
    }

    #[test]
    fn a_child_has_its_arguments_environment_folder_and_group_and_nothing_of_ours() {
        run(async || {
            let (environment, _) = output("env", &[]).await;
            let mut lines: Vec<&str> = environment.lines().collect();
            lines.sort_unstable();
            assert_eq!(lines, ["ONLY=this", "PATH=/usr/bin:/bin"]);
            let script = "pwd; echo \"$1\"; ps -o pgid= -p $$ | tr -d ' '; echo $$; exit 7";
            let (text, exit) = output("sh", &["-c", script, "sh", "a b"]).await;
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!((lines[0], lines[1], exit.code()), ("/", "a b", Some(7)));
            assert_eq!(lines[2], lines[3], "it has no group of its own");
        });
    }

    #[test]
    fn a_child_has_its_three_streams_and_no_other_descriptor_not_even_one_that_we_were_given() {
        // A descriptor that is not closed at exec, as those are that a shell or a supervisor leaves to a program.
        let given = std::fs::File::open("/dev/zero").unwrap();
        rustix::io::fcntl_setfd(&given, rustix::io::FdFlags::empty()).unwrap();
        run(async || {
            // `ls` opens the folder as the fourth.
            assert_eq!(output("ls", &["/proc/self/fd"]).await.0, "0\n1\n2\n3\n");
        });
    }

    #[test]
    fn a_child_begins_with_every_signal_at_its_default_and_unblocked() {
        run(async || {
            let (status, _) = output("cat", &["/proc/self/status"]).await;
            let set = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                u64::from_str_radix(line.trim(), 16).unwrap()
            };
            assert_eq!(set("SigBlk:"), 0);
            // Ours ignores it, as every program in Rust does.
            assert_eq!(set("SigIgn:") & 1 << (libc::SIGPIPE - 1), 0, "SIGPIPE is ignored");
            let (_, exit) = output("sh", &["-c", "kill -TERM $$; exit 3"]).await;
            assert_eq!(exit.signal(), Some(15));
        });
        // This thread's are as they were.
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("SigBlk:\t0000000000000000"), "{status}");
    }

    #[test]
    fn what_cannot_become_its_program_is_an_error_and_leaves_no_child() {
        run(async || {
            for (name, kind) in [
                ("/no/such/program", io::ErrorKind::NotFound),
                ("no-such-program", io::ErrorKind::NotFound),
                ("/etc/passwd", io::ErrorKind::PermissionDenied),
                ("/", io::ErrorKind::PermissionDenied),
            ] {
                let error = program(name, &[]).and_then(|program| spawn(&program));
                assert_eq!(error.unwrap_err().kind(), kind, "{name}");
            }
            let nowhere =
                Program::new(Path::new("/bin/true"), &[], BTreeMap::new(), Some(Path::new("/no/such")));
            let error = spawn(&nowhere.unwrap()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            let error = program("/bin/echo", &["a\0b"]).unwrap_err();
            assert!(error.to_string().contains("zero byte"), "{error}");
        });
    }

    #[test]
    fn a_script_without_an_interpreter_runs_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, "echo \"$0 $1\"\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let script = script.to_str().unwrap().to_owned();
        let (text, exit) = run(async || output(&script, &["argument"]).await);
        assert_eq!((text, exit.code()), (format!("{script} argument\n"), Some(0)));
    }

    #[test]
    fn a_piped_stream_is_ours_and_one_that_leads_nowhere_is_empty() {
        run(async || {
            let cat = program("cat", &[]).unwrap();
            let piped = Streams { stdin: Stream::Piped, ..Streams::OUTPUT };
            let mut child =
                Child::spawn(&cat, &EnvironmentChanges::default(), piped, &Confinement::default()).unwrap();
            child.stdin.take().unwrap().write_all(b"through").await.unwrap();
            let mut text = String::new();
            child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "through");
            let silent = Streams { stdout: Stream::Null, stderr: Stream::Null, ..Streams::OUTPUT };
            let child =
                Child::spawn(&cat, &EnvironmentChanges::default(), silent, &Confinement::default()).unwrap();
            assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
            assert!(child.wait().await.unwrap().success(), "it could not read or write");
        });
    }

    #[test]
    fn what_is_changed_for_one_child_is_in_its_environment_alone_and_once() {
        run(async || {
            let env = program("env", &[]).unwrap();
            let mut changes = EnvironmentChanges::default();
            changes.set("ONLY", "first").unwrap();
            changes.set("ONLY", "that").unwrap();
            changes.set("MORE", "").unwrap();
            changes.remove("PATH");
            let mut child = Child::spawn(&env, &changes, Streams::OUTPUT, &Confinement::default()).unwrap();
            let mut text = String::new();
            child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            assert_eq!(lines, ["MORE=", "ONLY=that"]);
            assert!(changes.set("A", "b\0c").is_err());
            assert!(output("env", &[]).await.0.contains("ONLY=this"));
        });
    }

    #[test]
    fn one_that_has_ended_stays_a_zombie_until_it_is_reaped() {
        run(async || {
            let child = spawn(&program("sh", &["-c", "exit 4"]).unwrap()).unwrap();
            child.ended().await.unwrap();
            child.ended().await.unwrap();
            let pid = child.pid().unwrap().as_raw_pid();
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            assert!(stat.contains(") Z "), "{stat}");
            assert_eq!(child.reap().unwrap().unwrap().code(), Some(4));
            assert_eq!((child.pid(), child.wait().await.unwrap().code()), (None, Some(4)));
            child.ended().await.unwrap();
            assert!(!Path::new(&format!("/proc/{pid}")).exists());
        });
    }

    #[test]
    fn many_at_once_end_each_with_its_own_status_while_other_threads_allocate() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut kept = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    kept.push(vec![1_u8; 4096]);
                    kept.truncate(64);
                }
            });
            run(async || {
                for round in 0..20 {
                    let mut children = Vec::new();
                    for n in 0..16 {
                        let code = (round * 16 + n) % 256;
                        let program = program("sh", &["-c", &format!("exit {code}")]).unwrap();
                        children.push((code, spawn(&program).unwrap()));
                    }
                    for (code, child) in children {
                        assert_eq!(child.wait().await.unwrap().code(), Some(code));
                        assert_eq!(child.pid(), None);
                    }
                }
            });
            stop.store(true, Ordering::Relaxed);
        });
    }
}
