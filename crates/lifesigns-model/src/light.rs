//! The traffic light, and how several lights become one.

use std::fmt;

/// What a caller should do with a service. Ordered from best to worst, so that `max` is the combination.
///
/// ```
/// use lifesigns_model::light::Light;
/// assert!(Light::Red > Light::Amber && Light::Amber > Light::Green);
/// assert_eq!(Light::worst([Light::Green, Light::Amber]), Light::Amber);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Light {
    /// Available: send whatever is due, within the limits.
    #[default]
    Green,
    /// Available, but hold non-essential requests.
    Amber,
    /// Unavailable: make no requests.
    Red,
}

impl Light {
    /// The worst of several lights; green when there is none, since nothing speaks against the service.
    pub fn worst(lights: impl IntoIterator<Item = Light>) -> Light {
        lights.into_iter().max().unwrap_or_default()
    }

    /// Upper-case name, as the traffic-light resource writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Light::Green => "GREEN",
            Light::Amber => "AMBER",
            Light::Red => "RED",
        }
    }
}

impl fmt::Display for Light {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_light() -> impl Strategy<Value = Light> {
        prop_oneof![Just(Light::Green), Just(Light::Amber), Just(Light::Red)]
    }

    proptest! {
        #[test]
        fn combining_is_independent_of_order_and_grouping(mut lights in proptest::collection::vec(any_light(), 0..8), cut in 0usize..8) {
            let whole = Light::worst(lights.iter().copied());
            let cut = cut.min(lights.len());
            let parts = [Light::worst(lights[..cut].iter().copied()), Light::worst(lights[cut..].iter().copied())];
            prop_assert_eq!(Light::worst(parts), whole);
            lights.reverse();
            prop_assert_eq!(Light::worst(lights), whole);
        }
    }
}
