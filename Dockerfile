# A small image with all programs: ingest, worker, console, landfall, and fake-openai for the demo. They are links to one
# file (crates/multicall). It contains no shell and no package manager. The build does not need BuildKit and installs no
# packages.
#
#   docker build -t landfall .                                          docker run --rm landfall worker --help
#   docker build -t landfall --build-arg PROFILE=dist .                 for released images
#
# The Rust version must match rust-toolchain.toml (scripts/test-compose checks it).
FROM rust:1.95.0-slim-bookworm AS rust
WORKDIR /src

# Only the manifests, with empty programs: the result of this stage changes only when a dependency changes.
FROM rust AS manifests
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name main.rs ! -name lib.rs -delete \
    && find . -mindepth 1 -type d -empty -delete \
    && find . -name lib.rs -exec truncate -s 0 {} + \
    && for file in $(find . -name main.rs); do echo 'fn main() {}' >"$file"; done

# Builds the dependencies, which is slow; Docker caches this stage.
FROM rust AS dependencies
# A profile of Cargo.toml: release builds faster; dist makes smaller and faster programs for released images.
ARG PROFILE=release
ENV PROFILE=$PROFILE
COPY --from=manifests /src ./
RUN cargo build --locked --profile "$PROFILE" -p multicall

FROM dependencies AS build
COPY . .
# Copied files are older than the build of the empty programs; touch them so that cargo rebuilds the crates.
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --locked --profile "$PROFILE" -p multicall

# The content of the image: the programs, the C library, CA certificates, and a user.
RUN set -eu; cd "target/$PROFILE"; \
    mkdir -p /image/usr/local/bin /image/etc/ssl/certs /image/tmp /data/files; \
    cp multicall /image/usr/local/bin/; \
    for program in ingest worker console landfall fake-openai; do \
        ln -s multicall "/image/usr/local/bin/$program"; \
    done; \
    ldd multicall | grep -o '/lib[^ ]*' | xargs -I '{}' cp --parents --dereference '{}' /image; \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf; \
    echo 'landfall:x:65532:' >/image/etc/group; \
    echo 'landfall:x:65532:65532:Landfall:/data:/sbin/nologin' >/image/etc/passwd; \
    chmod 1777 /image/tmp

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Landfall" \
      org.opencontainers.image.description="Receives OpenAI webhooks, fetches the results and stores them" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /image /
# A new volume mounted here gets this owner.
COPY --from=build --chown=65532:65532 /data /data
ENV PATH=/usr/local/bin
WORKDIR /data
USER 65532:65532
CMD ["landfall", "--help"]
