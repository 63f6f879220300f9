//! What a year of one service takes, and how long it is looked for.

use lifesigns_model::history::EventSelection;

use super::*;

/// Numbers that look random and are the same each time: `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal, with the mean 0 and the deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// One reading a minute, some seconds early or late; latencies that spread by a third, more by day; memory that grows and
/// is let go of; a failure now and then, and sometimes a restart.
fn year() -> impl Iterator<Item = Reading> {
    let mut random = Random(2026);
    let mut memory = 180.0;
    (0..525_600).map(move |minute: i64| {
        let at = minute * 60 + (random.share() * 7.0) as i64;
        let hour = (minute / 60 % 24) as f64;
        let load = 1.0 + 0.5 * (std::f64::consts::TAU * (hour - 9.0) / 24.0).sin();
        let latency = 20_000.0 * load * (0.33 * random.normal()).exp();
        memory += 0.02 + 0.8 * random.normal();
        if memory > 500.0 || random.share() < 1e-5 {
            memory = 180.0;
        }
        memory = f64::max(memory, 150.0);
        let (light, code) = match random.share() {
            share if share < 0.0005 => (Light::Red, 500),
            share if share < 0.002 => (Light::Amber, 503),
            _ => (Light::Green, 200),
        };
        let is_lost = random.share() < 0.0003;
        Reading {
            at,
            light: Some(if is_lost { Light::Red } else { light }),
            code: if is_lost { 0 } else { code },
            latency_us: (!is_lost).then_some(latency as u32),
            memory_mb: (!is_lost).then_some(memory as u32),
        }
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "figures to be looked at")]
fn a_year_of_a_service_at_one_reading_a_minute_takes_less_than_2_mb() {
    // As one year of one service, and as parts of it for several at once, whose blocks lie among each other.
    for services in [1, 5] {
        let place = place();
        let history = open(&place.path);
        let all: Vec<Reading> = year().take(525_600 / services).collect();
        let names: Vec<Arc<str>> = (0..services).map(|number| number.to_string().into()).collect();
        for hour in all.chunks(60) {
            let of_all = names
                .iter()
                .flat_map(|name| hour.iter().map(|reading| Entry::Reading(name.clone(), *reading)));
            append(&history, of_all.collect());
        }
        let began = std::time::Instant::now();
        let kept = readings(&history, "0", ALWAYS);
        let taken = began.elapsed();
        assert_alike(&kept, &all);
        history.close().unwrap();
        assert!(!beside(&place.path, "-wal").exists());
        let bytes = fs::metadata(&place.path).unwrap().len();
        let packed = number(&place.path, "SELECT sum(length(readings)) FROM block");
        println!(
            "{services} services: {bytes} bytes, {packed} in blocks; {} readings in {taken:?}",
            kept.len()
        );
        assert!(bytes <= 2_000_000, "{bytes} bytes for {services} services");
        assert_sound(&place.path);
        assert_eq!(readings(&open(&place.path), "0", ALWAYS).len(), all.len());
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "figures to be looked at")]
fn the_events_of_a_service_are_found_among_those_of_all() {
    const YEAR: i64 = 365 * 24 * HOUR;
    let place = place();
    let history = open(&place.path);
    let mut random = Random(2026);
    let all: Vec<Event> = (0..100_000)
        .map(|number: i64| {
            let began = number * YEAR / 100_000 * 1000;
            let kind = EventKind::ALL[random.next() as usize % EventKind::ALL.len()];
            let service = format!("service-{}", random.next() % 100);
            let ended = began + (random.share() * 600_000.0) as i64;
            event(kind, &number.to_string(), Some(&service), began, Some(ended))
        })
        .collect();
    for events in all.chunks(10_000) {
        append(&history, events.iter().cloned().map(Entry::Event).collect());
    }
    let ask = |service: Option<&str>, from: i64, to: i64, limit: usize| {
        let span = Span { from, to };
        let service: Option<Arc<str>> = service.map(Arc::from);
        let selection = EventSelection { kinds: Vec::new(), service: service.clone(), span, limit };
        let began = std::time::Instant::now();
        let found = history.events(&selection).unwrap();
        println!("{} events of {service:?} in {:?}", found.len(), began.elapsed());
        let is_wanted = |event: &&Event| {
            (service.is_none() || event.service == service)
                && event.began < to * 1000
                && event.ended.is_some_and(|ended| from * 1000 <= ended)
        };
        let expected: Vec<Event> = all.iter().rev().filter(is_wanted).take(limit).cloned().collect();
        assert!(found == expected);
    };
    for _ in 0..2 {
        ask(Some("service-7"), 0, YEAR, usize::MAX);
        ask(Some("service-7"), YEAR / 2, YEAR / 2 + 24 * HOUR, usize::MAX);
        ask(None, 0, YEAR, 100);
        ask(None, YEAR - 24 * HOUR, YEAR, usize::MAX);
        ask(None, YEAR / 3, YEAR / 3 + HOUR, 50);
    }
}
