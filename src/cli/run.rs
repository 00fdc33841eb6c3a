//! `run`: the daemon.

use super::{ConfigArgs, Failure, log};
use crate::app::{self, Input, Journal, Log, Reload};
use crate::config::Config;
use crate::http::Web;
use anyhow::Context;
use clap::Args;
use std::future::Future;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Args, Clone, Default)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address and port to listen on, such as 127.0.0.1:8497; port 0 takes any
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// What to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How to log: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// TLS, headers and users (basic auth) of the listener: a file as for Prometheus' exporters
    #[arg(long, value_name = "FILE")]
    web_config_file: Option<String>,
}

pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    let flags = vec![
        ("http.listen", args.listen),
        ("log.level", args.log_level),
        ("log.format", args.log_format),
        ("http.web_config_file", args.web_config_file),
    ];
    let config = args.config.load(flags.clone())?;
    let (source, file) = (args.config.clone(), args.config.file());
    let load = move || source.load(flags.clone()).map_err(|failure| failure.to_string());
    let reload = move |hangup| Reload { file, load: Box::new(load), hangup };
    let tls = Web::open(&config.http)?.has_tls();
    log::init(&config.log);
    let input = Input::open(&config)?;
    daemon(config, input, Box::new(Log), Some(reload), |address| {
        tracing::info!(%address, tls, version = app::VERSION, "listening");
    })
}

/// Done when SIGTERM or SIGINT comes; from here on they do not end the process by themselves.
pub(super) fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Runs the daemon until SIGTERM or SIGINT.
pub(super) fn daemon(
    config: Config,
    input: Input,
    journal: Box<dyn Journal>,
    reload: Option<impl FnOnce(Signal) -> Reload>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(async {
        let wanted = config.http.listen.0;
        let listener = TcpListener::bind(wanted).await.with_context(|| {
            format!("cannot listen on {wanted}; --listen takes another address, and port 0 any free port")
        })?;
        let hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
        let reload = reload.map(|reload| reload(hangup));
        listening(listener.local_addr().context("the address that is listened on")?);
        let stop = stop_signal()?;
        app::run(config, input, listener, journal, reload, stop).await
    })?;
    Ok(())
}
