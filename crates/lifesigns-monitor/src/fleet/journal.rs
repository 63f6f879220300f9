//! What the log says of the fleet.

use lifesigns_model::light::Light;

use crate::resources::light_name;
use crate::service::Service;
use crate::target::Target;

/// What is logged of lights and checks, here and in the library.
const CHANGES: &str = "lifesigns::changes";

/// Says that a light is another, as the library does of its own. One that was green when it was first seen is not worth a
/// line.
pub(super) fn tell(target: &Target, before: Option<Light>, service: &Service) {
    let Some(light) = service.light.filter(|light| before.unwrap_or_default() != *light) else { return };
    let (name, from, to, why) = (&*target.name, light_name(before), light.name(), &service.why);
    if light > before.unwrap_or_default() {
        tracing::warn!(target: CHANGES, service = name, from, to, why, "the light has changed");
    } else {
        tracing::info!(target: CHANGES, service = name, from, to, "the light has changed");
    }
}
