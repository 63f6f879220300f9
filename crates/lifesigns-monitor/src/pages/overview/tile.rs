//! One service among a thousand: every byte of its markup is there a thousand times.

use std::fmt::Write;

use lifesigns_model::light::Light;

use super::super::markup::{Clipped, Latency, Markup, Megabytes, class, word};
use crate::recent::Minute;
use crate::view::ServiceView;

/// Lights as bars, from the lowest to the highest: the place of their middle in a strip that is 6 high. The style sheet
/// has how high they are.
const BARS: [(Light, &str, &str); 3] =
    [(Light::Green, "", "5"), (Light::Amber, " class=a", "4"), (Light::Red, " class=r", "3")];

/// Writes a tile. End tags that HTML does not ask for are left out, and so are the quotes round plain values; and what
/// says that a service is green, which the style sheet adds, for readers of screens as well.
pub(super) fn tile(page: &mut String, view: &ServiceView) {
    page.push_str("<li");
    if view.light != Some(Light::Green) {
        let _ = write!(page, " class={}", class(view.light));
    }
    let _ = write!(page, "><a href=/services/{}>{}</a>", url(&view.name), Markup(&view.name));
    if view.light != Some(Light::Green) {
        let _ = write!(page, "<b>{}</b>", word(view.light));
    }
    strip(page, "", &view.minutes);
    page.push_str("<p>");
    let mut separator = "";
    let marks = [(view.leak.is_some(), "leak suspected"), (view.maintenance.is_some(), "maintenance")];
    for (_, mark) in marks.into_iter().filter(|(is_so, _)| *is_so) {
        let _ = write!(page, "{separator}<em>{mark}</em>");
        separator = " · ";
    }
    if let Some(version) = &view.about.version {
        let _ = write!(page, "{separator}{}", Clipped(version, 18));
        separator = " · ";
    }
    if let Some(latency) = view.latency_us {
        let _ = write!(page, "{separator}{}", Latency(f64::from(latency)));
        separator = " · ";
    }
    if let Some(used) = view.about.memory_used_mb {
        let _ = write!(page, "{separator}{}", Megabytes(used as f64));
    }
}

/// The last hour: a bar for each minute, as high as it was bad; none where nothing is known.
pub(in crate::pages) fn strip(page: &mut String, attributes: &str, minutes: &[Option<Minute>; 60]) {
    let _ = write!(page, "<svg viewBox=\"0 0 60 6\"{attributes}>");
    for (light, class, y) in BARS {
        let mut end = None;
        let mut from = 0;
        while let Some(begin) = (from..60).find(|index| has(minutes, *index, light)) {
            from = (begin..60).find(|index| !has(minutes, *index, light)).unwrap_or(60);
            let _ = match end {
                None => write!(page, "<path{class} d=M{begin},{y}h{}", from - begin),
                Some(end) => write!(page, "m{},0h{}", begin - end, from - begin),
            };
            end = Some(from);
        }
        if end.is_some() {
            page.push_str(" />");
        }
    }
    page.push_str("</svg>");
}

fn has(minutes: &[Option<Minute>; 60], index: usize, light: Light) -> bool {
    minutes[index].is_some_and(|minute| minute.light == Some(light))
}

/// A name as a segment of a path, which needs no quotes as an attribute.
pub(in crate::pages) fn url(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_a_path_for_each_light_and_a_gap_is_none() {
        let mut minutes: [Option<Minute>; 60] = std::array::from_fn(|index| {
            Some(Minute { minute: index as i64, light: Some(Light::Green), latency_us: None })
        });
        let drawn = |minutes: &_| {
            let mut page = String::new();
            strip(&mut page, "", minutes);
            page
        };
        assert_eq!(drawn(&minutes), "<svg viewBox=\"0 0 60 6\"><path d=M0,5h60 /></svg>");
        minutes[10] = None;
        minutes[11].as_mut().unwrap().light = None;
        for minute in minutes.iter_mut().skip(20).take(5).flatten() {
            minute.light = Some(Light::Red);
        }
        minutes[59].as_mut().unwrap().light = Some(Light::Amber);
        assert_eq!(
            drawn(&minutes),
            "<svg viewBox=\"0 0 60 6\"><path d=M0,5h10m2,0h8m5,0h34 /><path class=a d=M59,4h1 />\
             <path class=r d=M20,3h5 /></svg>"
        );
        assert_eq!(drawn(&[None; 60]), "<svg viewBox=\"0 0 60 6\"></svg>");
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(url("polls-2.eu_west"), "polls-2.eu_west");
        assert_eq!(url("a b/../>\"é"), "a%20b%2F..%2F%3E%22%C3%A9");
    }
}
