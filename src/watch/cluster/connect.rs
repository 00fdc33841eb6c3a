//! A client of the API server, from a kubeconfig or the pod's service account.

use super::Settings;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("there is no way to a cluster: {0}; name a kubeconfig by kubernetes.kubeconfig or KUBECONFIG, or run in a pod")]
pub struct ConnectError(String);

/// Makes a client; credentials are read anew each time.
///
/// # Errors
/// If there is no configuration, or it is wrong.
pub async fn connect(settings: &Settings) -> Result<kube::Client, ConnectError> {
    let wrong = |error: &dyn std::fmt::Display| ConnectError(error.to_string());
    let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match (&settings.kubeconfig, &settings.context) {
        (Some(path), _) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| wrong(&error))?
        }
        (None, Some(_)) => kube::Config::from_kubeconfig(&options).await.map_err(|error| wrong(&error))?,
        (None, None) => kube::Config::infer().await.map_err(|error| wrong(&error))?,
    };
    // Retries are ours: kube's own would go on for minutes without a word.
    config.default_retry = false;
    config.connect_timeout = Some(settings.request_timeout);
    kube::Client::try_from(config).map_err(|error| wrong(&error))
}
