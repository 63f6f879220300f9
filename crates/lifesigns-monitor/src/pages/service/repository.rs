//! Where the code of a service can be looked at, from what it says of itself.

use url::Url;

/// A repository that can be linked to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Repository {
    url: String,
    /// What stands between the repository and a revision, where that is known.
    commits: Option<&'static str>,
}

impl Repository {
    /// From an `http` or `https` URL, from `git@host:owner/name`, or from `owner/name`, which is at GitHub. `None` for
    /// anything else: it is shown, and is no link.
    pub(super) fn read(said: &str) -> Option<Repository> {
        let said = said.trim();
        let text = match said.strip_prefix("git@").and_then(|rest| rest.split_once(':')) {
            Some((host, path)) => format!("https://{host}/{path}"),
            None if is_owner_and_name(said) => format!("https://github.com/{said}"),
            None => said.strip_prefix("git+").unwrap_or(said).to_owned(),
        };
        let mut url = Url::parse(&text).ok()?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some()
        {
            return None;
        }
        let host = url.host_str()?.to_owned();
        url.set_query(None);
        url.set_fragment(None);
        let text = url.as_str().trim_end_matches('/');
        let text = text.strip_suffix(".git").unwrap_or(text);
        Some(Repository { url: text.to_owned(), commits: commits(&host) })
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The address of a revision in it, where it is a hash and the host is one whose addresses are known.
    pub(super) fn revision(&self, revision: &str) -> Option<String> {
        let is_hash =
            (7..=64).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        let commits = self.commits.filter(|_| is_hash)?;
        Some(format!("{}/{commits}/{revision}", self.url))
    }
}

fn commits(host: &str) -> Option<&'static str> {
    match host {
        "github.com" | "codeberg.org" => Some("commit"),
        "bitbucket.org" => Some("commits"),
        host if host.starts_with("gitlab.") => Some("-/commit"),
        host if ["github.", "gitea.", "forgejo."].iter().any(|known| host.starts_with(known)) => {
            Some("commit")
        }
        _ => None,
    }
}

fn is_owner_and_name(said: &str) -> bool {
    let is_word = |word: &str, also: &[u8]| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
        (1..=100).contains(&word.len())
            && word.bytes().all(is_plain)
            && !word.bytes().all(|byte| byte == b'.')
    };
    said.split_once('/').is_some_and(|(owner, name)| is_word(owner, b"-") && is_word(name, b"-._"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_linked_to_where_that_is_safe() {
        let check = |said: &str, url: Option<&str>| {
            assert_eq!(Repository::read(said).map(|one| one.url).as_deref(), url, "{said}");
        };
        check("https://github.com/acme/polls.git", Some("https://github.com/acme/polls"));
        check("http://git.internal/polls/?x=1#y", Some("http://git.internal/polls"));
        check("git@github.com:acme/polls.git", Some("https://github.com/acme/polls"));
        check("git+https://gitlab.com/acme/polls", Some("https://gitlab.com/acme/polls"));
        check("acme/polls.api", Some("https://github.com/acme/polls.api"));
        check("https://user:secret@github.com/acme/polls", None);
        check("javascript:alert(1)", None);
        check("data:text/html,<script>", None);
        check("git@javascript:alert(1)/x", Some("https://javascript/alert(1)/x"));
        check("acme/../polls", None);
        check("acme/..", None);
        check("a b/c", None);
        check("", None);
    }

    #[test]
    fn a_revision_is_linked_to_where_its_address_is_known() {
        let check = |said: &str, revision: &str, url: Option<&str>| {
            assert_eq!(
                Repository::read(said).unwrap().revision(revision).as_deref(),
                url,
                "{said} {revision}"
            );
        };
        check("acme/polls", "2963648", Some("https://github.com/acme/polls/commit/2963648"));
        check(
            "https://gitlab.acme.example/a/b",
            "2963648",
            Some("https://gitlab.acme.example/a/b/-/commit/2963648"),
        );
        check("https://git.acme.example/a/b", "2963648", None);
        check("acme/polls", "../../x", None);
        check("acme/polls", "v1.2.3", None);
    }
}
