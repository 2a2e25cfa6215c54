//! Boards that speak TLS, with a server that does so by rustls.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use docent_core::client::Client as _;
use docent_core::connect_string::HostPort;
use docent_core::session::State;
use docent_embassy::{
    Buffers, Client, Dial, Identities, NoClock, Resources, Runner, SecureError, Settings, Tls,
};
use embassy_futures::block_on;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use p256::pkcs8::DecodePrivateKey as _;
use rand_core::OsRng;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::nameless::Nameless;
use super::world::{Job, Pipe, Pipes, World, sleep};
use super::{create, get};

/// A certificate and its key, in DER.
struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Identity {
    fn new(name: &str, authority: &Authority) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        Self {
            certificate: certificate.der().to_vec(),
            key: key.serialize_der(),
        }
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone().into()]
    }

    /// As boards keep it.
    fn of_board(self) -> (&'static [u8], &'static [u8]) {
        let key = p256::SecretKey::from_pkcs8_der(&self.key).unwrap();
        let key = key.to_sec1_der().unwrap().to_vec();
        (Vec::leak(self.certificate), Vec::leak(key))
    }
}

/// A server with this identity, which wants its clients to have one from `clients`.
fn server(
    chain: Vec<CertificateDer<'static>>,
    identity: &Identity,
    clients: Option<&Authority>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.clone()));
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// Connections to servers that speak TLS.
struct Secure {
    pipes: Pipes,
    config: Arc<ServerConfig>,
}

struct Secured {
    pipe: Pipe,
    tls: ServerConnection,
    failed: bool,
}

impl Dial for Secure {
    type Connection<'a> = Secured;
    type Error = &'static str;

    async fn dial(&mut self, server: HostPort<'_>) -> Result<Secured, &'static str> {
        Ok(Secured {
            pipe: self.pipes.dial(server).await?,
            tls: ServerConnection::new(self.config.clone()).expect("a good configuration"),
            failed: false,
        })
    }
}

impl ErrorType for Secured {
    type Error = ErrorKind;
}

impl Read for Secured {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        loop {
            if self.tls.wants_write() {
                let mut room = &mut *buf;
                return self.tls.write_tls(&mut room).map_err(|_| ErrorKind::Other);
            }
            let mut plain = [0; 512];
            let count = self.pipe.read(&mut plain).await?;
            if count == 0 || self.failed {
                return Ok(0);
            }
            let written = self.tls.writer().write_all(&plain[..count]);
            written.map_err(|_| ErrorKind::Other)?;
        }
    }
}

impl Write for Secured {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        let mut bytes = buf;
        let taken = self
            .tls
            .read_tls(&mut bytes)
            .map_err(|_| ErrorKind::Other)?;
        self.failed |= self.tls.process_new_packets().is_err();
        let mut plain = Vec::new();
        // It says that there is no more for now.
        let _ = self.tls.reader().read_to_end(&mut plain);
        self.pipe.write_all(&plain).await?;
        Ok(taken)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

type Board = Runner<'static, Tls<'static, Secure, OsRng, NoClock>>;

fn board(
    world: &World,
    config: Arc<ServerConfig>,
    identities: Identities<'static>,
) -> (Client<'static>, Board) {
    let room = |size| Vec::leak(vec![0; size]);
    let secure = Secure {
        pipes: Pipes::new(world),
        config,
    };
    let dial = Tls::new(secure, OsRng, identities, room(16_640), room(2048));
    let buffers = Buffers {
        rx: room(1024),
        tx: [room(512), room(512)],
        bodies: room(512),
    };
    let resources = Box::leak(Box::new(Resources::<1, 1>::new()));
    docent_embassy::new(dial, Settings::new("m0"), resources, buffers, 1).expect("good settings")
}

fn trusting(authority: &Authority, server_name: &'static str) -> Identities<'static> {
    Identities {
        issuer: Vec::leak(authority.der().to_vec()),
        server_name: Some(server_name),
        own: None,
    }
}

fn job(mut runner: Board) -> Vec<Job> {
    vec![Box::pin(async move {
        runner.run().await;
    })]
}

/// Whether a board gets to use a server.
fn is_served(config: Arc<ServerConfig>, identities: Identities<'static>) -> bool {
    let world = World::new();
    let (client, runner) = board(&world, config, identities);
    let servers = world.clone();
    world.run_beside(job(runner), async {
        sleep(Duration::from_secs(20)).await;
        let served = client.status().state != State::Connecting;
        // Nothing was said to a server that is not trusted.
        let sessions = servers.ensemble(|ensemble| ensemble.sessions().count());
        assert_eq!(sessions, usize::from(served));
        served
    })
}

#[test]
fn a_board_speaks_to_a_server_it_can_verify() {
    let authority = authority();
    let identity = Identity::new("zk.example", &authority);
    let config = server(identity.chain(), &identity, None);
    let world = World::new();
    let (client, runner) = board(&world, config, trusting(&authority, "zk.example"));
    let servers = world.clone();
    world.run_beside(job(runner), async {
        create(client, "/a", &[7; 300]).await.unwrap();
        assert_eq!(get(client, "/a").await.unwrap(), [7; 300]);
        let session = client.session_id();
        servers.cut(session);
        while get(client, "/a").await.is_err() {}
        assert_eq!(client.session_id(), session);
        client.close().await;
    });
}

#[test]
fn a_board_proves_who_it_is() {
    let (authority, boards) = (authority(), authority());
    let identity = Identity::new("zk.example", &authority);
    let config = server(identity.chain(), &identity, Some(&boards));
    let anonymous = trusting(&authority, "zk.example");
    let known = Identities {
        own: Some(Identity::new("board-7", &boards).of_board()),
        ..anonymous
    };
    let unknown = Identities {
        own: Some(Identity::new("board-7", &authority).of_board()),
        ..anonymous
    };
    assert!(is_served(config.clone(), known));
    assert!(!is_served(config.clone(), unknown));
    assert!(!is_served(config, anonymous));
}

#[test]
fn a_server_that_cannot_be_verified_is_refused() {
    let (ours, other) = (authority(), authority());
    let identity = Identity::new("zk.example", &ours);
    let config = server(identity.chain(), &identity, None);
    assert!(is_served(config.clone(), trusting(&ours, "zk.example")));
    assert!(!is_served(config.clone(), trusting(&ours, "other.example")));
    assert!(!is_served(config, trusting(&other, "zk.example")));
    let forged = Identity::new("zk.example", &other);
    let forged = server(forged.chain(), &forged, None);
    assert!(!is_served(forged, trusting(&ours, "zk.example")));
}

/// A client's certificate must not vouch for a server.
#[test]
fn what_a_certificate_of_no_authority_has_signed_is_refused() {
    let ours = authority();
    let mut params = CertificateParams::new(vec!["board-7".to_owned()]).unwrap();
    params.is_ca = IsCa::NoCa;
    let key = KeyPair::generate().unwrap();
    let board = CertifiedIssuer::signed_by(params, key, &ours).unwrap();
    let forged = Identity::new("zk.example", &board);
    let chain = [forged.chain(), vec![board.der().clone()]].concat();
    let config = server(chain, &forged, None);
    assert!(!is_served(config, trusting(&ours, "zk.example")));
}

#[test]
fn a_server_that_does_not_say_who_it_is_is_refused() {
    let room = |size| Vec::leak(vec![0; size]);
    let identities = trusting(&authority(), "zk.example");
    let mut dial: Tls<'_, _, _, NoClock> =
        Tls::new(Nameless, OsRng, identities, room(16_640), room(2048));
    let server = HostPort {
        host: "zk.example",
        port: 2281,
    };
    let refused = block_on(dial.dial(server)).err();
    assert!(
        matches!(refused, Some(SecureError::Unverified)),
        "{refused:?}"
    );
}
