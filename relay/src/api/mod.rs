//! The relay endpoints: one file each, over a shared way in ([`observables`], [`payload`]) and out ([`envelope`],
//! [`http_error`]). Handlers return typed answers or refusals and never touch statuses, headers or bytes themselves.

pub mod deliberate;
pub mod envelope;
pub mod health;
pub mod http_error;
pub mod lookup;
pub mod observables;
pub mod observe;
pub mod page;
pub mod payload;
pub mod refer;
pub mod tiles;
pub mod version;
pub mod watchdog;

#[cfg(test)]
pub(crate) mod tests;
