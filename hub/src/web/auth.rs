//! Who asks: HTTP Basic for DICOMweb clients, sessions for pages. Either way the same password check behind the same throttle.
//!
//! A verified Basic credential is remembered in memory for a short time under an HMAC of it, and only while the stored hash
//! is the one it was verified against, so that a new password or a removed user takes effect at once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    password::{Hasher, Verdict},
    secret,
    throttle::Throttle,
};
use crate::{
    boxes::peer,
    error::{HubError, Problem},
    events,
    hub::Hub,
    settings::Settings,
    store::{
        now_ms,
        users::{self, Role, User},
    },
};

/// The session cookie. The prefix binds it to this host, `Secure` and `/` (RFC 6265bis §4.1.3.2).
const COOKIE: &str = "__Host-gift-session";
/// Use of a session is noted at most this often, ms.
const NOTE_USE_MS: i64 = 60_000;
/// Most verified credentials remembered.
const CACHED: usize = 1024;

/// Passwords, throttle, cache and session times.
#[derive(Debug)]
pub struct Auth {
    /// The password hasher.
    pub hasher: Arc<Hasher>,
    throttle: Throttle,
    max_failures: u32,
    cache: Mutex<HashMap<[u8; 32], Cached>>,
    cache_key: [u8; 32],
    cache_for: Duration,
    idle_ms: i64,
    max_ms: i64,
}

#[derive(Debug)]
struct Cached {
    stored: String,
    until: Instant,
}

impl Auth {
    /// With the settings' costs and limits.
    ///
    /// # Errors
    /// Costs that Argon2 does not take; no randomness.
    pub fn new(settings: &Settings) -> Result<Self, HubError> {
        let mut cache_key = [0_u8; 32];
        getrandom::fill(&mut cache_key).map_err(|_| HubError::Ended("the random source"))?;
        let ms = |n: u64, unit: u64| i64::try_from(n.saturating_mul(unit)).unwrap_or(i64::MAX / 4);
        Ok(Self {
            hasher: Arc::new(Hasher::new(&settings.passwords)?),
            throttle: Throttle::new(&settings.throttle),
            max_failures: settings.throttle.max_failures,
            cache: Mutex::default(),
            cache_key,
            cache_for: Duration::from_secs(settings.passwords.basic_cache_seconds),
            idle_ms: ms(settings.sessions.idle_minutes, 60_000),
            max_ms: ms(settings.sessions.max_hours, 3_600_000),
        })
    }

    fn cache_entry(&self, name: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.cache_key);
        digest.update((name.len() as u64).to_be_bytes());
        digest.update(name.as_bytes());
        digest.update(password.as_bytes());
        digest.finalize().into()
    }

    fn is_cached(&self, entry: &[u8; 32], stored: &str) -> bool {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(entry).is_some_and(|cached| cached.stored == stored && cached.until > Instant::now())
    }

    fn remember(&self, entry: [u8; 32], stored: String) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if cache.len() >= CACHED {
            cache.retain(|_, cached| cached.until > now);
        }
        if cache.len() < CACHED {
            cache.insert(entry, Cached { stored, until: now + self.cache_for });
        }
    }
}

/// Verifies a name and password. The answer, its time and its text are the same whether the name or the password is wrong.
///
/// # Errors
/// 401 when wrong, 429 with `Retry-After` while the throttle holds.
pub async fn verify(hub: &Arc<Hub>, name: &str, password: Zeroizing<String>, peer: IpAddr) -> Result<User, Problem> {
    let auth = &hub.auth;
    if let Some(wait) = auth.throttle.wait(name, peer, Instant::now()) {
        let seconds = wait.as_secs().max(1);
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many failed attempts; wait");
        return Err(Problem { retry_after: Some(seconds), ..problem });
    }
    let asked = name.to_owned();
    let found = hub.store.read(move |c| users::find(c, &asked)).await?;
    // An account with too many failures in a row verifies against the decoy: shut, without saying so.
    let usable = found.as_ref().filter(|found| found.failures < auth.max_failures);
    let verdict = auth.hasher.verify(usable.map(|found| found.password.clone()), password).await?;
    let peer_text = peer.to_string();
    match (verdict, found) {
        (Verdict::Right { rehashed }, Some(found)) => {
            auth.throttle.succeeded(name);
            let user = found.user.clone();
            hub.store
                .write(move |c, key| users::verified(c, key, &found.user, &peer_text, rehashed.as_deref()))
                .await?;
            events::login(user.id, peer);
            Ok(user)
        }
        (_, found) => {
            auth.throttle.failed(name, peer, Instant::now());
            let user = found.map(|found| found.user);
            hub.store.write(move |c, key| users::failed(c, key, user.as_ref(), &peer_text)).await?;
            events::login_failed(peer);
            Err(Problem::new(StatusCode::UNAUTHORIZED, "name or password is wrong"))
        }
    }
}

/// The user of a Basic credential.
async fn basic(hub: &Arc<Hub>, credential: &str, peer: IpAddr) -> Result<User, Problem> {
    let unauthorised =
        || Problem { challenge: true, ..Problem::new(StatusCode::UNAUTHORIZED, "name or password is wrong") };
    let decoded = STANDARD.decode(credential.trim()).map_err(|_| unauthorised())?;
    let text = Zeroizing::new(String::from_utf8(decoded).map_err(|_| unauthorised())?);
    let (name, password) = text.split_once(':').ok_or_else(unauthorised)?;
    let entry = hub.auth.cache_entry(name, password);
    let asked = name.to_owned();
    if let Some(found) = hub.store.read(move |c| users::find(c, &asked)).await?
        && hub.auth.is_cached(&entry, &found.password)
    {
        return Ok(found.user);
    }
    let user = verify(hub, name, Zeroizing::new(password.to_owned()), peer)
        .await
        .map_err(|problem| Problem { challenge: problem.status == StatusCode::UNAUTHORIZED, ..problem })?;
    // Read again: verifying may have rehashed.
    let asked = user.name.clone();
    if let Some(found) = hub.store.read(move |c| users::find(c, &asked)).await? {
        hub.auth.remember(entry, found.password);
    }
    Ok(user)
}

/// The session cookie's token, if one was sent.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut pairs = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The user of the session cookie.
async fn session(hub: &Arc<Hub>, headers: &HeaderMap) -> Result<Option<(User, [u8; 32])>, Problem> {
    let Some(hash) = cookie(headers).map(secret::hash) else { return Ok(None) };
    let (idle, max) = (hub.auth.idle_ms, hub.auth.max_ms);
    let Some(session) = hub.store.read(move |c| users::find_session(c, &hash, idle, max)).await? else {
        return Ok(None);
    };
    if now_ms() - session.used_ms > NOTE_USE_MS {
        hub.store.write(move |c, _| users::touch_session(c, &hash)).await?;
    }
    Ok(Some((session.user, hash)))
}

/// Starts a session: the `Set-Cookie` value.
///
/// # Errors
/// The store's.
pub async fn start_session(hub: &Arc<Hub>, user: &User) -> Result<String, Problem> {
    let token = secret::random_token()?;
    let (hash, id, idle, max) = (secret::hash(&token), user.id, hub.auth.idle_ms, hub.auth.max_ms);
    hub.store.write(move |c, _| users::start_session(c, id, hash, idle, max)).await?;
    Ok(format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict"))
}

/// The `Set-Cookie` value that ends the cookie.
pub fn end_cookie() -> String {
    format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// True when an unsafe request comes from the hub's own pages: `Sec-Fetch-Site: same-origin`, or an `Origin` that is this host.
pub fn is_same_origin(parts: &Parts) -> bool {
    let text = |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = parts.headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = parts.uri.authority().map(|a| a.as_str()).or_else(|| text(header::HOST));
    match (text(header::ORIGIN), host) {
        (Some(origin), Some(host)) => origin.strip_prefix("https://") == Some(host),
        _ => false,
    }
}

/// A person on the pages: by session; without one the answer is the login form.
#[derive(Debug, Clone)]
pub struct Person {
    /// The user.
    pub user: User,
    /// Hash of the session's token.
    pub session: [u8; 32],
}

/// Why a page is not shown.
#[derive(Debug)]
pub enum Denied {
    /// No session: to the login form.
    Login,
    /// An error.
    Problem(Problem),
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<HubError> for Denied {
    fn from(error: HubError) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Login => Redirect::to("/login").into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

impl FromRequestParts<Arc<Hub>> for Person {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Denied> {
        let (user, session) = session(hub, &parts.headers).await?.ok_or(Denied::Login)?;
        if !parts.method.is_safe() && !is_same_origin(parts) {
            return Err(
                Problem::new(StatusCode::FORBIDDEN, "this request did not come from the hub's own pages").into()
            );
        }
        Ok(Self { user, session })
    }
}

/// An administrator on the pages.
#[derive(Debug, Clone)]
pub struct Administrator(pub Person);

impl FromRequestParts<Arc<Hub>> for Administrator {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Denied> {
        let person = Person::from_request_parts(parts, hub).await?;
        if person.user.role != Role::Admin {
            return Err(Problem::new(StatusCode::FORBIDDEN, "for administrators").into());
        }
        Ok(Self(person))
    }
}

/// A DICOMweb client: Basic credential, or the session of someone on the pages. All its services only read.
#[derive(Debug, Clone)]
pub struct Client(pub User);

impl FromRequestParts<Arc<Hub>> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Problem> {
        let address = peer(parts)?.address;
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let credential = given.and_then(|v| v.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("basic"));
        if let Some((_, credential)) = credential {
            return basic(hub, credential, address).await.map(Self);
        }
        match session(hub, &parts.headers).await? {
            Some((user, _)) => Ok(Self(user)),
            None => {
                let problem = Problem::new(StatusCode::UNAUTHORIZED, "log in");
                Err(Problem { challenge: true, ..problem })
            }
        }
    }
}
