//! The last hour of a service, minute by minute.

use std::collections::VecDeque;

use lifesigns_model::history::Reading;
use lifesigns_model::light::Light;

const MINUTES: usize = 60;

/// What there was in one minute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Minute {
    /// Minutes since 1970.
    pub minute: i64,
    /// The worst light; `None` if it is not known.
    pub light: Option<Light>,
    /// The longest time that an answer took, in microseconds.
    pub latency_us: Option<u32>,
}

/// The minutes of the last hour in which the service was asked, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Recent(VecDeque<Minute>);

impl Recent {
    /// Takes a reading, which is not older than the last one.
    pub fn add(&mut self, reading: &Reading) {
        let minute = reading.at.div_euclid(60);
        match self.0.back_mut().filter(|last| last.minute >= minute) {
            Some(last) => {
                last.light = last.light.max(reading.light);
                last.latency_us = last.latency_us.max(reading.latency_us);
            }
            None => {
                let (light, latency_us) = (reading.light, reading.latency_us);
                self.0.push_back(Minute { minute, light, latency_us });
                if self.0.len() > MINUTES {
                    self.0.pop_front();
                }
            }
        }
    }

    /// One place for each of the last 60 minutes, the one of `now` (milliseconds since 1970) last; `None` where the
    /// service was not asked.
    pub fn minutes(&self, now: i64) -> [Option<Minute>; MINUTES] {
        let last = now.div_euclid(60_000);
        let mut minutes = [None; MINUTES];
        for one in &self.0 {
            let back = usize::try_from(last - one.minute);
            if let Some(place) = back.ok().and_then(|back| MINUTES.checked_sub(back + 1)) {
                minutes[place] = Some(*one);
            }
        }
        minutes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_has_its_worst_light_and_gaps_stay_gaps() {
        let mut recent = Recent::default();
        let reading =
            |at, light| Reading { at, light, code: 200, latency_us: Some(at as u32), memory_mb: None };
        for at in (0..2 * 3600).step_by(20).filter(|at| !(3600..3660).contains(at)) {
            let light = if at == 6000 { Light::Red } else { Light::Green };
            recent.add(&reading(at, Some(light)));
        }
        let minutes = recent.minutes(7_199_000);
        assert_eq!(minutes.iter().flatten().count(), 59);
        assert_eq!(minutes[0], None);
        assert_eq!(minutes[40].unwrap().light, Some(Light::Red));
        assert_eq!(minutes[40].unwrap().latency_us, Some(6040));
        assert_eq!(minutes[59].unwrap().light, Some(Light::Green));
        assert_eq!(recent.minutes(100 * 3_600_000), [None; 60]);
    }
}
