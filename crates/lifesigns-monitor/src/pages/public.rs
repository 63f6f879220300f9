//! What strangers may see: the lights of chosen services, and when they were out. No cause, no address, no version.

use std::fmt::Write;

use lifesigns_model::history::{Availability, HistoryStore, Slice};
use lifesigns_model::light::Light;
use lifesigns_model::store::StoreError;

use super::chart;
use super::markup::{Ago, Lamp, Length, Markup, Moment, Percent, class, worst};
use super::past::{self, Days};
use crate::view::ServiceView;

/// Incidents that are shown, the newest.
const MOST_INCIDENTS: usize = 30;

/// If nothing is known of a larger share of the time than this, that is told.
const WORTH_TELLING: f64 = 0.001;

/// What there is to show.
#[derive(Debug)]
pub(super) struct Shown {
    services: Vec<Shows>,
    incidents: Vec<Incident>,
    now: i64,
}

/// One service.
#[derive(Debug)]
struct Shows {
    name: String,
    light: Option<Light>,
    days: Vec<Slice>,
}

/// Outages of public services that belong together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Incident {
    /// As the monitor calls it; strangers do not see it, since it may name others.
    pub(super) id: String,
    pub(super) names: Vec<String>,
    pub(super) light: Light,
    /// In milliseconds since 1970.
    pub(super) began: i64,
    /// In milliseconds since 1970; `None` while one goes on.
    pub(super) ended: Option<i64>,
}

impl Shown {
    pub(super) fn read(
        store: &dyn HistoryStore,
        days: &Days,
        services: &[ServiceView],
        now: i64,
    ) -> Result<Shown, StoreError> {
        let incidents = incidents(store, services, now)?;
        let mut services: Vec<&ServiceView> = services.iter().collect();
        // What is out is looked for first; otherwise the order is the operator's.
        services.sort_by_key(|view| std::cmp::Reverse(view.light.filter(|light| *light != Light::Green)));
        let shows = services.iter().map(|view| {
            let days = days.of(store, view, now)?;
            Ok(Shows { name: view.name.to_string(), light: view.light, days })
        });
        Ok(Shown { services: shows.collect::<Result<_, StoreError>>()?, incidents, now })
    }

    pub(super) fn light(&self) -> Option<Light> {
        worst(self.services.iter().map(|service| service.light))
    }
}

/// The outages of these services in the last 90 days, the newest first; those of one incident are one.
pub(super) fn incidents(
    store: &dyn HistoryStore,
    services: &[ServiceView],
    now: i64,
) -> Result<Vec<Incident>, StoreError> {
    let mut incidents: Vec<Incident> = Vec::new();
    for view in services.iter().filter(|view| view.is_public) {
        for outage in past::outages(store, &view.name, now)? {
            let id = outage.text("incident");
            let found = incidents.iter_mut().find(|one| !id.is_empty() && one.id == id);
            let (name, light) = (view.name.to_string(), outage.light());
            match found {
                Some(known) => {
                    known.light = known.light.max(light);
                    known.began = known.began.min(outage.began);
                    known.ended = known.ended.zip(outage.ended).map(|(one, other)| one.max(other));
                    if !known.names.contains(&name) {
                        known.names.push(name);
                    }
                }
                None => incidents.push(Incident {
                    id: if id.is_empty() { outage.key.to_string() } else { id.to_owned() },
                    names: vec![name],
                    light,
                    began: outage.began,
                    ended: outage.ended,
                }),
            }
        }
    }
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.began));
    incidents.truncate(MOST_INCIDENTS);
    Ok(incidents)
}

/// The content of the page.
pub(super) fn body(shown: &Shown) -> String {
    let mut page = String::new();
    let all = shown.services.iter();
    let count = |light| all.clone().filter(|service| service.light == light).count();
    let said = match (count(Some(Light::Red)), count(Some(Light::Amber)), count(None), shown.services.len()) {
        (.., 0) => "No service is shown here",
        (0, 0, 0, _) => "All services are working",
        (0, 0, _, _) => "Of some services nothing is known",
        (0, ..) => "Some services are working with limits",
        (red, _, _, all) if red == all => "No service is working",
        _ => "Some services are not working",
    };
    let light = class(shown.light());
    let _ =
        write!(page, "<div class=\"title {light}\"><h1>{said}</h1><p>as of {}</p></div>", Moment(shown.now));
    page.push_str("<ul class=\"public\">");
    for (index, service) in shown.services.iter().enumerate() {
        let sum = service.days.iter().fold(Availability::default(), |sum, day| Availability {
            green_s: sum.green_s + day.availability.green_s,
            amber_s: sum.amber_s + day.availability.amber_s,
            red_s: sum.red_s + day.availability.red_s,
            not_known_s: sum.not_known_s + day.availability.not_known_s,
        });
        let mut told = sum.share().map_or_else(String::new, |share| format!("{} available", Percent(share)));
        let known = sum.green_s + sum.amber_s + sum.red_s;
        let unknown = sum.not_known_s as f64 / (known + sum.not_known_s).max(1) as f64;
        if unknown > WORTH_TELLING {
            let separator = if told.is_empty() { "" } else { ", " };
            let _ = write!(told, "{separator}{} not known", Percent(unknown));
        }
        let _ = write!(
            page,
            "<li><h2>{}</h2>{}{}<p class=\"ends soft\"><span>90 days ago</span><span>{told}</span><span>Today</span></p></li>",
            Markup(&service.name),
            Lamp(service.light),
            chart::bars(&format!("days-{index}"), &format!("The last 90 days: {told}"), &service.days)
        );
    }
    page.push_str("</ul><section aria-labelledby=\"incidents\"><h2 id=\"incidents\">Incidents</h2>");
    if shown.incidents.is_empty() {
        page.push_str("<p>None in the last 90 days.</p></section>");
        return page;
    }
    page.push_str("<ol class=\"log\">");
    for Incident { names, light, began, ended, .. } in &shown.incidents {
        let told: Vec<String> = names.iter().map(|name| Markup(name).to_string()).collect();
        let _ = write!(page, "<li>{} {} ", Lamp(Some(*light)), Moment(*began));
        let _ = match ended {
            Some(ended) => write!(page, "<i>for {}</i>", Length(ended - began)),
            None => write!(page, "<i>goes on, began {}</i>", Ago { at: *began, now: shown.now }),
        };
        let _ = write!(page, " <div>{}</div></li>", told.join(", "));
    }
    page.push_str("</ol></section>");
    page
}
