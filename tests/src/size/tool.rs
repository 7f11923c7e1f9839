//! Programs of the machine that the inputs are made with: run to their end, and quoted when they fail.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Failure;

/// Runs a program in `folder`; what it printed.
pub(super) fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, Failure> {
    run_with(folder, program, arguments, &[])
}

/// As [`run`], with more in the environment.
pub(super) fn run_with(
    folder: &Path,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<String, Failure> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{program} does not start: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}\n{}", arguments.join(" "), output.status, said.trim_end()).into())
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}
