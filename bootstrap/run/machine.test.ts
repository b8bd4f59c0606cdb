/**
 * Bootstraps of whole machines: systemd, sudo, a disk and a network of their own, and what happens
 * to machines. Asked for by `NAVARCH_MACHINES=1` or `CI=true`.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { type Bed, openBed } from "../../test/real/machine/bed.ts";
import { missesBed } from "../../test/real/machine/gate.ts";
import { buildStale, NAVARCH_NODE as AGENT } from "../../test/fixture/plane/plane.ts";
import type { Machine } from "../../test/real/machine/machine.ts";
import { BUILTINS } from "../builtin/builtin.ts";
import { createConnect } from "../ssh/ssh2.ts";
import type { AgentBinary, Arch, Job, Outcome } from "./job.ts";
import { MARK_DIRECTORY } from "./job.ts";
import { commandsOf, say, makeJob, makePorts, until } from "../../test/fixture/ssh/job-fake.ts";
import { runBootstrap } from "./run.ts";

const isMissing = await missesBed("bootstraps of whole machines");

const HERE: Arch = arch() === "arm64" ? "arm64" : "x64";
const connect = createConnect();
const TOKEN = "nvn.secret-of-the-machine";
let bed: Bed;
let plane: ReturnType<typeof Bun.serve>;
let binary: AgentBinary;
const asked: { path: string; token: string | null }[] = [];

function jobOf(machine: Machine, changes: Partial<Job> = {}): Job {
  const keys = machine.hostKeys.map((key) => key.split(" ")[1] ?? "");
  const login = {
    folder: bed.stateDir,
    port: 22,
    privateKey: readFileSync(bed.keyPath, "utf8"),
    hostKey: { kind: "pinned", keys } as const,
  };
  return makeJob(login, {
    address: machine.address,
    instance: machine.id,
    become: "auto",
    markDirectory: MARK_DIRECTORY,
    timeouts: { sshMs: 30_000, sshConnectMs: 5_000, commandMs: 60_000 },
    controlPlane: {
      candidates: [{ kind: "seen", scheme: "http", port: plane.port ?? 0 }],
      listen: `0.0.0.0:${plane.port}`,
    },
    values: { Pool: "training", NodeID: "node-1", Provider: "machine" },
    credential: { path: "/etc/navarch-node/token", value: TOKEN },
    agent: { x64: null, arm64: null, [HERE]: binary },
    ...changes,
  });
}

function run(job: Job, ports = makePorts(connect)): Promise<Outcome> {
  return runBootstrap(job, ports, new AbortController().signal);
}

/** Resolves when the documents tell that a step of this kind is under way. */
function underWay(ports: ReturnType<typeof makePorts>, kind: string): Promise<void> {
  return until(`${kind} is under way`, () => {
    const last = ports.recorded.at(-1)?.steps.at(-1);
    return last?.kind === kind && last.endedAt === null && last.command !== "true";
  });
}

describe.skipIf(isMissing)("a whole machine", () => {
  beforeAll(async () => {
    await buildStale();
    bed = await openBed({ disk: "ext4:512m" });
    plane = Bun.serve({
      port: 0,
      hostname: "0.0.0.0",
      fetch: (request) => {
        const path = new URL(request.url).pathname;
        asked.push({ path, token: request.headers.get("authorization") });
        return path.endsWith("/navarch-node-linux-amd64")
          ? new Response(Bun.file(AGENT))
          : new Response("ok");
      },
    });
    const sha256 = createHash("sha256").update(readFileSync(AGENT)).digest("hex");
    binary = { url: "/releases/agent", sha256, path: AGENT };
  }, 300_000);
  afterAll(async () => {
    await plane?.stop(true);
    expect(await bed?.close()).toEqual([]);
  });

  test("gets credential and commands as root through sudo, and keeps the secret", async () => {
    const machine = await bed.boot();
    const commands = ["id -un; echo $NAVARCH_CONTROL_PLANE; cat /etc/navarch-node/token"];
    const ports = makePorts(connect);
    const outcome = await run(jobOf(machine, { commands }), ports);
    expect(say(outcome)).toBe("done");
    const url = `http://${bed.gateway}:${plane.port}`;
    expect(commandsOf(outcome)[0]?.stdout.head).toBe(`root\n${url}\n***\n`);
    const stat = "stat -c '%a %U %G %s' /etc/navarch-node/token";
    expect(await machine.must(stat)).toBe(`600 root root ${TOKEN.length + 1}`);
    expect(JSON.stringify(ports.recorded)).not.toContain(TOKEN);
    const journal = await machine.must("journalctl --no-pager -o cat");
    expect(journal).toContain("COMMAND=/bin/sh");
    expect(journal).not.toContain(TOKEN);
    const plain = await run(jobOf(machine, { user: "plain", attempt: 2 }));
    expect(say(plain)).toMatch(/^no_sudo, never: no sudo: plain is not root and sudo says "/);
  });

  test("runs the pushed agent under its unit, once and again", async () => {
    const machine = await bed.boot();
    await machine.waitSsh();
    const start = performance.now();
    const given = jobOf(machine, {
      commands: BUILTINS.agent,
      pushTo: "/usr/local/bin/navarch-node",
    });
    const outcome = await run(given);
    expect(say(outcome)).toBe("done");
    const steps = outcome.attempt.steps.map(
      ({ name, startedAt, endedAt }) => `${name} ${(endedAt ?? 0) - startedAt} ms`,
    );
    console.error(`agent: ${(performance.now() - start).toFixed()} ms (${steps.join(", ")})`);
    expect(
      await machine.must("systemctl is-active navarch-node; systemctl is-enabled navarch-node"),
    ).toBe("active\nenabled");
    const again = await run({ ...given, attempt: 2, resume: false });
    expect(say(again)).toBe("done");
    expect(again.attempt.steps.find(({ kind }) => kind === "push")?.skipped).toBe(true);
    expect(commandsOf(again).map(({ stdout }) => stdout.head)).toEqual([
      "/usr/local/bin/navarch-node is there\n",
      "settings unchanged\n",
      "navarch-node runs already\n",
    ]);
  }, 60_000);

  test("is set up by the documented commands, and its agent uses the credential", async () => {
    const machine = await bed.boot();
    const url = `http://${bed.gateway}:${plane.port}`;
    const text = readFileSync(join(import.meta.dir, "../../test/fixture/config/v6.yaml"), "utf8");
    const config: { pools: { setup_commands: string[] }[] } = parse(text);
    const commands = config.pools[0]?.setup_commands.map((command) =>
      command.replace("https://github.com", url),
    );
    const outcome = await run(jobOf(machine, { commands: commands ?? [] }));
    expect(say(outcome)).toBe("done");
    expect(commandsOf(outcome)).toHaveLength(3);
    await until("the agent calls", () => asked.some(({ token }) => token === `Bearer ${TOKEN}`));
    expect(asked.some(({ path }) => path.endsWith("/navarch-node-linux-amd64"))).toBe(true);
  }, 60_000);

  test("loses its power in a command, and goes on after it", async () => {
    const machine = await bed.boot();
    const commands = ["true", "sync; [ -e /var/flag ] || { touch /var/flag; sync; sleep 60; }"];
    const ports = makePorts(connect);
    const running = run(jobOf(machine, { commands }), ports);
    await until("the flag is there", () => existsSync(join(machine.root, "var/flag")));
    await machine.cut();
    expect(say(await running)).toMatch(/^lost, later: setup_commands\[1\]: connection lost/);
    await machine.start();
    const again = await run(jobOf(machine, { commands, attempt: 2 }));
    expect(say(again)).toBe("done");
    expect(commandsOf(again)[1]?.skipped).toBe(false);
  }, 60_000);

  test("loses its network in an upload: said within 20 s, and whole afterwards", async () => {
    const machine = await bed.boot();
    await machine.waitSsh();
    await machine.slow("40mbit");
    const given = jobOf(machine, { pushTo: "/opt/navarch-node" });
    const ports = makePorts(connect);
    const running = run(given, ports);
    await underWay(ports, "push");
    await until("some of it is there", () => partBytes(machine) > 1_000_000);
    await machine.unplug();
    const start = performance.now();
    expect(say(await running)).toMatch(/^lost, later: push agent .*no sign of life/);
    expect(performance.now() - start).toBeLessThan(22_000);
    await machine.heal();
    const again = await run({ ...given, attempt: 2 });
    expect(say(again)).toBe("done");
    const sum = await machine.must("sha256sum </opt/navarch-node; ls /opt");
    expect(sum).toBe(`${binary.sha256}  -\nnavarch-node`);
  }, 90_000);

  test("has no room left: each step says so, and it goes on when there is", async () => {
    // On ext4 a few blocks stay in reserve, which small files still find.
    const small = await openBed({ disk: "tmpfs:64m" });
    const machine = await small.boot();
    await machine.waitRunning();
    await machine.fillDisk();
    const privateKey = readFileSync(small.keyPath, "utf8");
    const controlPlane = { candidates: [], listen: "" };
    const given = jobOf(machine, { privateKey, controlPlane, commands: ["echo made >/var/made"] });
    const outcome = await run(given);
    expect(say(outcome)).toMatch(/^unsuitable, later: claiming .*No space left on device/);
    await machine.emptyDisk();
    expect(say(await run({ ...given, attempt: 2 }))).toBe("done");
    const push = { ...given, pushTo: "/opt/navarch-node", attempt: 3 };
    expect(say(await run(push))).toMatch(/^push, later: .*No space left on device/);
    expect(await machine.must("ls /opt")).toBe("");
    expect(await small.close()).toEqual([]);
  }, 60_000);

  test("hangs: a late command and a dead peer are told apart from a slow one", async () => {
    const machine = await bed.boot();
    const ports = makePorts(connect);
    const running = run(jobOf(machine, { commands: ["sleep 300"] }), ports);
    await underWay(ports, "command");
    await machine.freeze();
    expect(say(await running)).toMatch(/^(timeout|lost), later: setup_commands\[0\]: /);
    await machine.thaw();
    const again = await run(
      jobOf(machine, { commands: ["pgrep -x sleep || echo none"], attempt: 2 }),
    );
    expect(commandsOf(again)[0]?.stdout.head).toBe("none\n");
  }, 90_000);

  test("is one of ten that are set up at once", async () => {
    const machines = await bed.bootAll(10);
    const start = performance.now();
    const changes = { commands: BUILTINS.agent, pushTo: "/usr/local/bin/navarch-node" };
    const outcomes = await Promise.all(machines.map((machine) => run(jobOf(machine, changes))));
    console.error(`ten machines: ${(performance.now() - start).toFixed()} ms`);
    expect(outcomes.map(say)).toEqual(machines.map(() => "done"));
  }, 120_000);
});

/** How much of an unfinished upload the machine has. */
function partBytes(machine: Machine): number {
  const [part] = [...new Bun.Glob("opt/navarch-node.*.part").scanSync(machine.root)];
  return part === undefined ? 0 : Bun.file(join(machine.root, part)).size;
}
