//! Being told when a light changes.

use std::sync::Arc;

use lifesigns_model::verdict::Transition;
use tokio::sync::broadcast::{self, error::RecvError};

/// Changes that are kept for a subscriber who is slow.
const KEPT_CHANGES: usize = 256;

/// The light of an API has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct LightChange {
    /// Name of the API, or of the process itself.
    pub api: Arc<str>,
    /// When, from what, to what and why.
    pub transition: Transition,
}

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A light has changed.
    Changed(LightChange),
    /// The subscriber was too slow, and so many changes are lost to him. Snapshots say how things stand.
    Missed(u64),
}

/// Changes of lights from the moment of [`crate::Lifesigns::subscribe`] on.
#[derive(Debug)]
pub struct Subscription {
    changes: broadcast::Receiver<LightChange>,
}

impl Subscription {
    /// Waits for the next change; `None` when the process' health is watched no more. Safe to be cancelled: nothing
    /// is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        match self.changes.recv().await {
            Ok(change) => Some(Event::Changed(change)),
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Where changes come from.
#[derive(Debug)]
pub(crate) struct Changes(broadcast::Sender<LightChange>);

impl Changes {
    pub(crate) fn new() -> Changes {
        Changes(broadcast::Sender::new(KEPT_CHANGES))
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        Subscription { changes: self.0.subscribe() }
    }

    /// Tells all subscribers, if there are any.
    pub(crate) fn tell(&self, change: LightChange) {
        // The only failure there is: nobody listens.
        let _nobody = self.0.send(change);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use lifesigns_model::light::Light;
    use lifesigns_model::moment::Moment;

    use super::*;

    fn change(number: usize) -> LightChange {
        let at = Moment { wall: Timestamp::UNIX_EPOCH, elapsed: Duration::from_secs(number as u64) };
        let (from, to) =
            if number.is_multiple_of(2) { (Light::Green, Light::Red) } else { (Light::Red, Light::Green) };
        LightChange { api: "polls".into(), transition: Transition { at, from, to, causes: Arc::default() } }
    }

    #[tokio::test]
    async fn many_are_told_the_same_in_the_same_order() {
        let changes = Changes::new();
        let mut subscribers: Vec<_> = (0..100).map(|_| changes.subscribe()).collect();
        (0..KEPT_CHANGES).for_each(|number| changes.tell(change(number)));
        for subscriber in &mut subscribers {
            for number in 0..KEPT_CHANGES {
                assert_eq!(subscriber.next().await, Some(Event::Changed(change(number))));
            }
        }
    }

    #[tokio::test]
    async fn one_who_is_slow_is_told_how_much_he_missed_and_holds_up_nobody() {
        let changes = Changes::new();
        let mut slow = changes.subscribe();
        let mut quick = changes.subscribe();
        for number in 0..KEPT_CHANGES * 3 {
            changes.tell(change(number));
            assert_eq!(quick.next().await, Some(Event::Changed(change(number))));
        }
        assert_eq!(slow.next().await, Some(Event::Missed(KEPT_CHANGES as u64 * 2)));
        for number in KEPT_CHANGES * 2..KEPT_CHANGES * 3 {
            assert_eq!(slow.next().await, Some(Event::Changed(change(number))));
        }
    }

    #[tokio::test]
    async fn what_was_told_is_still_heard_when_there_is_nothing_more() {
        let changes = Changes::new();
        let mut subscriber = changes.subscribe();
        changes.tell(change(0));
        drop(changes);
        assert_eq!(subscriber.next().await, Some(Event::Changed(change(0))));
        assert_eq!(subscriber.next().await, None);
        assert_eq!(subscriber.next().await, None);
    }

    #[tokio::test]
    async fn nothing_is_told_twice_or_lost_when_waiting_is_given_up() {
        let changes = Changes::new();
        let mut subscriber = changes.subscribe();
        tokio::select! {
            biased;
            event = subscriber.next() => panic!("nothing was told yet: {event:?}"),
            () = std::future::ready(()) => {}
        }
        changes.tell(change(7));
        assert_eq!(subscriber.next().await, Some(Event::Changed(change(7))));
    }
}
