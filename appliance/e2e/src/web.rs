//! The researcher's side of a rig: the hub's DICOMweb and pages over HTTPS, with name and password.

use std::{cell::OnceCell, path::Path};

use anyhow::{Context as _, Result, bail};
use reqwest::{
    Certificate, Client, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE},
    redirect::Policy,
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::rig::Rig;

/// A client of a rig's hub. Blocking: each call runs to its end.
#[derive(Debug)]
pub struct Web {
    runtime: Runtime,
    client: Client,
    base: String,
    login: (String, String),
    /// The session's cookie, from the first page on.
    session: OnceCell<String>,
}

impl Web {
    /// A client that trusts the rig's hub and nobody else.
    ///
    /// # Errors
    /// The hub's root certificate cannot be read.
    pub fn new(rig: &Rig) -> Result<Self> {
        Self::with_login(rig, rig.login.clone())
    }

    /// The same with another name and password.
    ///
    /// # Errors
    /// As for [`Web::new`].
    pub fn with_login(rig: &Rig, login: (String, String)) -> Result<Self> {
        // A page that sends to the login form is not a page that was shown.
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .tls_backend_preconfigured(tls(&rig.hub_roots())?)
            .build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, client, base: format!("https://{}", rig.web), login, session: OnceCell::new() })
    }

    /// Status and body of a GET.
    ///
    /// # Errors
    /// No answer.
    pub fn get(&self, path: &str, accept: &str) -> Result<(StatusCode, Vec<u8>)> {
        self.runtime.block_on(async {
            let request = self.client.get(format!("{}{path}", self.base)).header(ACCEPT, accept);
            let response = request.basic_auth(&self.login.0, Some(&self.login.1)).send().await?;
            let status = response.status();
            Ok((status, response.bytes().await?.to_vec()))
        })
    }

    /// A page of the hub, as a person who has logged in by the form sees it.
    ///
    /// # Errors
    /// No answer, the login is refused, or the page is not shown.
    pub fn page(&self, path: &str) -> Result<String> {
        let session = match self.session.get() {
            Some(session) => session,
            None => {
                let session = self.log_in()?;
                self.session.get_or_init(|| session)
            }
        };
        self.runtime.block_on(async {
            let request = self.client.get(format!("{}{path}", self.base)).header(COOKIE, session);
            let response = request.send().await?;
            let status = response.status();
            anyhow::ensure!(status == StatusCode::OK, "{path}: {status}");
            Ok(response.text().await?)
        })
    }

    /// Logs in by the form; the cookie of the session.
    fn log_in(&self) -> Result<String> {
        let mut url = Url::parse(&self.base)?;
        url.query_pairs_mut().append_pair("name", &self.login.0).append_pair("password", &self.login.1);
        let form = url.query().unwrap_or_default().to_owned();
        self.runtime.block_on(async {
            let request = self.client.post(format!("{}/login", self.base)).header(ORIGIN, &self.base);
            let response = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form).send().await?;
            let status = response.status();
            let cookie = response.headers().get(SET_COOKIE).and_then(|cookie| cookie.to_str().ok()?.split(';').next());
            match cookie {
                Some(cookie) if status == StatusCode::SEE_OTHER => Ok(cookie.to_owned()),
                _ => bail!("login: {status}"),
            }
        })
    }

    /// A QIDO-RS query (PS3.18 §10.6): the result list.
    ///
    /// # Errors
    /// No answer, or not a success.
    pub fn query(&self, path: &str) -> Result<Vec<Value>> {
        let (status, body) = self.get(path, "application/dicom+json")?;
        match status {
            StatusCode::NO_CONTENT => Ok(Vec::new()),
            StatusCode::OK => serde_json::from_slice(&body).context("not a DICOM JSON list"),
            other => bail!("{path}: {other}"),
        }
    }

    /// SOP Instance UIDs of every instance the hub serves.
    ///
    /// # Errors
    /// As for [`Web::query`].
    pub fn instances(&self) -> Result<Vec<String>> {
        const PAGE: usize = 500;
        let mut all = Vec::new();
        loop {
            let page = self.query(&format!("/dicomweb/instances?limit={PAGE}&offset={}", all.len()))?;
            let uids = page.iter().map(|row| value(row, "00080018").unwrap_or_default().to_owned());
            let had = all.len();
            all.extend(uids);
            if all.len() - had < PAGE {
                return Ok(all);
            }
        }
    }
}

/// The first value of an attribute in a DICOM JSON object (PS3.18 F.2).
pub fn value<'a>(row: &'a Value, tag: &str) -> Option<&'a str> {
    row.get(tag)?.get("Value")?.get(0)?.as_str()
}

fn tls(roots: &Path) -> Result<rustls::ClientConfig> {
    let pem = std::fs::read(roots).with_context(|| format!("cannot read {}", roots.display()))?;
    // Parsed by reqwest only to fail early with a clear error.
    let _ = Certificate::from_pem_bundle(&pem)?;
    let mut store = rustls::RootCertStore::empty();
    for certificate in rustls_pki_types::pem::PemObject::pem_slice_iter(&pem) {
        store.add(certificate.map_err(|_| anyhow::anyhow!("{} is not PEM", roots.display()))?)?;
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth())
}
