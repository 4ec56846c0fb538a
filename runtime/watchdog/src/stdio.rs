//! `WATCHDOG_MODE=stdio`: a process for each request. Its input is its standard input, its
//! output its standard output, its log its standard error.

use std::io;
use std::pin::pin;
use std::rc::Rc;

use picofaas_child::Stream;
use picofaas_runtime::{Context, Handler, HandlerError};
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::child::Child;
use crate::children::Children;
use crate::error_object;
use crate::format::{InputFormat, OutputFormat, OutputPlace};
use crate::log_pipe::LogPipe;
use crate::program::Program;
use crate::settings::Settings;

/// Room that is made for each read.
const PIECE_BYTES: usize = 8192;
/// The key of the one attempt that a process has.
const ONLY: u32 = 0;
/// The longest end of a line.
const LINE_END_BYTES: usize = 2;

/// The program, started once for each request.
pub(crate) struct StdioHandler {
    program: Program,
    input: InputFormat,
    output: OutputFormat,
    children: Rc<Children>,
}

impl StdioHandler {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { command, input, output, .. } = settings;
        Self { program: Program::new(command), input, output, children: Children::new() }
    }
}

impl Handler<()> for StdioHandler {
    type Input = Box<RawValue>;
    type Output = Box<RawValue>;

    async fn start(&self) -> Result<(), HandlerError> {
        self.program.find()?;
        Ok(self.children.become_subreaper()?)
    }

    async fn call(&self, input: Box<RawValue>, context: Context) -> Result<Box<RawValue>, HandlerError> {
        let output_max = context.output_bytes_max();
        let mut command = self.program.command_for(&context);
        command.stdin(Stream::Piped);
        let (child, pipes) =
            Child::start(&mut command, &self.children).map_err(|error| self.program.failed(&error))?;
        let lost = "a standard stream that was asked for is there";
        let (stdin, stdout) = (pipes.stdin.expect(lost), pipes.stdout.expect(lost));
        let log = LogPipe::forward_for_attempt(pipes.stderr.expect(lost), ONLY, &context);

        let mut output = Vec::new();
        let status = {
            let input = self.input.write(input, &context);
            let mut feeding = pin!(feed(stdin, input));
            let mut gathering = pin!(gather(&stdout, &mut output, output_max));
            let (mut fed, mut gathered) = (false, false);
            loop {
                tokio::select! {
                    biased;
                    () = &mut feeding, if !fed => fed = true,
                    all = &mut gathering, if !gathered => {
                        all?;
                        gathered = true;
                    }
                    status = child.ended() => break status?,
                }
            }
        };
        // Every process that could write has ended, so the pipes have all that there will be.
        log.drain(true);
        read_rest(&stdout, &mut output, output_max)?;
        if status.success() {
            self.output.read(output, OutputPlace::StandardOutput)
        } else {
            Err(error_object::exit_error(status, &output, log.last_line(ONLY), self.children.memory()))
        }
    }

    fn write_metrics(&self, text: &mut String) {
        self.children.write_metrics(text);
    }

    async fn stop(&self) {
        self.children.stop().await;
    }
}

/// Gives a program its input. One that does not want it all has its reasons.
async fn feed(mut stdin: Sender, input: Vec<u8>) {
    let _ = stdin.write_all(&input).await;
}

/// Reads until nobody can write any more.
async fn gather(stdout: &Receiver, output: &mut Vec<u8>, max: usize) -> Result<(), HandlerError> {
    loop {
        stdout.readable().await?;
        output.reserve(PIECE_BYTES);
        match stdout.try_read_buf(output) {
            Ok(0) => return Ok(()),
            Ok(_) => check_length(output, max)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the bytes that are there without waiting for more. The pipe itself is asked: tokio's
/// knowledge of it may be a moment old.
fn read_rest(stdout: &Receiver, output: &mut Vec<u8>, max: usize) -> Result<(), HandlerError> {
    let mut piece = [0; PIECE_BYTES];
    while let Ok(read @ 1..) = rustix::io::read(stdout, &mut piece) {
        output.extend_from_slice(&piece[..read]);
        check_length(output, max)?;
    }
    Ok(())
}

/// Stops a program that writes too much; a line's end after the output is none of it.
fn check_length(output: &[u8], max: usize) -> Result<(), HandlerError> {
    if output.len() <= max + LINE_END_BYTES {
        return Ok(());
    }
    let message = format!("the program's output is longer than {max} bytes (MAX_OUTPUT)");
    Err(HandlerError::new(500, "OUTPUT_TOO_LARGE", message).not_retryable())
}
