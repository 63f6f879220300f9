//! A message by electronic mail.
//!
//! Whoever is refused by the server is left out and told of in the log, so that one address that has gone does not keep
//! a message from all others. The messages of an incident are answers to its first one, so that mail programs show them
//! together.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lifesigns::BadOption;
use tokio::time::timeout;

use super::webhook::deadline;
use super::{DEADLINE, Undelivered};
use crate::alerts::outbox::Delivery;
use crate::alerts::payload::{Payload, key};
use lifesigns::{Redaction, Secret};

/// The last one with a year of four digits, in milliseconds since 1970: a mail can have no later one.
const LAST_DATE: i64 = 253_402_300_799_000;
/// How long a server is waited for once it has the mail.
const GOODBYE: Duration = Duration::from_secs(2);

/// How the connection to the server is kept private.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encryption {
    /// It begins in the clear and goes on over TLS (RFC 3207); a server that cannot do so is sent nothing. Port 587.
    #[default]
    StartTls,
    /// TLS from the beginning (RFC 8314). Port 465.
    Tls,
    /// Not at all. Port 25.
    Plain,
}

/// Which server, who writes, and to whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EmailOptions {
    /// The server.
    pub host: String,
    /// Default: what is usual with the encryption.
    pub port: Option<u16>,
    /// Default: STARTTLS.
    pub encryption: Encryption,
    /// Who logs in. Default: nobody.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<Secret>,
    /// Who writes: `monitor@example.org`, or `Monitor <monitor@example.org>`.
    pub from: String,
    /// Who reads, one at least.
    pub to: Vec<String>,
    /// A file of certificate authorities in PEM, which are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long an attempt may take. Default 10 s.
    pub deadline: Duration,
}

impl EmailOptions {
    /// A mail over STARTTLS without a login.
    pub fn new(host: impl Into<String>, from: impl Into<String>, to: Vec<String>) -> EmailOptions {
        EmailOptions {
            host: host.into(),
            port: None,
            encryption: Encryption::default(),
            user: None,
            password: None,
            from: from.into(),
            to,
            ca_file: None,
            deadline: DEADLINE,
        }
    }
}

/// Mails to some people.
#[derive(Clone)]
pub struct Email {
    host: String,
    port: u16,
    encryption: Encryption,
    tls: Option<TlsParameters>,
    login: Option<Credentials>,
    from: Mailbox,
    to: Vec<Mailbox>,
    hello: ClientId,
    redaction: Redaction,
    receiver: String,
    deadline: Duration,
}

/// Without the login.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email")
            .field("receiver", &self.receiver)
            .field("encryption", &self.encryption)
            .field("has_login", &self.login.is_some())
            .field("from", &self.from.email)
            .field("to", &self.to.iter().map(|to| &to.email).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Email {
    /// Checks the options.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new(options: &EmailOptions) -> Result<Email, BadOption> {
        let host = options.host.trim();
        if host.is_empty()
            || host.contains(|character: char| character.is_whitespace() || character.is_control())
        {
            return Err(BadOption::new("host", format!("is no name of a server: {host:?}")));
        }
        if options.to.is_empty() {
            return Err(BadOption::new("to", "is empty, so nobody would be told"));
        }
        let to = options.to.iter().map(|to| mailbox("to", to)).collect::<Result<Vec<_>, _>>()?;
        let login = match (&options.user, &options.password) {
            (None, None) => None,
            (Some(_), Some(_)) if options.encryption == Encryption::Plain => {
                let fault = "would be sent in the clear; set `encryption` to STARTTLS or TLS";
                return Err(BadOption::new("password", fault));
            }
            (Some(user), Some(password)) => {
                Some(Credentials::new(user.clone(), password.reveal().to_owned()))
            }
            (Some(_), None) => return Err(BadOption::new("password", "is missing beside `user`")),
            (None, Some(_)) => return Err(BadOption::new("user", "is missing beside `password`")),
        };
        let tls = match options.encryption {
            Encryption::Plain => None,
            Encryption::StartTls | Encryption::Tls => Some(tls(host, options)?),
        };
        let port = options.port.unwrap_or(match options.encryption {
            Encryption::StartTls => 587,
            Encryption::Tls => 465,
            Encryption::Plain => 25,
        });
        Ok(Email {
            host: host.to_owned(),
            port,
            encryption: options.encryption,
            tls,
            login,
            from: mailbox("from", &options.from)?,
            to,
            hello: hello(),
            redaction: Redaction::of(options.password.iter().map(Secret::reveal)),
            receiver: format!("the mail server {host}:{port}"),
            deadline: deadline(options.deadline)?,
        })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), Undelivered> {
        let mail = self.written(delivery).map_err(|error| {
            Undelivered::for_good(&format!("no mail could be made of the message: {error}"))
        })?;
        let mut server = self.connect().await.map_err(|error| self.undelivered(&error))?;
        let refused = self.hand_over(&mut server, &mail.formatted()).await?;
        for (recipient, why) in refused {
            tracing::warn!(id = delivery.id, %recipient, why, "a recipient was refused; all others have the mail");
        }
        // It has the mail: whatever it says now, and however late, is no reason to send it again.
        tokio::spawn(async move { timeout(GOODBYE, server.quit()).await.is_ok_and(|said| said.is_ok()) });
        Ok(())
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn receiver(&self) -> &str {
        &self.receiver
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let server = (self.host.as_str(), self.port);
        let from_the_start = self.tls.clone().filter(|_| self.encryption == Encryption::Tls);
        let mut server =
            AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, from_the_start, None).await?;
        if let (Encryption::StartTls, Some(tls)) = (self.encryption, &self.tls) {
            server.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(login) = &self.login {
            server.auth(DEFAULT_MECHANISMS, login).await?;
        }
        Ok(server)
    }

    /// Hands a mail over; returns who was refused, as long as somebody was not.
    async fn hand_over(
        &self,
        server: &mut AsyncSmtpConnection,
        mail: &[u8],
    ) -> Result<Vec<(String, String)>, Undelivered> {
        let undelivered = |error: Error| self.undelivered(&error);
        let from = Mail::new(Some(self.from.email.clone()), Vec::new());
        server.command(from).await.map_err(undelivered)?;
        let mut refused = Vec::new();
        let mut is_for_good = true;
        for to in &self.to {
            match server.command(Rcpt::new(to.email.clone(), Vec::new())).await {
                Ok(_) => {}
                Err(error) if error.status().is_some() => {
                    is_for_good &= error.is_permanent();
                    refused.push((to.email.to_string(), self.undelivered(&error).why));
                }
                Err(error) => return Err(self.undelivered(&error)),
            }
        }
        if refused.len() == self.to.len() {
            let why = refused.into_iter().next().map(|(_, why)| why).unwrap_or_default();
            return Err(Undelivered { is_final: is_for_good, why, retry_after: None });
        }
        server.command(Data).await.map_err(undelivered)?;
        server.message(mail).await.map_err(undelivered)?;
        Ok(refused)
    }

    fn undelivered(&self, error: &Error) -> Undelivered {
        let why = self.redaction.hide(&format!("{}: {error}", self.receiver));
        if error.is_permanent() { Undelivered::for_good(&why) } else { Undelivered::for_now(&why) }
    }

    fn written(&self, delivery: &Delivery) -> Result<Message, lettre::error::Error> {
        let payload = Payload::of(delivery);
        let domain = self.from.email.domain();
        let id = |id: &str| format!("<{}@{domain}>", key(id));
        let (own, first) = (id(&delivery.id), id(&delivery.message.first_id(&delivery.route)));
        let created = delivery.created.clamp(0, LAST_DATE).cast_unsigned();
        let mut mail = Message::builder()
            .from(self.from.clone())
            .subject(payload.title())
            .date(UNIX_EPOCH + Duration::from_millis(created))
            .message_id(Some(own.clone()))
            // RFC 3834: no one should send back that they are on holiday.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        if own != first {
            mail = mail.in_reply_to(first.clone()).references(first);
        }
        mail.body(payload.text().to_owned())
    }
}

fn mailbox(option: &'static str, text: &str) -> Result<Mailbox, BadOption> {
    let mailbox: Mailbox = text.trim().parse().map_err(|error| {
        BadOption::new(option, format!("holds {text:?}, which is no address of mail: {error}"))
    })?;
    if !mailbox.email.to_string().is_ascii() {
        let fault = format!("holds {text:?} with letters beyond ASCII; write its domain as `xn--…`");
        return Err(BadOption::new(option, fault));
    }
    if mailbox.name.as_ref().is_some_and(|name| name.contains(char::is_control)) {
        return Err(BadOption::new(option, format!("holds {text:?} with a character that no name has")));
    }
    Ok(mailbox)
}

/// The authorities of the system and those of the file, like everywhere.
fn tls(host: &str, options: &EmailOptions) -> Result<TlsParameters, BadOption> {
    lifesigns_tls::client_config(options.ca_file.as_deref())?;
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = &options.ca_file {
        for authority in lifesigns_tls::authorities(path)? {
            let certificate = Certificate::from_der(authority.to_vec()).map_err(|error| {
                BadOption::new("ca_file", format!("{} cannot be used: {error}", path.display()))
            })?;
            parameters = parameters.add_root_certificate(certificate);
        }
    }
    parameters
        .build()
        .map_err(|error| BadOption::new("host", format!("cannot be spoken to over TLS: {error}")))
}

/// How this machine introduces itself: by its name, if that can be one (RFC 5321 §4.1.1.1).
fn hello() -> ClientId {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().unwrap_or_default();
    let is_one = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'.');
    if !name.is_empty() && name.len() <= 255 && name.bytes().all(is_one) {
        ClientId::Domain(name.to_owned())
    } else {
        ClientId::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> EmailOptions {
        EmailOptions {
            encryption: Encryption::Plain,
            ..EmailOptions::new(
                "mail.example",
                "Monitor <monitor@example.org>",
                vec!["ops@example.org".to_owned()],
            )
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_without_secrets() {
        let check = |set: &dyn Fn(&mut EmailOptions), words: &str| {
            let mut options = options();
            set(&mut options);
            let told = Email::new(&options).unwrap_err().to_string();
            assert!(told.contains(words) && !told.contains("opensesame"), "{told}");
        };
        let password = || Some(Secret::new("opensesame"));
        check(&|options| options.host = "a b".to_owned(), "`host` is no name");
        check(&|options| options.host = String::new(), "`host` is no name");
        check(&|options| options.to = Vec::new(), "`to` is empty");
        check(&|options| options.to = vec!["ops".to_owned()], "`to` holds \"ops\"");
        check(&|options| options.to = vec!["ops@exämple.org".to_owned()], "beyond ASCII");
        check(&|options| options.from = "a@b.c\r\nBcc: d@e.f".to_owned(), "`from` holds");
        check(&|options| options.password = password(), "`user` is missing");
        check(&|options| options.user = Some("me".to_owned()), "`password` is missing");
        check(&|options| options.deadline = Duration::ZERO, "`deadline`");
        check(
            &|options| (options.user, options.password) = (Some("me".to_owned()), password()),
            "in the clear",
        );
        let no_file = |options: &mut EmailOptions| {
            options.encryption = Encryption::Tls;
            options.ca_file = Some("/nowhere/ca.pem".into());
        };
        check(&no_file, "`ca_file` /nowhere/ca.pem");
    }

    #[test]
    fn no_secret_is_printed() {
        let options = EmailOptions {
            encryption: Encryption::Tls,
            user: Some("monitor".to_owned()),
            password: Some(Secret::new("opensesame")),
            ..options()
        };
        let email = Email::new(&options).unwrap();
        assert_eq!(email.receiver(), "the mail server mail.example:465");
        let printed = format!("{options:?} {email:?}");
        assert!(!printed.contains("opensesame"), "{printed}");
    }
}
