# Shared by the scripts that run Landfall's programs: background processes in a temporary folder.
# The caller sets wait_max_secs, and calls stop_all at the end.
# shellcheck shell=bash

# make_folder NAME: creates the folder for logs and data, and sets folder.
make_folder() { folder="$(mktemp -d "${TMPDIR:-/tmp}/landfall-$1.XXXXXX")"; }

pids=()
stop_all() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
}

# wait_for WHAT COMMAND...: waits until the command succeeds.
wait_for() {
  local what="$1" deadline=$((SECONDS + ${wait_max_secs:?}))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "timed out after $wait_max_secs s waiting for $what"
    sleep 0.1
  done
}

# start NAME COMMAND...: runs the command in the background, with its output in NAME.log.
start() {
  local name="$1"
  shift
  "$@" >"$folder/$name.log" 2>&1 </dev/null &
  pids+=($!)
  printf '%s %s\n' "$name" "$!" >>"$folder/pids"
}

# address NAME FIELD: the listen address that a program logged.
address() { sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p" "$folder/$1.log" | head -n 1; }
has_address() { [ -n "$(address "$1" "$2")" ]; }
listening() {
  kill -0 "${pids[-1]}" 2>/dev/null || fail "$1 exited at startup: $(tail -n 3 "$folder/$1.log")"
  wait_for "$1 to listen" has_address "$1" "$2"
}

# start_redis: starts Redis on a free port, and sets redis_port. Nothing is evicted; all data is in the folder.
start_redis() {
  for _ in 1 2 3 4 5; do
    redis_port=$((20000 + RANDOM % 20000))
    start redis redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$folder" --save "" \
      --appendonly yes --appendfsync always --maxmemory-policy noeviction
    wait_for "Redis to start or fail" grep -qE 'Ready to accept connections|Address already in use' "$folder/redis.log"
    grep -q 'Ready to accept' "$folder/redis.log" && return 0
  done
  fail "Redis could not start on five random ports: $(tail -n 3 "$folder/redis.log")"
}

# start_postgres: starts PostgreSQL on a free port, and sets database_url. It refuses to run as root. Its data is in
# postgres_folder, which the caller removes.
start_postgres() {
  local programs user=() port
  programs="$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)"
  [ -x "$programs/postgres" ] || programs="$(dirname "$(command -v postgres)")"
  postgres_folder="$(mktemp -d "${TMPDIR:-/tmp}/landfall-postgres.XXXXXX")"
  if [ "$(id -u)" -eq 0 ]; then
    user=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chown postgres "$postgres_folder"
  fi
  (cd / && "${user[@]}" "$programs/initdb" --pgdata="$postgres_folder/data" --username=landfall --auth=trust --encoding=UTF8 \
    --locale=C.UTF-8 --no-sync) >"$folder/initdb.log" 2>&1 || fail "initdb failed: $(tail -n 3 "$folder/initdb.log")"
  for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 20000))
    start postgres "${user[@]}" "$programs/postgres" -D "$postgres_folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
      -c "unix_socket_directories=$postgres_folder"
    wait_for "PostgreSQL to start or fail" grep -qE 'ready to accept connections|Address already in use' "$folder/postgres.log"
    grep -q 'ready to accept' "$folder/postgres.log" || continue
    database_url="postgres://landfall@127.0.0.1:$port/landfall"
    psql --quiet --no-psqlrc --command 'CREATE DATABASE landfall' "${database_url%/*}/postgres" ||
      fail "PostgreSQL could not create a database"
    return 0
  done
  fail "PostgreSQL could not start on five random ports: $(tail -n 3 "$folder/postgres.log")"
}

# start_landfall: starts Redis, ingest, fake-openai and a worker from the programs in $bin, with default settings except
# for shorter waits. fake-openai sends the webhooks of jobs that are created to ingest. Exports the settings, the URL of
# ingest as INGEST_URL, and the worker's admin URL as WORKER_ADMIN_URL. The database is database_url, or else a file in the
# folder.
start_landfall() {
  start_redis
  # Everything runs on this machine: use no proxy.
  export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
  LOG_FORMAT=json
  REDIS_URL="redis://127.0.0.1:$redis_port"
  DATABASE_URL="${database_url:-sqlite://$folder/landfall.db}"
  FILES_URL="$folder/files"
  OPENAI_WEBHOOK_SECRET="whsec_$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
  OPENAI_API_KEY="sk-demo-$RANDOM$RANDOM"
  export LOG_FORMAT REDIS_URL DATABASE_URL FILES_URL OPENAI_WEBHOOK_SECRET OPENAI_API_KEY

  start ingest env INGEST_ADDR=127.0.0.1:0 ADMIN_ADDR=127.0.0.1:0 "${bin:?}/ingest"
  listening ingest ingest.addr
  INGEST_URL="http://$(address ingest ingest.addr)/openai/webhook"
  export INGEST_URL

  start fake-openai "$bin/fake-openai" --addr 127.0.0.1:0 --api-key "$OPENAI_API_KEY" \
    --secret "$OPENAI_WEBHOOK_SECRET" --send-to "$INGEST_URL"
  listening fake-openai openai.addr
  OPENAI_BASE_URL="http://$(address fake-openai openai.addr)/v1"
  export OPENAI_BASE_URL

  start worker env ADMIN_ADDR=127.0.0.1:0 NOT_FOUND_FOR_SECS=1 RETRY_MIN_SECS=0.2 "$bin/worker"
  listening worker admin.addr
  WORKER_ADMIN_URL="http://$(address worker admin.addr)"
  export WORKER_ADMIN_URL
}

# start_console ADDR: starts the console on this address, and exports its API through loopback as CONSOLE_URL.
start_console() {
  start console env CONSOLE_ADDR="$1" ADMIN_ADDR=127.0.0.1:0 "$bin/console"
  listening console console.addr
  local addr
  addr="$(address console console.addr)"
  CONSOLE_URL="http://127.0.0.1:${addr##*:}/api/v1"
  export CONSOLE_URL
}

# send_demo_events: sends a signed webhook of every event type, about the demo objects of fake-openai.
send_demo_events() {
  "$bin/landfall" send --url "$INGEST_URL" \
    response.completed=resp_demo_research response.failed=resp_demo_failed \
    response.cancelled=resp_demo_cancelled response.incomplete=resp_demo_incomplete \
    batch.completed=batch_demo_completed batch.failed=batch_demo_failed \
    batch.expired=batch_demo_expired batch.cancelled=batch_demo_cancelled \
    fine_tuning.job.succeeded=ftjob_demo_succeeded fine_tuning.job.failed=ftjob_demo_failed \
    fine_tuning.job.cancelled=ftjob_demo_cancelled \
    eval.run.succeeded=evalrun_demo_succeeded eval.run.failed=evalrun_demo_failed \
    eval.run.canceled=evalrun_demo_canceled \
    realtime.call.incoming live.call.incoming live.transport.incoming live.transport.connected \
    agent.session.created agent.session.action_required agent.session.in_progress agent.session.idle \
    agent.session.failed agent.environment.ready agent.environment.failed agent.environment.suspended \
    agent.environment.expired safety.alert.created safety.org_alert.created safety.warning_issued \
    safety.deactivation_issued safety_identifier.blocked video.completed video.failed \
    something.openai.invents.tomorrow
}

backlog_is_empty() { "$bin/landfall" status --json | grep -q '"backlog":0,'; }
