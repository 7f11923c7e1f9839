//! Makes a plan: the steps that follow from site, facts, bundle and vault.

use ferry_bundle_format::lock::Timestamp;

use super::{FORMAT, Plan};
use crate::step::{self, Context, StepBuildError};

/// Makes the plan, with nothing looked up on the hosts yet.
pub fn build(context: &mut Context<'_>, now: Timestamp) -> Result<Plan, StepBuildError> {
    let stages = step::stages(context)?;
    let product = &context.supply.lock().product;
    Ok(Plan {
        format: FORMAT,
        cluster: context.site.cluster.clone(),
        site: context.site.digest,
        bundle: context.supply.bundle().id(),
        product: format!(
            "{} {} serial {}",
            product.name.as_str(),
            product.version.as_str(),
            context.supply.lock().serial
        ),
        created: now,
        stages,
    })
}
