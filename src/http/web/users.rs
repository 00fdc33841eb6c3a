//! Basic auth: names and passwords, against bcrypt hashes.
//!
//! bcrypt is slow on purpose, so a password that was right is known again by a keyed hash, until the users are read anew. An
//! unknown user takes as long as a known one. Passwords and hashes are written nowhere.

use super::problem;
use crate::config::{Problem, Secret};
use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use ring::hmac;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Who may ask; nobody by name if there are none.
#[derive(Clone, Default)]
pub(in crate::http) struct Users(Option<Arc<Known>>);

struct Known {
    hashes: BTreeMap<String, Secret>,
    /// Made anew with each version.
    key: hmac::Key,
    /// Keyed hashes of name and password, of the last password of each user that was right.
    right: Mutex<BTreeMap<String, hmac::Tag>>,
    /// One check at a time: it takes a whole core, and anybody can ask for one.
    turn: Arc<Semaphore>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().flat_map(|known| known.hashes.keys());
        f.debug_list().entries(names).finish()
    }
}

impl Users {
    /// The users of a configuration; hashes that bcrypt cannot read are noted.
    pub(super) fn new(users: &crate::config::Users, problems: &mut Vec<Problem>) -> Self {
        if users.0.is_empty() {
            return Self(None);
        }
        for (name, hash) in &users.0 {
            if hash.expose().is_none_or(|hash| hash.parse::<bcrypt::HashParts>().is_err()) {
                problems.push(problem("basic_auth_users", format!("the hash of {name:?} is no bcrypt hash")));
            }
        }
        match hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()) {
            Ok(key) => {
                let (hashes, right) = (users.0.clone(), Mutex::default());
                Self(Some(Arc::new(Known { hashes, key, right, turn: Arc::new(Semaphore::new(1)) })))
            }
            Err(_) => {
                problems.push(problem("basic_auth_users", "the system gives no random numbers"));
                Self(None)
            }
        }
    }

    pub(in crate::http) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a request with these headers comes from one of them.
    pub(in crate::http) async fn allow(&self, headers: &HeaderMap) -> bool {
        let (Some(known), Some((name, password))) = (&self.0, given(headers)) else { return false };
        let tag = known.tag(&name, &password);
        if known.was_right(&name, &tag) {
            return true;
        }
        let Ok(turn) = Arc::clone(&known.turn).acquire_owned().await else { return false };
        // Another request with the same password may have been first.
        if known.was_right(&name, &tag) {
            return true;
        }
        let (hash, is_user) = known.hash(&name);
        // A panic in bcrypt, or the end of the program, is a no.
        let check = tokio::task::spawn_blocking(move || {
            let right = hash.expose().is_some_and(|hash| bcrypt::verify(&password, hash).unwrap_or(false));
            // Here, not where it is waited for: a client that leaves does not end the check.
            drop(turn);
            right
        });
        let right = check.await.unwrap_or(false) && is_user;
        if right {
            known.right.lock().unwrap_or_else(PoisonError::into_inner).insert(name, tag);
        }
        right
    }
}

impl Known {
    fn tag(&self, name: &str, password: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&name.len().to_le_bytes());
        context.update(name.as_bytes());
        context.update(password);
        context.sign()
    }

    fn was_right(&self, name: &str, tag: &hmac::Tag) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(name).is_some_and(|right| right.as_ref().ct_eq(tag.as_ref()).into())
    }

    /// The hash of a user, or for an unknown one that of some user, always the same for one name: costs may differ.
    fn hash(&self, name: &str) -> (Secret, bool) {
        if let Some(hash) = self.hashes.get(name) {
            return (hash.clone(), true);
        }
        let tag = hmac::sign(&self.key, name.as_bytes());
        let number = tag.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | usize::from(*byte));
        let other = self.hashes.values().nth(number % self.hashes.len().max(1));
        (other.cloned().unwrap_or_default(), false)
    }
}

/// Name and password of a request, if it has any.
fn given(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let password = decoded.split_off(colon + 1);
    decoded.truncate(colon);
    Some((String::from_utf8(decoded).ok()?, password))
}

#[cfg(test)]
mod tests {
    use super::{AUTHORIZATION, BASE64_STANDARD, Engine, HeaderMap, Users};
    use crate::config::WebConfig;

    fn users(users: &[(&str, &str)]) -> Users {
        let line = |(name, password): &(&str, &str)| format!("  {name}: {}\n", bcrypt::hash(password, 4).unwrap());
        let text = format!("basic_auth_users:\n{}", users.iter().map(line).collect::<String>());
        let mut problems = Vec::new();
        let users = Users::new(&WebConfig::parse("web.yml", &text).unwrap().general.basic_auth_users, &mut problems);
        assert_eq!(problems, []);
        users
    }

    fn known(users: &Users) -> Vec<String> {
        users.0.as_ref().unwrap().right.lock().unwrap().keys().cloned().collect()
    }

    async fn allow(users: &Users, credentials: &str) -> bool {
        let value = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        users.allow(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])).await
    }

    #[tokio::test]
    async fn only_a_password_that_was_right_is_known_again_and_only_for_its_user() {
        let users = users(&[("alice", "one"), ("bob", "two")]);
        for credentials in ["alice:two", "alice:", "eve:one", "eve:two", "alic:eone"] {
            assert!(!allow(&users, credentials).await, "{credentials}");
        }
        assert_eq!(known(&users), Vec::<String>::new());
        assert!(allow(&users, "alice:one").await && allow(&users, "alice:one").await);
        assert_eq!(known(&users), ["alice"]);
        for credentials in ["bob:one", "alice:two", "eve:one", "aliceo:ne"] {
            assert!(!allow(&users, credentials).await, "{credentials}");
        }
        assert!(allow(&users, "bob:two").await);
        assert_eq!(known(&users), ["alice", "bob"]);
    }

    #[tokio::test]
    async fn a_password_that_is_known_waits_for_no_check() {
        let users = users(&[("alice", "one")]);
        assert!(allow(&users, "alice:one").await);
        let turn = std::sync::Arc::clone(&users.0.as_ref().unwrap().turn);
        let _busy = turn.acquire().await.unwrap();
        assert!(allow(&users, "alice:one").await);
    }

    #[test]
    fn an_unknown_user_is_checked_against_the_hash_of_a_known_one_always_the_same() {
        let users = users(&[("alice", "one"), ("bob", "two"), ("carol", "three")]);
        let known = users.0.as_ref().unwrap();
        let of = |name: &str| known.hash(name).0.expose().unwrap().to_owned();
        let mut taken: Vec<String> = (0..100).map(|number| of(&format!("nobody-{number}"))).collect();
        assert!((0..100).all(|number| taken[number] == of(&format!("nobody-{number}"))));
        assert!(!known.hash("nobody-1").1 && known.hash("bob").1);
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 3, "each cost is as likely for an unknown name as for a known one");
    }

    #[test]
    fn neither_hashes_nor_passwords_are_shown() {
        assert_eq!(format!("{:?}", users(&[("alice", "one")])), "[\"alice\"]");
    }
}
