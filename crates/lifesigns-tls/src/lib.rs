//! Whom clients trust over TLS: the authorities of the system, and those of a file if there is one.
//!
//! One place for checks, for what is pushed, and for the keys of issuers elsewhere.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use lifesigns::BadOption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A client that trusts the system's authorities and those in `ca_file`, PEM. It computes with `ring`.
///
/// # Errors
/// When the file cannot be used; without one, when the system has no authorities.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, BadOption> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(error.to_string()))?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The system's authorities and those in `ca_file`, PEM.
///
/// # Errors
/// When the file cannot be used; without one, when the system has no authorities.
pub fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, BadOption> {
    let mut roots = RootCertStore::empty();
    // Certificates that rustls cannot read are some of the system's oldest; nothing can be done about them here.
    let (known, _) = roots.add_parsable_certificates(system_authorities().iter().cloned());
    if let Some(path) = ca_file {
        for certificate in authorities(path)? {
            roots.add(certificate).map_err(|error| {
                bad_file(path, &format!("holds a certificate that cannot be used: {error}"))
            })?;
        }
    } else if known == 0 {
        let fault =
            "is needed: this system has no list of certificate authorities; install one, or name a file";
        return Err(bad(fault));
    }
    Ok(roots)
}

/// The certificates in a file, PEM, one at least.
///
/// # Errors
/// When it cannot be read or holds none.
pub fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadOption> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad_file(path, &format!("cannot be read: {error}")))?;
    if certificates.is_empty() {
        return Err(bad_file(path, "holds no certificate; it should be PEM"));
    }
    Ok(certificates)
}

/// What the system trusts, read once.
pub fn system_authorities() -> &'static [CertificateDer<'static>] {
    static AUTHORITIES: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    AUTHORITIES.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

/// Reads on from the name that all who use this have for the option.
fn bad(fault: impl Into<String>) -> BadOption {
    BadOption::new("ca_file", fault)
}

fn bad_file(path: &Path, fault: &str) -> BadOption {
    bad(format!("{} {fault}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn authorities_of_a_file_are_trusted_besides_those_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert;
        fs::write(&file, own.pem()).unwrap();
        let with_own = roots(Some(&file)).unwrap();
        let mut of_system = RootCertStore::empty();
        let (known, _) = of_system.add_parsable_certificates(system_authorities().iter().cloned());
        assert_eq!(with_own.len(), known + 1);
        assert_eq!(authorities(&file).unwrap(), [own.der().clone()]);
        client_config(Some(&file)).unwrap();
    }

    #[test]
    fn a_file_that_is_of_no_use_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let check = |content: Option<&str>, words: &str| {
            if let Some(content) = content {
                fs::write(&file, content).unwrap();
            }
            let told = roots(Some(&file)).unwrap_err().to_string();
            assert!(
                told.starts_with(&format!("`ca_file` {} ", file.display())) && told.contains(words),
                "{told}"
            );
        };
        check(None, "cannot be read");
        check(Some("no PEM"), "holds no certificate");
        check(Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "cannot be used");
    }
}
