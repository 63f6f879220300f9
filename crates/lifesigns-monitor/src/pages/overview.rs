//! The whole fleet on one page: what is not green first, then every service as a tile.

mod tile;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Display, Write};

use lifesigns_model::light::Light;

use self::tile::tile;
pub(super) use self::tile::{strip, url};
use super::markup::{Ago, Clipped, Count, Lamp, Markup, Moment, class, word, worst};
use super::query::{Query, query};
use crate::alerts::incidents::Incident;
use crate::service::Deploy;
use crate::view::{Counts, ServiceView};

/// So many tiles stand on a page.
const MOST_TILES: usize = 1_000;
/// So many services that are not green have a card; they all have a tile.
const MOST_CARDS: usize = 24;
/// So many names are told of a cascade.
const MOST_NAMES: usize = 12;

/// What whoever looks wants to see.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Part of the name, the version or the environment; in small letters.
    text: String,
    environment: String,
    /// As [`word`] has it; empty: all.
    light: String,
    /// The first tile, counted from 0.
    from: usize,
}

impl From<&Query<'_>> for Wanted {
    fn from(query: &Query<'_>) -> Wanted {
        let text = |name| query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        Wanted {
            text: text("q").to_lowercase(),
            environment: text("environment"),
            light: text("light").replace('-', " "),
            from: text("from").parse().unwrap_or_default(),
        }
    }
}

impl Wanted {
    fn is_everything(&self) -> bool {
        self.text.is_empty() && self.environment.is_empty() && self.light.is_empty()
    }

    fn has(&self, view: &ServiceView) -> bool {
        let says = |text: Option<&str>| text.is_some_and(|text| text.to_lowercase().contains(&self.text));
        let environment = view.environment.as_deref();
        (self.light.is_empty() || self.light == word(view.light))
            && (self.environment.is_empty() || self.environment == environment.unwrap_or_default())
            && (self.text.is_empty()
                || says(Some(&view.name))
                || says(environment)
                || says(view.about.version.as_deref()))
    }

    fn query(&self, light: &str, from: usize) -> String {
        let from = if from == 0 { String::new() } else { from.to_string() };
        query([
            ("q", &*self.text),
            ("environment", &self.environment),
            ("light", &light.replace(' ', "-")),
            ("from", &from),
        ])
    }
}

/// What there is to show.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) counts: Summary,
    environments: BTreeMap<String, Counts>,
    /// How many are wanted.
    matching: usize,
    /// The worst first.
    cards: Vec<ServiceView>,
    /// Cards that there would be.
    not_green: usize,
    /// Tiles by environment.
    tiles: BTreeMap<String, String>,
    banners: String,
    now: i64,
}

impl Shown {
    pub(super) fn of(
        views: impl Iterator<Item = ServiceView>,
        wanted: &Wanted,
        incidents: &[Incident],
        now: i64,
    ) -> Shown {
        let mut shown = Shown { now, ..Shown::default() };
        for incident in incidents.iter().filter(|incident| is_cascade(incident)) {
            banner(&mut shown.banners, incident, now);
        }
        for view in views {
            shown.take(view, wanted);
        }
        // Those whom a banner names come last; what is not known comes after what is known to be bad.
        let told: HashSet<&str> =
            incidents.iter().filter(|incident| is_cascade(incident)).flat_map(out).collect();
        shown
            .cards
            .sort_by_key(|view| (told.contains(&*view.name), Reverse(view.light), Reverse(view.since)));
        shown.not_green = shown.cards.len();
        shown.cards.truncate(MOST_CARDS);
        shown
    }

    fn take(&mut self, view: ServiceView, wanted: &Wanted) {
        let environment = view.environment.as_deref().unwrap_or_default();
        self.counts.0.add(view.light);
        match self.environments.get_mut(environment) {
            Some(counts) => counts.add(view.light),
            None => {
                let mut counts = Counts::default();
                counts.add(view.light);
                self.environments.insert(environment.to_owned(), counts);
            }
        }
        if !wanted.has(&view) {
            return;
        }
        let place = self.matching;
        self.matching += 1;
        if (wanted.from..wanted.from.saturating_add(MOST_TILES)).contains(&place) {
            match self.tiles.get_mut(environment) {
                Some(tiles) => tile(tiles, &view),
                None => {
                    let mut tiles = String::new();
                    tile(&mut tiles, &view);
                    self.tiles.insert(environment.to_owned(), tiles);
                }
            }
        }
        if view.light != Some(Light::Green) {
            self.cards.push(ServiceView { memory: Vec::new(), ..view });
        }
    }

    /// The worst light that is known.
    pub(super) fn worst(&self) -> Option<Light> {
        let Counts { green, amber, red, .. } = self.counts.0;
        let lights = [(green, Light::Green), (amber, Light::Amber), (red, Light::Red)];
        worst(lights.into_iter().filter(|(count, _)| *count > 0).map(|(_, light)| Some(light)))
    }
}

/// How many services have which light, in words.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary(Counts);

impl Summary {
    /// The worst first.
    fn parts(self) -> [(usize, Option<Light>); 4] {
        let Counts { green, amber, red, not_known } = self.0;
        [(red, Some(Light::Red)), (amber, Some(Light::Amber)), (not_known, None), (green, Some(Light::Green))]
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts().into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, light)| format!("{count} {}", word(light))).collect();
        f.write_str(if parts.is_empty() { "no services" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// The form in which one says what one wants to see.
pub(super) fn search(shown: &Shown, wanted: &Wanted) -> String {
    let mut form = String::new();
    let _ = write!(
        form,
        "<form role=\"search\" class=\"filter\" action=\"/\" method=\"get\"><label><span>Find</span>\
         <input type=\"search\" name=\"q\" value=\"{}\" placeholder=\"Name or version\" autocomplete=\"off\"></label>",
        Markup(&wanted.text)
    );
    if shown.environments.len() > 1 || !wanted.environment.is_empty() {
        form.push_str(
            "<label><span>Environment</span><select name=\"environment\"><option value=\"\">all environments</option>",
        );
        let known = shown.environments.keys().filter(|name| !name.is_empty());
        for name in known {
            let selected = if *name == wanted.environment { " selected" } else { "" };
            let _ = write!(form, "<option{selected} value=\"{0}\">{0}</option>", Markup(name));
        }
        form.push_str("</select></label>");
    }
    form.push_str("<label><span>Light</span><select name=\"light\"><option value=\"\">all lights</option>");
    for (_, light) in shown.counts.parts() {
        let name = word(light);
        let selected = if name == wanted.light { " selected" } else { "" };
        let _ = write!(form, "<option{selected} value=\"{}\">{name}</option>", name.replace(' ', "-"));
    }
    form.push_str("</select></label><button>Show</button></form>");
    form
}

/// The content of the page.
pub(super) fn body(shown: &Shown, wanted: &Wanted) -> String {
    let tiles: usize = shown.tiles.values().map(String::len).sum();
    let mut page = String::with_capacity(tiles + 1_000 * shown.cards.len() + 2_000);
    summary(&mut page, shown, wanted);
    page.push_str(&shown.banners);
    cards(&mut page, shown, wanted);
    fleet(&mut page, shown, wanted);
    page
}

fn summary(page: &mut String, shown: &Shown, wanted: &Wanted) {
    let counts = shown.counts.0;
    let all = counts.all();
    page.push_str("<div class=\"summary\"><h1>");
    let _ = match (all, all - counts.green) {
        (0, _) => write!(page, "No service is watched yet"),
        (1, 0) => write!(page, "The service is green"),
        (_, 0) => write!(page, "All {all} services are green"),
        (_, 1) => write!(page, "One of {} is not green", Count(all, "service")),
        (_, count) => write!(page, "{count} of {} are not green", Count(all, "service")),
    };
    page.push_str("</h1><ul class=\"counts\">");
    for (count, light) in shown.counts.parts().into_iter().filter(|(count, _)| *count > 0) {
        let name = word(light);
        let current = if name == wanted.light { " aria-current=\"true\"" } else { "" };
        let _ = write!(
            page,
            "<li><a class=\"lamp {}\" href=\"/{}\"{current}>{count} {name}</a></li>",
            class(light),
            Wanted { light: String::new(), ..Wanted::default() }.query(name, 0)
        );
    }
    page.push_str("</ul>");
    share(page, shown.counts);
    page.push_str("</div>");
    if !wanted.is_everything() {
        let _ = write!(
            page,
            "<p class=\"wanted\">{} of {all} shown. <a href=\"/\">Show all</a></p>",
            Count(shown.matching, "service")
        );
    }
}

/// How much of the fleet has which light, as one bar. The numbers stand beside it.
fn share(page: &mut String, counts: Summary) {
    let all = counts.0.all().max(1) as f64;
    page.push_str(
        "<svg class=\"share\" viewBox=\"0 0 1000 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
    );
    let mut x = 0.0;
    for (count, light) in counts.parts() {
        let width = count as f64 / all * 1000.0;
        if count > 0 {
            let light = class(light);
            let _ = write!(page, "<rect class=\"{light}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"6\"/>");
        }
        x += width;
    }
    page.push_str("</svg>");
}

fn is_cascade(incident: &Incident) -> bool {
    incident.members.len() > 1 && !incident.is_over()
}

/// Whom an incident has, and is still out.
fn out(incident: &Incident) -> impl Iterator<Item = &str> {
    let members = incident.members.iter().map(|member| &member.affected);
    members.filter(|affected| affected.ended.is_none()).map(|affected| &*affected.name)
}

/// Several services that are out together.
fn banner(page: &mut String, incident: &Incident, now: i64) {
    let out = out(incident).count();
    let light: Light = incident.worst().into();
    let _ = write!(
        page,
        "<aside class=\"banner {}\" aria-label=\"Cascade\"><h2><a href=\"/incidents/{}\">Cascade: {} together</a></h2><p>Began {}",
        class(Some(light)),
        url(&incident.id),
        Count(incident.members.len(), "service"),
        Ago { at: incident.began, now },
    );
    if let Some(first) = incident.members.first() {
        let affected = &first.affected;
        let _ = write!(page, " with {}: {}", link(&affected.name), Clipped(&affected.cause, 160));
    }
    if out < incident.members.len() {
        let _ = write!(page, "; {out} still out");
    }
    page.push_str(".</p><p>");
    let shared = incident.shared();
    if !shared.is_empty() {
        let shared: Vec<String> = shared.iter().map(|one| format!("<b>{}</b>", Clipped(one, 100))).collect();
        let _ = write!(page, "In common: {}.", shared.join(", "));
    }
    if let Some(taken) = &incident.acknowledged {
        let _ = write!(page, " {} looks after it.", Clipped(&taken.by, 60));
    }
    page.push_str("</p><p class=\"names\">");
    for member in incident.members.iter().skip(1).take(MOST_NAMES) {
        let _ = write!(page, "{} ", link(&member.affected.name));
    }
    if let Some(more) = incident.members.len().checked_sub(MOST_NAMES + 1).filter(|more| *more > 0) {
        let _ = write!(page, "<a href=\"/incidents/{}\">and {more} more</a>", url(&incident.id));
    }
    page.push_str("</p></aside>");
}

/// A service, as a link to its page.
pub(super) fn link(name: &str) -> String {
    format!("<a href=\"/services/{}\">{}</a>", url(name), Markup(name))
}

fn cards(page: &mut String, shown: &Shown, wanted: &Wanted) {
    if shown.cards.is_empty() {
        return;
    }
    page.push_str(
        "<section aria-labelledby=\"not-green\"><h2 id=\"not-green\">Not green</h2><div class=\"cards\">",
    );
    for view in &shown.cards {
        card(page, view, shown.now);
    }
    page.push_str("</div>");
    if shown.not_green > shown.cards.len() {
        let more = Count(shown.not_green - shown.cards.len(), "more service");
        let _ = write!(page, "<p>{more} not green");
        if wanted.light.is_empty() {
            let _ = write!(page, ": <a href=\"/{}\">red</a>", wanted.query("red", 0));
            let _ = write!(page, ", <a href=\"/{}\">amber</a>", wanted.query("amber", 0));
            let _ = write!(page, ", <a href=\"/{}\">not known</a>", wanted.query("not known", 0));
        }
        page.push_str("; they all are among the tiles.</p>");
    }
    page.push_str("</section>");
}

fn card(page: &mut String, view: &ServiceView, now: i64) {
    let light = class(view.light);
    let _ =
        write!(page, "<article class=\"card {light}\"><h3>{}</h3><p>{}", link(&view.name), Lamp(view.light));
    if view.since > 0 {
        let _ = write!(page, " {}", Ago { at: view.since, now });
    }
    let why = if view.why.is_empty() { "It has not said why." } else { &view.why };
    let _ = write!(page, "</p><p class=\"why\">{}</p><dl class=\"facts\">", Clipped(why, 240));
    let mut fact = |name: &str, value: &dyn Display| {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    };
    if let Some(failing) = view.outage.as_ref().and_then(|outage| outage.failing.as_deref()) {
        fact("First failing", &Clipped(failing, 80));
    }
    if let Some(maintenance) = &view.maintenance {
        let reason = Clipped(&maintenance.reason, 120);
        let until = Moment(maintenance.to);
        let separator = if maintenance.reason.is_empty() { "" } else { ", " };
        fact("Maintenance", &format_args!("{reason}{separator}until {until}"));
    }
    if let Some(deploy) = &view.deploy {
        fact("Last deploy", &format_args!("{}, {}", Change(deploy), Ago { at: deploy.at, now }));
    }
    if let Some(environment) = &view.environment {
        fact("In", &Clipped(environment, 40));
    }
    if view.code != 0 {
        fact("Code", &view.code);
    }
    page.push_str("</dl></article>");
}

/// From what to what a deploy has led.
pub(super) struct Change<'a>(pub(super) &'a Deploy);

impl Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<code>{}</code> → <code>{}</code>", Revision(&self.0.from), Revision(&self.0.to))
    }
}

/// A revision as short as people write it, or a version.
pub(super) struct Revision<'a>(pub(super) &'a str);

impl Display for Revision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_hash = self.0.len() >= 20 && self.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { f.write_str(&self.0[..10]) } else { Clipped(self.0, 40).fmt(f) }
    }
}

fn fleet(page: &mut String, shown: &Shown, wanted: &Wanted) {
    for (environment, tiles) in &shown.tiles {
        let counts = Summary(shown.environments.get(environment).copied().unwrap_or_default());
        let name = match environment.as_str() {
            "" if shown.environments.len() == 1 => "Fleet",
            "" => "Elsewhere",
            name => name,
        };
        let _ = write!(
            page,
            "<section class=\"fleet\"><h2>{} <small>{counts}</small></h2><ul>{tiles}</ul></section>",
            Clipped(name, 60)
        );
    }
    let last = wanted.from.saturating_add(MOST_TILES);
    if wanted.from > 0 || shown.matching > last {
        page.push_str("<nav class=\"pages\" aria-label=\"Tiles\">");
        if wanted.from > 0 {
            let before = wanted.from.saturating_sub(MOST_TILES);
            let _ = write!(
                page,
                "<a href=\"/{}\" rel=\"prev\">Before these</a>",
                wanted.query(&wanted.light, before)
            );
        }
        if shown.matching > last {
            let _ = write!(
                page,
                "<a href=\"/{}\" rel=\"next\">After these</a>",
                wanted.query(&wanted.light, last)
            );
        }
        page.push_str("</nav>");
    }
}

#[cfg(test)]
mod tests;
