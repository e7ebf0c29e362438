# syntax=docker/dockerfile:1
# Two images from one file: `--target relay` and `--target operator`, each one static binary and no shell.
#
#   docker buildx build --target relay --tag threatrelay .
#   docker buildx build --target relay --build-arg BASE=scratch .      without a registry for the base; brings its own CAs
#   docker buildx build --target relay --build-context builder=DIR .   binaries, CAs and licences built elsewhere
#
# The last one replaces the stage `builder` by a folder of the same layout: /out/ARCH/threatrelay, /out/ARCH/threatrelay-operator,
# /out/ca-certificates.crt, /out/licenses. Builders without named contexts (buildah before 1.29) take
# `--build-arg BUILDER=IMAGE` instead.

ARG BASE=gcr.io/distroless/static-debian12:nonroot
ARG BUILDER=built
ARG RUST=1.95.0

FROM --platform=$BUILDPLATFORM docker.io/library/rust:${RUST}-slim-bookworm AS built
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends ca-certificates cmake make musl-tools \
        gcc-aarch64-linux-gnu gcc-x86-64-linux-gnu libc6-dev
# Puts the list of what a program is made of into it, for scanners.
RUN --mount=type=cache,target=/usr/local/cargo/registry cargo install --locked cargo-auditable@0.7.7
WORKDIR /src
COPY . .
# C code is compiled for musl by musl-gcc for the machine's own architecture, else by the cross compiler of Debian.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target,id=target-$TARGETARCH \
    set -eu; \
    case "$TARGETARCH" in amd64) arch=x86_64 ;; arm64) arch=aarch64 ;; *) echo "no target for $TARGETARCH" >&2; exit 1 ;; esac; \
    triple="$arch-unknown-linux-musl"; \
    rustup target add "$triple"; \
    if [ "$(uname -m)" = "$arch" ]; then cc=musl-gcc; else cc="$arch-linux-gnu-gcc"; fi; \
    export "CC_${arch}_unknown_linux_musl=$cc" SOURCE_DATE_EPOCH; \
    export "CARGO_TARGET_$(echo "$triple" | tr a-z- A-Z_)_LINKER=rust-lld"; \
    export RUSTFLAGS="--remap-path-prefix=/src=/build --remap-path-prefix=/usr/local/cargo/registry=/cargo"; \
    cargo auditable build --locked --profile dist --target "$triple" --bins --package threatrelay --package threatrelay-operator; \
    mkdir -p "/out/$TARGETARCH" /out/licenses; \
    cp "target/$triple/dist/threatrelay" "target/$triple/dist/threatrelay-operator" "/out/$TARGETARCH/"; \
    cp /etc/ssl/certs/ca-certificates.crt /out/; \
    cp LICENSE /out/licenses/

# A stage of its own, so that BUILDER may name another image.
FROM ${BUILDER} AS builder

FROM ${BASE} AS common
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.vendor="Threat Relay maintainers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/threatrelay/threatrelay" \
      org.opencontainers.image.url="https://github.com/threatrelay/threatrelay" \
      org.opencontainers.image.documentation="https://github.com/threatrelay/threatrelay/blob/main/README.md"
COPY --from=builder /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=builder /out/licenses /licenses
USER 65532:65532
STOPSIGNAL SIGTERM

FROM common AS operator
ARG TARGETARCH
LABEL org.opencontainers.image.title="threatrelay-operator" \
      org.opencontainers.image.description="Turns a ThreatRelay custom resource into a running, reachable, observed relay"
COPY --from=builder --chmod=0555 /out/${TARGETARCH}/threatrelay-operator /threatrelay-operator
EXPOSE 8080
ENTRYPOINT ["/threatrelay-operator"]
CMD ["run"]

FROM common AS relay
ARG TARGETARCH
LABEL org.opencontainers.image.title="threatrelay" \
      org.opencontainers.image.description="Answers Cisco SecureX / XDR with threat intelligence from AlienVault OTX"
COPY --from=builder --chmod=0555 /out/${TARGETARCH}/threatrelay /threatrelay
EXPOSE 9090 9091
ENTRYPOINT ["/threatrelay"]
CMD ["serve"]
