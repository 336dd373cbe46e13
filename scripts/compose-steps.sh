# Shared by scripts/test-compose: what it proves, one function a point. Each ends with a line that says what was seen, and
# runs in a shell of its own: what a later one needs to know lies in variables that the functions use_... set.
# shellcheck shell=bash disable=SC2154,SC2016  # the caller sets folder and compose_command

section() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
ok() { printf '  \033[32mok\033[0m  %s\n' "$*" >&2; }

# has PATTERN: whether a line matches. Reads to the end: whoever writes to a reader that has left fails.
has() { grep "$@" >/dev/null; }

# quietly COMMAND...: what it says is shown only when it fails.
quietly() {
  local log="$folder/quiet.log"
  "$@" >"$log" 2>&1 || {
    tail -n 60 "$log" >&2
    fail "'$*' failed; its last words are above"
  }
}

files=()
profiles=()
compose() { "${compose_command[@]}" "${files[@]}" "${profiles[@]}" "$@"; }
engine() { printf 'Docker %s, Compose %s' "$(docker version --format '{{.Server.Version}}')" "$("${compose_command[@]}" version --short)"; }

# containers [SERVICE...]: the ids of those that run. all_containers: also of those that have ended.
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

# all_up [ARGUMENTS]: everything runs, also after a point that failed.
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
  files=(-f docker-compose.yml -f docker-compose.demo.yml)
  profiles=(--profile tls --profile batch-workers --profile cli)
  compose down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true
}

# all_healthy: every container that runs and has a health check passes it, and there is one at least.
all_healthy() {
  local states
  states="$(containers | xargs -r docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{end}}' | grep .)"
  [ -n "$states" ] && ! grep -qv '^healthy$' <<<"$states"
}

# ---- The files

# By the schema of the Compose Specification, which v2 reads; and by the Compose that is here.
files_are_valid() {
  quietly compose config
  local venv="$folder/venv"
  if python3 -m venv "$venv" >/dev/null 2>&1 && "$venv/bin/pip" install --quiet check-jsonschema==0.39.0 >/dev/null 2>&1; then
    quietly "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec docker-compose*.yml
    ok "docker-compose*.yml follow the Compose Specification's schema, and $(engine) reads them"
  else
    ok "$(engine) reads docker-compose.yml (the schema of the Compose Specification cannot be had here)"
  fi
}

# ---- The image

build_image() {
  local version started="$SECONDS"
  quietly compose build
  ok "built from the sources in $((SECONDS - started)) s"
  for program in ingest worker landfall fake-openai; do
    version="$(docker run --rm --read-only --cap-drop ALL --network none "$LANDFALL_IMAGE" "$program" --version)"
    [ "$version" = "$program $(label version)" ] || fail "$program says '$version', the image's label $(label version)"
  done
  ok "ingest, worker, landfall and fake-openai run in it: version $(label version), revision $(label revision)"
  grep -q "^FROM rust:$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)-" Dockerfile ||
    fail "Dockerfile and rust-toolchain.toml name different versions of Rust"
}

label() { docker image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" "$LANDFALL_IMAGE"; }

image_is_small_and_bare() {
  local bytes id
  bytes="$(docker image inspect --format '{{.Size}}' "$LANDFALL_IMAGE")"
  [ "$bytes" -le 80000000 ] || fail "the image has $bytes bytes; 80 MB are allowed"
  id="$(docker create "$LANDFALL_IMAGE")"
  docker export "$id" | tar -t >"$folder/image.files"
  docker rm "$id" >/dev/null
  if grep -E '(^|/)(sh|bash|busybox|apt|apt-get|dpkg|apk)$' "$folder/image.files"; then
    fail "a shell or a package manager is in the image (above)"
  fi
  ok "all of it has $((bytes / 1000000)) MB, C library included; no shell, no package manager"
}

dependencies_stay_in_the_cache() {
  local before after
  local build=(docker build -q --target dependencies .)
  before="$("${build[@]}" 2>/dev/null)"
  printf '\n// Changed.\n' >>crates/cli/src/main.rs
  after="$("${build[@]}" 2>/dev/null)"
  git -C "$OLDPWD" show HEAD:crates/cli/src/main.rs >crates/cli/src/main.rs
  [ "$before" = "$after" ] || fail "a change of the code rebuilds the dependencies"
  ok "a change of the code leaves the layer of dependencies in the cache"
}

# ---- The first start

a_missing_secret_is_one_clear_line() {
  if compose up -d >"$folder/up.log" 2>&1; then
    fail "it starts without secrets"
  fi
  compose logs --no-color secrets >"$folder/secrets.log" 2>&1
  [ "$(grep -c 'secrets/' "$folder/secrets.log")" -eq 1 ] || fail "not one line: $(cat "$folder/secrets.log")"
  [ -z "$(containers ingest worker postgres)" ] || fail "something started that needs a secret"
  [ "$(inspect "$(all_containers secrets)" '{{.RestartCount}}')" -eq 0 ] || fail "it was tried again and again"
  ok "without secrets: $(grep -o 'landfall: [^;]*' "$folder/secrets.log" | cut -c 1-110)…"
  quietly compose down
}

three_secrets_and_up_are_all() {
  OPENAI_API_KEY=sk-test OPENAI_WEBHOOK_SECRET="$(webhook_secret)" quietly scripts/setup
  # Whoever runs compose owns them: neither root nor the user of a container.
  as_root chown -R 12345:12345 secrets
  local file
  for file in openai_webhook_secret openai_api_key database_password; do
    [ "$(as_root stat -c %a "secrets/$file")" = 600 ] || fail "secrets/$file can be read by others"
  done
  local started="$SECONDS"
  all_up
  [ "$(containers | wc -l)" -eq 4 ] ||
    fail "redis, postgres, ingest and worker should be there"
  ok "scripts/setup, 'up -d': all healthy after $((SECONDS - started)) s; secrets are 0600 and belong to somebody else"
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
  fail "nine ports were all in use"
}

containers_may_do_little() {
  local id name
  for id in $(containers); do
    name="$(inspect "$id" '{{index .Config.Labels "com.docker.compose.service"}}')"
    expect "$name" "$(docker top "$id" -eo pid,uid | awk 'NR > 1 && $2 == 0' | wc -l)" 0 "processes of root"
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

redis_and_postgres_keep_what_they_have() {
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
# in_container SERVICE COMMAND...: 'compose exec' for what is asked again and again. Compose v1 takes half a second of a core
# for each call, and would be measured along with the workers.
in_container() {
  local id
  id="$(container "$1")"
  docker exec "$id" "${@:2}"
}
redis() { in_container redis redis-cli "$@"; }
backlog() { redis XLEN '{landfall}:events:response'; }

only_ingest_is_published() {
  local published
  published="$(published_ports)"
  expect compose "$published" "ingest 8080/tcp" "published ports"
  expect ingest "$(post "http://$INGEST_PUBLISH/openai/webhook" wrong)" '400 {"error":"Invalid signature"}' "answer to a forgery"
  local webhook
  webhook="$(post "http://$INGEST_PUBLISH/openai/webhook")"
  expect ingest "$webhook" '200 {"received":true}' "answer to a webhook"
  ok "only ingest's port is published: a webhook is answered 200, a forgery 400"
}

# published_ports: service and port, of all containers.
published_ports() {
  local id
  for id in $(containers); do
    inspect "$id" '{{$service := index .Config.Labels "com.docker.compose.service"}}{{range $port, $on := .NetworkSettings.Ports}}{{if $on}}{{println $service $port}}{{end}}{{end}}'
  done | grep . | sort -u
}

# post URL [wrong]: status and body of the answer to a signed webhook that needs nothing fetched.
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

# ---- The demo

landfall() { in_container worker landfall "$@"; }
# stored: how many events have their results in the database. shown_as_stored: how many the command says have.
stored() { sql "SELECT count(*) FROM events WHERE state = 'stored'"; }
shown_as_stored() { landfall status --json | grep -o '"state":"stored","count":[0-9]*' | grep -o '[0-9]*$' | awk '{ n += $1 } END { print n + 0 }'; }
stored_are() { [ "$(stored)" -eq "$1" ]; }
sql() { in_container postgres psql -U landfall -d landfall -Atc "$1"; }

settled() { landfall status --json | has '"backlog":0,'; }

# use_demo: from here on with the demo's file.
use_demo() {
  compose down --volumes >/dev/null 2>&1 || true
  as_root rm -rf secrets
  mkdir secrets
  files=(-f docker-compose.yml -f docker-compose.demo.yml -f docker-compose.test.yml)
  # One worker asks for one thing at once: four of them wait for answers, and not for the two cores that all share here.
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
  wait_for "the backlog to become empty" settled
  total="$(stored)"
  compose logs --no-color openai | grep '"message":"sent"' | has "\"delivered\":$total,\"given_up\":0" ||
    fail "$total events are stored, but: $(compose logs --no-color openai | grep '"message":"sent"')"
  expect landfall "$(shown_as_stored)" "$total" "events that its status shows"
  [ "$(sql "SELECT count(*) FROM research_results WHERE output_text <> ''")" -gt 0 ] || fail "no research result is in PostgreSQL"
  ok "the demo, without secrets or account: $total events sent and stored in PostgreSQL, after $((SECONDS - started)) s"
  compose run --rm landfall events --json 2>/dev/null | has '"state":"stored"' || fail "'run --rm landfall events' shows nothing"
  ok "'compose run --rm landfall events' shows them"
}

# ---- Scaling

# load NAME COUNT RATE: an OpenAI look-alike that sends so many events, so many a second, and tries each one until it is
# acknowledged, as OpenAI does. Leaves in the variable total how many are to be stored in the end.
load() {
  local name="$1" count="$2" rate="$3" event=() volume="${COMPOSE_PROJECT_NAME}_secrets-ingest"
  total=$(($(stored) + count))
  for ((i = 0; i < count; i++)); do event+=(--event response.completed=resp_demo_research); done
  docker run --detach --name "$COMPOSE_PROJECT_NAME-$name" --label "landfall.test=$COMPOSE_PROJECT_NAME" \
    --network "${COMPOSE_PROJECT_NAME}_private" --volume "$volume:/secrets:ro" --read-only "$LANDFALL_IMAGE" fake-openai \
    --addr 127.0.0.1:0 --secret-file /secrets/openai_webhook_secret --send-to http://ingest:8080/openai/webhook \
    --attempts-max 20 --rate "$rate" "${event[@]}" >/dev/null
}

# loaded NAME COUNT: waits until all are acknowledged.
loaded() {
  local name="$COMPOSE_PROJECT_NAME-$1"
  done_sending() { docker logs "$name" 2>&1 | has '"message":"sent"'; }
  wait_for "$2 events to be acknowledged" done_sending
  docker logs "$name" 2>&1 | grep '"message":"sent"' | has "\"delivered\":$2,\"given_up\":0" ||
    fail "not all of $2 events were acknowledged: $(docker logs "$name" 2>&1 | grep '"message":"sent"')"
  docker rm -f "$name" >/dev/null
}

# all_stored: nothing is left in the queue, and every acknowledged event is in the database.
all_stored() {
  settled && stored_are "$total"
}

# backlog_reaches_0: asked within the container, because starting a process there many times would take the workers' cores.
backlog_reaches_0() {
  in_container redis timeout "$wait_max_secs" \
    sh -c 'until [ "$(redis-cli XLEN "{landfall}:events:response")" = 0 ]; do sleep 0.2; done' ||
    fail "waited $wait_max_secs s in vain for the backlog to reach 0"
}

# throughput NAME COUNT: works off a backlog that grew while all workers waited, as after a 429, and began again together;
# events a second into the variable rate.
throughput() {
  local name="$1" count="$2" mark length
  mark="$(date -u +%Y-%m-%dT%H:%M:%S)"
  redis SET '{landfall}:pause:default:response' rate_limited PX 20000 >/dev/null
  load "$name" "$count" 5000
  loaded "$name" "$count"
  length="$(backlog)"
  # On a slow machine the wait may be over; then the figure says little, and that is all.
  if [ "$(redis PTTL '{landfall}:pause:default:response')" -gt 0 ]; then
    expect redis "$length" "$count" "backlog by XLEN"
    ok "redis-cli XLEN '{landfall}:events:response' shows the backlog: $count"
  fi
  backlog_reaches_0
  wait_for "all to be stored" all_stored
  rate="$(for id in $(containers worker); do docker logs --since "${mark}Z" "$id" 2>&1; done | grep '"outcome":"stored"' |
    sed 's/.*"timestamp":"\([^"]*\)".*/\1/' | sort | sed -n '1p;$p' | date -u -f - +%s.%N | tr '\n' ' ' |
    awk -v count="$count" '{ printf "%.1f", count / ($2 - $1) }')"
}

# Reported, and not judged: one worker and four are measured one after the other, on a machine that others use too.
four_workers_are_measured_beside_one() {
  local one times turn seen=""
  delay_of_answers 50
  for turn in 1 2 3; do
    workers_are 1
    throughput "one-$turn" 200
    one="$rate"
    workers_are 4
    throughput "four-$turn" 800
    seen+="$(awk -v one="$one" -v four="$rate" 'BEGIN { printf "%.2f", four / one }') ($rate and $one events a second)"$'\n'
  done
  times="$(sort -n <<<"${seen%$'\n'}" | sed -n 2p)"
  ok "--scale worker=4: $times times as many as one, the median of three turns; XLEN is 0 again"
}

workers_are() {
  all_up --scale "worker=$1" worker
  [ "$(containers worker | wc -l)" -eq "$1" ] || fail "there should be so many workers: $1"
}

# delay_of_answers MS: the look-alike is started anew with slower answers.
delay_of_answers() {
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
  wait_for "events to come in" entries_come
  docker kill "$(container worker)" >/dev/null
  docker kill "$(container redis)" >/dev/null
  sleep 2
  quietly compose up -d --scale worker=4
  quietly compose kill worker
  quietly compose up -d --scale worker=4
  loaded kill 1500
  wait_for "all to be stored" all_stored
  nothing_is_dead
  ok "a worker, Redis and all workers were killed under load: 1500 events acknowledged, 1500 stored, no dead letter"
}

entries_come() { [ "$(backlog)" -gt 0 ]; }
nothing_is_dead() { landfall status --json | has '"dead":0,"oldest_ms"' || fail "there are dead letters: $(landfall status)"; }

rolling_restarts_lose_nothing() {
  local id
  all_up --scale worker=4 --scale ingest=2
  load rolling 1500 60
  wait_for "events to come in" entries_come
  for id in $(containers ingest worker); do
    quietly docker stop --time 40 "$id"
    expect "$(inspect "$id" '{{.Name}}')" "$(inspect "$id" '{{.State.ExitCode}}')" 0 "exit code of a stop"
    quietly docker start "$id"
  done
  loaded rolling 1500
  wait_for "all to be stored" all_stored
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
  wait_for "all to be stored" all_stored
  ok "'down' and 'up': $((total - 50)) events are still in the database, and the 50 of the queue came after them"
}

# What the README says under "Back up", and back in.
a_backup_comes_back() {
  all_up
  compose exec -T postgres pg_dump -U landfall -Fc landfall >"$folder/landfall.dump"
  compose run --rm --no-deps -T --user 65532:65532 -v "${COMPOSE_PROJECT_NAME}_files:/files:ro" --entrypoint tar postgres -C /files -c . >"$folder/files.tar" 2>/dev/null
  compose exec -T redis redis-cli --rdb - >"$folder/queue.rdb" 2>/dev/null
  tar -tf "$folder/files.tar" | has default || fail "the raw files are not in the backup: $(tar -tf "$folder/files.tar")"
  [ "$(head -c 5 "$folder/queue.rdb")" = REDIS ] || fail "the queue's snapshot is none"
  local before
  before="$(sql 'SELECT count(*) FROM events')"
  quietly compose stop worker
  sql 'TRUNCATE events CASCADE; DROP VIEW research_results' >/dev/null
  compose exec -T postgres pg_restore -U landfall -d landfall --clean --if-exists <"$folder/landfall.dump"
  all_up
  expect postgres "$(sql 'SELECT count(*) FROM events')" "$before" "events after the backup came back"
  ok "a backup of database, raw files and queue is taken while all runs; $before events come back from it"
}

# ---- HTTPS

# use_proxy: from here on as with DOMAIN in .env.
use_proxy() {
  compose down --volumes >/dev/null 2>&1 || true
  files=(-f docker-compose.yml)
  profiles=(--profile tls)
  export DOMAIN=localhost HTTP_PUBLISH HTTPS_PUBLISH
  export RESULTS_ADDR=0.0.0.0:8081 RESULTS_BASE_URL=https://localhost RESULTS_SECRET_FILE=/run/landfall/results_secret
  HTTP_PUBLISH="127.0.0.1:$(free_port)"
  HTTPS_PUBLISH="127.0.0.1:$(free_port)"
}

proxy_alone_is_published_and_ingest_scales() {
  as_root rm -rf secrets
  OPENAI_API_KEY=sk-test OPENAI_WEBHOOK_SECRET="$(webhook_secret)" quietly scripts/setup
  compose run --rm --no-deps -T landfall secret new >secrets/results_secret 2>/dev/null
  all_up --scale ingest=2
  expect compose "$(published_ports | tr '\n' ' ')" "proxy 443/tcp proxy 80/tcp " "published ports"
  local url="https://localhost:${HTTPS_PUBLISH##*:}/openai/webhook"
  https_answers() { [ "$(post "$url")" = '200 {"received":true}' ]; }
  wait_for "the proxy's certificate" https_answers
  for _ in 1 2 3 4 5 6 7 8 9; do https_answers || fail "the proxy does not pass a webhook on: $(cat "$folder/answer")"; done
  local id
  for id in $(containers ingest); do
    docker logs "$id" 2>&1 | has '"outcome":"accepted"' || fail "one of two ingest got nothing"
  done
  ok "profile tls: only the proxy is published; over HTTPS, two ingest share the webhooks"
  local forged="https://localhost:${HTTPS_PUBLISH##*:}/results/default/resp_1?expires=4000000000&signature=v1,x"
  expect worker "$(curl --silent --insecure --output /dev/null --write-out '%{http_code}' "$forged")" 403 "answer to a forged link"
  ok "the proxy leads links to results to a worker, which refuses a forged one"
  id="$(container ingest)"
  quietly docker stop --time 40 "$id"
  # What it is sent before the proxy notices, within a second or two, is OpenAI's to send again.
  ten_in_a_row() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do https_answers || return 1; done
  }
  wait_for "the proxy to leave out the ingest that has stopped" ten_in_a_row
  quietly docker start "$id"
  ok "with one of them stopped, the other takes all"
}
