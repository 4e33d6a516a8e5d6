"""What system tests stand on: processes that are waited for by what they say, an instance with its own directory and keys,
and the official SDK's programs. Nothing here sleeps to wait; everything started is ended by its process id."""
import http.client
import json
import os
import pathlib
import pty
import secrets
import select
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = os.environ.get("SALLYPORT_BIN", str(ROOT / "build/release/sallyport"))
BUILD = os.environ.get("SALLYPORT_BUILD", "release")
PEERS = ROOT / "build/peers"
NODE = PEERS / "node22/bin/node"
# A sanitizer build is several times slower; what is a limit for people is not one for it.
SLOW = 4 if BUILD == "asan" else 1


def environment(extra=None):
    """Ours without what would lead a client elsewhere, and with sanitizers that stop at the first finding."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("ANTHROPIC_", "SALLYPORT_CONFIG")) and k.lower() not in ("http_proxy", "https_proxy", "all_proxy")}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
    env.update(extra or {})
    return env


def sallyport(*args, timeout=60, check=False, env=None, cwd=None, **kw):
    """Runs a command to its end and returns its CompletedProcess, with stdout and stderr as text."""
    if "input" not in kw:
        kw.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([BIN, *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", timeout=timeout * SLOW, env=environment(env), cwd=cwd,
                          **kw)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    assert "ERROR: AddressSanitizer" not in done.stderr and "runtime error:" not in done.stderr, done.stderr
    return done


def wait_until(condition, what, timeout=20.0, interval=0.02):
    """For states that nothing announces: looks again until `condition()` is true, and returns its value."""
    end = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"after {timeout * SLOW:.0f} s still not: {what}")
        time.sleep(interval)


def on_terminal(argv, *typed, env=None, timeout=60):
    """Runs argv with a terminal as standard input, output and error; returns (what it showed, exit status). Each of `typed` is
    (what it must have shown since the last one, what is then typed)."""
    typed = list(typed)
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], [str(a) for a in argv], environment({"TERM": "xterm", **(env or {})}))
    out, since, end = b"", 0, time.monotonic() + timeout * SLOW
    try:
        while True:
            if not select.select([master], [], [], max(0, end - time.monotonic()))[0]:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"not done after {timeout * SLOW} s; on the terminal:\n{out.decode(errors='replace')}")
            try:
                more = os.read(master, 65536)
            except OSError:  # its last descriptor of the terminal is closed
                break
            if not more:
                break
            out += more
            if typed and typed[0][0].encode() in out[since:]:
                since = len(out)
                os.write(master, typed.pop(0)[1].encode())
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(master)
    return out.decode(errors="replace"), status


class Process:
    """A program that runs beside the test, its output in a log. With `ready`, --ready-fd is added and `self.ready` is what it
    wrote there once it was."""

    def __init__(self, argv, log, ready=False, timeout=20.0, env=None, cwd=None, stdin=subprocess.DEVNULL):
        self.argv, self.log, self.ready = [str(a) for a in argv], pathlib.Path(log), None
        fds = ()
        if ready:
            rfd, wfd = os.pipe()
            fds = (wfd,)
            self.argv += ["--ready-fd", str(wfd)]
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=stdin, stdout=out, stderr=out, pass_fds=fds, env=environment(env), cwd=cwd)
        self.pid = self.popen.pid
        if ready:
            os.close(wfd)
            try:
                self.ready = self._read_ready(rfd, timeout * SLOW)
            except BaseException:
                self.kill()
                raise
            finally:
                os.close(rfd)

    def _read_ready(self, fd, timeout):
        text, end = b"", time.monotonic() + timeout
        while b"\n" not in text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise AssertionError(f"{self}: not ready after {timeout:.0f} s\n{self.tail()}")
            more = os.read(fd, 4096)
            if not more:
                raise AssertionError(f"{self}: ended before it was ready\n{self.tail()}")
            text += more
        return json.loads(text.split(b"\n")[0])

    def __str__(self):
        return " ".join(self.argv[:4])

    def tail(self, n=4000):
        return self.log.read_text(errors="replace")[-n:]

    def running(self):
        return self.popen.poll() is None

    def wait(self, timeout=20.0):
        """The exit status, once it has ended by itself; negative for a signal."""
        try:
            return self.popen.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self}: still running after {timeout * SLOW:.0f} s\n{self.tail()}") from None

    def stop(self, sig=signal.SIGTERM, timeout=20.0):
        """Asks it to end; fails when it does not."""
        if self.running():
            self.popen.send_signal(sig)
        return self.wait(timeout)

    def kill(self):
        """SIGKILL: nothing is said good-bye to."""
        if self.running():
            self.popen.kill()
        return self.popen.wait()

    def wait_log(self, text, timeout=20.0):
        """Until `text` stands in its output."""
        def seen():
            assert text in self.tail(1 << 20) or self.running(), f"{self} ended without saying '{text}'\n{self.tail()}"
            return text in self.tail(1 << 20)
        wait_until(seen, f"{self} says '{text}'", timeout)

    def memory_kib(self):
        """What it holds for itself (VmRSS without what files share)."""
        fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return int(fields["RssAnon"].split()[0]), int(fields["VmRSS"].split()[0])


def yaml_text(value, indent=0):
    """A dict of dicts, lists and scalars as YAML; strings are quoted, so nothing in them means anything."""
    pad, lines = "  " * indent, []
    for key, v in value.items():
        if isinstance(v, dict):
            lines.append(f"{pad}{key}:\n{yaml_text(v, indent + 1)}" if v else f"{pad}{key}: {{}}")
        elif isinstance(v, list):
            lines.append(f"{pad}{key}:")
            for item in v:
                lines.append(f"{pad}  -\n{yaml_text(item, indent + 2)}" if isinstance(item, dict) else f"{pad}  - {json.dumps(item)}")
        elif isinstance(v, str):
            lines.append(f"{pad}{key}: {json.dumps(v)}")
        else:
            lines.append(f"{pad}{key}: {json.dumps(v)}")
    return "\n".join(lines)


class Instance:
    """A directory with a configuration and keys, and the roles that were started from it.

        with Instance(tmp_path) as inst:
            inst.start("recorder"); inst.start_model(scenario_text); inst.start("control"); inst.start("worker")

    Every listener takes port 0; `inst.control_url` is known once control is ready."""

    def __init__(self, directory, scenario=None):
        self.dir = pathlib.Path(directory)
        self.processes, self.roles = [], {}
        self.dir.mkdir(parents=True, exist_ok=True)
        (self.dir / "keys").mkdir(mode=0o700, exist_ok=True)
        self.api_key = "sp-api-" + secrets.token_urlsafe(32)
        self.environment_key = "sp-env-" + secrets.token_urlsafe(32)
        self.environment_id = "env_" + secrets.token_hex(12)
        self.write_secret("api", self.api_key)
        self.write_secret("environment", self.environment_key)
        if not (self.dir / "keys/audit.pem").exists():
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.dir / "keys/audit.pem"], check=True,
                           capture_output=True)
            (self.dir / "keys/audit.pem").chmod(0o600)
        self.settings = {
            "version": 1,
            "data_dir": str(self.dir / "data"),
            "control": {
                "listen": "127.0.0.1:0",
                "api_key_file": "keys/api",
                "models": [{"name": "*", "url": "http://127.0.0.1:1"}],
                "environments": [{"id": self.environment_id, "name": "local", "key_file": "keys/environment"}],
            },
            "worker": {
                "environment": self.environment_id,
                "environment_key_file": "keys/environment",
                "base_url": "http://127.0.0.1:1",
                "max_idle": "500ms",
            },
        }
        self.scenario = scenario

    def write_secret(self, name, value):
        path = self.dir / "keys" / name
        path.write_text(value + "\n")
        path.chmod(0o600)

    @property
    def config(self):
        return self.dir / "sallyport.yaml"

    def write_config(self):
        self.config.write_text(yaml_text(self.settings) + "\n")

    def process(self, argv, name, **kw):
        """Any program, ended with the instance."""
        p = Process(argv, self.dir / f"{name}.log", **kw)
        self.processes.append(p)
        return p

    def start(self, role, *args, name=None, **kw):
        """`sallyport ROLE`, ready. The last one of a role is self.roles[role]."""
        self.write_config()
        p = self.process([BIN, role, "--config", self.config, *args], name or role, ready=True, **kw)
        self.roles[role] = p
        if role == "control":
            address = p.ready["address"]
            self.control_url = address if address.startswith("http") else f"http://{address}"
            # A control that is started again must be found where it was.
            self.settings["control"]["listen"] = self.control_url.removeprefix("http://")
            self.settings["worker"]["base_url"] = self.control_url
        return p

    def start_model(self, scenario, *args):
        """`sallyport model-replay` with the scenario (text, or a path); control, started later, asks it."""
        if not isinstance(scenario, pathlib.Path):
            path = self.dir / "model.scenario"
            path.write_text(scenario)
            scenario = path
        p = self.process([BIN, "model-replay", scenario, "--listen", "127.0.0.1:0", *args], "model-replay", ready=True)
        self.roles["model-replay"] = p
        address = p.ready["address"]
        self.model_url = address if address.startswith("http") else f"http://{address}"
        self.settings["control"]["models"] = [{"name": "*", "url": self.model_url}]
        return p

    def start_all(self, scenario, worker=False):
        """Recorder, model, control and (if wanted) our worker."""
        self.start("recorder")
        self.start_model(scenario)
        self.start("control")
        if worker:
            self.start("worker")
        return self

    def api(self, method, path, body=None, key=None, headers=None, timeout=30):
        """One request to control: (status, parsed JSON or None, headers)."""
        host, port = self.control_url.removeprefix("http://").rsplit(":", 1)
        conn = http.client.HTTPConnection(host, int(port), timeout=timeout * SLOW)
        try:
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            head = {"x-api-key": key or self.api_key, "anthropic-version": "2023-06-01"}
            if data is not None:
                head["content-type"] = "application/json"
            head.update(headers or {})
            conn.request(method, path, data, head)
            answer = conn.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None, dict(answer.getheaders())
        finally:
            conn.close()

    def node(self, script, peer="sdk-1.12.0", env=None, timeout=60, background=False, args=()):
        """Runs an ES module (text, or a path) under Node 22 with the packages of build/peers/PEER and this instance's
        addresses and keys in its environment; returns a CompletedProcess, or a Process when in the background."""
        where = self.dir / f"node-{secrets.token_hex(4)}"
        where.mkdir()
        (where / "node_modules").symlink_to(PEERS / peer / "node_modules")
        text = script.read_text() if isinstance(script, pathlib.Path) else script
        (where / "main.mjs").write_text(text)
        (where / "work").mkdir()
        env = dict({"ANTHROPIC_BASE_URL": getattr(self, "control_url", ""), "ANTHROPIC_API_KEY": self.api_key,
                    "ANTHROPIC_ENVIRONMENT_KEY": self.environment_key, "ENVIRONMENT_ID": self.environment_id,
                    "WORKDIR": str(where / "work")}, **(env or {}))
        argv = [str(NODE), str(where / "main.mjs"), *map(str, args)]
        if background:
            return self.process(argv, where.name, env=env, cwd=where)
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=timeout * SLOW, env=environment(env), cwd=where)

    def logs(self):
        return "".join(f"--- {p.log.name}\n{p.tail(3000)}\n" for p in self.processes if p.log.exists())

    def close(self):
        """Ends everything, last started first; a sanitizer's finding in any log is a failure."""
        for p in reversed(self.processes):
            if p.running():
                p.popen.terminate()
                try:
                    p.popen.wait(15 * SLOW)
                except subprocess.TimeoutExpired:
                    p.kill()
        for p in self.processes:
            text = p.log.read_text(errors="replace") if p.log.exists() else ""
            for bad in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "BUG"):
                if bad in text:
                    at = text.index(bad)
                    raise AssertionError(f"{p}: {bad}\n{text[max(0, at - 200):at + 3000]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def free_port():
    """A TCP port that was free a moment ago. Only for programs that can't take port 0."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)
