//! `vm-tests`: hosts, origin, scenarios. See [`vm_tests::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    vm_tests::cli::main()
}
