//! The small static program that a site's hosts and pods run to measure themselves.
//!
//! `ferry-probe VERB …` prints JSON lines on standard output, one a result, and ends with 0 if all went well, 1 if a
//! measurement says no, 2 if it was called wrongly. It needs nothing but a kernel: it is linked statically, it is the
//! only file of its container image, and it runs as process 1 there. It changes nothing but the files it is told to write.

mod arguments;
mod bind;
mod clock;
mod dial;
mod egress;
mod endpoint;
mod fsync;
mod get;
mod give;
mod http;
mod json;
mod random;
mod resolve;
mod serve;
mod volume;
mod wire;

use std::process::ExitCode;

use arguments::{Arguments, Misuse};

/// What a verb found: whether all of it is as it should be.
type Verdict = Result<bool, Misuse>;

const USAGE: &str = "ferry-probe serve --listen tcp:[ADDRESS:]PORT… --for SECONDS --token TOKEN
ferry-probe bind [tcp:|udp:][ADDRESS:]PORT…
ferry-probe dial --token TOKEN [--timeout MILLISECONDS] [--size BYTES] [tcp:|udp:]HOST:PORT…
ferry-probe fsync FOLDER [--bytes N] [--block N]
ferry-probe http --listen [ADDRESS]:PORT [--name NAME]
ferry-probe give --listen [ADDRESS:]PORT --for SECONDS --token TOKEN
ferry-probe get URL [--timeout MILLISECONDS]
ferry-probe resolve NAME [--server ADDRESS[:PORT]] [--tcp] [--type A|AAAA] [--timeout MILLISECONDS]
ferry-probe volume write|check FOLDER [--bytes N] [--seed N]
ferry-probe clock | egress | sleep [SECONDS]";

fn main() -> ExitCode {
    let mut arguments = Arguments::new(std::env::args().skip(1));
    let verb = arguments.word();
    let verdict = match verb.as_deref() {
        Some("serve") => serve::run(arguments),
        Some("bind") => bind::run(arguments),
        Some("dial") => dial::run(arguments),
        Some("fsync") => fsync::run(arguments),
        Some("http") => http::run(arguments),
        Some("give") => give::run(arguments),
        Some("get") => get::run(arguments),
        Some("resolve") => resolve::run(arguments),
        Some("volume") => volume::run(arguments),
        Some("clock") => clock::run(arguments),
        Some("egress") => egress::run(arguments),
        Some("sleep") => clock::sleep(arguments),
        Some(other) => Err(Misuse(format!("there is no verb {other}"))),
        None => Err(Misuse("a verb is needed".into())),
    };
    match verdict {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Misuse(why)) => {
            json::to_stderr(&format!("{why}\n{USAGE}"));
            ExitCode::from(2)
        }
    }
}
