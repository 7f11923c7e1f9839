//! `site`: make, check and describe site files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ferry_bundle_format::yaml::Problems;
use ferry_engine::preflight;
use ferry_engine::site::file::{Auth, SiteFile, Vault};

use crate::addresses;
use crate::failure::{self, ExitCode, Failure};
use crate::show;

/// The profiles that travel in the program.
const PROFILES: [(&str, &str, &str); 2] = [
    ("single-node", "one host that does everything", include_str!("../../../profiles/single-node.yaml")),
    ("ha", "three control-plane hosts with etcd, workers, a registry host", include_str!("../../../profiles/ha.yaml")),
];

/// Make, check and describe site files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write a site file with comments, to be filled in.
    Init {
        /// What kind of site: single-node, ha.
        #[arg(long, default_value = "single-node")]
        profile: String,
        /// Where to write it; `-` is standard output. An existing file is left alone.
        #[arg(short, long, value_name = "FILE", default_value = "site.yaml")]
        output: PathBuf,
    },
    /// Say everything that is wrong with a site file. Touches no host.
    Check {
        /// The site file.
        site: PathBuf,
    },
    /// Print the JSON Schema of site files.
    Schema,
}

/// Runs it.
pub(crate) fn run(arguments: &Args) -> Result<ExitCode, Failure> {
    match &arguments.what {
        What::Init { profile, output } => init(profile, output),
        What::Check { site } => check(site),
        What::Schema => {
            show::text(&schema());
            Ok(ExitCode::Success)
        }
    }
}

fn schema() -> String {
    serde_json::to_string_pretty(&schemars::schema_for!(SiteFile)).unwrap_or_default() + "\n"
}

fn init(profile: &str, output: &Path) -> Result<ExitCode, Failure> {
    let Some((_, _, text)) = PROFILES.iter().find(|(name, ..)| *name == profile) else {
        let list: Vec<String> = PROFILES.iter().map(|(name, what, _)| format!("{name} ({what})")).collect();
        return Err(Failure::new(ExitCode::Input, format!("there is no profile {profile:?}"))
            .hint(format!("there are: {}", list.join(", "))));
    };
    if output == Path::new("-") {
        show::text(text);
        return Ok(ExitCode::Success);
    }
    if output.exists() {
        let failure = Failure::new(ExitCode::Input, format!("{} is there already", output.display()));
        return Err(failure.hint("choose another name with --output"));
    }
    std::fs::write(output, text).map_err(failure::file("write", output))?;
    show::text(&format!("{}: fill in hosts and secrets, then `ferry-install site check {0}`\n", output.display()));
    Ok(ExitCode::Success)
}

fn check(file: &Path) -> Result<ExitCode, Failure> {
    let text = std::fs::read_to_string(file).map_err(failure::file("read", file))?;
    let (site, _) = addresses::read(file, &text, None, &|raw, problems| {
        preflight::say_unknown_names(raw, problems);
        key_files(file, raw, problems);
    })?;
    show::text(&format!("{}: cluster {}, {} hosts: understood\n", file.display(), site.cluster, site.hosts.len()));
    for host in &site.hosts {
        let way: Vec<String> =
            host.way.iter().map(|jump| format!("{}@{}:{}", jump.user, jump.address, jump.port)).collect();
        let roles: Vec<String> =
            host.roles.iter().filter_map(|role| serde_json::to_value(role).ok()?.as_str().map(str::to_owned)).collect();
        show::text(&format!("  {:<20} {:<40} {}\n", host.name, way.join(" > "), roles.join(", ")));
    }
    Ok(ExitCode::Success)
}

/// Files of keys that are not there.
fn key_files(site: &Path, raw: &SiteFile, problems: &mut Problems) {
    let folder = site.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let at = |name: &str| match (name.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(name),
    };
    let all = [&raw.ssh]
        .into_iter()
        .chain(raw.hosts.iter().map(|host| &host.ssh))
        .chain(raw.bastions.iter().map(|one| &one.ssh));
    let ways = all.filter_map(|ssh| ssh.auth.as_ref()).flatten();
    let keys = ways.filter_map(|way| if let Auth::Key(key) = way { Some(key.file.as_str()) } else { None });
    let mut names: BTreeSet<&str> = keys.collect();
    if let Vault::Identity(file) = &raw.vault {
        names.insert(file);
    }
    for name in names {
        if let Err(error) = std::fs::File::open(at(name)) {
            let message = format!("the key file {} cannot be read: {error}", at(name).display());
            problems.add_at(name, message, Some("a path is relative to the site file; `~/` is the home folder"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_documentation_is_that_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/site.schema.json");
        assert!(
            std::fs::read_to_string(path).unwrap() == schema(),
            "write it: ferry-install site schema >docs/site.schema.json"
        );
    }

    #[test]
    fn profiles_are_understood() {
        for (name, _, text) in PROFILES {
            let problems =
                ferry_engine::site::read(Path::new(name), text).map(|_| ()).map_err(|problems| problems.to_string());
            assert_eq!(problems, Ok(()), "{name}");
        }
    }
}
