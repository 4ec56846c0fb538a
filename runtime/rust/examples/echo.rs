//! Returns its input as it came: the upstream of the benchmarks.

use std::convert::Infallible;
use std::process::ExitCode;

use serde_json::value::RawValue;

async fn echo(input: Box<RawValue>) -> Result<Box<RawValue>, Infallible> {
    Ok(input)
}

fn main() -> ExitCode {
    picofaas_runtime::serve(echo)
}
