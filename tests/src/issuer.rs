//! An issuer of tokens elsewhere: its keys, the server that publishes them, and tokens of all kinds, also such as no
//! honest issuer makes.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{hmac, rand};
use serde_json::{Value, json};

use crate::client::{read_headers, read_line};

/// A key that an issuer signs with.
pub struct Key {
    id: String,
    pair: Pair,
}

enum Pair {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Key {
    /// A new key of Ed25519.
    pub fn ed(id: &str) -> Key {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("there is randomness");
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("it was just made");
        Key { id: id.to_owned(), pair: Pair::Ed(pair) }
    }

    /// The key of Ed25519 in a PEM text.
    pub fn ed_of_pem(id: &str, pem: &str) -> Key {
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der_of(pem)).expect("the text holds an Ed25519 key");
        Key { id: id.to_owned(), pair: Pair::Ed(pair) }
    }

    /// A new key of P-256.
    pub fn ec(id: &str) -> Key {
        let (how, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(how, &random).expect("there is randomness");
        let pair = EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).expect("it was just made");
        Key { id: id.to_owned(), pair: Pair::Ec(pair) }
    }

    /// The one RSA key there is: making one takes what `ring` does not have.
    pub fn rsa(id: &str) -> Key {
        let der = der_of(include_str!("../fixtures/rsa-key.pem"));
        let pair = RsaKeyPair::from_pkcs8(&der).expect("the file holds an RSA key");
        Key { id: id.to_owned(), pair: Pair::Rsa(Box::new(pair)) }
    }

    /// What it signs with, as the header of a token names it.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed(_) => "EdDSA",
            Pair::Ec(_) => "ES256",
            Pair::Rsa(_) => "RS256",
        }
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": text(pair.public_key().as_ref())})
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": text(x), "y": text(y)})
            }
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "kid": self.id, "n": text(&public.n), "e": text(&public.e)})
            }
        }
    }

    /// The bytes of the public half.
    pub fn public(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The usual header of a token of this key.
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "kid": self.id, "typ": "at+jwt"})
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    /// A token with this header, whatever it says. One that names PS256 is signed so by an RSA key.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.signed(&message(header, claims), header["alg"] == "PS256")
    }

    /// Header and claims as they are to be sent, with a signature.
    pub fn sign(&self, message: &str) -> String {
        self.signed(message, false)
    }

    fn signed(&self, message: &str, pss: bool) -> String {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Pair::Ec(pair) => {
                pair.sign(&random, message.as_bytes()).expect("there is randomness").as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let how: &'static dyn RsaEncoding = if pss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(how, &random, message.as_bytes(), &mut signature).expect("there is randomness");
                signature
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn der_of(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).expect("the text is PEM")
}

/// A token that nobody has signed.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.", message(header, claims))
}

/// A token with this header that is signed with a shared secret (HS256).
pub fn with_secret(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = message(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// A token of parts that have been seen before.
pub fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().expect("a token has three parts")
}

/// A part of a token as JSON.
pub fn read_part(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("a part is base64url");
    serde_json::from_slice(&bytes).expect("a part is JSON")
}

/// A part of a token that says this.
pub fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Bytes that nobody can guess, as text.
pub fn secret() -> String {
    let bytes: rand::Random<[u8; 24]> = rand::generate(&SystemRandom::new()).expect("there is randomness");
    URL_SAFE_NO_PAD.encode(bytes.expose())
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", part(header), part(claims))
}

/// What the server of an issuer does when it is asked.
#[derive(Clone, Debug)]
pub enum Publishes {
    /// Answers with these keys.
    Keys(Vec<Value>),
    /// Sends these bytes, and closes the connection.
    Bytes(Vec<u8>),
    /// Takes the connection and says nothing.
    Nothing,
}

impl Publishes {
    /// The public halves of these keys.
    pub fn of(keys: &[&Key]) -> Publishes {
        Publishes::Keys(keys.iter().map(|key| key.jwk()).collect())
    }

    /// An answer with this status and body.
    pub fn answer(status: &str, body: &str) -> Publishes {
        Publishes::Bytes(
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        )
    }
}

/// The server of an issuer. Gone when dropped.
#[derive(Debug)]
pub struct KeyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    publishes: Mutex<Publishes>,
    asked: AtomicU64,
    stopped: AtomicBool,
    /// Connections on which nothing is said; they end with the server.
    silent: Mutex<Vec<TcpStream>>,
}

impl KeyServer {
    /// Starts one on a free port.
    pub fn start(publishes: Publishes) -> KeyServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            publishes: Mutex::new(publishes),
            asked: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            silent: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                if let Ok(stream) = stream {
                    serve(stream, &serving);
                }
            }
        });
        KeyServer { address, shared }
    }

    /// Where its keys are.
    pub fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// Does something else from now on.
    pub fn now(&self, publishes: Publishes) {
        *self.shared.publishes.lock().expect("nothing panics while it is held") = publishes;
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; whether that succeeds or not, there is nothing more to do.
        drop(TcpStream::connect(self.address));
        if let Ok(mut silent) = self.shared.silent.lock() {
            silent.clear();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    // An error here is the other side going away, which is the test's own doing.
    let Ok(line) = read_line(&mut stream) else { return };
    if read_headers(&mut stream).is_err() {
        return;
    }
    let publishes = shared.publishes.lock().expect("nothing panics while it is held").clone();
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let mut stream = stream.into_inner();
    let bytes = match publishes {
        Publishes::Nothing => {
            shared.silent.lock().expect("nothing panics while it is held").push(stream);
            return;
        }
        Publishes::Bytes(bytes) => bytes,
        Publishes::Keys(keys) if line == "GET /keys HTTP/1.1" => {
            let body = json!({"keys": keys}).to_string();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        }
        Publishes::Keys(_) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    };
    let _ = stream.write_all(&bytes);
}
