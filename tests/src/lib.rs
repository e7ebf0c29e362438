//! Everything heavier than a unit test: fake upstreams, a real Kubernetes, a fault proxy, the contract and fault suites,
//! benchmarks.

pub mod bench;
pub mod binaries;
pub mod canonical;
pub mod chart;
pub mod checkov;
pub mod cluster;
pub mod command;
pub mod custom_resource;
pub mod engine;
pub mod eventually;
pub mod fake_otx;
pub mod faultproxy;
pub mod faults;
pub mod footprint;
pub mod issuer;
pub mod jwks_server;
pub mod materials;
pub mod names;
pub mod operator;
pub mod oracle;
pub mod otlp;
pub mod process;
pub mod prometheus;
pub mod readme;
pub mod refusals;
pub mod relay;
pub mod reply;
pub mod schema;
pub mod shared;
pub mod tls;
pub mod traffic;
pub mod trial;
pub mod wire;
pub mod world;
pub mod xtask;
