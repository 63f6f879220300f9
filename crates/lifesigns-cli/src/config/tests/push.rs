//! `[log]` and `[otlp]`.

use super::{ONE_API, Pretended, read, read_in, told};
use crate::logging::Format;

fn with(text: &str) -> String {
    format!("{text}\n{ONE_API}")
}

#[test]
fn nothing_is_pushed_unless_asked_for() {
    for (text, is_on) in [
        ("", false),
        ("[otlp]\ninterval_seconds = 5", false),
        ("[otlp]\nenabled = false\nendpoint = \"http://collector:4318\"", false),
        ("[otlp]\nenabled = true", true),
        ("[otlp]\nendpoint = \"http://collector:4318\"", true),
    ] {
        assert_eq!(read(&with(text)).unwrap().otlp.is_some(), is_on, "{text}");
    }
    let standard = Pretended::variables(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")]);
    assert!(read_in(ONE_API, &standard).unwrap().otlp.is_none(), "it is set for other programs");
    let own = Pretended::variables(&[("LIFESIGNS_OTLP_ENDPOINT", "http://collector:4318")]);
    assert!(read_in(ONE_API, &own).unwrap().otlp.is_some());
}

#[test]
fn the_environment_stands_over_the_file_and_our_own_over_the_standard() {
    let text = with("[otlp]\nendpoint = \"http://file:1\"");
    let url = |variables: &[(&str, &str)]| {
        read_in(&text, &Pretended::variables(variables)).unwrap().otlp.unwrap().url().to_owned()
    };
    assert_eq!(url(&[]), "http://file:1/v1/metrics");
    assert_eq!(url(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:2")]), "http://otel:2/v1/metrics");
    assert_eq!(url(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://otel:2/x")]), "http://otel:2/x");
    let both = [
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://otel:2"),
        ("LIFESIGNS_OTLP_ENDPOINT", "http://own:3"),
    ];
    assert_eq!(url(&both), "http://own:3/v1/metrics");
}

#[test]
fn secrets_come_from_a_file_or_a_variable_and_are_not_repeated() {
    let text = with("[otlp]\nendpoint = \"http://a\"\nheaders_file = \"h\"\nheaders_env = \"H\"");
    let good = Pretended::variables(&[("H", "x-key=ls_secret")])
        .file("/etc/lifesigns/h", "authorization: Bearer ls_secret\n\nx-tenant: 7\n");
    let options = read_in(&text, &good).unwrap().otlp.unwrap();
    assert!(!format!("{options:?}").contains("ls_secret"));
    for (variable, file) in [
        ("ls_secret", "a: b"),
        ("a=b", "ls_secret"),
        ("a=b", "host: ls_secret"),
        ("a=ls_secret%0A%0Ax", "a: b"),
    ] {
        let bad = Pretended::variables(&[("H", variable)]).file("/etc/lifesigns/h", file);
        let told = told(read_in(&text, &bad));
        assert!(!told.contains("ls_secret"), "{told}");
    }
    assert!(told(read(&text)).contains("`headers_env`: the environment variable H is not set"));
}

#[test]
fn what_cannot_be_pushed_to_is_told_even_while_it_is_off() {
    insta::assert_snapshot!(told(read(&with(
        "[otlp]\nenabled = false\nendpoint = \"collector:4318\"\nheaders = [\"x-tenant polls\", \"host: x\"]\n\
         interval_seconds = 0\ncompression = \"zip\"\n[log]\nformat = \"xml\""
    ))));
    let grpc = Pretended::variables(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    insta::assert_snapshot!(told(read_in(&with("[otlp]\nenabled = true"), &grpc)));
}

#[test]
fn the_log_is_for_people_unless_it_is_asked_for_otherwise() {
    let format = |variables: &[(&str, &str)], text: &str| {
        read_in(&with(text), &Pretended::variables(variables)).unwrap().log_format
    };
    assert_eq!(format(&[], ""), Format::Text);
    assert_eq!(format(&[], "[log]\nformat = \"json\""), Format::Json);
    assert_eq!(format(&[("LIFESIGNS_LOG_FORMAT", "text")], "[log]\nformat = \"json\""), Format::Text);
}
