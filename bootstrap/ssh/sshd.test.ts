/**
 * Bootstraps against OpenSSH's own server: what only a real sshd does with sessions, pipes and
 * connections. Asked for by `NAVARCH_MACHINES=1` or `CI=true`; sshd is installed when the tests run as
 * root.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import type { Job, Outcome } from "../run/job.ts";
import {
  commandsOf,
  say,
  isAlive,
  makeJob,
  makePorts,
  readLines,
  until,
} from "../../test/fixture/ssh/job-fake.ts";
import { runBootstrap } from "../run/run.ts";
import { isUnasked, missesPrograms } from "../../test/real/machine/gate.ts";
import type { ConnectRequest } from "../shell.ts";
import { readKnownHosts } from "./known-hosts.ts";
import { makeKey, publicBlob } from "../../test/fixture/ssh/peer.ts";
import { createConnect } from "./ssh2.ts";
import { openSshd, openWire, type Sshd } from "../../test/fixture/ssh/open-sshd.ts";

const WHAT = "bootstraps against a real sshd";
const PROGRAMS = { sshd: "openssh-server", "ssh-keygen": "openssh-client" };
const isMissing = isUnasked(WHAT) || (await missesPrograms(WHAT, PROGRAMS));

const user = makeKey();
const connect = createConnect();
const folder = mkdtempSync(join(tmpdir(), "navarch-sshd-test-"));
let sshd: Sshd;
let files = 0;
const fresh = (name: string): string => join(folder, `${name}-${files++}`);

function job(changes: Partial<Job> = {}): Job {
  const hostKey = { kind: "pinned", keys: [sshd.hostKey] } as const;
  const login = { folder, port: sshd.port, privateKey: user.private, hostKey };
  return makeJob(login, { user: sshd.user, ...changes });
}

function run(given: Job, ports = makePorts(connect)): Promise<Outcome> {
  return runBootstrap(given, ports, new AbortController().signal);
}

function request(changes: Partial<ConnectRequest>): ConnectRequest {
  return {
    host: "127.0.0.1",
    port: sshd.port,
    user: sshd.user,
    privateKey: user.private,
    hostKey: { kind: "pinned", keys: [sshd.hostKey] },
    jump: null,
    timeoutMs: 5_000,
    ...changes,
  };
}

describe.skipIf(isMissing)("a real sshd", () => {
  beforeAll(async () => {
    sshd = await openSshd([user.public]);
  });
  afterAll(async () => {
    await sshd?.close();
    rmSync(folder, { recursive: true });
  });

  test("pins what it saw at first use, and stops at another key", async () => {
    const first = await run(job({ hostKey: { kind: "first-use" } }));
    expect(say(first)).toBe("done");
    expect(first.attempt.hostKey).toBe(sshd.hostKey);
    const keys = [publicBlob(makeKey().private)];
    const changed = await run(job({ hostKey: { kind: "pinned", keys } }));
    expect(say(changed)).toMatch(/^host_key, never: /);
  });

  test("is found in a known_hosts file with hashed names", async () => {
    const path = fresh("known_hosts");
    writeFileSync(path, `[127.0.0.1]:${sshd.port} ${sshd.hostKeyLine}\n`);
    await $`ssh-keygen -q -H -f ${path}`.quiet();
    expect(readFileSync(path, "utf8")).toStartWith("|1|");
    const known = await readKnownHosts(path, "127.0.0.1", sshd.port);
    if (!known.ok) throw new Error(known.error);
    expect(say(await run(job({ hostKey: known.check })))).toBe("done");
  });

  test("takes an RSA key", async () => {
    const path = fresh("rsa");
    await $`ssh-keygen -q -t rsa -b 2048 -N "" -f ${path}`.quiet();
    const other = await openSshd([readFileSync(`${path}.pub`, "utf8").trim()]);
    const hostKey = { kind: "pinned", keys: [other.hostKey] } as const;
    const privateKey = readFileSync(path, "utf8");
    expect(say(await run(job({ port: other.port, privateKey, hostKey })))).toBe("done");
    await other.close();
  });

  test("refuses another user's key", async () => {
    const answer = await connect(request({ privateKey: makeKey().private }));
    expect(answer.kind).toBe("denied");
  });

  test("is reached through a second one, which needs its own key", async () => {
    const other = makeKey();
    const gate = await openSshd([other.public]);
    const jump = {
      host: "127.0.0.1",
      port: gate.port,
      user: gate.user,
      privateKey: other.private,
      hostKey: { kind: "pinned", keys: [gate.hostKey] } as const,
    };
    const outcome = await run(job({ jump, commands: ["echo through"] }));
    expect(commandsOf(outcome)[0]?.stdout.head).toBe("through\n");
    const nowhere = await connect(request({ jump, port: 1 }));
    expect(nowhere.kind).toBe("unreachable");
    await gate.close();
  });

  test("has a late command ended with its children", async () => {
    const pids = fresh("pids");
    const command = `echo $$ >>${pids}; timeout 60 sh -c 'echo $$ >>${pids}; sleep 60' & sleep 60`;
    const timeouts = { sshMs: 5_000, sshConnectMs: 5_000, commandMs: 800 };
    const outcome = await run(job({ commands: [command], timeouts }));
    expect(say(outcome)).toMatch(/^timeout, later: .*its processes were ended/);
    expect(commandsOf(outcome)[0]?.exitCode).toBe(-1);
    expect(readLines(pids)).toHaveLength(2);
    expect(readLines(pids).filter(isAlive)).toEqual([]);
  });

  test("does not hold a command up for the daemon that it leaves behind", async () => {
    const start = performance.now();
    const outcome = await run(job({ commands: ["sleep 20 & echo $!", "echo next"] }));
    expect(say(outcome)).toBe("done");
    expect(performance.now() - start).toBeLessThan(5_000);
    const pid = commandsOf(outcome)[0]?.stdout.head.trim() ?? "";
    expect(isAlive(pid)).toBe(true);
    process.kill(Number(pid));
  });

  test("reads 100 MB of output in bounded memory", async () => {
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const outcome = await run(job({ commands: ["head -c 100000000 /dev/zero | tr '\\0' x"] }));
    expect(say(outcome)).toBe("done");
    const { stdout } = commandsOf(outcome)[0] ?? {};
    expect(stdout?.droppedBytes).toBe(100_000_000 - 65_536);
    const grownMiB = (process.memoryUsage().rss - before) / 2 ** 20;
    console.error(`100 MB: ${(performance.now() - start).toFixed()} ms, ${grownMiB.toFixed()} MiB`);
    expect(grownMiB).toBeLessThan(150);
  });

  test("loses its connection in a command: the next attempt ends the orphan and goes on", async () => {
    const wire = await openWire(sshd.port);
    const [pids, flag] = [fresh("pids"), fresh("flag")];
    const command = `echo $$ >>${pids}; [ -e ${flag} ] || sleep 60`;
    const given = job({ port: wire.port, commands: ["echo once", command] });
    const running = run(given);
    await until("the command runs", () => readLines(pids).length === 1);
    wire.cut();
    expect(say(await running)).toMatch(/^lost, later: setup_commands\[1\]: connection lost/);
    writeFileSync(flag, "");
    const again = await run({ ...given, attempt: 2 });
    expect(say(again)).toBe("done");
    expect(commandsOf(again).map(({ skipped }) => skipped)).toEqual([true, false]);
    expect(readLines(pids).filter(isAlive)).toEqual([]);
    wire.close();
  });

  test("gets a 60 MB agent whole, also after a cut in the middle", async () => {
    const wire = await openWire(sshd.port);
    const [source, target] = [fresh("agent"), join(fresh("bin"), "navarch-node")];
    await $`head -c 60000000 /dev/urandom >${source}`;
    const bytes = readFileSync(source);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const binary = { url: "", sha256, path: source };
    const agent = { x64: null, arm64: null, [arch() === "arm64" ? "arm64" : "x64"]: binary };
    const given = job({ port: wire.port, agent, pushTo: target });
    const running = run(given);
    await until("some of it is there", () => wire.sentBytes() > 20_000_000);
    wire.cut();
    expect(say(await running)).toMatch(/^lost, later: push agent/);
    expect(existsSync(target)).toBe(false);
    const start = performance.now();
    expect(say(await run({ ...given, attempt: 2 }))).toBe("done");
    console.error(`60 MB: ${(performance.now() - start).toFixed()} ms`);
    expect(readFileSync(target).equals(bytes)).toBe(true);
    expect([...new Bun.Glob("*").scanSync(join(target, ".."))]).toEqual(["navarch-node"]);
    wire.close();
  });

  test("goes silent: noticed in about 15 s", async () => {
    const wire = await openWire(sshd.port);
    const answer = await connect(request({ port: wire.port }));
    if (answer.kind !== "ok") throw new Error(answer.message);
    const start = performance.now();
    const running = answer.shell.exec("sleep 120", { timeoutMs: 60_000 });
    wire.freeze();
    expect(await running).toEqual({ kind: "lost", message: "no sign of life for 15 s" });
    const tookMs = performance.now() - start;
    console.error(`silence noticed after ${tookMs.toFixed()} ms`);
    expect(tookMs).toBeLessThan(20_000);
    wire.close();
  }, 30_000);

  test("outlives its control plane: a kill in a command, then another epoch goes on", async () => {
    const [pids, flag] = [fresh("pids"), fresh("flag")];
    const command = `echo $$ >>${pids}; [ -e ${flag} ] || sleep 60`;
    const given = job({ commands: ["echo once", command] });
    const script = fresh("main");
    const from = (path: string) => JSON.stringify(join(import.meta.dir, path));
    writeFileSync(
      `${script}.ts`,
      `import { runBootstrap } from ${from("../run/run.ts")};
       import { makePorts } from ${from("../../test/fixture/ssh/job-fake.ts")};
       import { createConnect } from ${from("ssh2.ts")};
       const job = ${JSON.stringify(given)};
       await runBootstrap(job, makePorts(createConnect()), new AbortController().signal);`,
    );
    const plane = Bun.spawn([process.execPath, `${script}.ts`], { stdout: "ignore" });
    await until("the command runs", () => readLines(pids).length === 1);
    plane.kill("SIGKILL");
    await plane.exited;
    expect(readLines(pids).filter(isAlive)).toHaveLength(1);
    writeFileSync(flag, "");
    const again = await run({ ...given, epoch: 2 });
    expect(say(again)).toBe("done");
    expect(commandsOf(again).map(({ skipped }) => skipped)).toEqual([true, false]);
    expect(readLines(pids)).toHaveLength(2);
    expect(readLines(pids).filter(isAlive)).toEqual([]);
    const old = await run({ ...given, attempt: 9 });
    expect(say(old)).toMatch(
      /^stale: the machine follows epoch 2, attempt 1; ours is 1, attempt 9/,
    );
  });

  test.skipIf(Bun.which("sudo") !== null)("has no sudo, and says so", async () => {
    const outcome = await run(job({ become: "always", commands: ["echo never"] }));
    expect(say(outcome)).toMatch(/^no_sudo, never: no sudo: .*not found/);
  });

  test("serves ten at once, and each is quick", async () => {
    const commands = ["echo {{.NodeID}}", "true", "true"];
    const start = performance.now();
    const jobs = Array.from({ length: 10 }, () => job({ commands }));
    const outcomes = await Promise.all(jobs.map((given) => run(given)));
    console.error(`ten at once: ${(performance.now() - start).toFixed()} ms`);
    expect(outcomes.map(say)).toEqual(jobs.map(() => "done"));
    const alone = performance.now();
    expect(say(await run(job({ commands })))).toBe("done");
    console.error(`one alone: ${(performance.now() - alone).toFixed()} ms`);
  });
});
