//! The command line of the simulator.

use anyhow::{Context, Result};
use clap::Parser;
use forklift_sim::core::Span;
use forklift_sim::driver::{self, Options};
use forklift_sim::memory;
use forklift_sim::scenario::Scenario;
use std::io::Write;
use std::path::PathBuf;

/// Acts as the Forklift controller, with disks and guests played.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// How to reach the API server. Without it, as kubectl does.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How much faster than a real cluster time runs.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// A scenario to carry out. May be given several times.
    #[arg(long = "scenario", value_name = "FILE")]
    scenarios: Vec<PathBuf>,
    /// Define Forklift's kinds first.
    #[arg(long)]
    crds: bool,
    /// Stop when all scenarios have ended.
    #[arg(long)]
    once: bool,
    /// Play the scenarios in memory instead and print what a watch would have seen, in the form of a recording.
    #[arg(long, value_name = "RFC 3339", conflicts_with_all = ["kubeconfig", "crds", "once"])]
    play_from: Option<jiff::Timestamp>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
    anyhow::ensure!(arguments.speed.is_finite() && arguments.speed > 0.0, "--speed must be more than 0");
    let read = |path: &PathBuf| -> Result<Scenario> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Scenario::parse(&text).with_context(|| path.display().to_string())
    };
    let scenarios = arguments.scenarios.iter().map(read).collect::<Result<Vec<_>>>()?;
    if let Some(from) = arguments.play_from {
        return print(scenarios, arguments.speed, from);
    }
    // The first provider to be installed wins; another one would do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client(arguments.kubeconfig.as_deref()).await?;
    if arguments.crds {
        driver::apply_crds(&client).await?;
    }
    let options = Options { speed: arguments.speed, scenarios, once: arguments.once };
    driver::run(client, options, stopped()).await
}

fn print(scenarios: Vec<Scenario>, speed: f64, from: jiff::Timestamp) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for scenario in scenarios {
        for event in memory::play(scenario, speed, from, Span::seconds(30 * 24 * 3600))? {
            // As in the recordings, which have no maps.
            if matches!(event.object["kind"].as_str(), Some("NetworkMap" | "StorageMap")) {
                continue;
            }
            serde_json::to_writer(&mut out, &event)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}

async fn client(kubeconfig: Option<&std::path::Path>) -> Result<kube::Client> {
    let config = match kubeconfig {
        None => kube::Config::infer().await?,
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path)?;
            kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await?
        }
    };
    Ok(kube::Client::try_from(config)?)
}

/// Resolves on Ctrl-C or SIGTERM.
async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        let _ = interrupted.await;
        return;
    };
    tokio::select! {
        _ = interrupted => {}
        _ = terminated.recv() => {}
    }
}
