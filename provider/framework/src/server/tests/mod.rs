//! The service as a CLI sees it, without a process: a small provider of our own, asked through the service's methods.

mod configuration;
mod host;
mod life;
mod others;
mod provider;
mod rules;
mod trouble;
mod upgrade;
