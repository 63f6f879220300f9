//! The services that a configuration names. Whatever else it holds is for others.

use std::path::Path;
use std::time::Duration;

use super::ask::Target;
use crate::Failure;
use crate::config;
use crate::config::validated::{OfProcess, Services};
use crate::printer::Problem;

/// Its services, one at least, and how they are fetched from. `deadline` stands over what the file says.
pub(super) fn services(
    path: &Path,
    deadline: Option<Duration>,
) -> Result<(Vec<Target>, lifesigns_fetch::Options), Failure> {
    let Services { targets, fetch } =
        config::services_from_file(path, &OfProcess).map_err(Failure::Faults)?;
    if targets.is_empty() {
        let problem = Problem::new(format!("{}: it names no service", path.display()));
        let hint = "add `[[service]]` with `name` and `url` for each of them";
        return Err(Failure::Arguments(problem.hint(hint)));
    }
    let asked = targets.into_iter().map(|target| Target {
        name: Some(target.name.to_string()),
        url: target.url,
        dialect: target.dialect,
        deadline: deadline.unwrap_or(target.deadline),
        authorization: target.authorization,
    });
    Ok((asked.collect(), fetch))
}
