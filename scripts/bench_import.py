"""Measures the import of a batch's output file: Landfall from webhook to `results_complete`, compared with `psql \\copy`
and `sqlite3 .import` of the same rows into a table with the same columns and indexes. See scripts/bench."""

import argparse
import contextlib
import csv
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

BIN = os.environ["BENCH_BIN"]
BATCH = "batch_bench"
COLUMNS = ["project", "batch_id", "source", "line", "custom_id", "status_code", "request_id", "body", "body_bytes",
           "error", "input_tokens", "output_tokens", "quarantined"]
CHECK = "SELECT count(*), count(DISTINCT line), sum(output_tokens) FROM {table}"
DONE = f"SELECT count(*) FROM batches WHERE batch_id = '{BATCH}' AND results_complete"
PEER = {"postgres": "psql \\copy", "sqlite": "sqlite3 .import"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Bench:
    """All processes, in one folder; they are stopped and the folder is removed at the end."""

    def __init__(self, args):
        self.args = args
        self.folder = tempfile.mkdtemp(prefix="landfall-bench-")
        os.chmod(self.folder, 0o755)
        self.running = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "PG"))}
        self.env.update(LOG_FORMAT="json", NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", OPENAI_API_KEY="sk-bench",
                        OPENAI_WEBHOOK_SECRET="whsec_" + "bGFuZGZhbGw" * 4 + "MA==", ADMIN_ADDR="127.0.0.1:0",
                        FILES_URL=f"{self.folder}/files", MIN_FREE_BYTES="1MiB")

    def start(self, name, argv, env=None, **more):
        with open(f"{self.folder}/{name}.log", "wb") as log:
            process = subprocess.Popen(argv, env=env or self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **more)
        self.running.append(process)
        return process

    def logged(self, process, name, field):
        """The value of a field that a program logs at startup."""
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            for line in open(f"{self.folder}/{name}.log", errors="replace"):
                if f'"{field}":"' in line:
                    return line.split(f'"{field}":"')[1].split('"')[0]
            time.sleep(0.01)
        sys.exit(f"{name} did not start: " + open(f"{self.folder}/{name}.log", errors="replace").read()[-500:])

    def stop(self, process, how=signal.SIGTERM):
        process.send_signal(how)
        process.wait(60)
        self.running.remove(process)

    def stop_all(self):
        for process in self.running:
            process.send_signal(signal.SIGINT if process is getattr(self, "postgres", None) else signal.SIGTERM)
        for process in self.running:
            process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_services(self):
        redis_port = free_port()
        self.start("redis", ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--dir", self.folder,
                             "--save", "", "--appendonly", "yes"])
        while subprocess.run(["redis-cli", "-p", str(redis_port), "ping"], capture_output=True).stdout != b"PONG\n":
            time.sleep(0.05)
        self.env["REDIS_URL"] = f"redis://127.0.0.1:{redis_port}"
        fake = self.start("fake-openai", [f"{BIN}/fake-openai", "--addr", "127.0.0.1:0", "--batch",
                                          f"id={BATCH},lines={self.args.lines},line_bytes={self.args.line_bytes}"])
        self.env["OPENAI_BASE_URL"] = f"http://{self.logged(fake, 'fake-openai', 'openai.addr')}/v1"
        ingest = self.start("ingest", [f"{BIN}/ingest"], dict(self.env, INGEST_ADDR="127.0.0.1:0"))
        self.env["INGEST_URL"] = f"http://{self.logged(ingest, 'ingest', 'ingest.addr')}/openai/webhook"

    def start_postgres(self):
        """Starts PostgreSQL with default durability (fsync), sized so that no checkpoint or vacuum affects a single turn."""
        programs = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[-2]), default="")
        home, self.pg_port = f"{self.folder}/postgres", free_port()
        os.mkdir(home)
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        if user:
            os.chown(home, pwd.getpwnam("postgres").pw_uid, -1)
        initdb = shutil.which("initdb") or f"{programs}/initdb"
        subprocess.run([initdb, "-D", f"{home}/data", "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"],
                       check=True, stdout=subprocess.DEVNULL, cwd=home, **user)
        settings = {"port": self.pg_port, "listen_addresses": "127.0.0.1", "unix_socket_directories": home,
                    "shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "autovacuum": "off"}
        argv = [initdb.replace("initdb", "postgres"), "-D", f"{home}/data"]
        self.postgres = self.start("postgres", argv + [x for k, v in settings.items() for x in ("-c", f"{k}={v}")],
                                   cwd=home, **user)
        while subprocess.run(["psql", "-qX", self.pg("postgres"), "-c", ""], capture_output=True).returncode:
            time.sleep(0.05)

    def pg(self, database):
        return f"postgresql://bench@127.0.0.1:{self.pg_port}/{database}"

    def ask(self, database, sql):
        """The fields of the first row, as text."""
        if database == "postgres":
            out = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url(database), "-c", sql], check=True,
                                 capture_output=True, text=True)
            return out.stdout.strip().split("|")
        with sqlite3.connect(self.sqlite) as connection:
            return [str(field) for field in connection.execute(sql).fetchone() or ()]

    @contextlib.contextmanager
    def asking(self, database, sql):
        """Yields a function that returns the fields of the first row. It uses one connection: polls compete with Landfall
        for the processors, and psql takes 30 ms of CPU to start where Debian wraps it in a Perl script."""
        if database == "sqlite":
            with contextlib.closing(sqlite3.connect(self.sqlite)) as connection:
                yield lambda: [str(field) for field in connection.execute(sql).fetchone() or ()]
            return
        argv = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url(database)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:

            def ask():
                psql.stdin.write(f"{sql};\n")
                psql.stdin.flush()
                return psql.stdout.readline().strip().split("|")

            yield ask

    @property
    def sqlite(self):
        return f"{self.folder}/landfall.db"

    def url(self, database):
        return self.pg("bench") if database == "postgres" else f"sqlite://{self.sqlite}"

    def fresh(self, database):
        """Creates an empty database with Landfall's tables, and syncs everything to disk."""
        shutil.rmtree(f"{self.folder}/files", ignore_errors=True)
        if database == "postgres":
            for sql in ("DROP DATABASE IF EXISTS bench", "CREATE DATABASE bench", "CHECKPOINT"):
                subprocess.run(["psql", "-qX", self.pg("postgres"), "-c", sql], check=True, stderr=subprocess.DEVNULL)
        else:
            for path in glob.glob(self.sqlite + "*"):
                os.remove(path)
        subprocess.run([f"{BIN}/landfall", "migrate"], env=dict(self.env, DATABASE_URL=self.url(database)), check=True,
                       stdout=subprocess.DEVNULL)
        os.sync()

    def rows_as_csv(self):
        """Writes the rows as they are stored in the table."""
        path = f"{self.folder}/rows.csv"
        file = json.load(urllib.request.urlopen(f"{self.env['OPENAI_BASE_URL']}/batches/{BATCH}"))["output_file_id"]
        content = urllib.request.urlopen(f"{self.env['OPENAI_BASE_URL']}/files/{file}/content")
        with open(path, "w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            for number, line in enumerate(content, 1):
                item = json.loads(line)
                body, usage = item["response"]["body"], item["response"]["body"]["usage"]
                rows.writerow(["default", BATCH, "output", number, item["custom_id"], item["response"]["status_code"],
                               item["response"]["request_id"], json.dumps(body, separators=(",", ":"), ensure_ascii=False),
                               None, None, usage["input_tokens"], usage["output_tokens"], 0])
        return path

    def landfall(self, database):
        self.fresh(database)
        env = dict(self.env, DATABASE_URL=self.url(database))
        worker = self.start("worker", [f"{BIN}/worker"], env)
        self.logged(worker, "worker", "admin.addr")
        with self.asking(database, DONE) as ask:
            ask()
            started = time.monotonic()
            subprocess.run([f"{BIN}/landfall", "send", "--url", self.env["INGEST_URL"], f"batch.completed={BATCH}"],
                           env=env, check=True, stdout=subprocess.DEVNULL)
            while ask() != ["1"]:
                if worker.poll() is not None or time.monotonic() - started > self.args.timeout:
                    sys.exit("the worker ended or took too long: " + open(f"{self.folder}/worker.log").read()[-2000:])
                time.sleep(0.02)
            seconds = time.monotonic() - started
        status = open(f"/proc/{worker.pid}/status").read()
        peak_kib = int(status.split("VmHWM:")[1].split()[0])
        cpu = sum(int(x) for x in open(f"/proc/{worker.pid}/stat").read().rpartition(")")[2].split()[11:13])
        self.stop(worker)
        self.check(database, "batch_results")
        return {"seconds": seconds, "peak_mib": peak_kib / 1024, "cpu": cpu / os.sysconf("SC_CLK_TCK")}

    def peer(self, database, rows):
        self.fresh(database)
        columns = ", ".join(COLUMNS)
        if database == "postgres":
            # Without INCLUDING COMPRESSION and STORAGE: PostgreSQL's default storage.
            like = "CREATE TABLE plain_results (LIKE batch_results INCLUDING DEFAULTS INCLUDING INDEXES)"
            subprocess.run(["psql", "-qX", self.url(database), "-c", like], check=True)
            argv = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", self.url(database), "-c",
                    f"\\copy plain_results ({columns}) FROM '{rows}' (FORMAT csv)"]
        else:
            with sqlite3.connect(self.sqlite) as connection:
                made = connection.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'batch_results' AND sql NOT NULL")
                for (sql,) in made.fetchall():
                    # sqlite3 imports every field as text, which a STRICT table rejects.
                    connection.execute(sql.replace("batch_results", "plain_results").replace("STRICT", ""))
            argv = ["sqlite3", self.sqlite, "-cmd", "PRAGMA journal_mode=WAL", "-cmd", "PRAGMA synchronous=NORMAL",
                    f".import --csv {rows} plain_results"]
        os.sync()
        started = time.monotonic()
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{PEER[database]} failed: {done.stderr[:500]}")
        seconds = time.monotonic() - started
        self.check(database, "plain_results")
        return {"seconds": seconds}

    def check(self, database, table):
        found = self.ask(database, CHECK.format(table=table))
        if found[:2] != [str(self.args.lines)] * 2 or found[2] == "":
            sys.exit(f"{table} in {database} has {found} instead of {self.args.lines} rows")


def report(database, args, ours, peer):
    """Prints medians. The ratio is the median of the ratios per turn."""
    median = lambda runs, key: statistics.median(run[key] for run in runs)
    ratios = [mine["seconds"] / theirs["seconds"] for mine, theirs in zip(ours, peer)]
    megabytes = args.lines * args.line_bytes / 1e6
    name = PEER[database]
    print(f"{args.lines:,} lines, {megabytes:.0f} MB, into {database}; medians of {len(ours)} turns")
    if peer:
        print(f"  {name:<16} {median(peer, 'seconds'):7.2f} s")
    print(f"  {'landfall':<16} {median(ours, 'seconds'):7.2f} s   peak memory {max(run['peak_mib'] for run in ours):.1f} MiB"
          f"   CPU {median(ours, 'cpu'):.2f} s")
    if ratios:
        print(f"  landfall takes {statistics.median(ratios):.2f} x the time of {name}"
              f" (turns: {', '.join(f'{ratio:.2f}' for ratio in ratios)})")
    sys.stdout.flush()


def main():
    p = argparse.ArgumentParser(prog="scripts/bench import", description=__doc__.split(". See")[0])
    p.add_argument("--lines", type=int, default=200_000)
    p.add_argument("--line-bytes", type=int, default=2057)
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--into", default="postgres,sqlite", help="postgres, sqlite, or both")
    p.add_argument("--alone", action="store_true", help="measure only Landfall, without the peers")
    p.add_argument("--timeout", type=float, default=600, help="maximum seconds per import")
    args = p.parse_args()
    bench = Bench(args)
    try:
        bench.start_services()
        rows = None if args.alone else bench.rows_as_csv()
        databases = args.into.split(",")
        if "postgres" in databases:
            bench.start_postgres()
        for database in databases:
            ours, peer = [], []
            for _ in range(args.turns):
                if rows:
                    peer.append(bench.peer(database, rows))
                ours.append(bench.landfall(database))
            report(database, args, ours, peer)
    finally:
        bench.stop_all()


main()
