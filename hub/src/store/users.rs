//! Users and their sessions. Passwords come here hashed, session tokens are kept hashed.

use rusqlite::{Connection, OptionalExtension as _};

use super::{
    audit::{self, Action, AuditKey},
    now_ms,
};
use crate::error::{Doing as _, HubError};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Everything a researcher may, and the audit trail.
    Admin,
    /// Fleet page, subjects, DICOMweb.
    Researcher,
}

impl Role {
    /// The word kept in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Researcher => "researcher",
        }
    }

    fn from_word(word: &str) -> Self {
        if word == "admin" { Self::Admin } else { Self::Researcher }
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Database id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
}

/// A user with what a login needs.
#[derive(Clone)]
pub struct Credentials {
    /// The user.
    pub user: User,
    /// Password hash, PHC text.
    pub password: String,
    /// Consecutive failures.
    pub failures: u32,
}

/// Adds a user, or sets the password and role of one.
///
/// # Errors
/// A name that is none, or SQLite's.
pub fn set(connection: &Connection, key: &AuditKey, name: &str, role: Role, password: &str) -> Result<(), HubError> {
    if !super::fleet::is_name(name) {
        return Err(HubError::Setup("a user name is 1 to 64 of a-z, 0-9, '.', '_' and '-'".to_owned()));
    }
    let known = find(connection, name)?;
    match &known {
        Some(known) => {
            connection
                .execute(
                    "UPDATE users SET password = ?2, role = ?3, failures = 0 WHERE id = ?1",
                    (known.user.id, password, role.as_str()),
                )
                .doing("set password")?;
            connection.execute("DELETE FROM sessions WHERE user_id = ?1", [known.user.id]).doing("end sessions")?;
        }
        None => {
            connection
                .execute(
                    "INSERT INTO users(name, role, password, created_ms) VALUES(?1, ?2, ?3, ?4)",
                    (name, role.as_str(), password, now_ms()),
                )
                .doing("add user")?;
        }
    }
    let action = if known.is_some() { Action::PasswordSet } else { Action::UserAdded };
    audit::append(connection, key, "command", action, name)
}

/// Finds a user by name.
///
/// # Errors
/// SQLite's.
pub fn find(connection: &Connection, name: &str) -> Result<Option<Credentials>, HubError> {
    connection
        .prepare_cached("SELECT id, name, role, password, failures FROM users WHERE name = ?1")
        .and_then(|mut s| {
            s.query_row([name], |row| {
                let role = Role::from_word(&row.get::<_, String>(2)?);
                let user = User { id: row.get(0)?, name: row.get(1)?, role };
                Ok(Credentials { user, password: row.get(3)?, failures: row.get(4)? })
            })
            .optional()
        })
        .doing("find user")
}

/// Records a failed login; `user` when the name was a user's.
///
/// # Errors
/// SQLite's.
pub fn failed(connection: &Connection, key: &AuditKey, user: Option<&User>, peer: &str) -> Result<(), HubError> {
    if let Some(user) = user {
        connection
            .execute("UPDATE users SET failures = failures + 1 WHERE id = ?1", [user.id])
            .doing("count failure")?;
    }
    let actor = user.map_or_else(|| "unknown".to_owned(), |user| format!("user:{}", user.name));
    audit::append(connection, key, &actor, Action::LoginFailed, peer)
}

/// Records a verified credential; `rehashed` replaces a password hash of older cost.
///
/// # Errors
/// SQLite's.
pub fn verified(
    connection: &Connection,
    key: &AuditKey,
    user: &User,
    peer: &str,
    rehashed: Option<&str>,
) -> Result<(), HubError> {
    connection.execute("UPDATE users SET failures = 0 WHERE id = ?1", [user.id]).doing("reset failures")?;
    if let Some(hash) = rehashed {
        connection.execute("UPDATE users SET password = ?2 WHERE id = ?1", (user.id, hash)).doing("rehash")?;
    }
    audit::append(connection, key, &format!("user:{}", user.name), Action::LoginOk, peer)
}

/// Starts a session under the hash of its token, and ends those that are over.
///
/// # Errors
/// SQLite's.
pub fn start_session(
    connection: &Connection,
    user: i64,
    hash: [u8; 32],
    idle_ms: i64,
    max_ms: i64,
) -> Result<(), HubError> {
    let now = now_ms();
    connection
        .execute("DELETE FROM sessions WHERE used_ms < ?1 OR created_ms < ?2", (now - idle_ms, now - max_ms))
        .doing("end old sessions")?;
    connection
        .execute("INSERT INTO sessions VALUES(?1, ?2, ?3, ?3)", (hash.as_slice(), user, now))
        .doing("start session")?;
    Ok(())
}

/// A live session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose.
    pub user: User,
    /// Last noted use, ms since the Unix epoch.
    pub used_ms: i64,
}

/// The session under `hash`, unless it is over.
///
/// # Errors
/// SQLite's.
pub fn find_session(
    connection: &Connection,
    hash: &[u8; 32],
    idle_ms: i64,
    max_ms: i64,
) -> Result<Option<Session>, HubError> {
    let now = now_ms();
    connection
        .prepare_cached(
            "SELECT u.id, u.name, u.role, s.used_ms FROM sessions s JOIN users u ON u.id = s.user_id \
             WHERE s.hash = ?1 AND s.used_ms >= ?2 AND s.created_ms >= ?3",
        )
        .and_then(|mut s| {
            s.query_row((hash.as_slice(), now - idle_ms, now - max_ms), |row| {
                let role = Role::from_word(&row.get::<_, String>(2)?);
                let user = User { id: row.get(0)?, name: row.get(1)?, role };
                Ok(Session { user, used_ms: row.get(3)? })
            })
            .optional()
        })
        .doing("find session")
}

/// Notes that a session was used.
///
/// # Errors
/// SQLite's.
pub fn touch_session(connection: &Connection, hash: &[u8; 32]) -> Result<(), HubError> {
    connection
        .execute("UPDATE sessions SET used_ms = ?2 WHERE hash = ?1", (hash.as_slice(), now_ms()))
        .doing("note session")?;
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// SQLite's.
pub fn end_session(connection: &Connection, key: &AuditKey, user: &User, hash: &[u8; 32]) -> Result<(), HubError> {
    connection.execute("DELETE FROM sessions WHERE hash = ?1", [hash.as_slice()]).doing("end session")?;
    audit::append(connection, key, &format!("user:{}", user.name), Action::Logout, &user.name)
}
