//! So many scripted SSH hosts in one process, for `scale`: see `tests::scale::farm` for what it says and is asked.

use std::process::ExitCode;

use tests::scale::farm;

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (Some(count), Ok(runtime)) = (count, runtime) else { return ExitCode::FAILURE };
    match runtime.block_on(farm::serve(count)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
