//! One step of a request as a span: what it was, how long it took, whether it failed. A step is recorded only inside a
//! request that is; everywhere else a [`Span`] is inert and costs a look at a thread-local. Tokens and keys are never
//! handed to it, observables only through [`Span::set_observable`], which asks the settings.

use opentelemetry::context::FutureExt;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer as _};
use opentelemetry::{Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SdkTracer;
use url::Url;

use super::{Exemplar, TraceId};

/// What stands in place of a value that is not to be told.
const REDACTED: &str = "REDACTED";

/// A step under way. It ends when this is dropped, also for a caller who went away.
#[derive(Debug)]
pub(crate) struct Span(Option<Context>);

/// Where the spans of a request go; every context of the request carries it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) tracer: SdkTracer,
    pub(super) records_observables: bool,
}

impl Span {
    /// Records nothing.
    pub(crate) const fn inert() -> Self {
        Self(None)
    }

    /// The first step of a request.
    pub(super) fn root(context: Context) -> Self {
        Self(Some(context))
    }

    /// A step inside the one that this code runs in. `attributes` are made only if it is recorded.
    pub(crate) fn child(kind: SpanKind, name: &'static str, attributes: impl FnOnce() -> Vec<KeyValue>) -> Self {
        Self(Context::map_current(|parent| {
            let origin = parent.get::<Origin>().filter(|_| parent.span().span_context().is_sampled())?;
            let builder = origin.tracer.span_builder(name).with_kind(kind).with_attributes(attributes());
            Some(parent.with_span(origin.tracer.build_with_context(builder, parent)))
        }))
    }

    /// A call by HTTP GET. `template` is the path with names for its values, `resends` how often the call was made
    /// before.
    pub(crate) fn get(
        name: &'static str,
        template: &'static str,
        url: impl FnOnce(bool) -> Url,
        resends: u32,
    ) -> Self {
        let span = Self::child(SpanKind::Client, name, || {
            let mut attributes =
                vec![KeyValue::new("http.request.method", "GET"), KeyValue::new("url.template", template)];
            if resends > 0 {
                attributes.push(KeyValue::new("http.request.resend_count", i64::from(resends)));
            }
            attributes
        });
        if let Some(context) = &span.0 {
            let url = url(records_observables(context));
            span.set("server.address", url.host_str().unwrap_or_default().to_owned());
            span.set("server.port", i64::from(url.port_or_known_default().unwrap_or_default()));
            span.set("url.full", String::from(url));
        }
        span
    }

    /// Has `step` run as this step.
    pub(crate) async fn around<F: Future>(&self, step: F) -> F::Output {
        match &self.0 {
            Some(context) => step.with_context(context.clone()).await,
            None => step.await,
        }
    }

    /// Adds an attribute, or replaces it.
    pub(crate) fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Adds an attribute that tells what was asked about, if the settings want that.
    pub(crate) fn set_observable(&self, key: &'static str, value: &str) {
        if self.0.as_ref().is_some_and(records_observables) {
            self.set(key, value.to_owned());
        }
    }

    /// The step failed; `error_type` is a word of a closed set.
    pub(crate) fn fail(&self, error_type: impl Into<StringValue>) {
        self.set("error.type", Value::String(error_type.into()));
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(""));
        }
    }

    /// The id of the trace it belongs to, sampled or not.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        self.0.as_ref().and_then(trace_id)
    }

    /// Its own id, if it is recorded.
    pub(crate) fn id(&self) -> Option<String> {
        let context = self.0.as_ref()?;
        let span = context.span();
        span.is_recording().then(|| span.span_context().span_id().to_string())
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // Work that others wait for goes on with this context; the step itself is over.
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// Adds an attribute to the step that this code runs in.
pub(crate) fn record(key: &'static str, value: impl Into<Value>) {
    Context::map_current(|context| {
        if context.has_active_span() {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    });
}

/// The trace that this code runs in, if it is recorded, for an exemplar.
pub(crate) fn exemplar() -> Option<Exemplar> {
    Context::map_current(|context| {
        let is_sampled = context.has_active_span() && context.span().span_context().is_sampled();
        trace_id(context).filter(|_| is_sampled).map(|trace_id| Exemplar { trace_id })
    })
}

/// What stands for `value` in an attribute.
pub(crate) fn shown(value: &str, is_recorded: bool) -> &str {
    if is_recorded { value } else { REDACTED }
}

fn records_observables(context: &Context) -> bool {
    context.get::<Origin>().is_some_and(|origin| origin.records_observables)
}

fn trace_id(context: &Context) -> Option<TraceId> {
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.trace_id().into())
}
