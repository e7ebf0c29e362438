//! Who may ask, and with which OTX key.

pub mod resolver;
