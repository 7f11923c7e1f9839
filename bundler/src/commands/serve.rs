//! `serve`: the bundle as a read-only registry.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::{BaseArgs, Context, TrustArgs};
use crate::distribution::{Access, Service, TlsIdentity};
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};
use crate::shelf::Shelf;

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle serve site-1.0.ferry --trust release.pub --listen 127.0.0.1:5000\n  crane ls 127.0.0.1:5000/docker.io/library/nginx\n\nImages stand under their full name (docker.io/library/nginx) and, where only one registry has it, under the\nname without the registry, which is what containerd asks a mirror for."
)]
pub struct Args {
    /// The bundle.
    pub bundle: PathBuf,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,
    /// Serve HTTPS with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// What an upgrade package is applied to.
    #[command(flatten)]
    pub base: BaseArgs,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Serves until Ctrl-C or SIGTERM.
pub async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let bundle = Arc::new(args.base.attach(args.trust.open(&args.bundle, context)?, &args.trust)?);
    bundle.check_bases()?;
    let shelf = Arc::new(Shelf::of(bundle.clone())?);
    for clash in shelf.clashes() {
        let text = format!("{clash}: the image is served under its full name only");
        context.reporter.event(&Event::Note { text });
    }
    let reporter = context.reporter.clone();
    let mut service = Service::new(shelf).with_access_log(move |access: &Access| {
        let text =
            format!("{} {} {} {} {} bytes", access.peer, access.method, access.target, access.status, access.sent);
        reporter.event(&Event::Note { text });
    });
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        let chain = std::fs::read_to_string(cert).map_err(failure::io("read", cert))?;
        let key = std::fs::read_to_string(key).map_err(failure::io("read", key))?;
        service = service
            .with_tls(TlsIdentity::from_pem(&chain, &key).map_err(|error| Failure::of(ExitCode::Input, &error))?);
    }
    let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::of(ExitCode::Machine, &error).while_doing(format!("can't listen on {}", args.listen))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::of(ExitCode::Machine, &error))?;
    let text =
        format!("serving {} on {address} ({}); Ctrl-C ends it", args.bundle.display(), bundle.assurance().describe());
    let data = serde_json::json!({ "address": address.to_string(), "trusted": bundle.assurance().is_trusted() });
    context.reporter.event(&Event::Result { text, data });
    let ended = async {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        match terminate {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    service.serve(listener, ended).await.map_err(|error| Failure::of(ExitCode::Machine, &error))
}
