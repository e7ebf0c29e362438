//! Which image the pods run: the operator's, changed where the resource says so and the operator allows it.

use super::{Policy, Refused};
use crate::api::conditions::Reason;
use crate::api::v1alpha1::{Image, PullPolicy};

/// The image of the pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenImage {
    /// `repository`, with `:tag`, `@digest` or both.
    pub reference: String,
    /// When a node asks the registry.
    pub pull_policy: PullPolicy,
}

pub(super) fn choose(image: Option<&Image>, policy: &Policy) -> Result<ChosenImage, Refused> {
    let own = Parts::of(&policy.image);
    let Some(image) = image else {
        return Ok(ChosenImage { reference: policy.image.clone(), pull_policy: policy.pull_policy });
    };
    let repository = image.repository.as_deref().unwrap_or(own.repository);
    if repository != own.repository && !policy.allowed_repositories.iter().any(|allowed| allows(allowed, repository))
    {
        return Err(Refused {
            reason: Reason::ImageNotAllowed,
            message: format!(
                "spec.image.repository names {repository:?}, which the operator does not allow; remove it, or have the \
                 operator's administrator allow the repository"
            ),
        });
    }
    // A tag or digest of another image says nothing about this one.
    let (tag, digest) = match (&image.tag, &image.digest) {
        (None, None) => (own.tag, own.digest),
        (tag, digest) => (tag.as_deref(), digest.as_deref()),
    };
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
    Ok(ChosenImage {
        reference: format!("{repository}{tag}{digest}"),
        pull_policy: image.pull_policy.unwrap_or(policy.pull_policy),
    })
}

fn allows(allowed: &str, repository: &str) -> bool {
    allowed == repository || (allowed.ends_with('/') && repository.starts_with(allowed))
}

struct Parts<'a> {
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(reference: &'a str) -> Self {
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (reference, None),
        };
        // A colon before a slash is that of the registry's port.
        match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((repository, tag)) => Self { repository, tag: Some(tag), digest },
            None => Self { repository: rest, tag: None, digest },
        }
    }
}
