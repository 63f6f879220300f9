//! The rules of draft-inadarei-api-health-check-06, held against what we write.

use jiff::Timestamp;

use super::tests::{lifesigns, scenes, snapshot, subject};
use super::*;

/// Answers in every state, to strangers and to those who may see details: the scene, the code and the body.
fn answers() -> Vec<(&'static str, StatusCode, Value)> {
    let lifesigns = lifesigns();
    let mut answers = Vec::new();
    for scene in scenes() {
        let snapshot = snapshot(&scene, &lifesigns);
        for sees_all in [false, true] {
            let form = Form::Dialect(HealthDialect::HealthJson);
            let (status, content_type, body) = told(&subject(&snapshot, &lifesigns, sees_all), form);
            assert_eq!(content_type, "application/health+json");
            answers.push((scene.name, status, serde_json::from_str(&body).unwrap()));
        }
    }
    answers
}

/// All "component details" of an answer, each with its key.
fn details(body: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let checks = body["checks"].as_object().unwrap().iter();
    checks.flat_map(|(key, list)| list.as_array().unwrap().iter().map(move |details| (key, details)))
}

fn is_status(value: &Value) -> bool {
    matches!(value.as_str(), Some("pass" | "warn" | "fail"))
}

#[test]
fn section_3_members_are_those_of_the_draft() {
    let known =
        ["status", "version", "releaseId", "notes", "output", "checks", "links", "serviceId", "description"];
    for (scene, _, body) in answers() {
        for (key, value) in body.as_object().unwrap() {
            assert!(known.contains(&key.as_str()), "{scene}: {key}");
            match key.as_str() {
                "notes" => assert!(value.as_array().unwrap().iter().all(Value::is_string), "{scene}"),
                "checks" | "links" => assert!(value.is_object(), "{scene}"),
                _ => assert!(value.is_string(), "{scene}: {key}"),
            }
        }
    }
}

#[test]
fn section_3_1_status_goes_with_the_code_and_warn_says_more() {
    for (scene, status, body) in answers() {
        assert!(is_status(&body["status"]), "{scene}");
        let is_failing = body["status"] == "fail";
        assert_eq!(is_failing, status.is_client_error() || status.is_server_error(), "{scene}");
        assert!(is_failing || status.is_success(), "{scene}");
        assert_eq!(body["status"] == "pass", body.get("notes").is_none(), "{scene}: {body}");
    }
}

#[test]
fn section_3_5_and_4_8_there_is_no_output_where_all_is_well() {
    for (scene, _, body) in answers() {
        assert!(body["status"] != "pass" || body.get("output").is_none(), "{scene}");
        for (key, details) in details(&body) {
            assert!(details["status"] != "pass" || details.get("output").is_none(), "{scene}: {key}");
            assert!(details.get("output").is_none_or(Value::is_string), "{scene}: {key}");
        }
    }
}

#[test]
fn section_3_7_links_are_uris() {
    let identity = |repo: &str| crate::Identity { repo: Some(repo.to_owned()), ..crate::Identity::default() };
    let links = |repo: &str| {
        let lifesigns = crate::Lifesigns::builder("items").identity(identity(repo)).start().unwrap();
        let snapshot = crate::Api::snapshot(&lifesigns.own());
        health_json::body(&subject(&snapshot, &lifesigns, false)).get("links").cloned()
    };
    assert_eq!(
        links("https://example.org/abc/items"),
        Some(json!({"about": "https://example.org/abc/items"}))
    );
    assert_eq!(links("abc/items"), None, "that is no URI");
}

#[test]
fn section_4_keys_have_at_most_two_parts_and_lead_to_lists() {
    for (scene, _, body) in answers() {
        for (key, list) in body["checks"].as_object().unwrap() {
            assert!(
                key.matches(':').count() <= 1 && !key.starts_with(':') && !key.ends_with(':'),
                "{scene}: {key}"
            );
            let list = list.as_array().unwrap();
            assert!(!list.is_empty() && list.iter().all(|details| details.as_object().unwrap().len() > 1));
            let ids: Vec<&Value> = list.iter().map(|details| &details["componentId"]).collect();
            assert!(ids.iter().zip(ids.iter().skip(1)).all(|(one, next)| one != next), "{scene}: {key}");
        }
        assert!(body["checks"]["uptime"].is_array(), "{scene}");
    }
}

#[test]
fn sections_4_1_to_4_7_details_are_typed_and_say_when_and_in_which_unit() {
    for (scene, _, body) in answers() {
        for (key, details) in details(&body) {
            let fault = || format!("{scene}: {key}: {details}");
            assert!(
                matches!(details["componentType"].as_str(), Some("component" | "datastore" | "system")),
                "{}",
                fault()
            );
            assert_eq!(key.contains(':'), details["componentId"].is_string(), "{}", fault());
            assert!(is_status(&details["status"]), "{}", fault());
            assert_eq!(
                details.get("observedValue").is_some(),
                details["observedUnit"].is_string(),
                "{}",
                fault()
            );
            assert!(
                !details["observedValue"].is_null() || details.get("observedValue").is_none(),
                "{}",
                fault()
            );
            let affected = details.get("affectedEndpoints");
            assert!(details["status"] != "pass" || affected.is_none(), "{}", fault());
            assert!(
                affected.is_none_or(|list| list.as_array().is_some_and(|list| !list.is_empty())),
                "{}",
                fault()
            );
            // What was measured has a time, and nothing is said to come from the future.
            match details.get("time").and_then(Value::as_str) {
                Some(time) => {
                    let time: Timestamp = time.parse().unwrap();
                    assert!(time <= super::tests::at(100).wall, "{}", fault());
                }
                None => assert!(
                    details.get("observedValue").is_none() || key.starts_with("_other_"),
                    "{}",
                    fault()
                ),
            }
        }
    }
}
