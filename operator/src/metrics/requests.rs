//! Requests to the API server, counted where they leave the process, under the names of Go's client: whoever asks, watches
//! included, whose time is that until the stream begins. A request that is given up counts as `<error>`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Request, Response, Uri};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tower::{Layer, Service};

/// Seconds; those of Kubernetes' own components.
const BUCKETS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

type Durations = Family<CallLabels, Histogram, fn() -> Histogram>;

/// Counts the requests of a client. Clones count into the same metrics.
#[derive(Clone, Debug)]
pub struct Requests {
    answers: Family<AnswerLabels, Counter>,
    durations: Durations,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    code: String,
    host: String,
    method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    host: String,
    verb: String,
}

impl Default for Requests {
    fn default() -> Self {
        Self { answers: Family::default(), durations: Durations::new_with_constructor(|| Histogram::new(BUCKETS)) }
    }
}

impl Requests {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let requests = Self::default();
        registry.register("rest_client_requests", "Requests to the API server", requests.answers.clone());
        registry.register(
            "rest_client_request_duration_seconds",
            "Time until the API server began to answer",
            requests.durations.clone(),
        );
        requests
    }

    /// Counts those of a client of this server.
    #[must_use]
    pub fn to(&self, server: &Uri) -> Counting {
        let host = server.authority().map(ToString::to_string).unwrap_or_default();
        Counting { requests: self.clone(), host }
    }
}

/// Counts the requests to one API server.
#[derive(Clone, Debug)]
pub struct Counting {
    requests: Requests,
    host: String,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, counting: self.clone() }
    }
}

/// A client whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    counting: Counting,
}

impl<S, I, O> Service<Request<I>> for Counted<S>
where
    S: Service<Request<I>, Response = Response<O>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<O>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        let underway = Underway {
            counting: self.counting.clone(),
            method: request.method().to_string(),
            begun: Instant::now(),
            code: None,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut underway = underway;
            let answer = answer.await;
            underway.code = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            answer
        })
    }
}

/// A request that is counted when it is over, answered or not.
struct Underway {
    counting: Counting,
    method: String,
    begun: Instant,
    code: Option<u16>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Counting { requests, host } = &self.counting;
        let (host, method) = (host.clone(), std::mem::take(&mut self.method));
        let call = CallLabels { host: host.clone(), verb: method.clone() };
        requests.durations.get_or_create(&call).observe(self.begun.elapsed().as_secs_f64());
        let code = self.code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        requests.answers.get_or_create(&AnswerLabels { code, host, method }).inc();
    }
}
