//! Both ways at once, once client and upstream have agreed on another protocol.

use std::{rc::Rc, sync::Arc};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::{serve::Clients, watch::Watch};

/// Copies bytes both ways until both sides have ended. The tunnel counts as a client until then.
pub(crate) fn open(clients: &Rc<Clients>, watch: &Arc<Watch>, client: OnUpgrade, upstream: OnUpgrade) {
    watch.upgraded();
    let presence = clients.enter(watch.clone());
    tokio::task::spawn_local(async move {
        let _presence = presence;
        match tokio::try_join!(client, upstream) {
            Ok((client, upstream)) => {
                let mut client = TokioIo::new(client);
                let mut upstream = TokioIo::new(upstream);
                if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
                    tracing::debug!(%error, "a tunnel broke");
                }
            }
            Err(error) => tracing::debug!(%error, "a tunnel was agreed on but did not come about"),
        }
    });
}
