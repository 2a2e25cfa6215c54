//! A server that speaks TLS 1.3 as far as the handshake goes, and leaves out who it is.

use std::cmp::min;
use std::io;

use docent_core::connect_string::HostPort;
use docent_embassy::Dial;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::SystemRandom;

const HANDSHAKE: u8 = 22;
const ENCRYPTED: u8 = 23;
const KEY_SHARE: [u8; 2] = [0, 51];
const P256: [u8; 2] = [0, 23];
/// The version is TLS 1.3.
const SUPPORTED_VERSIONS: [u8; 6] = [0, 43, 0, 2, 3, 4];
const AES_128_GCM_SHA256: [u8; 2] = [0x13, 1];

/// Bytes behind their length, which takes so many bytes itself.
fn block<const N: usize>(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len().to_be_bytes();
    [&len[len.len() - N..], bytes].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [vec![kind], block::<3>(body)].concat()
}

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    [vec![kind, 3, 3], block::<2>(payload)].concat()
}

/// Reads what others have written.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn block(&mut self, bytes_of_len: usize) -> &'a [u8] {
        let len = self.take(bytes_of_len).iter();
        self.take(len.fold(0, |len, byte| len << 8 | usize::from(*byte)))
    }
}

/// What a client's greeting says: the name it gives the session, and its half of a key on P-256.
fn greeting(hello: &[u8]) -> (&[u8], &[u8]) {
    let mut input = Input(hello);
    input.take(1 + 3 + 2 + 32);
    let (session, _ciphers, _compressions) = (input.block(1), input.block(2), input.block(1));
    let mut extensions = Input(input.block(2));
    loop {
        let (kind, body) = (extensions.take(2), extensions.block(2));
        if kind == KEY_SHARE {
            let mut shares = Input(Input(body).block(2));
            while shares.take(2) != P256 {
                shares.block(2);
            }
            return (session, shares.block(2));
        }
    }
}

// ---- the key schedule ----

fn expand(secret: &[u8], label: &str, context: &[u8], count: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let count_bytes = (count as u16).to_be_bytes().to_vec();
    let info = [
        count_bytes,
        block::<1>(label.as_bytes()),
        block::<1>(context),
        vec![1],
    ];
    sign(&Key::new(HMAC_SHA256, secret), &info.concat()).as_ref()[..count].to_vec()
}

fn extract(salt: &[u8], secret: &[u8]) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, salt), secret).as_ref().to_vec()
}

fn hash(transcript: &[u8]) -> Vec<u8> {
    digest(&SHA256, transcript).as_ref().to_vec()
}

/// The secret by which a server encrypts its part of a handshake.
fn server_secret(shared: &[u8], hellos: &[u8]) -> Vec<u8> {
    let early = extract(&[0; 32], &[0; 32]);
    let handshake = extract(&expand(&early, "derived", &hash(&[]), 32), shared);
    expand(&handshake, "s hs traffic", &hash(hellos), 32)
}

/// The first encrypted record.
fn seal(secret: &[u8], messages: &[u8]) -> Vec<u8> {
    let key = UnboundKey::new(&AES_128_GCM, &expand(secret, "key", &[], 16)).unwrap();
    let nonce = Nonce::try_assume_unique_for_key(&expand(secret, "iv", &[], 12)).unwrap();
    let mut payload = [messages, &[HANDSHAKE]].concat();
    let sealed = payload.len() + AES_128_GCM.tag_len();
    let head = record(ENCRYPTED, &vec![0; sealed])[..5].to_vec();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(nonce, Aad::from(head), &mut payload)
        .unwrap();
    record(ENCRYPTED, &payload)
}

// ---- the handshake ----

fn server_hello(session: &[u8], share: &[u8]) -> Vec<u8> {
    let share = [&P256[..], &block::<2>(share)].concat();
    let extensions = [&SUPPORTED_VERSIONS[..], &KEY_SHARE, &block::<2>(&share)].concat();
    let body = [
        vec![3, 3],
        vec![7; 32],
        block::<1>(session),
        AES_128_GCM_SHA256.to_vec(),
        vec![0],
        block::<2>(&extensions),
    ];
    message(2, &body.concat())
}

/// Proves that the server has the secret.
fn finished(secret: &[u8], transcript: &[u8]) -> Vec<u8> {
    let key = Key::new(HMAC_SHA256, &expand(secret, "finished", &[], 32));
    message(20, sign(&key, &hash(transcript)).as_ref())
}

/// Answers a greeting: everything is in order, but for the certificate that is not there.
fn answer(hello: &[u8]) -> Vec<u8> {
    let (session, share) = greeting(hello);
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
    let own_share = own.compute_public_key().unwrap();
    let server_hello = server_hello(session, own_share.as_ref());
    let hellos = [hello, &server_hello].concat();
    let peer = UnparsedPublicKey::new(&ECDH_P256, share);
    let secret = agree_ephemeral(own, &peer, |shared| server_secret(shared, &hellos)).unwrap();
    let extensions = message(8, &block::<2>(&[]));
    let finished = finished(&secret, &[hellos, extensions.clone()].concat());
    let sealed = seal(&secret, &[extensions, finished].concat());
    [record(HANDSHAKE, &server_hello), sealed].concat()
}

// ---- connections ----

/// Connections to such servers.
pub(crate) struct Nameless;

#[derive(Default)]
pub(crate) struct Connection {
    received: Vec<u8>,
    answer: Option<Vec<u8>>,
}

impl Dial for Nameless {
    type Connection<'a> = Connection;
    type Error = io::Error;

    async fn dial(&mut self, _: HostPort<'_>) -> Result<Connection, io::Error> {
        Ok(Connection::default())
    }
}

impl ErrorType for Connection {
    type Error = ErrorKind;
}

impl Read for Connection {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        let received = &self.received;
        let answer = self
            .answer
            .get_or_insert_with(|| answer(Input(&received[3..]).block(2)));
        let count = min(buf.len(), answer.len());
        buf[..count].copy_from_slice(&answer[..count]);
        answer.drain(..count);
        Ok(count)
    }
}

impl Write for Connection {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        self.received.extend(buf);
        Ok(buf.len())
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
