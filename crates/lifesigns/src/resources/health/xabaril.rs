//! ASP.NET's health checks as the UI of Xabaril reads them: `Healthy`, `Degraded`, `Unhealthy`.

use std::time::Duration;

use lifesigns_model::light::Light;
use serde_json::{Map, Value, json};

use super::component::{Component, Subject};

pub(super) fn body(subject: &Subject<'_>) -> Value {
    let components = subject.components();
    // Checks run side by side, so the slowest takes as long as all of them.
    let slowest = components.iter().filter_map(|component| component.took).max().unwrap_or_default();
    let entries = components.iter().map(|component| (component.name.to_string(), entry(subject, component)));
    json!({
        "status": status(subject.light()),
        "totalDuration": time_span(slowest),
        "entries": entries.collect::<Map<String, Value>>(),
    })
}

fn entry(subject: &Subject<'_>, component: &Component<'_>) -> Value {
    let mut entry = json!({
        "data": component.data(subject.now),
        "description": component.says,
        "duration": time_span(component.took.unwrap_or_default()),
        "status": status(component.light),
        "tags": [component.kind],
    });
    if let Some(failure) = component.failure {
        entry["data"]["failure"] = json!(failure.name());
    }
    // What the UI shows of a check that threw.
    if let Some(output) = &component.output {
        entry["exception"] = json!(output);
    }
    entry
}

fn status(light: Light) -> &'static str {
    ["Healthy", "Degraded", "Unhealthy"][light as usize]
}

/// A duration as .NET writes a `TimeSpan`: `[d.]hh:mm:ss.fffffff`.
fn time_span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let days = if seconds >= 86_400 { format!("{}.", seconds / 86_400) } else { String::new() };
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{days}{hours:02}:{minutes:02}:{:02}.{:07}", seconds % 60, duration.subsec_nanos() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_dotnet_reads_them() {
        let check = |duration, expected: &str| assert_eq!(time_span(duration), expected);
        check(Duration::ZERO, "00:00:00.0000000");
        check(Duration::from_micros(1_234_567), "00:00:01.2345670");
        check(Duration::from_secs(3 * 3600 + 25 * 60 + 45), "03:25:45.0000000");
        check(Duration::from_secs(2 * 86_400 + 1), "2.00:00:01.0000000");
    }
}
