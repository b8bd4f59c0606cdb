/**
 * `navarch bootstrap --host` from its entry to a machine's shell: an SSH server in this process
 * stands for the machine, and what runs on it runs here, below a folder of the test.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { utils } from "ssh2";
import { isAlive, readLines, until } from "../fixture/ssh/job-fake.ts";
import { makeKey, openPeer, type Peer, publicBlob } from "../fixture/ssh/peer.ts";
import { type Env, json, navarch, startNavarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-host-"));
const user = makeKey();
const key = join(folder, "key");
let peer: Peer;

beforeAll(async () => {
  writeFileSync(key, user.private);
  peer = await openPeer({ userKey: user.public, env: { HOME: folder } });
});
afterAll(async () => {
  await peer.close();
  rmSync(folder, { recursive: true });
});

let files = 0;
function fresh(name: string, text: string | null = null): string {
  const path = join(folder, `${files++}-${name}`);
  if (text !== null) writeFileSync(path, text);
  return path;
}

/** Nothing outside the test's folder is read or written by a run of these. */
function words(more: readonly string[], at: Pick<Peer, "port"> = peer): string[] {
  const own = ["--key", key, "--known-hosts", join(folder, "known_hosts")];
  const marks = ["--become", "never", "--test-marks", join(folder, "marks")];
  return ["bootstrap", "--host", "127.0.0.1", "--port", String(at.port), ...own, ...marks, ...more];
}

const ADDRESS = ["--set", "ControlPlane=http://10.9.9.9:50051"];
const run = (more: readonly string[], env: Env = {}) => navarch(words(more), env);

describe("navarch bootstrap --host", () => {
  test("runs what is asked for, shows it, and runs nothing twice", async () => {
    const log = fresh("log");
    const text = `echo {{.Pool}} {{.NodeID}} {{.ControlPlane}} $NAVARCH_REGION | tee -a ${log}\n`;
    const file = fresh("prepare.sh", text);
    const set = ["--pool", "training", "--set", "Region=us west", "--set", "name=d0"];
    const asked = ["--file", file, ...set, ...ADDRESS];
    const first = await run(asked);
    expect(first.code).toBe(0);
    expect(first.out.replace(/\d+\.\d s/g, "N s").replaceAll(file, "FILE")).toMatch(
      new RegExp(
        "^Attempt 1 at 127.0.0.1, \\S+Z\\n" +
          `  connect ubuntu@127.0.0.1:${peer.port}  N s\\n` +
          "  probe  N s\\n    \\w+, (not )?root, nodes dial http://10.9.9.9:50051\\n" +
          "    0 of 1 commands done\\n" +
          "  FILE  N s\\n    \\$ echo training d0 http://10.9.9.9:50051 .*\\n" +
          "    training d0 http://10.9.9.9:50051 us west\\n" +
          "done\\nd0 is set up \\(changed=1, done before: 0\\)\\n$",
      ),
    );
    const known = join(folder, "known_hosts");
    expect(first.err).toMatch(
      /^host key of \[127\.0\.0\.1\]:\d+: ssh-ed25519 SHA256:\S{43}, first use, stored in \S+\n$/,
    );
    expect(readFileSync(known, "utf8")).toContain(peer.hostKeys[0] ?? "");
    expect(statSync(known).mode & 0o777).toBe(0o600);
    const again = await run(asked);
    expect(again.code).toBe(0);
    expect(again.out).toContain("(changed=0, done before: 1)\n");
    expect(again.out).toContain("  done before\n");
    expect(again.err).toContain(`, as in ${known}\n`);
    expect(readLines(log)).toHaveLength(1);
    expect((await run([...asked, "--afresh"])).out).toContain("(changed=1, ");
    expect(readLines(log)).toHaveLength(2);
  });

  test("stops at the first failure with 1, and resumes there", async () => {
    const [log, flag] = [fresh("log"), fresh("flag")];
    const one = fresh("one.sh", `echo 1 >>${log}\n`);
    const two = fresh("two.sh", `[ -e ${flag} ] || { echo no flag >&2; exit 9; }; echo 2 >>${log}`);
    const asked = ["--file", one, "--file", two, ...ADDRESS];
    const failed = await run(asked);
    expect(failed.code).toBe(1);
    expect(failed.out).toContain(`failed: ${two}: exit 9: no flag\n`);
    expect(failed.err).toContain(`error: ${two}: exit 9: no flag\n`);
    writeFileSync(flag, "");
    expect((await run(asked)).out).toContain("(changed=1, done before: 1)");
    expect(readLines(log)).toEqual(["1", "2"]);
  });

  test("prints JSON and nothing else for programs", async () => {
    const file = fresh("bad.sh", "echo said; exit 3");
    const { code, out, err } = await run(["--file", file, ...ADDRESS, "-o", "json"]);
    expect(code).toBe(1);
    expect(json(out)).toMatchObject({
      state: "failed",
      steps: [{ kind: "connect" }, { kind: "probe" }, { name: file, stdout: "said\n" }],
    });
    expect(json(err.split("\n").at(-2) ?? "")).toMatchObject({ error: { code: "command" } });
  });

  test("shows no secret that the machine says back", async () => {
    const join_ = `nvj.${"q".repeat(43)}`;
    const line = readFileSync(key, "utf8").split("\n")[2] ?? "";
    const file = fresh("leak.sh", `echo one-token-here {{.KubernetesJoinToken}} ${join_} ${line}`);
    const set = ["--set", "KubernetesJoinToken=abcdef.0123456789abcdef"];
    const { code, out, err } = await run(["--file", file, ...set, ...ADDRESS], {
      NAVARCH_AUTH_TOKEN: "one-token-here",
    });
    expect(code).toBe(0);
    expect(out).toContain("    *** *** *** ***\n");
    expect(out + err).not.toMatch(/one-token-here|abcdef\.0123|nvj\.q/);
    expect(out).not.toContain(line);
  });

  test("ends the remote command at Ctrl-C with 130, and leaves the rest for the next run", async () => {
    const [pids, flag, log] = [fresh("pids"), fresh("flag"), fresh("log")];
    const one = fresh("one.sh", `echo 1 >>${log}`);
    // What it says travels by the network, its number by the disk: the words get a head start.
    const begin = `echo begun\nsleep 1\necho $$ >>${pids}\n`;
    const text = `[ -e ${flag} ] && exit 0\n${begin}sleep 60\n`;
    const asked = ["--file", one, "--file", fresh("two.sh", text), ...ADDRESS];
    const child = startNavarch(words(asked));
    await until("the command runs", () => readLines(pids).length === 1);
    expect(readLines(pids).filter(isAlive)).toHaveLength(1);
    child.kill("SIGINT");
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    expect(code).toBe(130);
    expect(err).toContain("stopped; run the same command again to resume\n");
    expect(out).toContain("    begun\n");
    expect(out).toContain("interrupted: stopped\n");
    expect(readLines(pids).filter(isAlive)).toEqual([]);
    writeFileSync(flag, "");
    expect((await run(asked)).out).toContain("(changed=1, done before: 1)");
    expect(readLines(log)).toEqual(["1"]);
  }, 20_000);

  test("takes a run over whose command line was killed", async () => {
    const [pids, flag] = [fresh("pids"), fresh("flag")];
    const text = `echo $$ >>${pids}; [ -e ${flag} ] || sleep 60`;
    const asked = ["--file", fresh("one.sh", text), ...ADDRESS];
    const child = startNavarch(words(asked));
    await until("the command runs", () => readLines(pids).length === 1);
    child.kill("SIGKILL");
    await child.exited;
    writeFileSync(flag, "");
    expect((await run(asked)).code).toBe(0);
    expect(readLines(pids).filter(isAlive)).toEqual([]);
  }, 20_000);

  test("prints the script of a dry run and reaches nobody", async () => {
    const logins = peer.logins;
    const file = fresh("x.sh", "echo {{.ControlPlane}} {{.KubernetesJoinToken}}\n");
    const set = ["--set", "KubernetesJoinToken=abcdef.0123456789abcdef", "--pool", "training"];
    const asked = ["--template", "agent", "--file", file, "--dry-run", ...set];
    const { code, out, err } = await run([...asked, "-s", "127.0.0.1:1"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("# agent[0]\nexport NAVARCH_CONTROL_PLANE=");
    expect(out).toContain("# First, a join token for pool training would be created and placed.\n");
    expect(out).toContain("http://ADDRESS-OF-THIS-COMPUTER:1");
    expect(out).not.toContain("abcdef.0123");
    const named = await run([...asked, "-s", "https://plane.example"]);
    expect(named.out).toContain("echo https://plane.example ***\n");
    expect(peer.logins).toBe(logins);
  });

  test("reaches a machine through another, and checks the keys of both", async () => {
    const own = { hosts: fresh("known"), done: fresh("done") };
    const gate = await openPeer({ userKey: user.public, env: { HOME: folder } });
    const file = fresh("x.sh", `echo >${own.done}`);
    const asked = ["--file", file, ...ADDRESS, "--jump", `ann@127.0.0.1:${gate.port}`];
    const known = ["--known-hosts", own.hosts];
    expect((await run([...asked, ...known])).code).toBe(0);
    expect([gate.commands, existsSync(own.done)]).toEqual([[], true]);
    expect(readLines(own.hosts).map((line) => line.split(" ")[2])).toEqual([
      gate.hostKeys[0] ?? "",
      peer.hostKeys[0] ?? "",
    ]);
    const another = publicBlob(makeKey().private);
    writeFileSync(own.hosts, `[127.0.0.1]:${gate.port} ssh-ed25519 ${another}\n`);
    const foreign = await run([...asked, ...known]);
    expect(foreign).toMatchObject({ code: 6, out: "" });
    expect(foreign.err).toContain("error: --jump: host key of 127.0.0.1");
    await gate.close();
  });
});

describe("navarch bootstrap --host stops", () => {
  test("at a changed host key, with both fingerprints, before anything is sent", async () => {
    const hosts = fresh("known");
    const [before, ran] = [makeKey().private, peer.commands.length];
    writeFileSync(hosts, `[127.0.0.1]:${peer.port} ssh-ed25519 ${publicBlob(before)}\n`);
    const file = fresh("x.sh", "true");
    const ended = await run(["--file", file, ...ADDRESS, "--known-hosts", hosts]);
    expect(ended.code).toBe(6);
    expect(ended.err).toMatch(/is ssh-ed25519 SHA256:\S+, expected ssh-ed25519 SHA256:\S+: /);
    expect(ended.err).toContain(`ssh-keygen -R '[127.0.0.1]:${peer.port}' -f ${hosts}`);
    expect(peer.commands).toHaveLength(ran);
    expect(readFileSync(hosts, "utf8")).not.toContain(peer.hostKeys[0] ?? "");
  });

  test("where the host key cannot be kept, before anything is sent", async () => {
    const ran = peer.commands.length;
    const below = join(fresh("a-file", ""), "known_hosts");
    const asked = ["--file", fresh("x.sh", "true"), ...ADDRESS, "--known-hosts", below];
    const ended = await run(asked);
    expect(ended.code).toBe(1);
    expect(ended.err).toStartWith(`error: cannot store the host key: ${below}: `);
    expect(peer.commands).toHaveLength(ran);
  });

  test("at a key that the machine refuses with 4, at once", async () => {
    const wrong = fresh("wrong", makeKey().private);
    const ended = await run(["--file", fresh("x.sh", "true"), ...ADDRESS, "--key", wrong]);
    expect(ended).toMatchObject({ code: 4, err: expect.stringContaining("refuses the key of") });
  });

  test("at a machine that does not answer with 5", async () => {
    const asked = ["--file", fresh("x.sh", "true"), ...ADDRESS, "--ssh-timeout", "700ms"];
    const ended = await navarch(words(asked, { port: 1 }));
    expect(ended.code).toBe(5);
    expect(ended.err).toContain("error: no SSH within 0.7s, last error: 127.0.0.1:1: ");
  });

  test("at what is wrong here, before the machine is reached, with 2", async () => {
    const logins = peer.logins;
    const good = fresh("prepare.sh", "true");
    const locked = utils.generateKeyPairSync("ed25519", {
      passphrase: "x",
      cipher: "aes256-ctr",
      rounds: 16,
    });
    const cases: [string[], string][] = [
      [[], "needs --template NAME or --file F: there is nothing to run"],
      [["--template", "agnt"], '--template: unknown template "agnt" (did you mean agent?)'],
      [["--template", "agent"], "template agent needs --pool P"],
      [["--file", `${folder}/0-nothing-like-it`], "0-nothing-like-it: no such file"],
      [["--file", good.replace("prepare", "prepar")], `no such file (did you mean ${good}?)`],
      [["--file", folder], "is a folder"],
      [["--file", fresh("bad.sh", "a\nb {{.Pol}}")], "bad.sh:2:5: unknown variable {{.Pol}} ("],
      [["--file", fresh("empty.sh", " \n")], "is empty"],
      [["--file", good, "--set", "Pol=x"], '--set: unknown variable "Pol" (did you mean Pool?)'],
      [["--file", good, "--key", `${key}s`], `no such file (did you mean ${key}?)`],
      [["--file", good, "--key", fresh("enc", locked.private)], "is encrypted: use one without"],
      [["--file", good, "--key", fresh("half.pub", user.public)], "the SSH key is a public one"],
      [["--file", good, "--key", good], "the SSH private key cannot be read"],
      [["--template", "agent", "--agent", good, "--pool", "p"], "expected a program for Linux"],
      [["--file", good, "--follow"], "--follow goes with <node-id>, not with --host"],
      [["--file", good, "gpu-2"], "takes <node-id> or --host H, not both"],
      [["--file", good, "--hots", "x"], "unknown flag --hots (did you mean --host?)"],
    ];
    for (const [more, message] of cases) {
      const ended = await run([...more, ...ADDRESS]);
      expect({ more, code: ended.code, out: ended.out }).toEqual({ more, code: 2, out: "" });
      expect(ended.err).toContain(message);
    }
    const alone = await navarch(["bootstrap", "gpu-2", "--key", key]);
    expect(alone).toMatchObject({
      code: 2,
      err: expect.stringContaining("--key goes with --host"),
    });
    expect(peer.logins).toBe(logins);
  }, 30_000);

  test("where no control plane answers with 5, before the machine is reached", async () => {
    const logins = peer.logins;
    const ended = await run(["--template", "agent", "--pool", "p", "-s", "http://127.0.0.1:1"]);
    expect(ended).toMatchObject({ code: 5, err: expect.stringContaining("connection refused") });
    expect(peer.logins).toBe(logins);
  });
});
