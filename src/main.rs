//! The command line. See `catalex help`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
