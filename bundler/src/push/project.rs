//! Harbor's projects: looked at before anything else is asked, and made private where they are missing.
//!
//! ```text
//!  look ─► names that Harbor takes? ─► each project: there? public? a cache? ─► (what is held is looked for) ─► make
//! ```
//! Below a missing project Harbor answers every question with 401, to administrators too: whoever asks there first
//! takes that for a wrong password.

use std::collections::{BTreeMap, BTreeSet};

use super::error::PushError;
use super::plan::PushPlan;
use crate::event::{Event, Reporter};
use crate::source::{Harbor, Project, RegistryClient, SourceError, is_project_name};

/// The projects of a plan.
pub struct Projects {
    harbor: Option<Harbor>,
    registry: String,
    found: BTreeMap<String, Option<Project>>,
    /// A repository below each: its login is the project's.
    below: BTreeMap<String, String>,
    /// Harbor took the user and password.
    user: Option<String>,
}

impl Projects {
    /// Where the target is a Harbor, looks at the projects of the plan; anywhere else there are none. Sends only reads.
    pub async fn look(client: &RegistryClient, plan: &PushPlan) -> Result<Self, PushError> {
        let registry = plan.registry.clone();
        let fail = |what: String| move |error| PushError::Source { what, error };
        let harbor = client.harbor(&registry).await.map_err(fail(format!("can't ask {registry} what it is")))?;
        let mut projects = Self { harbor, registry, found: BTreeMap::new(), below: BTreeMap::new(), user: None };
        let Some(harbor) = &projects.harbor else { return Ok(projects) };
        let registry = &projects.registry;
        if let Some(repository) = plan.repositories.keys().find(|name| !name.contains('/')) {
            return Err(PushError::NoProject { registry: registry.clone(), repository: repository.clone() });
        }
        let names = invalid_projects(plan);
        if !names.is_empty() {
            return Err(PushError::ProjectNames { registry: registry.clone(), names, below: plan.below.is_some() });
        }
        for name in plan.projects() {
            let start = format!("{name}/");
            let below = plan.repositories.keys().find(|repository| repository.starts_with(&start));
            let below = below.cloned().unwrap_or_default();
            let what = format!("can't look at project {name} in {registry}");
            let (project, user) = harbor.project(name, &below).await.map_err(fail(what))?;
            projects.user = projects.user.take().or(user);
            projects.found.insert(name.to_owned(), project);
            projects.below.insert(name.to_owned(), below);
        }
        let caches = projects.found.iter().filter(|(_, project)| project.as_ref().is_some_and(|one| one.proxy));
        let caches: Vec<_> = caches.map(|(name, _)| name.clone()).collect();
        if caches.is_empty() {
            Ok(projects)
        } else {
            Err(PushError::ProxyProject { registry: registry.clone(), names: caches })
        }
    }

    /// Whether `repository` is below a project that is not there: then nothing is there.
    #[must_use]
    pub fn lack(&self, repository: &str) -> bool {
        let project = repository.split_once('/').map_or(repository, |(project, _)| project);
        matches!(self.found.get(project), Some(None))
    }

    /// The projects that are not there.
    #[must_use]
    pub fn missing(&self) -> BTreeSet<&str> {
        self.found.iter().filter(|(_, project)| project.is_none()).map(|(name, _)| name.as_str()).collect()
    }

    /// What a person should know about the projects that are there.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let registry = &self.registry;
        for (name, project) in self.found.iter().filter_map(|(name, found)| Some((name, found.as_ref()?))) {
            if project.public {
                notes.push(format!("project {name} in {registry} is public: everybody may pull what is pushed"));
            }
            if project.guarded {
                notes.push(format!(
                    "project {name} in {registry} lets only signed or scanned images be pulled: what is pushed can perhaps not be read back"
                ));
            }
        }
        notes
    }

    /// Makes the missing projects, private; `made` gets their names, also when another can't be made.
    pub async fn make(&self, made: &mut Vec<String>, reporter: &dyn Reporter) -> Result<(), PushError> {
        let Some(harbor) = &self.harbor else { return Ok(()) };
        let registry = &self.registry;
        for project in self.missing() {
            let what = format!("can't make project {project} in {registry}");
            let below = self.below.get(project).map_or("", String::as_str);
            let is_new = harbor.make_project(project, below).await;
            if is_new.map_err(|error| PushError::Source { what, error })? {
                reporter.event(&Event::Note { text: format!("made the private project {project} in {registry}") });
                made.push(project.to_owned());
            }
        }
        Ok(())
    }

    /// What a failure means where Harbor took user and password before: it is a right that is missing.
    pub(super) fn explain(&self, error: PushError) -> PushError {
        match error {
            PushError::Several(errors) => {
                PushError::Several(errors.into_iter().map(|error| self.explain(error)).collect())
            }
            PushError::Source { what, error: SourceError::Unauthorized { host, user: Some(user), detail } }
                if self.user.is_some() =>
            {
                PushError::Source { what, error: SourceError::NoRight { host, user, detail } }
            }
            other => other,
        }
    }
}

/// The projects of the plan whose names Harbor does not take.
#[must_use]
pub fn invalid_projects(plan: &PushPlan) -> Vec<String> {
    plan.projects().into_iter().filter(|name| !is_project_name(name)).map(str::to_owned).collect()
}
