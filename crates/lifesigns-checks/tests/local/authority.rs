//! Certificates for tests, and servers that show them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::harness::{Peer, read_head};

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// An authority whom only those trust who know its file.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

pub(crate) struct Identity {
    pub(crate) certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // A name of its own: an authority of the same name would be taken for it, with a bad signature.
        let name = folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("authority.pem"), certificate.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A certificate for `name` that ends so many days from now.
    pub(crate) fn certify(&self, name: &str, days: i64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = validity(name, days).signed_by(&key, &self.issuer).unwrap();
        Identity { certificate, key }
    }
}

/// A certificate that nobody vouches for.
pub(crate) fn self_signed(name: &str, days: i64) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = validity(name, days).self_signed(&key).unwrap();
    Identity { certificate, key }
}

fn validity(name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let now = SystemTime::now();
    params.not_before = (now - 1000 * DAY).into();
    let ends = DAY * u32::try_from(days.unsigned_abs()).unwrap();
    // Half a day more, so that the days left are these for the whole test.
    params.not_after = (if days < 0 { now - ends } else { now + ends + DAY / 2 }).into();
    params
}

impl Identity {
    /// A server with this certificate that answers what it is asked with `answer`.
    pub(crate) async fn serve(self, answer: String) -> Peer {
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.key())
            .unwrap();
        serve(config, answer).await
    }

    /// A server that speaks only to those who show a certificate of `authority`; over TLS 1.2, where the client hears
    /// of it during the handshake.
    pub(crate) async fn serve_friends(self, authority: &Authority) -> Peer {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
        let friends = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_client_cert_verifier(friends.build().unwrap())
            .with_single_cert(self.chain(), self.key())
            .unwrap();
        serve(config, String::new()).await
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

async fn serve(config: ServerConfig, answer: String) -> Peer {
    let (acceptor, answer) = (TlsAcceptor::from(Arc::new(config)), Arc::new(answer));
    Peer::start(move |stream| {
        let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
        async move {
            // A client that does not trust us goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if !read_head(&mut stream).await.is_empty() {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            let _ = stream.shutdown().await;
        }
    })
    .await
}
