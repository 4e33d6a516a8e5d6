"""`sallyport init DIR` writes what every role needs, keeps its secrets to their owner, and never overwrites."""
import json
import os
import stat
import subprocess

from harness import BIN


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_writes_everything_once(sallyport, workdir):
    made = json.loads(sallyport("init", workdir / "i", "--json", check=True).stdout)
    keys = workdir / "i/keys"
    assert mode(keys) == 0o700
    assert {p.name: mode(p) for p in keys.iterdir()} == {n: 0o600 for n in ("api", "environment", "audit.pem", "ca.pem")}
    assert (keys / "api").read_text().startswith("sp-api-") and (keys / "environment").read_text().startswith("sp-env-")
    assert made["config"] == str(workdir / "i/sallyport.yaml") and made["environment"] in (workdir / "i/sallyport.yaml").read_text()
    other = json.loads(sallyport("init", workdir / "j", "--json", check=True).stdout)
    assert other["environment"] != made["environment"]
    assert (workdir / "j/keys/api").read_text() != (keys / "api").read_text()


def test_certificates_verify_with_openssl(sallyport, workdir):
    sallyport("init", workdir / "i", check=True)
    ca, key = workdir / "i/certs/ca.pem", workdir / "i/keys/ca.pem"
    run = lambda *a: subprocess.run(["openssl", *map(str, a)], capture_output=True, text=True, check=True).stdout
    assert "OK" in run("verify", "-x509_strict", "-CAfile", ca, ca)
    assert run("x509", "-in", ca, "-noout", "-pubkey") == run("pkey", "-in", key, "-pubout")
    assert "CA:TRUE, pathlen:0" in run("x509", "-in", ca, "-noout", "-text")


def test_never_overwrites(sallyport, workdir):
    sallyport("init", workdir / "i", check=True)
    before = {p: p.read_bytes() for p in (workdir / "i").rglob("*") if p.is_file()}
    again = sallyport("init", workdir / "i")
    assert again.returncode == 1 and "never overwrites" in again.stderr and len(again.stderr.splitlines()) <= 3
    (workdir / "i/sallyport.yaml").unlink()
    again = sallyport("init", workdir / "i")
    assert again.returncode == 1 and str(workdir / "i/keys") in again.stderr
    assert {p: p.read_bytes() for p in (workdir / "i").rglob("*") if p.is_file()} == \
        {p: t for p, t in before.items() if p.name != "sallyport.yaml"}


def test_refuses_what_it_cannot_write(sallyport, workdir):
    (workdir / "file").write_text("")
    refused = sallyport("init", workdir / "file/below")
    assert refused.returncode == 1 and str(workdir / "file") in refused.stderr
    assert sallyport("init").returncode == 2
    assert sallyport("init", "a", "b").returncode == 2


def test_paths_are_meant_from_where_one_stands_and_mean_nothing_in_yaml(sallyport, workdir):
    sallyport("init", "a # b: \"c\"", "--data-dir", "data # here", "--model-key-file", "key", "--model-url", "http://127.0.0.1:1/#a: b",
              check=True, cwd=workdir)
    config = workdir / 'a # b: "c"/sallyport.yaml'
    text = config.read_text()
    assert f'data_dir: "{workdir}/data # here"\n' in text and f"key_file: {workdir}/key\n" in text
    assert f"nothing of Sallyport runs on {workdir}/data # here" in sallyport("ps", "--config", config).stderr
    refused = sallyport("init", "other", "--model-url", "ftp://x", cwd=workdir)
    assert refused.returncode == 2 and "http://" in refused.stderr and not (workdir / "other").exists()


def test_what_makes_no_configuration_leaves_nothing(sallyport, workdir):
    for option, value, says in (("--listen", "nowhere", "expected ADDRESS:PORT"), ("--listen", "", "expected a text"),
                                ("--model-url", "http://h\n", "expected one line")):
        refused = sallyport("init", workdir / "new", option, value)
        assert refused.returncode == 1 and says in refused.stderr, refused.stderr
        assert not (workdir / "new").exists()


def test_it_cleans_up_what_it_could_not_finish(sallyport, workdir):
    """A disk that is full after some files, one that is read-only: nothing half made stays, and what was there does."""
    disk = workdir / "disk"
    disk.mkdir()
    script = ('mount -t tmpfs -o size=16k,nr_inodes=30 tmpfs "$1" && "$2" init "$1/i"; code=$?; find "$1" -mindepth 1; umount "$1" && '
              'mount -t tmpfs tmpfs "$1" && mkdir "$1/i" && touch "$1/i/mine"; '
              'mount -o remount,ro "$1"; "$2" init "$1/i"; echo "$code $?"; find "$1/i" -mindepth 1')
    flags = ["-m"] if os.geteuid() == 0 else ["-Urm"]
    done = subprocess.run(["unshare", *flags, "sh", "-c", script, "sh", disk, BIN], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["1 1", f"{disk}/i/mine"], done.stdout + done.stderr
    assert "No space left on device" in done.stderr and "Read-only file system" in done.stderr


def test_secrets_are_private_under_any_umask(sallyport, workdir):
    for mask in (0, 0o077):
        subprocess.run([BIN, "init", workdir / f"i{mask}"], check=True, umask=mask, capture_output=True)
        keys = workdir / f"i{mask}/keys"
        assert mode(keys) == 0o700 and {mode(p) for p in keys.iterdir()} == {0o600}
        assert mode(workdir / f"i{mask}") & 0o022 == 0


def test_what_it_writes_is_read(sallyport, workdir):
    """Each mistake in a configuration is refused with file, line and the nearest valid word."""
    sallyport("init", workdir / "i", check=True)
    path = workdir / "i/sallyport.yaml"
    path.write_text(path.read_text().replace("\n  listen:", "\n  lisen:"))
    refused = sallyport("up", "--config", path)
    line = next(i for i, t in enumerate(path.read_text().splitlines(), 1) if "lisen" in t)
    assert refused.returncode == 1
    assert f"{path}:{line}:3" in refused.stderr and "did you mean 'listen'?" in refused.stderr
