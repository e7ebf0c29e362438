//! A real Kubernetes for tests, on a plain Linux machine and without a container engine.
//!
//! There are two levels. A [`ControlPlane`] is etcd, kube-apiserver and kube-controller-manager: it starts in seconds,
//! stores and validates objects and runs controllers, but has no node. A [`Cluster`] adds scheduler, kubelet, containerd,
//! kube-proxy and CoreDNS: pods run. Each lives in a [`sandbox`] of its own, so any number run side by side with the
//! same addresses; the API server is reached through a loopback port of this process. What a cluster leaves on the
//! machine is nothing, also after a crash. `docs/testing.md` has the timings and what is not proved here.

mod addons;
pub mod api;
pub mod audit;
pub mod build;
pub mod control_plane;
pub mod debian;
pub mod image;
pub mod kind;
mod local;
mod memory;
pub mod network_policy;
pub mod node;
pub mod pki;
pub mod process;
pub mod programs;
pub mod running;
pub mod sandbox;
mod settings;
mod state;
pub mod workload;

pub use addons::Traefik;
pub use api::{Access, Api, ApiError};
pub use control_plane::{ControlPlane, StartError};
pub use image::Image;
pub use memory::Memory;
pub use node::Cluster;
