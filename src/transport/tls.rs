//! TLS as all connections use it: one cryptography provider, the system's authorities, and a private one if the config
//! names it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use crate::failure::{Code, Failure};

/// Makes `ring` the provider of cryptography for the process, once, and gives it.
pub fn ready() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let install = || {
        // It fails if somebody was quicker, and then that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        CryptoProvider::get_default()
            .cloned()
            .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
    };
    Arc::clone(PROVIDER.get_or_init(install))
}

/// What connections to an address need.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The address is not one of TLS. Nothing is trusted, and the system's certificates are not read.
    Nothing,
    /// The system's authorities.
    System,
    /// The system's authorities and those in this file (PEM).
    SystemAnd(&'a Path),
}

/// The settings of TLS connections: TLS 1.2 and 1.3, no client certificates, no ALPN.
///
/// # Errors
/// The file cannot be read or holds no certificate, or the system has no authorities.
pub fn client_config(trust: Trust<'_>) -> Result<ClientConfig, Failure> {
    let provider = ready();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(Code::NetTls, format!("TLS cannot be set up: {error}")))?;
    let verifier = match trust {
        Trust::Nothing => {
            return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
        }
        Trust::System => system(provider)?,
        Trust::SystemAnd(file) => {
            let extra = authorities(file)?;
            Verifier::new_with_extra_roots(extra, provider).map(Arc::new).map_err(|error| {
                Failure::new(Code::NetTls, format!("`{}` cannot be used: {error}", file.display()))
                    .remedy("`tls.ca` names a file with certificates in PEM")
            })?
        }
    };
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The system's authorities: reading them takes milliseconds and a few hundred kilobytes, so servers share them.
fn system(provider: Arc<CryptoProvider>) -> Result<Arc<Verifier>, Failure> {
    static SYSTEM: OnceLock<Arc<Verifier>> = OnceLock::new();
    if let Some(verifier) = SYSTEM.get() {
        return Ok(Arc::clone(verifier));
    }
    let verifier = Verifier::new(provider).map(Arc::new).map_err(|error| {
        Failure::new(Code::NetTls, format!("the system's certificate authorities cannot be read: {error}"))
            .remedy("Install the package `ca-certificates`, or set `tls: { ca: FILE }`")
    })?;
    Ok(Arc::clone(SYSTEM.get_or_init(|| verifier)))
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |why: String| {
        Failure::new(Code::NetTls, format!("`tls.ca`: `{}` {why}", file.display()))
            .remedy("Name a file with certificates in PEM")
    };
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(wrong("holds no certificate".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(wrong(format!("cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let failure = client_config(Trust::SystemAnd(&file)).unwrap_err();
        assert!(failure.cause.contains("cannot be read"), "{failure}");
        std::fs::write(&file, "hello").unwrap();
        let failure = client_config(Trust::SystemAnd(&file)).unwrap_err();
        assert_eq!(
            (failure.code, failure.cause.contains("holds no certificate")),
            (Code::NetTls, true),
            "{failure}"
        );
    }
}
