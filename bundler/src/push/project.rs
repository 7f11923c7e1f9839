//! Harbor's projects: found out, and made private where they are missing.

use super::error::PushError;
use super::plan::PushPlan;
use crate::event::{Event, Reporter};
use crate::source::RegistryClient;

/// Where the target is a Harbor, sees to it that the projects of the plan are there. Anywhere else: nothing.
pub(super) async fn ensure_projects(
    client: &RegistryClient,
    plan: &PushPlan,
    reporter: &dyn Reporter,
) -> Result<(), PushError> {
    let fail = |what: String| move |error| PushError::Source { what, error };
    let registry = &plan.registry;
    let Some(harbor) = client.harbor(registry).await.map_err(fail(format!("can't ask {registry} what it is")))? else {
        return Ok(());
    };
    if let Some(repository) = plan.repositories.keys().find(|name| !name.contains('/')) {
        return Err(PushError::NoProject { registry: registry.clone(), repository: repository.clone() });
    }
    for project in plan.projects() {
        let what = format!("can't make project {project} in {registry}");
        if harbor.ensure_project(project).await.map_err(fail(what))? {
            reporter.event(&Event::Note { text: format!("made the private project {project} in {registry}") });
        }
    }
    Ok(())
}
