//! `/login`, `/logout`.

use std::sync::Arc;

use axum::{
    Form,
    extract::{FromRequest as _, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use maud::html;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    boxes::peer,
    error::Problem,
    hub::Hub,
    store::users,
    web::auth::{self, Denied, Person},
};

/// `GET /login`
pub(super) async fn form() -> Response {
    show(None)
}

fn show(problem: Option<&Problem>) -> Response {
    let content = html! {
        @if let Some(problem) = problem {
            p.error role="alert" {
                @match problem.retry_after {
                    Some(seconds) => { "Too many failed attempts. Try again in " (seconds) " s." },
                    None => "Name or password is wrong.",
                }
            }
        }
        form.login method="post" action="/login" {
            label for="name" { "Name" }
            input id="name" name="name" autocomplete="username" autocapitalize="none" required;
            label for="password" { "Password" }
            input id="password" name="password" type="password" autocomplete="current-password" required;
            button { "Log in" }
        }
    };
    super::page("Log in", None, "/login", &content)
}

#[derive(Deserialize)]
struct Entered {
    name: String,
    password: String,
}

/// `POST /login`
pub(super) async fn log_in(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Denied> {
    let (parts, body) = request.into_parts();
    let address = peer(&parts)?.address;
    if !auth::is_same_origin(&parts) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this request did not come from the hub's own pages").into());
    }
    let Form(entered) = Form::<Entered>::from_request(Request::from_parts(parts, body), &())
        .await
        .map_err(|_| Problem::bad_request("not a login form"))?;
    match auth::verify(&hub, &entered.name, Zeroizing::new(entered.password), address).await {
        Ok(user) => {
            // A new session with a new token: what was there before the login is worth nothing after it.
            let cookie = auth::start_session(&hub, &user).await?;
            Ok(with_cookie(Redirect::to("/"), &cookie))
        }
        Err(problem) if matches!(problem.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) => {
            let mut response = show(Some(&problem));
            *response.status_mut() = problem.status;
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Ok(response)
        }
        Err(problem) => Err(problem.into()),
    }
}

/// `POST /logout`
pub(super) async fn log_out(State(hub): State<Arc<Hub>>, person: Person) -> Result<Response, Denied> {
    hub.store.write(move |c, key| users::end_session(c, key, &person.user, &person.session)).await?;
    Ok(with_cookie(Redirect::to("/login"), &auth::end_cookie()))
}

fn with_cookie(redirect: Redirect, cookie: &str) -> Response {
    let mut response = redirect.into_response();
    // A token is base64url: always a header value.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
