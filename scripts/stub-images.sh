# Used by scripts/test-compose if no registry is reachable: builds stub images with the names that Dockerfile and
# docker-compose.yml pin. Redis, PostgreSQL and Caddy come from Debian packages, Rust from this machine. The stubs match the
# real images in the users, paths and variables that our files use. Versions differ.
# shellcheck shell=bash disable=SC2154,SC2016,SC2317  # the caller sets folder and compose_command

debian_release=bookworm
debian_image="landfall-stub:$debian_release"

# pinned_images: all images that our files use, except those they build.
pinned_images() {
  {
    sed -n 's/^FROM \([^ ]*\).*/\1/p' Dockerfile | grep ':'
    sed -n 's/^ *image: \([a-z0-9./-]*:[^ "]*\)$/\1/p' docker-compose*.yml
  } | sort -u
}

# provide_images: pulls the pinned images, or builds stubs.
provide_images() {
  local image
  for image in $(pinned_images); do
    if docker image inspect "$image" >/dev/null 2>&1; then
      continue
    fi
    if [ -z "${no_registry:-}" ] && timeout 300 docker pull --quiet "$image" >/dev/null 2>&1; then
      say "pulled $image"
      continue
    fi
    no_registry=1
    build_stub "$image"
  done
}

# build_stub IMAGE
build_stub() {
  local image="$1" context
  docker image inspect "$debian_image" >/dev/null 2>&1 || build_debian
  say "no registry is reachable: building a stub of $image"
  context="$(mktemp -d "$folder/stub.XXXXXX")"
  case "$image" in
    rust:*) rust_files "$context" ;;
    redis:*) redis_files "$context" ;;
    postgres:*) postgres_files "$context" ;;
    caddy:*) caddy_files "$context" ;;
    *) fail "there is no stub of $image: add one to scripts/stub-images.sh" ;;
  esac
  quietly docker build --label org.landfall.stub=true --tag "$image" "$context"
  rm -rf "$context"
}

# build_debian: a Debian base image with all packages that the stubs need.
build_debian() {
  local root="$folder/debian" mirror
  need_package debootstrap debootstrap
  say "building a Debian base image ($debian_release) for the stubs"
  mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $debian_release" | head -n 1)"
  local packages=ca-certificates,gcc,libc6-dev,redis-server,postgresql-15,caddy,wget
  # shellcheck disable=SC2086  # without a mirror, debootstrap uses its default
  quietly as_root debootstrap --variant=minbase --include="$packages" "$debian_release" "$root" $mirror
  as_root cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  as_root tar -C "$root" -c . | docker import - "$debian_image" >/dev/null
  as_root rm -rf "$root"
}

# rust_files CONTEXT: the Rust toolchain of this machine.
rust_files() {
  tar -C "$(rustc --print sysroot)" -cf "$1/rust.tar" --exclude=lib/rustlib/src bin lib
  if [ -f "${CARGO_HOME:-$HOME/.cargo}/config.toml" ]; then
    cp "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$1/config.toml"
  else
    : >"$1/config.toml"
  fi
  cat >"$1/Dockerfile" <<END
FROM $debian_image
ADD rust.tar /usr/local/
COPY config.toml /usr/local/cargo/config.toml
ENV CARGO_HOME=/usr/local/cargo CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt
$(env | sed -n 's/^\(CARGO_REGISTR[A-Z_]*\|[Hh][Tt][Tt][Pp][Ss]*_[Pp][Rr][Oo][Xx][Yy]\|[Nn][Oo]_[Pp][Rr][Oo][Xx][Yy]\)=\(.*\)/ENV \1="\2"/p')
END
}

redis_files() {
  cat >"$1/Dockerfile" <<END
FROM $debian_image
RUN usermod --non-unique --uid 999 redis && groupmod --non-unique --gid 999 redis \\
    && mkdir /data && chown redis:redis /data
WORKDIR /data
CMD ["redis-server"]
END
}

postgres_files() {
  cat >"$1/entrypoint" <<'END'
#!/bin/sh
# Like the real image: creates the database at the first start, then runs the server.
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS >/dev/null
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  pg_ctl start --wait --options="-c listen_addresses=''" >/dev/null
  createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl stop --wait --mode=fast >/dev/null
fi
exec "$@"
END
  cat >"$1/Dockerfile" <<END
FROM $debian_image
RUN usermod --non-unique --uid 999 postgres && groupmod --non-unique --gid 999 postgres \\
    && rm -rf /var/lib/postgresql /var/run/postgresql \\
    && install -d -o postgres -g postgres /var/lib/postgresql \\
    && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data \\
    && install -d -o postgres -g postgres -m 3777 /var/run/postgresql
COPY entrypoint /usr/local/bin/
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/entrypoint"]
CMD ["postgres"]
END
  chmod 755 "$1/entrypoint"
}

caddy_files() {
  cat >"$1/Dockerfile" <<END
FROM $debian_image
RUN mkdir -p /data/caddy /config/caddy
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
WORKDIR /srv
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
END
}
