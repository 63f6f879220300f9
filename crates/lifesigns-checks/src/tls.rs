//! Whom checks trust over TLS: the authorities of the system, and those of a file if there is one.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::BadOption;

/// A client that trusts the system's authorities and those in `ca_file`, PEM.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, BadOption> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BadOption::new("ca_file", error.to_string()))?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The system's authorities and those in `ca_file`, PEM.
pub(crate) fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, BadOption> {
    let mut roots = RootCertStore::empty();
    // Certificates that rustls cannot read are some of the system's oldest; nothing can be done about them here.
    let (known, _) = roots.add_parsable_certificates(system_authorities().iter().cloned());
    if let Some(path) = ca_file {
        for certificate in authorities(path)? {
            roots.add(certificate).map_err(|error| {
                bad_ca_file(path, &format!("holds a certificate that cannot be used: {error}"))
            })?;
        }
    } else if known == 0 {
        let message =
            "is needed: this system has no list of certificate authorities; install one, or name a file";
        return Err(BadOption::new("ca_file", message));
    }
    Ok(roots)
}

/// The certificates in a file, one at least.
pub(crate) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadOption> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad_ca_file(path, &format!("cannot be read: {error}")))?;
    if certificates.is_empty() {
        return Err(bad_ca_file(path, "holds no certificate; it should be PEM"));
    }
    Ok(certificates)
}

/// What the system trusts, read once.
pub(crate) fn system_authorities() -> &'static [CertificateDer<'static>] {
    static AUTHORITIES: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    AUTHORITIES.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

fn bad_ca_file(path: &Path, what: &str) -> BadOption {
    BadOption::new("ca_file", format!("{} {what}", path.display()))
}
