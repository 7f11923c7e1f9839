//! `plan`: what would be done to every host.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ferry_bundle_format::lock::Timestamp;
use ferry_engine::facts::Facts;
use ferry_engine::plan::{self, Plan, Shown};
use ferry_engine::run::Workshop;
use ferry_engine::step::Context;
use ferry_engine::supply::Supply;

use crate::cli::{Common, TrustArgs};
use crate::failure::{ExitCode, Failure};
use crate::session::{self, Session};
use crate::show;

/// Say what would be done to every host, and save it; or show a saved plan.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show a saved plan instead of making one: every change and what becomes of files, in order, with no secret.
    #[arg(long, value_name = "PLAN.json", conflicts_with_all = ["site", "bundle", "output"])]
    show: Option<PathBuf>,
    /// With --show: also what is as it should be already.
    #[arg(long, requires = "show")]
    all: bool,
    /// With --show: also every script, exactly as it will run.
    #[arg(long, requires = "show")]
    scripts: bool,
    /// End with exit code 16 if anything is to be done, instead of 0: for a check by night.
    #[arg(long)]
    exit_code: bool,
    /// Where to save the plan [default: STATE/plan.json].
    #[arg(short, long, value_name = "PLAN.json")]
    output: Option<PathBuf>,
    /// The site file.
    #[arg(value_name = "SITE.yaml", required_unless_present = "show")]
    site: Option<PathBuf>,
    #[command(flatten)]
    trust: Option<TrustArgs>,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    if let Some(path) = &arguments.show {
        let plan = plan::load(path)?;
        if common.json {
            let commands: Vec<_> = plan::commands(&plan)
                .into_iter()
                .map(|one| serde_json::json!({"step": one.step, "host": one.host, "script": one.script, "input": one.input}))
                .collect();
            show::text(&format!("{}\n", serde_json::Value::Array(commands)));
        } else {
            show::text(&plan::show(&plan, Shown { all: arguments.all, scripts: arguments.scripts }));
        }
        return Ok(code(&plan, arguments));
    }
    let (Some(site), Some(trust)) = (&arguments.site, &arguments.trust) else {
        return Err(Failure::new(ExitCode::Input, "a plan needs a site file and a bundle")
            .hint("ferry-install plan SITE.yaml --bundle FILE.ferry, or plan --show PLAN.json"));
    };
    let session = Session::open(site, common)?;
    let supply = session.supply(trust, common)?;
    supply.read_ahead();
    session.began("plan", Some(&supply), None);
    session.ended(planned(&session, &supply, arguments, common).await)
}

async fn planned(
    session: &Session,
    supply: &Arc<Supply>,
    arguments: &Args,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let facts = session.facts().await?;
    let (plan, _) = make(session, supply, &facts).await?;
    let path = arguments.output.clone().unwrap_or_else(|| session.state.join("plan.json"));
    plan::save(&plan, &path)?;
    if !common.json {
        show::text(&summary(&plan));
        show::text(&format!("saved as {}\n", path.display()));
    }
    if plan.open() > 0 {
        let (plan, site) = (path.display(), session.site.file.display());
        let text =
            format!("ferry-install plan --show {plan}; then: ferry-install apply {plan} {site} --bundle FILE.ferry");
        show::next(common.json, &text);
    }
    session.end(true, &format!("{} to do", plan.open()));
    Ok(code(&plan, arguments))
}

/// How the command ends: whether anything is to be done is said only to who asks for it.
fn code(plan: &Plan, arguments: &Args) -> ExitCode {
    if arguments.exit_code && plan.open() > 0 { ExitCode::Open } else { ExitCode::Success }
}

/// Makes a plan and looks up how everything stands. The files that were rendered for it are in the vault of the workshop, and
/// not on disk: a plan that nobody applies leaves no trace. Whoever applies it saves them.
pub(crate) async fn make(
    session: &Session,
    supply: &Arc<Supply>,
    facts: &BTreeMap<String, Facts>,
) -> Result<(Plan, Workshop), Failure> {
    let mut vault = session.prepared_vault().await?;
    vault.forget_rendered_but(session.site.hosts.iter().map(|host| host.name.as_str()));
    let images = Session::probe_images(supply, facts)?;
    let mut context = Context::new(&session.site, facts, supply, &mut vault, &images);
    let mut plan = plan::build(&mut context, Timestamp::from_unix(session::now()))?;
    session.go_on()?;
    let workshop = session.workshop(supply.clone(), vault, images);
    plan::survey(&mut plan, &session.hosts, &workshop).await?;
    session.go_on()?;
    Ok((plan, workshop))
}

/// What a plan comes to, for people.
pub(crate) fn summary(plan: &Plan) -> String {
    let whole = plan::summary(plan);
    let mut text = format!(
        "plan {} for {}: {} to do, {} as they should be already\n",
        plan.id().short(),
        plan.cluster,
        plan.open(),
        whole.already
    );
    for (name, host) in whole.hosts.iter().filter(|(_, host)| host.total() > 0) {
        text.push_str(&format!(
            "  {name:<20} {} files, {} folders, {} units, {} kernel settings, {} images, {} commands; {} MB to send\n",
            host.files,
            host.folders,
            host.units,
            host.kernel,
            host.images,
            host.commands,
            host.bytes / 1_000_000
        ));
    }
    if plan.open() > 0 {
        text.push_str(&format!(
            "  about {} s, with {} MB over the operator's link\n",
            whole.seconds,
            whole.bytes / 1_000_000
        ));
    }
    text
}
