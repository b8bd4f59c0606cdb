/** One bootstrap after the other against real shells behind a server in this process. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import { makeKey, openPeer, type Peer, publicBlob } from "../ssh/peer.ts";
import { createConnect } from "../ssh/ssh2.ts";
import type { AbortReason, Arch, Job, Outcome } from "./job.ts";
import { type FakePorts, isAlive, makeJob, makePorts, readLines, until } from "./job-fake.ts";
import { runBootstrap } from "./run.ts";

const user = makeKey();
const connect = createConnect();
const folder = mkdtempSync(join(tmpdir(), "navarch-run-"));
const HERE: Arch = arch() === "arm64" ? "arm64" : "x64";
let peer: Peer;

beforeAll(async () => {
  peer = await openPeer({ userKey: user.public, env: { HOME: folder } });
});
afterAll(() => peer.close());

function job(changes: Partial<Job> = {}, at: Peer = peer): Job {
  const hostKey = { kind: "pinned", keys: at.hostKeys } as const;
  return makeJob({ port: at.port, privateKey: user.private, hostKey }, changes);
}

async function run(
  given: Job,
  ports: FakePorts = makePorts(connect),
  signal: AbortSignal = new AbortController().signal,
): Promise<Outcome> {
  return runBootstrap(given, ports, signal);
}

/** `done`, or what an outcome says instead. */
function say(outcome: Outcome): string {
  if (outcome.kind === "failed") return `${outcome.cause}, ${outcome.retry}: ${outcome.error}`;
  return outcome.kind === "stale" ? `stale: ${outcome.error}` : outcome.kind;
}

const commandsOf = ({ attempt }: Outcome) => attempt.steps.filter(({ kind }) => kind === "command");

let files = 0;
function fresh(name: string): string {
  return join(folder, `${name}-${files++}`);
}

describe("runBootstrap()", () => {
  test("reaches, looks, places, runs in order and says what each step did", async () => {
    const token = fresh("token");
    const outcome = await run(
      job({
        credential: { path: `${token}/dir/token`, value: "nvn.secret-of-the-node" },
        ca: { path: `${token}/ca.pem`, pem: "-----BEGIN CERTIFICATE-----\n" },
        commands: [
          "echo {{.Pool}} $NAVARCH_NODE_ID $NAVARCH_TOKEN_FILE; echo warn >&2",
          "umask; cat {{.TokenFile}} >/dev/null && echo read",
        ],
      }),
    );
    expect(say(outcome)).toBe("done");
    const { attempt } = outcome;
    expect(attempt.steps.map(({ kind }) => kind)).toEqual([
      "connect",
      "probe",
      "credential",
      "credential",
      "command",
      "command",
    ]);
    expect(attempt.hostKey).toBe(peer.hostKeys[0] ?? "");
    expect(attempt.steps[1]?.stdout.head).toMatch(
      /^(x64|arm64), (not )?root, nodes dial http:\/\/10.0.0.5:50051\n0 of 2 commands done\n$/,
    );
    const [first, second] = commandsOf(outcome);
    expect(first?.stdout.head).toBe(`training node-1 ${token}/dir/token\n`);
    expect(first?.stderr.head).toBe("warn\n");
    expect([first?.exitCode, first?.error, first?.skipped]).toEqual([0, null, false]);
    expect(second?.stdout.head).toMatch(/^00[0-7][0-7]\nread\n$/);
    expect(second?.stdout.head).not.toContain("0077");
    expect(readFileSync(`${token}/dir/token`, "utf8")).toBe("nvn.secret-of-the-node\n");
    expect(statSync(`${token}/dir/token`).mode & 0o777).toBe(0o600);
    expect(statSync(`${token}/ca.pem`).mode & 0o777).toBe(0o644);
  });

  test("runs nothing twice: the machine's marks tell", async () => {
    const log = fresh("log");
    const given = job({ commands: [`echo 0 >>${log}`, `echo 1 >>${log}`] });
    expect(say(await run(given))).toBe("done");
    const again = await run({ ...given, attempt: 2 });
    expect(say(again)).toBe("done");
    expect(commandsOf(again).map(({ skipped }) => skipped)).toEqual([true, true]);
    expect(readLines(log)).toEqual(["0", "1"]);
    // Another join token is no other work; another pool is, and so is an attempt that starts afresh.
    const values = { ...given.values, KubernetesJoinToken: "abcdef.0123456789abcdef" };
    expect(commandsOf(await run({ ...given, values, attempt: 3 }))[0]?.skipped).toBe(true);
    const other = { ...given.values, Pool: "inference" };
    expect(commandsOf(await run({ ...given, values: other, attempt: 4 }))[0]?.skipped).toBe(false);
    const afresh = await run({ ...given, resume: false, attempt: 5 });
    expect(commandsOf(afresh).map(({ skipped }) => skipped)).toEqual([false, false]);
  });

  test("stops at the first failure, and goes on there the next time", async () => {
    const [log, flag] = [fresh("log"), fresh("flag")];
    const commands = [
      `echo 0 >>${log}`,
      `echo 1 >>${log}; [ -e ${flag} ] || { echo no flag >&2; exit 9; }`,
      `echo 2 >>${log}`,
    ];
    const given = job({ commands });
    const outcome = await run(given);
    expect(say(outcome)).toBe("command, later: setup_commands[1]: exit 9: no flag");
    expect(commandsOf(outcome).map(({ exitCode }) => exitCode)).toEqual([0, 9]);
    expect(outcome.attempt.state).toBe("failed");
    writeFileSync(flag, "");
    const again = await run({ ...given, attempt: 2 });
    expect(say(again)).toBe("done");
    expect(commandsOf(again).map(({ skipped }) => skipped)).toEqual([true, false, false]);
    expect(readLines(log)).toEqual(["0", "1", "1", "2"]);
  });

  test("ends a late command with everything that it started", async () => {
    const pids = fresh("pids");
    const command = [
      `echo $$ >>${pids}`,
      `sleep 60 & echo $! >>${pids}`,
      // timeout(1) makes a process group of its own, and this one ignores the first signal.
      `timeout 60 sh -c 'trap "" TERM; echo $$ >>${pids}; sleep 60; sleep 60' &`,
      "wait",
    ].join("\n");
    const timeouts = { sshMs: 5_000, sshConnectMs: 5_000, commandMs: 700 };
    const outcome = await run(job({ commands: [command, "echo never"], timeouts }));
    expect(say(outcome)).toBe(
      "timeout, later: setup_commands[0]: not done within 0.7s; its processes were ended",
    );
    expect(commandsOf(outcome).map(({ exitCode }) => exitCode)).toEqual([-1]);
    expect(readLines(pids)).toHaveLength(3);
    expect(readLines(pids).filter(isAlive)).toEqual([]);
  });

  test("goes on after a cut connection: the orphan is ended, then its command runs again", async () => {
    const own = await openPeer({ userKey: user.public, env: { HOME: folder } });
    const [pids, flag] = [fresh("pids"), fresh("flag")];
    const commands = ["true", `echo $$ >>${pids}; [ -e ${flag} ] || sleep 60`];
    const given = job({ commands }, own);
    const running = run(given);
    await until("the command runs", () => readLines(pids).length === 1);
    own.cut();
    const outcome = await running;
    expect(say(outcome)).toMatch(/^lost, later: setup_commands\[1\]: connection lost/);
    expect(readLines(pids).filter(isAlive)).toHaveLength(1);
    writeFileSync(flag, "");
    const again = await run({ ...given, attempt: 2 });
    expect(say(again)).toBe("done");
    expect(commandsOf(again).map(({ skipped }) => skipped)).toEqual([true, false]);
    expect(readLines(pids)).toHaveLength(2);
    expect(readLines(pids).filter(isAlive)).toEqual([]);
    await own.close();
  });

  test("is cut at each of its calls in turn, and ends as if it never was", async () => {
    const own = await openPeer({ userKey: user.public, env: { HOME: folder } });
    const [log, source] = [fresh("log"), fresh("agent")];
    writeFileSync(source, "an agent");
    const sha256 = createHash("sha256").update("an agent").digest("hex");
    const binary = { url: "", sha256, path: source };
    for (let calls = 1; ; calls++) {
      const target = join(fresh("bin"), "navarch-node");
      const commands = [0, 1].map((index) => `echo ${calls}.${index} >>${log}; echo done`);
      const given = job(
        {
          commands,
          agent: { x64: binary, arm64: binary },
          pushTo: target,
          credential: { path: `${target}.token`, value: "nvn.secret" },
        },
        own,
      );
      own.cutAfter = calls;
      const cut = await run(given);
      own.cutAfter = null;
      if (cut.kind === "done") {
        // All of its calls came before: look, claim, credential, have, push, two commands.
        expect(calls).toBe(8);
        break;
      }
      expect(say(cut)).toMatch(/^lost, later: /);
      expect(say(await run({ ...given, attempt: 2 }))).toBe("done");
      expect(readFileSync(target, "utf8")).toBe("an agent");
      expect(readFileSync(`${target}.token`, "utf8")).toBe("nvn.secret\n");
      const ran = readLines(log).filter((line) => line.startsWith(`${calls}.`));
      expect([...new Set(ran)]).toEqual([`${calls}.0`, `${calls}.1`]);
      // The one that was under way may have to run again, no other does.
      expect(ran.length).toBeLessThanOrEqual(3);
    }
    await own.close();
  });

  test("hides secrets from records and from the machine's process list", async () => {
    const secrets = ["nvn.secret-of-the-node", "abcdef.0123456789abcdef", "admin-secret-0001"];
    const [credential = "", joinToken = "", admin = ""] = secrets;
    const ports = makePorts(connect, [admin]);
    const split = `printf %s ${admin.slice(0, 7)}; sleep 0.4; printf '%s\\n' ${admin.slice(7)}`;
    const before = peer.commands.length;
    const outcome = await run(
      job({
        credential: { path: fresh("token"), value: credential },
        values: { KubernetesJoinToken: joinToken, Pool: "training" },
        commands: [
          "echo join {{.KubernetesJoinToken}}; cat {{.TokenFile}} >&2; env",
          split,
          "echo {{.KubernetesJoinToken}} >&2; exit 1",
        ],
      }),
      ports,
    );
    expect(say(outcome)).toBe("command, later: setup_commands[2]: exit 1: ***");
    const sent = peer.commands.slice(before).join("\n");
    expect(commandsOf(outcome)[1]?.stdout.head).toBe("***\n");
    for (const secret of secrets) {
      expect(JSON.stringify(ports.recorded)).not.toContain(secret);
      expect(JSON.stringify(outcome)).not.toContain(secret);
      // The test itself wrote the third one into a command.
      if (secret !== admin) expect(sent).not.toContain(secret);
    }
  });

  test("keeps 20 MB of output within its bound, and tells little of it", async () => {
    const ports = makePorts(connect);
    const command = "head -c 20000000 /dev/zero | tr '\\0' x; printf '\\033[2Jend'";
    const outcome = await run(job({ commands: [command] }), ports);
    const [step] = commandsOf(outcome);
    expect(say(outcome)).toBe("done");
    expect(step?.stdout.head).toHaveLength(32_768);
    expect(step?.stdout.tail.endsWith("xend")).toBe(true);
    expect(step?.stdout.droppedBytes).toBe(20_000_007 - 65_536);
    expect(ports.recorded.length).toBeLessThan(20);
  });

  test("shows what a command says while it runs, at most four times a second", async () => {
    const ports = makePorts(connect);
    const command = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; sleep 0.1; done";
    const outcome = await run(job({ commands: [command] }), ports);
    expect(say(outcome)).toBe("done");
    const live = ports.recorded.filter(({ steps }) => {
      const step = steps.find(({ kind }) => kind === "command");
      return step !== undefined && step.endedAt === null && step.stdout.head !== "";
    });
    expect(live.length).toBeGreaterThanOrEqual(2);
    expect(live.length).toBeLessThanOrEqual(8);
    expect(ports.recorded.at(-1)?.state).toBe("done");
  });

  test("goes no further when a step cannot be recorded", async () => {
    const log = fresh("log");
    const ports = makePorts(connect);
    const record: FakePorts["record"] = (attempt) => {
      if (attempt.steps.some(({ kind }) => kind === "command")) throw new Error("no longer leader");
    };
    const given = job({ commands: [`echo ran >>${log}`] });
    expect(run(given, { ...ports, record })).rejects.toThrow("no longer leader");
    expect(readLines(log)).toEqual([]);
  });

  test("refuses a template that does not parse", async () => {
    const outcome = await run(job({ commands: ["true", "echo {{.Nope}}"] }));
    expect(say(outcome)).toMatch(/^template, never: setup_commands\[1\]: unknown variable/);
  });
});

describe("runBootstrap() and who is in charge", () => {
  test("refuses to go on under an older epoch or attempt, without touching anything", async () => {
    const log = fresh("log");
    const given = job({ epoch: 7, attempt: 2, commands: [`echo first >>${log}`] });
    expect(say(await run(given))).toBe("done");
    for (const old of [
      { epoch: 6, attempt: 9 },
      { epoch: 7, attempt: 1 },
    ]) {
      const token = fresh("token");
      const stale = { ...given, ...old, commands: [`echo stale >>${log}`] };
      const outcome = await run({ ...stale, credential: { path: token, value: "nvn.old-one" } });
      expect(say(outcome)).toMatch(/^stale: the machine follows epoch 7, attempt 2; ours is/);
      expect(outcome.attempt.state).toBe("interrupted");
      expect(existsSync(token)).toBe(false);
    }
    expect(readLines(log)).toEqual(["first"]);
    expect(say(await run({ ...given, epoch: 8, attempt: 1 }))).toBe("done");
  });

  test("ends what an older run has under way, and the older run learns of it", async () => {
    const pids = fresh("pids");
    const given = job({ commands: [`echo $$ >>${pids}; [ $(wc -l <${pids}) -gt 1 ] || sleep 60`] });
    const older = run(given);
    await until("the older command runs", () => readLines(pids).length === 1);
    const newer = await run({ ...given, epoch: 2 });
    expect(say(newer)).toBe("done");
    // Its command died under it; it could not have begun another one.
    expect(say(await older)).toMatch(/^(command, later: .*exit 143|stale)/);
    expect(readLines(pids)).toHaveLength(2);
    expect(readLines(pids).filter(isAlive)).toEqual([]);
  });

  test("begins nothing after a newer claim", async () => {
    const [log, gate, token] = [fresh("log"), fresh("gate"), fresh("token")];
    const commands = [
      `echo a >>${log}; while [ ! -e ${gate} ]; do sleep 0.05; done`,
      `echo b >>${log}`,
    ];
    const given = job({ commands });
    const older = run(given);
    await until("the older command runs", () => readLines(log).length === 1);
    // A fence written by hand: a newer claim that has not yet ended the old command.
    const fence = readLines(await findFence(given.markDirectory));
    expect(fence[0]).toMatch(/^1 1 [0-9a-f-]{36}$/);
    writeFileSync(await findFence(given.markDirectory), "2 1 another\n");
    writeFileSync(gate, "");
    expect(say(await older)).toMatch(/^stale: the machine follows a newer epoch/);
    expect(readLines(log)).toEqual(["a"]);
    expect(existsSync(token)).toBe(false);
  });

  const reasons: [AbortReason | undefined, string][] = [
    ["cancelled", "cancelled"],
    ["interrupted", "interrupted"],
    [undefined, "interrupted"],
  ];
  for (const [reason, state] of reasons) {
    test(`ends its command when told ${reason ?? "nothing"}`, async () => {
      const pids = fresh("pids");
      const stop = new AbortController();
      const commands = [`echo $$ >>${pids}; sleep 60`];
      const running = run(job({ commands }), makePorts(connect), stop.signal);
      await until("the command runs", () => readLines(pids).length === 1);
      stop.abort(reason);
      const outcome = await running;
      expect(`${outcome.kind} ${outcome.attempt.state}`).toBe(`${state} ${state}`);
      expect(readLines(pids).filter(isAlive)).toEqual([]);
    });
  }
});

async function findFence(markDirectory: string): Promise<string> {
  const [found] = [...new Bun.Glob("*/fence").scanSync({ cwd: markDirectory })];
  return join(markDirectory, found ?? "no fence");
}

describe("runBootstrap() and the machine", () => {
  test("tries for as long as it may, and quotes the last error", async () => {
    const ports = makePorts(connect, [], 200);
    const timeouts = { sshMs: 60_000, sshConnectMs: 5_000, commandMs: 1_000 };
    const outcome = await run(job({ port: 1, timeouts }), ports);
    expect(say(outcome)).toMatch(
      /^unreachable, later: no SSH within 1m, last error: .*127.0.0.1:1/,
    );
    expect(ports.recorded.some(({ steps }) => steps[0]?.error?.startsWith("try "))).toBe(true);
  });

  test("gives a key that is refused a minute, not the whole time", async () => {
    const ports = makePorts(connect, [], 200);
    const timeouts = { sshMs: 600_000, sshConnectMs: 5_000, commandMs: 1_000 };
    const outcome = await run(job({ privateKey: makeKey().private, timeouts }), ports);
    expect(say(outcome)).toMatch(/^denied, later: .*refuses the key of user ubuntu \(16 tries/);
  });

  test("stops at once at a changed host key and at a key that cannot be used", async () => {
    const hostKey = { kind: "pinned", keys: [publicBlob(makeKey().private)] } as const;
    const changed = await run(job({ hostKey, commands: ["true"] }));
    expect(say(changed)).toMatch(/^host_key, never: host key of 127.0.0.1/);
    expect(changed.attempt.steps).toHaveLength(1);
    expect(changed.attempt.hostKey).toBe(null);
    expect(say(await run(job({ privateKey: "nonsense" })))).toMatch(/^bad_key, never: /);
  });

  test("uses sudo where it works and says so where it does not", async () => {
    const bin = mkdtempSync(join(tmpdir(), "navarch-bin-"));
    const path = `${bin}:${process.env["PATH"]}`;
    const own = await openPeer({ userKey: user.public, env: { HOME: folder, PATH: path } });
    const sudo = (text: string) => {
      writeFileSync(join(bin, "sudo"), `#!/bin/sh\n${text}\n`);
      chmodSync(join(bin, "sudo"), 0o755);
    };
    const log = fresh("sudo");
    sudo(`echo "$*" | head -n 1 >>${log}; [ "$1" = -n ] && shift; exec "$@"`);
    const marks = join(folder, "sudo-marks");
    const given = job({ become: "always", markDirectory: marks, commands: ["echo hi"] }, own);
    expect(say(await run(given))).toBe("done");
    expect(readLines(log).length).toBeGreaterThanOrEqual(3);
    sudo("echo 'sudo: a password is required' >&2; exit 1");
    const outcome = await run({ ...given, attempt: 2 });
    expect(say(outcome)).toMatch(
      /^no_sudo, never: no sudo: ubuntu .*"sudo: a password is required"/,
    );
    expect(outcome.attempt.steps.map(({ kind }) => kind)).toEqual(["connect", "probe"]);
    await own.close();
  });

  test("pushes the agent once, whole, and never under its name before", async () => {
    const [source, target] = [fresh("agent"), join(fresh("bin"), "navarch-node")];
    const bytes = Buffer.alloc(5_000_000, "navarch agent ");
    writeFileSync(source, bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const binary = { url: "/releases/agent", sha256, path: source };
    const agent = { x64: null, arm64: null, [HERE]: binary };
    const given = job({ agent, pushTo: target, commands: ["echo {{.AgentURL}} {{.AgentSHA256}}"] });
    const outcome = await run(given);
    expect(say(outcome)).toBe("done");
    expect(commandsOf(outcome)[0]?.stdout.head).toBe(
      `http://10.0.0.5:50051/releases/agent ${sha256}\n`,
    );
    expect(readFileSync(target).equals(bytes)).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o755);
    const again = await run({ ...given, attempt: 2 });
    expect(again.attempt.steps.find(({ kind }) => kind === "push")?.skipped).toBe(true);
    const wrong = { ...agent, [HERE]: { ...binary, sha256: "0".repeat(64) } };
    const refused = await run({ ...given, agent: wrong, attempt: 3 });
    expect(say(refused)).toMatch(/^push, later: .*what arrived has sha256/);
    const none = await run({ ...given, agent: { x64: null, arm64: null }, attempt: 4 });
    expect(say(none)).toMatch(/^push, never: there is no agent for/);
    const missing = { ...agent, [HERE]: { ...binary, sha256: "1".repeat(64), path: "/nowhere" } };
    const unread = await run({ ...given, agent: missing, attempt: 5 });
    expect(say(unread)).toMatch(/^push, later: .*ENOENT/);
    expect(readFileSync(target).equals(bytes)).toBe(true);
    expect([...new Bun.Glob("*").scanSync(join(target, ".."))]).toEqual(["navarch-node"]);
  });

  test("leaves nothing half when the connection is cut during the push", async () => {
    const own = await openPeer({ userKey: user.public, env: { HOME: folder } });
    const [source, target] = [fresh("agent"), join(fresh("bin"), "navarch-node")];
    const bytes = Buffer.from(Array.from({ length: 400_000 }, (_, at) => `${at * 7919} `).join(""));
    writeFileSync(source, bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const binary = { url: "", sha256, path: source };
    const agent = { x64: binary, arm64: binary };
    const given = job({ agent, pushTo: target }, own);
    const ports = makePorts(connect);
    const cutting: FakePorts["openBinary"] = async function* (path, compress) {
      let sent = 0;
      for await (const chunk of ports.openBinary(path, compress)) {
        yield chunk;
        sent += chunk.length;
        if (sent > 100_000) own.cut();
      }
    };
    const outcome = await run(given, { ...ports, openBinary: cutting });
    expect(say(outcome)).toMatch(/^lost, later: push agent/);
    expect(existsSync(target)).toBe(false);
    expect(say(await run({ ...given, attempt: 2 }))).toBe("done");
    expect(readFileSync(target).equals(bytes)).toBe(true);
    expect([...new Bun.Glob("*").scanSync(join(target, ".."))]).toEqual(["navarch-node"]);
    await own.close();
  });
});

describe("runBootstrap() and the address to dial", () => {
  const env = { HOME: folder, SSH_CONNECTION: "127.0.0.1 40000 127.0.0.1 22" };
  const commands = ["echo $NAVARCH_CONTROL_PLANE"];

  test("takes the first address that answers from the machine", async () => {
    const own = await openPeer({ userKey: user.public, env });
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("ok") });
    const url = `http://127.0.0.1:${server.port}`;
    const listen = "0.0.0.0:50051";
    const dead = { kind: "url", url: "http://127.0.0.1:1" } as const;
    const cases: [Job["controlPlane"]["candidates"], string][] = [
      [[dead, { kind: "url", url: `${url}/` }], `${url}\n`],
      [[{ kind: "seen", scheme: "http", port: server.port ?? 0 }], `${url}\n`],
    ];
    for (const [candidates, address] of cases) {
      const outcome = await run(job({ commands, controlPlane: { candidates, listen } }, own));
      expect(say(outcome)).toBe("done");
      expect(commandsOf(outcome)[0]?.stdout.head).toBe(address);
    }
    server.stop(true);
    await own.close();
  });

  test("says which address does not answer, or that none can be told", async () => {
    const own = await openPeer({ userKey: user.public, env });
    const listen = "0.0.0.0:50051";
    const dead = [{ kind: "url", url: "http://127.0.0.1:1" }] as const;
    const outcome = await run(job({ commands, controlPlane: { candidates: dead, listen } }, own));
    expect(say(outcome)).toMatch(
      /^address, later: pool training: http:\/\/127.0.0.1:1 does not answer from the machine: ./,
    );
    const seen = [{ kind: "seen", scheme: "http", port: 1 }] as const;
    const other = await run(job({ commands, controlPlane: { candidates: seen, listen } }, own));
    expect(say(other)).toContain(
      "address, never: pool training: cannot tell which address nodes should dial; " +
        "server.address 0.0.0.0:50051 is a listen address. Set server.external_address.",
    );
    await own.close();
  });
});
