# One small image with all programs: ingest, worker, landfall, and fake-openai for trying. Nothing else is in it: no
# shell, no package manager. Needs neither BuildKit nor anything that is installed while it is built.
#
#   docker build -t landfall .                                          docker run --rm landfall worker --help
#   docker build -t landfall --build-arg PROFILE=dist .                 as it is released
#
# The version of Rust is that of rust-toolchain.toml (scripts/test-compose compares them).
FROM rust:1.95.0-slim-bookworm AS rust
WORKDIR /src

# The manifests alone, with empty programs: this stage's result changes only when a dependency does.
FROM rust AS manifests
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name main.rs ! -name lib.rs -delete \
    && find . -mindepth 1 -type d -empty -delete \
    && find . -name lib.rs -exec truncate -s 0 {} + \
    && for file in $(find . -name main.rs); do echo 'fn main() {}' >"$file"; done

# The slow part, kept by Docker's cache.
FROM rust AS dependencies
# A profile of Cargo.toml: release is quick to build; dist, for images that are released, makes smaller and faster programs.
ARG PROFILE=release
ENV PROFILE=$PROFILE
COPY --from=manifests /src ./
RUN cargo build --locked --profile "$PROFILE" -p ingest -p worker -p cli -p fake-openai

FROM dependencies AS build
COPY . .
# Copied files are older than what was just built; cargo must not take that for their build.
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --locked --profile "$PROFILE" -p ingest -p worker -p cli -p fake-openai

# What the programs need at run time: themselves, the C library, who may sign OpenAI's certificate, and a user.
RUN set -eu; cd "target/$PROFILE"; \
    mkdir -p /image/usr/local/bin /image/etc/ssl/certs /image/tmp /data/files; \
    cp ingest worker landfall fake-openai /image/usr/local/bin/; \
    ldd ingest worker landfall fake-openai | grep -o '/lib[^ ]*' | sort -u \
        | xargs -I '{}' cp --parents --dereference '{}' /image; \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf; \
    echo 'landfall:x:65532:' >/image/etc/group; \
    echo 'landfall:x:65532:65532:Landfall:/data:/sbin/nologin' >/image/etc/passwd; \
    chmod 1777 /image/tmp

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Landfall" \
      org.opencontainers.image.description="Catches OpenAI's webhooks and brings the results home" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /image /
# A volume that is mounted here begins with this owner.
COPY --from=build --chown=65532:65532 /data /data
ENV PATH=/usr/local/bin
WORKDIR /data
USER 65532:65532
CMD ["landfall", "--help"]
