# The tests of scripts/test-compose, one function each. Each prints its result on one line and runs in a subshell; state
# for later tests is in variables that the use_... functions set.
# shellcheck shell=bash disable=SC2154,SC2016  # the caller sets folder and compose_command

section() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
ok() { printf '  \033[32mok\033[0m  %s\n' "$*" >&2; }

# has PATTERN: whether a line matches. Reads all input, so that the writer does not fail with a broken pipe.
has() { grep "$@" >/dev/null; }

# quietly COMMAND...: shows the output of the command only if it fails.
quietly() {
  local log="$folder/quiet.log"
  "$@" >"$log" 2>&1 || {
    tail -n 60 "$log" >&2
    fail "'$*' failed; see its output above"
  }
}

files=()
profiles=()
compose() { "${compose_command[@]}" "${files[@]}" "${profiles[@]}" "$@"; }
engine() { printf 'Docker %s, Compose %s' "$(docker version --format '{{.Server.Version}}')" "$("${compose_command[@]}" version --short)"; }

# containers [SERVICE...]: the ids of running containers. all_containers: also of stopped ones.
containers() { list_containers "" "$@"; }
all_containers() { list_containers --all "$@"; }
list_containers() {
  local all="$1" service
  shift
  for service in "${@:-}"; do
    # shellcheck disable=SC2086  # no word at all, or one
    docker ps $all --quiet --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
      --filter label=com.docker.compose.oneoff=False ${service:+--filter "label=com.docker.compose.service=$service"}
  done
}
inspect() { docker inspect --format "$2" "$1"; }
container() { containers "$1" | head -n 1; }

# all_up [ARGUMENTS]: starts everything, also after a failed test.
all_up() {
  quietly compose up -d "$@"
  wait_for "all containers to be healthy" all_healthy
}

show_what_happened() {
  compose ps >&2 || true
  compose logs --tail=40 >"$folder/compose.log" 2>&1 || true
  tail -n 120 "$folder/compose.log" >&2
}

remove_everything() {
  docker ps -aq --filter "label=landfall.test=$COMPOSE_PROJECT_NAME" | xargs -r docker rm -f >/dev/null
  files=(-f docker-compose.yml -f docker-compose.demo.yml -f docker-compose.sql.yml)
  profiles=(--profile tls --profile batch-workers --profile cli)
  compose down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true
}

# all_healthy: all running containers with a health check pass it, and there is at least one.
all_healthy() {
  local states
  states="$(containers | xargs -r docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{end}}' | grep .)"
  [ -n "$states" ] && ! grep -qv '^healthy$' <<<"$states"
}

# ---- Files

# Checks the files with the schema of the Compose Specification and with the installed Compose.
files_are_valid() {
  local more
  quietly compose config
  for more in docker-compose.demo.yml docker-compose.sql.yml; do quietly compose -f docker-compose.yml -f "$more" config; done
  local venv="$folder/venv"
  if python3 -m venv "$venv" >/dev/null 2>&1 && "$venv/bin/pip" install --quiet check-jsonschema==0.39.0 >/dev/null 2>&1; then
    quietly "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec docker-compose*.yml
    ok "docker-compose*.yml follow the Compose Specification's schema, and $(engine) reads them"
  else
    ok "$(engine) reads docker-compose.yml (the schema of the Compose Specification is not available here)"
  fi
}

# ---- Image

build_image() {
  local version started="$SECONDS"
  quietly compose build
  ok "the image builds from source in $((SECONDS - started)) s"
  for program in ingest worker console landfall fake-openai; do
    version="$(docker run --rm --read-only --cap-drop ALL --network none "$LANDFALL_IMAGE" "$program" --version)"
    [ "$version" = "$program $(label version)" ] || fail "$program reports '$version', but the image label is $(label version)"
  done
  ok "ingest, worker, console, landfall and fake-openai run in the image: version $(label version), revision $(label revision)"
  grep -q "^FROM rust:$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)-" Dockerfile ||
    fail "Dockerfile and rust-toolchain.toml name different versions of Rust"
}

label() { docker image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" "$LANDFALL_IMAGE"; }

image_is_small_and_bare() {
  local bytes id
  bytes="$(docker image inspect --format '{{.Size}}' "$LANDFALL_IMAGE")"
  [ "$bytes" -le 55000000 ] || fail "the image has $bytes bytes; the limit is 55 MB"
  id="$(docker create "$LANDFALL_IMAGE")"
  docker export "$id" | tar -t >"$folder/image.files"
  docker rm "$id" >/dev/null
  if grep -E '(^|/)(sh|bash|busybox|apt|apt-get|dpkg|apk)$' "$folder/image.files"; then
    fail "the image contains a shell or a package manager (see above)"
  fi
  ok "the image has $((bytes / 1000000)) MB, including the C library; no shell, no package manager"
}

dependencies_stay_in_the_cache() {
  local before after
  local build=(docker build -q --target dependencies .)
  before="$("${build[@]}" 2>/dev/null)"
  printf '\n// Changed.\n' >>crates/cli/src/lib.rs
  after="$("${build[@]}" 2>/dev/null)"
  git -C "$OLDPWD" show HEAD:crates/cli/src/lib.rs >crates/cli/src/lib.rs
  [ "$before" = "$after" ] || fail "a code change rebuilds the dependencies"
  ok "a code change does not rebuild the layer of dependencies"
}

# ---- First start

a_missing_secret_is_one_clear_line() {
  if compose up -d >"$folder/up.log" 2>&1; then
    fail "'up' succeeds without secrets"
  fi
  compose logs --no-color secrets >"$folder/secrets.log" 2>&1
  [ "$(grep -c 'secrets/' "$folder/secrets.log")" -eq 1 ] || fail "the error is not one line: $(cat "$folder/secrets.log")"
  [ -z "$(containers ingest worker postgres)" ] || fail "a service that needs a secret has started"
  [ "$(inspect "$(all_containers secrets)" '{{.RestartCount}}')" -eq 0 ] || fail "the container was restarted"
  ok "without secrets: $(grep -o 'landfall: [^;]*' "$folder/secrets.log" | cut -c 1-110)…"
  quietly compose down
}

three_secrets_and_up_are_all() {
  OPENAI_API_KEY=sk-test OPENAI_WEBHOOK_SECRET="$(webhook_secret)" quietly scripts/setup
  # The owner is the user who runs compose: neither root nor the user of a container.
  as_root chown -R 12345:12345 secrets
  local file
  for file in openai_webhook_secret openai_api_key database_password reader_password console_password; do
    [ "$(as_root stat -c %a "secrets/$file")" = 600 ] || fail "secrets/$file can be read by others"
  done
  local started="$SECONDS"
  all_up
  [ "$(containers | wc -l)" -eq 5 ] ||
    fail "expected redis, postgres, ingest, worker and console"
  ok "scripts/setup, 'up -d': all healthy after $((SECONDS - started)) s; secrets have mode 0600 and another owner"
}

webhook_secret() {
  [ -s "$folder/webhook-secret" ] || printf 'whsec_%s' "$(head -c 32 /dev/urandom | base64 | tr -d '\n')" >"$folder/webhook-secret"
  cat "$folder/webhook-secret"
}

free_port() {
  local port
  for _ in 1 2 3 4 5 6 7 8 9; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
      printf '%s' "$port"
      return
    }
  done
  fail "found no free port"
}

containers_may_do_little() {
  local id name
  for id in $(containers); do
    name="$(inspect "$id" '{{index .Config.Labels "com.docker.compose.service"}}')"
    expect "$name" "$(docker top "$id" -eo pid,uid | awk 'NR > 1 && $2 == 0' | wc -l)" 0 "root processes"
    expect "$name" "$(inspect "$id" '{{.HostConfig.ReadonlyRootfs}}')" true "read-only root file system"
    expect "$name" "$(inspect "$id" '{{.HostConfig.CapDrop}}{{len .HostConfig.CapAdd}}')" '[ALL]0' "capabilities"
    expect "$name" "$(inspect "$id" '{{.HostConfig.RestartPolicy.Name}}')" unless-stopped "restart policy"
    expect "$name" "$(inspect "$id" '{{index .HostConfig.LogConfig.Config "max-size"}}')" 10m "log rotation"
    expect "$name" "$(inspect "$id" '{{if and .HostConfig.Memory .HostConfig.PidsLimit}}limits{{end}}')" limits "limits"
  done
  ok "every container: no root, read-only root file system, no capability, limits, log rotation, restart policy"
}

# expect WHO FOUND WANTED WHAT
expect() { [ "$2" = "$3" ] || fail "$1: $4 should be '$3', not '$2'"; }

redis_and_postgres_are_durable() {
  local setting
  for setting in "appendonly yes" "appendfsync always" "maxmemory-policy noeviction"; do
    expect redis "$(redis CONFIG GET "${setting% *}" | tail -n 1)" "${setting#* }" "${setting% *}"
  done
  local maxmemory limit
  maxmemory="$(redis CONFIG GET maxmemory | tail -n 1)"
  limit="$(inspect "$(container redis)" '{{.HostConfig.Memory}}')"
  if [ "$maxmemory" -eq 0 ] || [ "$maxmemory" -ge "$limit" ]; then
    fail "maxmemory $maxmemory is not below the limit $limit"
  fi
  expect redis "$(inspect "$(container redis)" "$(mounted /data)")" "${COMPOSE_PROJECT_NAME}_redis" "volume of /data"
  compose exec -T redis ls /data/appendonlydir | has aof || fail "there is no append-only file in the volume"
  expect postgres "$(inspect "$(container postgres)" "$(mounted /var/lib/postgresql/data)")" "${COMPOSE_PROJECT_NAME}_postgres" volume
  ok "Redis: append-only file in its volume, fsync always, noeviction, maxmemory $((maxmemory >> 20)) MiB of $((limit >> 20))"
}

mounted() { printf '{{range .Mounts}}{{if eq .Destination "%s"}}{{.Name}}{{end}}{{end}}' "$1"; }
# in_container SERVICE COMMAND...: a cheap 'compose exec' for polling. Compose v1 uses half a second of CPU per call, which
# would affect the measurements.
in_container() {
  local id
  id="$(container "$1")"
  docker exec "$id" "${@:2}"
}
redis() { in_container redis redis-cli "$@"; }
backlog() { redis XLEN '{landfall}:events:response'; }

only_ingest_and_the_console_are_published() {
  expect compose "$(published_ports | tr '\n' ' ')" "console 8090/tcp ingest 8080/tcp " "published ports"
  expect ingest "$(post "http://$INGEST_PUBLISH/openai/webhook" wrong)" '400 {"error":"Invalid signature"}' "answer to a forgery"
  local webhook
  webhook="$(post "http://$INGEST_PUBLISH/openai/webhook")"
  expect ingest "$webhook" '200 {"received":true}' "answer to a webhook"
  ok "only the ports of ingest and console are published: a webhook is answered 200, a forgery 400"
}

console_is_published_on_this_machine_only() {
  local publish
  publish="$(env -u CONSOLE_PUBLISH "${compose_command[@]}" config | grep -B 3 -A 3 -F 8090)"
  has 127.0.0.1 <<<"$publish" || fail "the console is not published on 127.0.0.1 by default: $publish"
  expect console "$(console_answers events)" 401 "answer to a call without a token"
  ok "the console is published on 127.0.0.1 by default, and refuses a call without a token"
}

# console_answers PATH [TOKEN]: the status of a call. The body is in the file "answer".
console_answers() {
  local bearer=()
  [ -z "${2:-}" ] || bearer=(-H "Authorization: Bearer $2")
  curl --silent --max-time 5 --output "$folder/answer" --write-out '%{http_code}' "${bearer[@]}" \
    "http://$CONSOLE_PUBLISH/api/v1/$1" || true
}

# As docs/notifications.md says under "Secrets".
variables_of_targets_reach_workers() {
  printf 'APP_SECRET=%s\n' "$(webhook_secret)" >config/targets.env
  printf '[[targets]]\nname = "app"\nurl = "https://app.example.com/hooks"\nsecret_env = "APP_SECRET"\n' >config/landfall.toml
  export LANDFALL_CONFIG=/config/landfall.toml TARGETS_ENV_FILE=config/targets.env
  all_up
  quietly in_container worker landfall config check
  quietly compose run --rm -T landfall config check
  rm config/targets.env config/landfall.toml
  ok "a secret_env of landfall.toml is read from the file that TARGETS_ENV_FILE names"
}

# As docs/operations.md says under "Programs on the same machine".
a_target_on_this_machine_is_reached() {
  local port
  need_package python3 python3
  port="$(free_port)"
  printf 'APP_SECRET=%s\n' "$(webhook_secret)" >config/targets.env
  cat >config/landfall.toml <<END
[notifications]
allow = ["host.docker.internal:$port"]
[[targets]]
name = "app"
url = "http://host.docker.internal:$port/hooks"
secret_env = "APP_SECRET"
END
  python3 - "$port" <<'END' &
import http.server, sys
class App(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("0.0.0.0", int(sys.argv[1])), App).serve_forever()
END
  app_pid=$!
  trap 'kill "$app_pid"' EXIT
  export LANDFALL_CONFIG=/config/landfall.toml TARGETS_ENV_FILE=config/targets.env
  all_up
  quietly in_container worker landfall targets test app
  quietly compose run --rm -T landfall targets test app
  rm config/targets.env config/landfall.toml
  ok "workers and 'run --rm landfall' reach an app on this machine as host.docker.internal"
}

# published_ports: service and port of all containers.
published_ports() {
  local id
  for id in $(containers); do
    inspect "$id" '{{$service := index .Config.Labels "com.docker.compose.service"}}{{range $port, $on := .NetworkSettings.Ports}}{{if $on}}{{println $service $port}}{{end}}{{end}}'
  done | grep . | sort -u
}

# post URL [wrong]: posts a signed webhook that needs no fetch, and prints status and body of the response.
post() {
  local id="wh_$RANDOM$RANDOM$RANDOM" now body key signature
  now="$(date +%s)"
  body="{\"id\":\"evt_$id\",\"object\":\"event\",\"created_at\":$now,\"type\":\"video.completed\",\"data\":{\"id\":\"video_1\"}}"
  key="$(webhook_secret | sed 's/^whsec_//' | base64 -d | od -An -tx1 | tr -d ' \n')"
  signature="$(printf '%s.%s.%s' "$id" "$now" "$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)"
  [ -z "${2:-}" ] || signature="$(printf 'x%.0s' {1..32} | base64)"
  curl --silent --insecure --max-time 20 --write-out '%{http_code} ' --output "$folder/answer" \
    -H "webhook-id: $id" -H "webhook-timestamp: $now" -H "webhook-signature: v1,$signature" \
    -H "content-type: application/json" --data "$body" "$1"
  cat "$folder/answer"
}

# ---- Demo

landfall() { in_container worker landfall "$@"; }
# stored: number of stored events in the database. shown_as_stored: the number that landfall reports.
stored() { sql "SELECT count(*) FROM events WHERE state = 'stored'"; }
shown_as_stored() { landfall status --json | grep -o '"state":"stored","count":[0-9]*' | grep -o '[0-9]*$' | awk '{ n += $1 } END { print n + 0 }'; }
stored_are() { [ "$(stored)" -eq "$1" ]; }
sql() { in_container postgres psql -U landfall -d landfall -Atc "$1"; }

settled() { landfall status --json | has '"backlog":0,'; }

# use_demo: switches to the demo's compose file.
use_demo() {
  compose down --volumes >/dev/null 2>&1 || true
  as_root rm -rf secrets
  mkdir secrets
  files=(-f docker-compose.yml -f docker-compose.demo.yml -f docker-compose.test.yml)
  # One request at a time per worker: four workers are then limited by response time, not by the cores they share.
  cat >docker-compose.test.yml <<'END'
services:
  worker:
    environment: { WORKER_CONCURRENCY: "response=1" }
END
}

demo_needs_no_account() {
  local started="$SECONDS" total
  all_up
  sent() { compose logs --no-color openai | has '"message":"sent"'; }
  wait_for "every type of event to be sent" sent
  wait_for "an empty backlog" settled
  total="$(stored)"
  compose logs --no-color openai | grep '"message":"sent"' | has "\"delivered\":$total,\"given_up\":0" ||
    fail "$total events are stored, but: $(compose logs --no-color openai | grep '"message":"sent"')"
  expect landfall "$(shown_as_stored)" "$total" "stored events in landfall status"
  [ "$(sql "SELECT count(*) FROM research_results WHERE output_text <> ''")" -gt 0 ] || fail "there is no research result in PostgreSQL"
  ok "the demo needs no secrets and no account: $total events sent and stored in PostgreSQL after $((SECONDS - started)) s"
  compose run --rm landfall events --json 2>/dev/null | has '"state":"stored"' || fail "'run --rm landfall events' shows nothing"
  ok "'compose run --rm landfall events' shows them"
}

# As docs/console.md says.
console_serves_holders_of_a_token() {
  local token
  token="$(compose run --rm -T landfall token new my-app 2>/dev/null)"
  expect console "$(console_answers 'events?limit=1')" 401 "answer to a call without a token"
  expect console "$(console_answers 'events?limit=1' "$token")" 200 "answer to a call with a token"
  has '"state":"stored"' <"$folder/answer" || fail "the console lists no stored event: $(cat "$folder/answer")"
  # The demo prints the password that it has generated.
  local password login=(curl -s -o /dev/null -w '%{http_code}' -H 'Sec-Fetch-Site: same-origin' "http://$CONSOLE_PUBLISH/login")
  password="$(compose logs --no-color secrets | sed -n 's/.* with the password //p' | tail -n 1 | tr -d '\r')"
  expect console "$("${login[@]}" --data-urlencode "password=$password")" 303 "answer to a login"
  expect console "$("${login[@]}" --data-urlencode password=wrong)" 403 "answer to a login with a wrong password"
  # In this container the doctor misses the secret of webhooks.
  { landfall doctor || true; } | has 'alive: 1 ingest, 1 worker, 1 console' || fail "doctor does not see the console: $(landfall doctor)"
  landfall status | has '^console .*alive' || fail "status does not show the console: $(landfall status)"
  ok "'run --rm landfall token new my-app': the console lists stored events to its holder; doctor and status see it"
}

# As docs/operations.md says under "SQL from outside".
postgres_is_published_for_a_role_that_only_reads() {
  local password write
  POSTGRES_PUBLISH="127.0.0.1:$(free_port)"
  export POSTGRES_PUBLISH
  files+=(-f docker-compose.sql.yml)
  all_up
  password="$(in_container postgres cat /run/landfall/reader_password)"
  # reader SQL...: as a program on this machine.
  reader() {
    local statements=() statement
    for statement in "$@"; do statements+=(-c "$statement"); done
    docker run --rm --network host --env "PGPASSWORD=$password" --entrypoint psql \
      "$(sed -n 's/^ *image: \(postgres:.*\)$/\1/p' docker-compose.sql.yml)" --host 127.0.0.1 --port "${POSTGRES_PUBLISH##*:}" \
      -U landfall_reader -d landfall --no-psqlrc --quiet -v ON_ERROR_STOP=1 -At "${statements[@]}" 2>"$folder/reader.log"
  }
  can_read() { [ "$(reader 'SELECT 1')" = 1 ]; }
  wait_for "landfall_reader to log in: $(cat "$folder/reader.log" 2>/dev/null)" can_read
  expect reader "$(reader 'SELECT count(*) FROM events')" "$(sql 'SELECT count(*) FROM events')" "number of events"
  [ "$(reader 'SELECT count(*) FROM research_results')" -gt 0 ] || fail "the role cannot read a view: $(cat "$folder/reader.log")"
  # It may turn off its default of read-only transactions, and has no right to write then.
  for write in "DELETE FROM events" "UPDATE events SET attempts = 0" "TRUNCATE events" "CREATE TABLE own (id int)" "DROP VIEW research_results"; do
    if reader "SET default_transaction_read_only = off" "$write"; then fail "the role may: $write"; fi
    has -e 'permission denied' -e 'must be owner' <"$folder/reader.log" || fail "$write: $(cat "$folder/reader.log")"
  done
  sql 'CREATE TABLE of_a_later_version (id int); CREATE VIEW also_later AS SELECT * FROM of_a_later_version' >/dev/null
  expect reader "$(reader 'SELECT count(*) FROM of_a_later_version' 'SELECT count(*) FROM also_later' | tr '\n' ' ')" "0 0 " "rows of later tables"
  sql 'DROP VIEW also_later; DROP TABLE of_a_later_version' >/dev/null
  expect compose "$(published_ports | grep postgres)" "postgres 5432/tcp" "published port"
  files=("${files[@]:0:${#files[@]}-2}")
  all_up --remove-orphans
  expect compose "$(published_ports | grep -c postgres || true)" 0 "published ports of PostgreSQL without docker-compose.sql.yml"
  ok "docker-compose.sql.yml: landfall_reader reads tables and views, also later ones, and writes nothing"
}

# ---- Scaling

# load NAME COUNT RATE: starts a fake-openai that sends COUNT events at RATE per second and retries each one until it is
# acknowledged, as OpenAI does. Sets total to the number of events that must be stored in the end.
load() {
  local name="$1" count="$2" rate="$3" event=() volume="${COMPOSE_PROJECT_NAME}_secrets-ingest"
  total=$(($(stored) + count))
  for ((i = 0; i < count; i++)); do event+=(--event response.completed=resp_demo_research); done
  docker run --detach --name "$COMPOSE_PROJECT_NAME-$name" --label "landfall.test=$COMPOSE_PROJECT_NAME" \
    --network "${COMPOSE_PROJECT_NAME}_private" --volume "$volume:/secrets:ro" --read-only "$LANDFALL_IMAGE" fake-openai \
    --addr 127.0.0.1:0 --secret-file /secrets/openai_webhook_secret --send-to http://ingest:8080/openai/webhook \
    --attempts-max 20 --rate "$rate" "${event[@]}" >/dev/null
}

# loaded NAME COUNT: waits until all events are acknowledged.
loaded() {
  local name="$COMPOSE_PROJECT_NAME-$1"
  done_sending() { docker logs "$name" 2>&1 | has '"message":"sent"'; }
  wait_for "$2 events to be acknowledged" done_sending
  docker logs "$name" 2>&1 | grep '"message":"sent"' | has "\"delivered\":$2,\"given_up\":0" ||
    fail "not all of $2 events were acknowledged: $(docker logs "$name" 2>&1 | grep '"message":"sent"')"
  docker rm -f "$name" >/dev/null
}

# all_stored: the queue is empty, and every acknowledged event is in the database.
all_stored() {
  settled && stored_are "$total"
}

# backlog_reaches_0: polls inside the container, because repeated 'docker exec' would take CPU from the workers.
backlog_reaches_0() {
  in_container redis timeout "$wait_max_secs" \
    sh -c 'until [ "$(redis-cli XLEN "{landfall}:events:response")" = 0 ]; do sleep 0.2; done' ||
    fail "timed out after $wait_max_secs s waiting for the backlog to reach 0"
}

# throughput NAME COUNT: builds a backlog while all workers are paused, as after a 429, and measures how fast they process
# it. Sets rate to events per second.
throughput() {
  local name="$1" count="$2" mark length
  mark="$(date -u +%Y-%m-%dT%H:%M:%S)"
  redis SET '{landfall}:pause:default:response' rate_limited PX 20000 >/dev/null
  load "$name" "$count" 5000
  loaded "$name" "$count"
  length="$(backlog)"
  # On a slow machine the pause may have ended already; the backlog is then smaller.
  if [ "$(redis PTTL '{landfall}:pause:default:response')" -gt 0 ]; then
    expect redis "$length" "$count" "backlog by XLEN"
    ok "redis-cli XLEN '{landfall}:events:response' is the backlog: $count"
  fi
  backlog_reaches_0
  wait_for "all events to be stored" all_stored
  rate="$(for id in $(containers worker); do docker logs --since "${mark}Z" "$id" 2>&1; done | grep '"outcome":"stored"' |
    sed 's/.*"timestamp":"\([^"]*\)".*/\1/' | sort | sed -n '1p;$p' | date -u -f - +%s.%N | tr '\n' ' ' |
    awk -v count="$count" '{ printf "%.1f", count / ($2 - $1) }')"
}

# Reported only: one worker and four are measured one after the other, on a machine that may be busy.
four_workers_are_measured_beside_one() {
  local one times turn seen=""
  delay_responses 50
  for turn in 1 2 3; do
    workers_are 1
    throughput "one-$turn" 200
    one="$rate"
    workers_are 4
    throughput "four-$turn" 800
    seen+="$(awk -v one="$one" -v four="$rate" 'BEGIN { printf "%.2f", four / one }') ($rate and $one events/s)"$'\n'
  done
  times="$(sort -n <<<"${seen%$'\n'}" | sed -n 2p)"
  ok "--scale worker=4: $times times the throughput of one worker, median of three turns; XLEN is 0 again"
}

workers_are() {
  all_up --scale "worker=$1" worker
  [ "$(containers worker | wc -l)" -eq "$1" ] || fail "expected $1 workers"
}

# delay_responses MS: restarts fake-openai with slower responses.
delay_responses() {
  cat >docker-compose.test.yml <<END
services:
  worker:
    environment: { WORKER_CONCURRENCY: "response=1" }
  openai:
    command: [fake-openai, --addr=0.0.0.0:8081, --delay-ms=$1]
END
  all_up
}

# ---- Crashes and deploys

killed_containers_lose_nothing() {
  all_up --scale worker=4
  load kill 1500 60
  wait_for "events to arrive" events_arrive
  docker kill "$(container worker)" >/dev/null
  docker kill "$(container redis)" >/dev/null
  sleep 2
  quietly compose up -d --scale worker=4
  quietly compose kill worker
  quietly compose up -d --scale worker=4
  loaded kill 1500
  wait_for "all events to be stored" all_stored
  nothing_is_dead
  ok "a worker, Redis and all workers were killed under load: 1500 events acknowledged, 1500 stored, no dead letter"
}

events_arrive() { [ "$(backlog)" -gt 0 ]; }
nothing_is_dead() { landfall status --json | has '"dead":0,"oldest_ms"' || fail "there are dead letters: $(landfall status)"; }

rolling_restarts_lose_nothing() {
  local id
  all_up --scale worker=4 --scale ingest=2
  load rolling 1500 60
  wait_for "events to arrive" events_arrive
  for id in $(containers ingest worker); do
    quietly docker stop --time 40 "$id"
    expect "$(inspect "$id" '{{.Name}}')" "$(inspect "$id" '{{.State.ExitCode}}')" 0 "exit code after a stop"
    quietly docker start "$id"
  done
  loaded rolling 1500
  wait_for "all events to be stored" all_stored
  nothing_is_dead
  ok "two ingest and four workers were replaced in turn under load: 1500 events acknowledged, 1500 stored, no dead letter"
}

down_and_up_keep_everything() {
  all_up
  quietly compose stop worker
  load kept 50 1000
  loaded kept 50
  expect redis "$(backlog)" 50 "backlog before 'down'"
  quietly compose down
  [ -z "$(all_containers)" ] || fail "'down' left containers"
  all_up
  wait_for "all events to be stored" all_stored
  ok "'down' and 'up': $((total - 50)) events are still in the database, and the 50 queued ones were added"
}

# Runs the commands of docs/operations.md under "Back up", and restores the backup.
a_backup_can_be_restored() {
  all_up
  compose exec -T postgres pg_dump -U landfall -Fc landfall >"$folder/landfall.dump"
  compose run --rm --no-deps -T --user 65532:65532 -v "${COMPOSE_PROJECT_NAME}_files:/files:ro" --entrypoint tar postgres -C /files -c . >"$folder/files.tar" 2>/dev/null
  compose exec -T redis redis-cli --rdb - >"$folder/queue.rdb" 2>/dev/null
  tar -tf "$folder/files.tar" | has default || fail "the backup does not contain the raw files: $(tar -tf "$folder/files.tar")"
  [ "$(head -c 5 "$folder/queue.rdb")" = REDIS ] || fail "the queue's snapshot is not an RDB file"
  local before
  before="$(sql 'SELECT count(*) FROM events')"
  quietly compose stop worker
  sql 'TRUNCATE events CASCADE; DROP VIEW research_results' >/dev/null
  compose exec -T postgres pg_restore -U landfall -d landfall --clean --if-exists <"$folder/landfall.dump"
  all_up
  expect postgres "$(sql 'SELECT count(*) FROM events')" "$before" "events after the restore"
  ok "a backup of database, raw files and queue is taken while everything runs; it restores $before events"
}

# ---- HTTPS

# use_proxy: switches to HTTPS, as with DOMAIN in .env.
use_proxy() {
  compose down --volumes >/dev/null 2>&1 || true
  files=(-f docker-compose.yml)
  profiles=(--profile tls)
  export DOMAIN=localhost HTTP_PUBLISH HTTPS_PUBLISH
  export RESULTS_BASE_URL=https://localhost RESULTS_SECRET_FILE=/run/landfall/results_secret
  HTTP_PUBLISH="127.0.0.1:$(free_port)"
  HTTPS_PUBLISH="127.0.0.1:$(free_port)"
}

proxy_and_console_alone_are_published_and_ingest_scales() {
  as_root rm -rf secrets
  OPENAI_API_KEY=sk-test OPENAI_WEBHOOK_SECRET="$(webhook_secret)" quietly scripts/setup
  compose run --rm --no-deps -T landfall secret new >secrets/results_secret 2>/dev/null
  all_up --scale ingest=2
  expect compose "$(published_ports | tr '\n' ' ')" "console 8090/tcp proxy 443/tcp proxy 80/tcp " "published ports"
  local url="https://localhost:${HTTPS_PUBLISH##*:}/openai/webhook"
  https_answers() { [ "$(post "$url")" = '200 {"received":true}' ]; }
  wait_for "the proxy's certificate" https_answers
  for _ in 1 2 3 4 5 6 7 8 9; do https_answers || fail "the proxy does not forward a webhook: $(cat "$folder/answer")"; done
  local id
  for id in $(containers ingest); do
    docker logs "$id" 2>&1 | has '"outcome":"accepted"' || fail "one of the two ingest received nothing"
  done
  ok "profile tls: of ingest only the proxy is published; two ingest share the HTTPS webhooks"
  proxied() {
    curl --silent --insecure --output "$folder/answer" --write-out '%{http_code}' "https://localhost:${HTTPS_PUBLISH##*:}$1"
  }
  expect console "$(proxied '/results/default/resp_1?expires=4000000000&signature=v1,x')" 403 "answer to a forged link"
  is_stored() { [ "$(stored)" -gt 0 ]; }
  wait_for "an event to be stored" is_stored
  expect console "$(proxied "$(signed_link "$(sql 'SELECT min(webhook_id) FROM events')")")" 200 "answer to a signed link"
  has '"type":"video.completed"' <"$folder/answer" || fail "a signed link leads to: $(cat "$folder/answer")"
  ok "the proxy forwards result links to the console, which serves a signed one and refuses a forged one"
  expect ingest "$(proxied /api/v1/events)" 404 "answer to a call of the API"
  ok "the proxy forwards nothing else to the console"
  id="$(container ingest)"
  quietly docker stop --time 40 "$id"
  # OpenAI retries the webhooks that fail before the proxy notices, within a second or two.
  ten_in_a_row() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do https_answers || return 1; done
  }
  wait_for "the proxy to skip the stopped ingest" ten_in_a_row
  quietly docker start "$id"
  ok "with one ingest stopped, the other receives all webhooks"
}

# signed_link ID: the path and query of a link to a result, as workers make it.
signed_link() {
  local path="/results/default/$1" key signature
  key="$(sed 's/^whsec_//' secrets/results_secret | base64 -d | od -An -tx1 | tr -d ' \n')"
  signature="$(printf '%s.4000000000.' "$path" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)"
  printf '%s?expires=4000000000&signature=v1,%s' "$path" "$(sed 's/+/%2B/g; s#/#%2F#g' <<<"$signature")"
}
