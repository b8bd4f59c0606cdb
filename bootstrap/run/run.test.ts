/** One bootstrap after the other against real shells behind a server in this process. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import {
  commandsOf,
  say,
  type FakePorts,
  isAlive,
  makePorts,
  readLines,
  until,
} from "../../test/fixture/ssh/job-fake.ts";
import { RunBed } from "../../test/fixture/ssh/run-bed.ts";

const bed = new RunBed();
const { connect, fresh, job, run } = bed;

beforeAll(() => bed.open());
afterAll(() => bed.close());

describe("runBootstrap()", () => {
  test("reaches, looks, places, runs in order and says what each step did", async () => {
    const token = fresh("token");
    const outcome = await run(
      job({
        credential: { path: `${token}/dir/token`, value: "nvn.secret-of-the-node" },
        ca: { path: `${token}/ca.pem`, pem: "-----BEGIN CERTIFICATE-----\n" },
        releaseKey: { path: `${token}/release-key.pem`, pem: "-----BEGIN PUBLIC KEY-----\n" },
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
      "credential",
      "command",
      "command",
    ]);
    expect(attempt.hostKey).toBe(bed.peer.hostKeys[0] ?? "");
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
    const own = await bed.openPeer();
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

  test("hides secrets from records and from the machine's process list", async () => {
    const secrets = ["nvn.secret-of-the-node", "abcdef.0123456789abcdef", "admin-secret-0001"];
    const [credential = "", joinToken = "", admin = ""] = secrets;
    const ports = makePorts(connect, [admin]);
    const split = `printf %s ${admin.slice(0, 7)}; sleep 0.4; printf '%s\\n' ${admin.slice(7)}`;
    const before = bed.peer.commands.length;
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
    const sent = bed.peer.commands.slice(before).join("\n");
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
