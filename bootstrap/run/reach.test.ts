/** Getting to a machine and what it must have: keys, sudo, room for the agent, a way back to us. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { makeKey, openPeer, publicBlob } from "../../test/fixture/ssh/peer.ts";
import type { Arch, Job } from "./job.ts";
import {
  commandsOf,
  say,
  type FakePorts,
  makePorts,
  readLines,
} from "../../test/fixture/ssh/job-fake.ts";
import { RunBed } from "../../test/fixture/ssh/run-bed.ts";

const HERE: Arch = arch() === "arm64" ? "arm64" : "x64";
const bed = new RunBed();
const { connect, folder, fresh, job, run, user } = bed;

beforeAll(() => bed.open());
afterAll(() => bed.close());

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
    const bin = mkdtempSync(join(folder, "bin-"));
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
    const own = await bed.openPeer();
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
    await server.stop(true);
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
