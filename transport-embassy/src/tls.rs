//! TLS 1.3 around connections of any kind.

use core::fmt;

use docent_core::connect_string::HostPort;
use embedded_tls::pki::CertVerifier;
use embedded_tls::{
    Aes128GcmSha256, Certificate, CertificateRef, CertificateVerifyRef, CryptoProvider,
    SignatureScheme, TlsCipherSuite, TlsConfig, TlsConnection, TlsContext, TlsVerifier,
};
pub use embedded_tls::{CryptoRngCore, NoClock, TlsClock, TlsError};
use p256::ecdsa::{DerSignature, SigningKey};

use crate::dial::Dial;

/// TLS over the connections of `D`, by `embedded-tls`.
///
/// The certificate of the server, its signature and its name are verified; there is no way around
/// that. It must be signed by the [issuer](Identities::issuer) itself: chains are refused, as
/// `embedded-tls` does not look at what their members may sign. Certificates have keys on the curve
/// P-256. `Clock` is for their dates; who has no clock takes [`NoClock`], and accepts
/// what is out of date.
///
/// `CERTIFICATE` is the length of the longest certificate of a server, in bytes.
pub struct Tls<'d, D, R, Clock, const CERTIFICATE: usize = 1024> {
    dial: D,
    rng: R,
    clock: core::marker::PhantomData<Clock>,
    identities: Identities<'d>,
    rx: &'d mut [u8],
    tx: &'d mut [u8],
}

/// Who servers are, and who this board is.
#[derive(Clone, Copy)]
pub struct Identities<'d> {
    /// The certificate that those of servers are signed with, in DER.
    pub issuer: &'d [u8],
    /// The name in the certificates of servers. Otherwise it is that of the connect string, which
    /// must not be an address then.
    pub server_name: Option<&'d str>,
    /// This board's own certificate, in DER, and its private key, a SEC1 key in DER. Servers ask for
    /// one unless their `ssl.clientAuth` says otherwise.
    pub own: Option<(&'d [u8], &'d [u8])>,
}

/// Leaves out what is secret.
impl fmt::Debug for Identities<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum SecureError<E> {
    /// The server could not be reached.
    Dial(E),
    /// The handshake has failed.
    Tls(TlsError),
    /// The server has not proved who it is.
    Unverified,
}

impl<'d, D: Dial, R: CryptoRngCore, Clock: TlsClock, const CERTIFICATE: usize>
    Tls<'d, D, R, Clock, CERTIFICATE>
{
    /// Secures the connections of `dial`. A record that is received must fit `rx`: servers send up to
    /// 16,640 bytes at once. `tx` must take a handshake; a kilobyte will do.
    pub const fn new(
        dial: D,
        rng: R,
        identities: Identities<'d>,
        rx: &'d mut [u8],
        tx: &'d mut [u8],
    ) -> Self {
        Self {
            dial,
            rng,
            clock: core::marker::PhantomData,
            identities,
            rx,
            tx,
        }
    }
}

impl<D: Dial, R: CryptoRngCore, Clock: TlsClock, const CERTIFICATE: usize> Dial
    for Tls<'_, D, R, Clock, CERTIFICATE>
{
    type Connection<'a>
        = TlsConnection<'a, D::Connection<'a>, Aes128GcmSha256>
    where
        Self: 'a;
    type Error = SecureError<D::Error>;

    async fn dial(
        &mut self,
        server: HostPort<'_>,
    ) -> Result<Self::Connection<'_>, SecureError<D::Error>> {
        let plain = self.dial.dial(server).await.map_err(SecureError::Dial)?;
        let mut connection = TlsConnection::new(plain, self.rx, self.tx);
        let name = self.identities.server_name.unwrap_or(server.host);
        let mut parties = Parties::<_, Clock, CERTIFICATE> {
            rng: &mut self.rng,
            own: self.identities.own,
            verifier: Verifier::new(self.identities.issuer),
        };
        let config = TlsConfig::new().with_server_name(name);
        let opened = connection
            .open(TlsContext::new(&config, &mut parties))
            .await;
        opened.map_err(SecureError::Tls)?;
        // A server that skips its certificate is none that `open` would mind.
        if !parties.verifier.has_verified {
            return Err(SecureError::Unverified);
        }
        Ok(connection)
    }
}

/// Both sides of a handshake.
struct Parties<'a, R, Clock: TlsClock, const CERTIFICATE: usize> {
    rng: &'a mut R,
    own: Option<(&'a [u8], &'a [u8])>,
    verifier: Verifier<'a, Clock, CERTIFICATE>,
}

impl<R: CryptoRngCore, Clock: TlsClock, const CERTIFICATE: usize> CryptoProvider
    for Parties<'_, R, Clock, CERTIFICATE>
{
    type CipherSuite = Aes128GcmSha256;
    type Signature = DerSignature;

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut *self.rng
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.verifier)
    }

    fn signer(
        &mut self,
    ) -> Result<(impl signature::SignerMut<DerSignature>, SignatureScheme), TlsError> {
        let (_, key) = self.own.ok_or(TlsError::InvalidPrivateKey)?;
        let key = p256::SecretKey::from_sec1_der(key).map_err(|_| TlsError::InvalidPrivateKey)?;
        Ok((
            SigningKey::from(&key),
            SignatureScheme::EcdsaSecp256r1Sha256,
        ))
    }

    fn client_cert(&mut self) -> Option<Certificate<impl AsRef<[u8]>>> {
        self.own
            .map(|(certificate, _)| Certificate::X509(certificate))
    }
}

/// Verifies the one certificate of a server, and remembers that it has.
struct Verifier<'a, Clock: TlsClock, const CERTIFICATE: usize> {
    inner: CertVerifier<'a, Aes128GcmSha256, Clock, CERTIFICATE>,
    has_certificate: bool,
    has_verified: bool,
}

impl<'a, Clock: TlsClock, const CERTIFICATE: usize> Verifier<'a, Clock, CERTIFICATE> {
    fn new(issuer: &'a [u8]) -> Self {
        Self {
            inner: CertVerifier::new(Certificate::X509(issuer)),
            has_certificate: false,
            has_verified: false,
        }
    }
}

impl<Clock: TlsClock, const CERTIFICATE: usize> TlsVerifier<Aes128GcmSha256>
    for Verifier<'_, Clock, CERTIFICATE>
{
    fn set_hostname_verification(&mut self, name: &str) -> Result<(), TlsError> {
        self.inner.set_hostname_verification(name)
    }

    fn verify_certificate(
        &mut self,
        transcript: &<Aes128GcmSha256 as TlsCipherSuite>::Hash,
        certificate: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        if certificate.entries.len() != 1 {
            return Err(TlsError::InvalidCertificate);
        }
        self.inner.verify_certificate(transcript, certificate)?;
        self.has_certificate = true;
        Ok(())
    }

    fn verify_signature(&mut self, signature: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        // Without a certificate before it, there is nothing to compare it with.
        if !core::mem::take(&mut self.has_certificate) {
            return Err(TlsError::InvalidHandshake);
        }
        self.inner.verify_signature(signature)?;
        self.has_verified = true;
        Ok(())
    }
}
