//! Subscribers are told of every change, in order, and snapshots agree with what they were told.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lifesigns::model::light::Light;
use lifesigns::{Check, CheckPolicy, Event, Lifesigns, LightChange, Subscription};

/// Nothing here takes so long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

async fn next(subscription: &mut Subscription) -> Option<LightChange> {
    let event = tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap();
    event.map(|event| match event {
        Event::Changed(change) => change,
        Event::Missed(count) => panic!("missed {count}"),
    })
}

#[tokio::test]
async fn changes_come_in_order_and_agree_with_snapshots_and_counts() {
    let is_well = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&is_well);
    let policy = CheckPolicy {
        interval: Duration::from_millis(100),
        failure_threshold: 1,
        recovery_threshold: 1,
        critical: true,
        ..CheckPolicy::default()
    };
    let check = Check::new("switch", move || {
        let is_well = asked.load(Ordering::SeqCst);
        async move { if is_well { Ok(()) } else { Err(std::io::Error::other("switched off")) } }
    });
    let lifesigns = Lifesigns::builder("polls").check(check.with_policy(policy)).start().unwrap();
    let api = lifesigns.own();
    let mut subscriptions: Vec<Subscription> = (0..20).map(|_| lifesigns.subscribe()).collect();
    let first = &mut subscriptions[0];
    let mut last = Light::Amber;
    let mut heard = Vec::new();
    for light in [Light::Green, Light::Red, Light::Green, Light::Red] {
        is_well.store(light == Light::Green, Ordering::SeqCst);
        while last != light {
            let change = next(first).await.unwrap();
            assert_eq!((&*change.api, change.transition.from), ("polls", last));
            last = change.transition.to;
            heard.push(change);
        }
        let snapshot = api.snapshot();
        assert_eq!(
            (snapshot.verdict.light, snapshot.verdict.since),
            (light, heard.last().unwrap().transition.at)
        );
    }
    let kept: Vec<_> = heard.iter().map(|change| change.transition.clone()).collect();
    assert!(api.transitions().ends_with(&kept), "{:?}", api.transitions());
    assert_eq!(api.changes_to(Light::Red), 2);
    let mut told = Vec::new();
    for subscription in &mut subscriptions[1..] {
        let mut same = Vec::new();
        for _ in &heard {
            same.push(next(subscription).await.unwrap());
        }
        told.push(same);
    }
    assert!(told.iter().all(|same| *same == heard));

    drop((api, lifesigns));
    for subscription in &mut subscriptions {
        while next(subscription).await.is_some() {}
    }
}
