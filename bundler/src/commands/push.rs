//! `push`: a bundle's content into a registry or Harbor.

use std::path::PathBuf;

use ferry_bundle_format::documents::human_size;

use crate::cli::{BaseArgs, Context, NetworkArgs, TrustArgs};
use crate::event::Event;
use crate::failure::Failure;
use crate::push::{Naming, Projects, PushError, PushPlan, Pusher, invalid_projects};

/// Flags of `push`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle push site-1.0.ferry registry.site:5000 --trust release.pub\n  ferry-bundle push site-1.0.ferry harbor.site/platform --trust release.pub --user harbor.site=robot --ca-file site-ca.pem\n  ferry-bundle push site-1.0.ferry harbor.site/platform --trust release.pub --dry-run"
)]
pub struct Args {
    /// The bundle.
    pub bundle: PathBuf,
    /// HOST[:PORT][/PROJECT]. Without a project each image keeps its own path.
    pub target: String,
    /// Keep the origin registry as the first part of each image's path.
    #[arg(long)]
    pub full_names: bool,
    /// Print what would go where, and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How many uploads run at once.
    #[arg(long, short, value_name = "N", default_value_t = 4)]
    pub jobs: usize,
    /// What an upgrade package is applied to.
    #[command(flatten)]
    pub base: BaseArgs,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// How to reach servers.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Pushes.
pub async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let naming = Naming::parse(&args.target, args.full_names)?;
    let bundle = args.base.attach(args.trust.open(&args.bundle, context)?, &args.trust)?;
    let plan = PushPlan::of(&bundle.lock()?, &naming)?;
    if args.dry_run {
        return show(&plan, args, context).await;
    }
    let pusher = Pusher { client: args.network.client(context)?, reporter: context.reporter.clone(), jobs: args.jobs };
    let pushed = pusher.push(&bundle, &plan).await?;
    let text = format!(
        "{}: {} blobs sent ({}), {} mounted, {} were there; {} manifests put, {} were there, all read back\n    {}",
        args.target,
        pushed.sent,
        human_size(pushed.sent_bytes),
        pushed.mounted,
        pushed.there,
        pushed.documents - pushed.documents_there,
        pushed.documents_there,
        bundle.assurance().describe()
    );
    let data = serde_json::json!({
        "target": args.target, "sent": pushed.sent, "sentBytes": pushed.sent_bytes, "mounted": pushed.mounted,
        "there": pushed.there, "documents": pushed.documents, "documentsThere": pushed.documents_there, "refusedIndexes": pushed.refused_indexes,
        "trusted": bundle.assurance().is_trusted(),
    });
    context.reporter.event(&Event::Result { text, data });
    Ok(())
}

async fn show(plan: &PushPlan, args: &Args, context: &Context) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for (repository, one) in &plan.repositories {
        let tags: Vec<_> = one.documents.iter().filter_map(|document| document.tag.as_deref()).collect();
        lines.push(format!("{}/{repository}: {} ({} blobs)", plan.registry, tags.join(", "), one.blobs.len()));
    }
    let blobs = plan.blobs();
    // Only asked for, and once: the plan is of use without a registry too.
    let projects = Projects::look(&args.network.once(context)?, plan).await;
    let data = serde_json::json!({
        "repositories": plan.repositories.keys().collect::<Vec<_>>(), "blobs": blobs.len(),
        "projectsToMake": projects.as_ref().ok().map(Projects::missing),
    });
    match projects {
        Ok(projects) => {
            lines.extend(projects.missing().into_iter().map(|name| format!("private project {name} would be made")));
            lines.extend(projects.notes());
        }
        Err(error @ PushError::Source { .. }) => {
            lines.push(format!(
                "{} was asked for its projects: {}",
                plan.registry,
                Failure::from(error).causes.join(": ")
            ));
            lines.extend(unasked(plan));
        }
        Err(refused) => return Err(refused.into()),
    }
    lines.push(format!("{} blobs, {} at most; nothing was sent", blobs.len(), human_size(blobs.values().sum())));
    context.reporter.event(&Event::Result { text: lines.join("\n"), data });
    Ok(())
}

/// What would have to be right if the registry were a Harbor.
fn unasked(plan: &PushPlan) -> Vec<String> {
    let projects: Vec<_> = plan.projects().into_iter().collect();
    let mut lines = vec![format!("if it is a Harbor, it needs the projects {}", projects.join(", "))];
    lines.extend(invalid_projects(plan).iter().map(|name| format!("a Harbor takes no project named {name}")));
    let without = plan.repositories.keys().filter(|name| !name.contains('/'));
    lines.extend(without.map(|name| format!("on a Harbor {name} needs a project: push to HOST/PROJECT")));
    lines
}
