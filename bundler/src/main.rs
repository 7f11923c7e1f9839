//! `ferry-bundle`: from a wish list to one signed archive. See [`ferry_bundler::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ferry_bundler::cli::main()
}
