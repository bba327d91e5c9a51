//! The hub put together: what every request needs, the two listeners, and the end.

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
};

use crate::{
    boxes,
    check::Checker,
    error::{Doing as _, HubError},
    events,
    pki::Pki,
    server::{self, Listener},
    settings::Settings,
    store::Store,
    tls::{self, ServerCertificate},
    web::{self, auth::Auth},
};

/// How often certificates are looked at.
const DAILY: Duration = Duration::from_hours(24);

/// Downloads at a time.
const DOWNLOADS: usize = 64;

/// Downloads of system updates at a time: apart from the others, so that a fleet that updates itself keeps no researcher out.
const UPDATE_DOWNLOADS: usize = 64;

/// What every request may need.
#[derive(Debug)]
pub struct Hub {
    /// Settings.
    pub settings: Settings,
    /// Certificates.
    pub pki: Pki,
    /// Database and archive.
    pub store: Store,
    /// The check of arriving objects.
    pub checker: Checker,
    /// Uploads under way.
    pub uploads: Arc<Semaphore>,
    /// Downloads under way.
    pub downloads: Arc<Semaphore>,
    /// Downloads of system updates under way.
    pub update_downloads: Arc<Semaphore>,
    /// Passwords, sessions, throttles.
    pub auth: Auth,
}

impl Hub {
    /// Opens everything under the settings' data directory, making it on first start.
    ///
    /// # Errors
    /// Whatever keeps a part from opening.
    pub fn open(settings: Settings) -> Result<Self, HubError> {
        let store = Store::open(&settings.data_directory)?;
        let pki = Pki::open(&settings.data_directory)?;
        let checker = Checker::new(&settings)?;
        let uploads = Arc::new(Semaphore::new(settings.ingest.concurrent_uploads));
        let downloads = Arc::new(Semaphore::new(DOWNLOADS));
        let update_downloads = Arc::new(Semaphore::new(UPDATE_DOWNLOADS));
        let auth = Auth::new(&settings)?;
        Ok(Self { settings, pki, store, checker, uploads, downloads, update_downloads, auth })
    }

    /// Makes certificates of both listeners if they are not there.
    ///
    /// # Errors
    /// See [`Pki::server`].
    pub fn make_certificates(&self) -> Result<(), HubError> {
        self.pki.server("box", &self.settings.box_listener.names)?;
        self.pki.server("web", &self.settings.web_listener.names)?;
        Ok(())
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps the hub from serving.
pub async fn run(settings: Settings) -> Result<(), HubError> {
    let hub = Arc::new(Hub::open(settings)?);
    hub.store.archive().clear_incoming()?;
    let certificates = [
        ServerCertificate::load(&hub.pki, "box", &hub.settings.box_listener.names)?,
        ServerCertificate::load(&hub.pki, "web", &hub.settings.web_listener.names)?,
    ];
    let (stop, stopped) = watch::channel(false);
    let boxes = Listener {
        name: "box",
        socket: server::listen("box", hub.settings.box_listener.address)?,
        tls: tls::for_boxes(&hub.pki, Arc::clone(&certificates[0]))?,
        allow: None,
        max_connections: hub.settings.box_listener.max_connections,
        router: boxes::router(Arc::clone(&hub)),
    };
    let web = Listener {
        name: "web",
        socket: server::listen("web", hub.settings.web_listener.address)?,
        tls: tls::for_web(Arc::clone(&certificates[1]))?,
        allow: Some(hub.settings.web_listener.allow.clone()),
        max_connections: hub.settings.web_listener.max_connections,
        router: web::router(Arc::clone(&hub)),
    };
    let addresses = (boxes.socket.local_addr().doing("address")?, web.socket.local_addr().doing("address")?);
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).doing("wait for SIGTERM")?,
        signal(SignalKind::interrupt()).doing("wait for SIGINT")?,
    );
    let listeners =
        [tokio::spawn(server::serve(boxes, stopped.clone())), tokio::spawn(server::serve(web, stopped.clone()))];
    let refreshing = tokio::spawn(refresh(Arc::clone(&hub), certificates));

    events::serving(addresses.0, addresses.1);
    notify("READY");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    events::stopping();
    notify("STOPPING");
    refreshing.abort();
    let _ = stop.send(true);
    for listener in listeners {
        let _ = listener.await;
    }
    Ok(())
}

async fn refresh(hub: Arc<Hub>, certificates: [Arc<ServerCertificate>; 2]) {
    let mut daily = tokio::time::interval(DAILY);
    daily.tick().await;
    loop {
        if let Some(end) = hub.pki.issuing_ends_soon() {
            events::issuing_ends(end);
        }
        daily.tick().await;
        for certificate in &certificates {
            if let Err(error) = certificate.refresh(&hub.pki) {
                events::internal(&error);
            }
        }
    }
}

fn notify(key: &str) {
    // Without a service manager nobody listens; with one, its own timeout sees the silence.
    let _ = systemd::daemon::notify([(key, "1")].iter());
}
