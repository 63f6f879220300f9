//! What a client app asks for next.

use std::collections::{HashMap, VecDeque};

use hyper::Method;
use serde_json::{Value, json};

use crate::demo::random::Random;

/// Ids remembered for each collection.
const MOST_IDS: usize = 20;

/// A part of what a client app does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Errand {
    Polls,
    Account,
    Shopping,
    Paying,
    Integrating,
    Invoicing,
    Subscribing,
    /// Paths that lead nowhere.
    Wandering,
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<String>,
    /// The collection that has one record more if the answer is 201.
    makes: Option<&'static str>,
}

/// Ids of records that a client app has made, by the path of their collection.
#[derive(Debug, Default)]
pub(super) struct Memory {
    ids: HashMap<&'static str, VecDeque<String>>,
}

impl Memory {
    /// Remembers the id of the record that `planned` made, if it did make one.
    pub(super) fn learn(&mut self, planned: &Planned, made: Option<Value>) {
        let (Some(collection), Some(made)) = (planned.makes, made) else { return };
        let id = match &made["id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => return,
        };
        let ids = self.ids.entry(collection).or_default();
        if ids.len() == MOST_IDS {
            ids.pop_front();
        }
        ids.push_back(id);
    }

    /// One of the ids; now and then one that does not exist. `None` while none is known.
    fn recall(&self, collection: &'static str, random: &Random) -> Option<String> {
        let ids = self.ids.get(collection).filter(|ids| !ids.is_empty())?;
        if random.chance(0.03) {
            return Some(random.below(1_000_000_000).to_string());
        }
        ids.get(random.below(ids.len() as u64) as usize).cloned()
    }
}

/// One of `errands`, each as often as its weight says.
pub(super) fn choose(errands: &[(Errand, u64)], random: &Random) -> Errand {
    let mut left = random.below(errands.iter().map(|(_, weight)| weight).sum());
    for (errand, weight) in errands {
        if left < *weight {
            return *errand;
        }
        left -= weight;
    }
    unreachable!("`left` started below the sum of the weights")
}

/// The next request of an errand. Something has to be made before it can be used, so early requests make.
pub(super) fn plan(errand: Errand, memory: &Memory, random: &Random) -> Planned {
    match errand {
        Errand::Polls => polls(memory, random),
        Errand::Account => account(memory, random),
        Errand::Shopping => shopping(memory, random),
        Errand::Paying => paying(memory, random),
        Errand::Integrating => integrating(memory, random),
        Errand::Invoicing => invoicing(memory, random),
        Errand::Subscribing => subscribing(memory, random),
        Errand::Wandering => {
            let path = ["/user/favicon.ico", "/polls/robots.txt", "/checkout/old/cart", "/invoice/.env"];
            read(path[random.below(4) as usize])
        }
    }
}

fn polls(memory: &Memory, random: &Random) -> Planned {
    const QUESTIONS: &str = "/polls/questions";
    match (random.below(100), memory.recall(QUESTIONS, random)) {
        (0..2, _) | (2..30, None) => {
            let subject = ["Tea", "Coffee", "Water", "Juice"][random.below(4) as usize];
            let question = format!("{subject} in the {}?", ["morning", "evening"][random.below(2) as usize]);
            make(QUESTIONS, &json!({"question": question, "choices": ["yes", "no", "sometimes"]}), random)
        }
        (2..30, Some(id)) => {
            change(Method::POST, format!("{QUESTIONS}/{id}/choices/{}", 1 + random.below(3)))
        }
        (30..45, Some(id)) => read(format!("{QUESTIONS}/{id}")),
        (30..45, None) => read(format!("{QUESTIONS}/1")),
        _ => read(QUESTIONS),
    }
}

fn account(memory: &Memory, random: &Random) -> Planned {
    const USERS: &str = "/user/users";
    match (random.below(100), memory.recall(USERS, random)) {
        (0..15, _) | (_, None) => {
            let number = random.below(5_000);
            let email = format!("person{number}{}example.org", if random.chance(0.05) { "." } else { "@" });
            make(USERS, &json!({"email": email, "name": format!("Person {number}")}), random)
        }
        (15..60, Some(id)) => read(format!("{USERS}/{id}")),
        (60..75, Some(id)) => make("/user/sessions", &json!({"user": id}), random),
        (75..85, Some(id)) => {
            change(Method::PATCH, format!("{USERS}/{id}")).with(&json!({"name": "Another Name"}), random)
        }
        (85..88, Some(id)) => change(Method::DELETE, format!("{USERS}/{id}")),
        _ => read(USERS),
    }
}

fn shopping(memory: &Memory, random: &Random) -> Planned {
    const CARTS: &str = "/checkout/carts";
    match (random.below(100), memory.recall(CARTS, random)) {
        (0..20, _) | (_, None) => Planned { makes: Some(CARTS), ..change(Method::POST, CARTS) },
        (20..60, Some(id)) => change(Method::PUT, format!("{CARTS}/{id}/items/sku-{}", random.below(40)))
            .with(&json!({"quantity": random.below(20)}), random),
        (60..64, Some(id)) => change(Method::DELETE, format!("{CARTS}/{id}/items/sku-{}", random.below(40))),
        (64..80, Some(id)) => change(Method::POST, format!("{CARTS}/{id}/order")),
        (_, Some(id)) => read(format!("{CARTS}/{id}")),
    }
}

fn paying(memory: &Memory, random: &Random) -> Planned {
    const PAYMENTS: &str = "/payment/payments";
    match (random.below(100), memory.recall(PAYMENTS, random)) {
        (0..45, _) | (_, None) => {
            let cents = if random.chance(0.03) { 0 } else { 1 + random.below(100_000) };
            let order = format!("order-{}", random.below(50_000));
            make(PAYMENTS, &json!({"order": order, "cents": cents}), random)
        }
        (45..92, Some(id)) => read(format!("{PAYMENTS}/{id}")),
        (_, Some(id)) => change(Method::POST, format!("{PAYMENTS}/{id}/refund")),
    }
}

fn integrating(memory: &Memory, random: &Random) -> Planned {
    const KEYS: &str = "/developer/keys";
    const WEBHOOKS: &str = "/developer/webhooks";
    let key = memory.recall(KEYS, random);
    let webhook = memory.recall(WEBHOOKS, random);
    match (random.below(100), key, webhook) {
        (0..8, ..) | (_, None, _) => {
            make(KEYS, &json!({"label": format!("key {}", random.below(2_000))}), random)
        }
        (8..16, ..) | (_, _, None) => {
            let scheme = if random.chance(0.1) { "http" } else { "https" };
            make(WEBHOOKS, &json!({"url": format!("{scheme}://partner.example/hooks")}), random)
        }
        (16..50, Some(id), _) => read(format!("{KEYS}/{id}")),
        (50..70, _, Some(id)) => read(format!("{WEBHOOKS}/{id}")),
        (70..73, Some(id), _) => change(Method::DELETE, format!("{KEYS}/{id}")),
        (73..76, _, Some(id)) => change(Method::DELETE, format!("{WEBHOOKS}/{id}")),
        (76..88, ..) => read(WEBHOOKS),
        _ => read(KEYS),
    }
}

fn invoicing(memory: &Memory, random: &Random) -> Planned {
    const INVOICES: &str = "/invoice/invoices";
    match (random.below(100), memory.recall(INVOICES, random)) {
        (0..25, _) | (_, None) => {
            let customer = format!("customer {}", random.below(300));
            let cents = random.below(1_000_000);
            make(INVOICES, &json!({"customer": customer, "cents": cents}), random)
        }
        (25..50, Some(id)) => read(format!("{INVOICES}/{id}")),
        (50..70, Some(id)) => read(format!("{INVOICES}/{id}/document")),
        (70..82, Some(id)) => change(Method::POST, format!("{INVOICES}/{id}/send")),
        _ => read(INVOICES),
    }
}

fn subscribing(memory: &Memory, random: &Random) -> Planned {
    const SUBSCRIPTIONS: &str = "/recurring/subscriptions";
    let plan = ["basic", "plus", "team", "team", "gold"][random.below(5) as usize];
    match (random.below(100), memory.recall(SUBSCRIPTIONS, random)) {
        (0..20, _) | (_, None) => make(
            SUBSCRIPTIONS,
            &json!({"customer": format!("customer {}", random.below(300)), "plan": plan}),
            random,
        ),
        (20..60, Some(id)) => read(format!("{SUBSCRIPTIONS}/{id}")),
        (60..75, Some(id)) => {
            change(Method::PUT, format!("{SUBSCRIPTIONS}/{id}/plan")).with(&json!({"plan": plan}), random)
        }
        (75..85, Some(id)) => change(Method::POST, format!("{SUBSCRIPTIONS}/{id}/cancel")),
        _ => read(SUBSCRIPTIONS),
    }
}

fn read(path: impl Into<String>) -> Planned {
    change(Method::GET, path)
}

fn change(method: Method, path: impl Into<String>) -> Planned {
    Planned { method, path: path.into(), body: None, makes: None }
}

fn make(collection: &'static str, body: &Value, random: &Random) -> Planned {
    Planned { makes: Some(collection), ..change(Method::POST, collection).with(body, random) }
}

impl Planned {
    /// With this body; one in fifty breaks off in the middle.
    fn with(self, body: &Value, random: &Random) -> Planned {
        let mut body = body.to_string();
        if random.chance(0.02) {
            body.truncate(body.len() / 2);
        }
        Planned { body: Some(body), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::demo::services;

    const ERRANDS: [Errand; 8] = [
        Errand::Polls,
        Errand::Account,
        Errand::Shopping,
        Errand::Paying,
        Errand::Integrating,
        Errand::Invoicing,
        Errand::Subscribing,
        Errand::Wandering,
    ];

    #[tokio::test(start_paused = true)]
    async fn the_errands_meet_every_kind_of_answer_and_no_failure_of_their_own() {
        let mut apis = Router::new().nest("/polls", polls::router(polls::Database::in_memory().unwrap()));
        for service in services::all(1) {
            apis = apis.nest(service.prefix, service.app);
        }
        let random = Random::new(1);
        let mut memory = Memory::default();
        let mut statuses = BTreeMap::new();
        // Short enough for the payment service to stay healthy: no answer may be a 5xx.
        for number in 0..2_000 {
            let planned = plan(ERRANDS[number % ERRANDS.len()], &memory, &random);
            let body = Body::from(planned.body.clone().unwrap_or_default());
            let request =
                Request::builder().method(planned.method.clone()).uri(&planned.path).body(body).unwrap();
            let response = apis.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            assert!(status < 500 && status != 405, "{planned:?} was answered with {status}");
            *statuses.entry(status).or_insert(0) += 1;
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            memory.learn(&planned, (status == 201).then(|| serde_json::from_slice(&body).unwrap()));
        }
        let met: Vec<u16> = statuses.keys().copied().collect();
        assert_eq!(met, [200, 201, 204, 400, 404, 409, 422], "{statuses:?}");
        let bad: u32 = statuses.range(400..).map(|(_, count)| count).sum();
        assert!((100..600).contains(&bad), "most requests are good ones: {statuses:?}");
    }

    #[test]
    fn errands_are_chosen_by_weight() {
        let random = Random::new(1);
        let errands = [(Errand::Polls, 3), (Errand::Paying, 1)];
        let polls = (0..4_000).filter(|_| choose(&errands, &random) == Errand::Polls).count();
        assert!((2_900..3_100).contains(&polls), "{polls}");
    }
}
