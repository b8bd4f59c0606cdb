/**
 * The executable as a provider: the port's contract through real processes, then every way in which
 * a program can misbehave.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { answerCommand } from "../../../test/fixture/cloud/command-server.ts";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../../test/port/provider.contract.ts";
import { seeded } from "../../../simulator/engine/random.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { openMemoryCloud } from "../fake/memory.ts";
import { type CommandProviderOptions, openCommandProvider } from "./command.ts";
import { passedOn } from "../../program/program.ts";
import { readCommandSettings } from "./setting.ts";

const root = mkdtempSync(join(tmpdir(), "navarch-command-"));
const CLIENT = join(import.meta.dir, "../../../test/fixture/cloud/command-client.ts");
afterAll(() => rmSync(root, { recursive: true, force: true }));

let files = 0;
const fresh = (name: string) => join(root, `${name}-${(files += 1)}`);
const after = (ms: number, work: () => void) => {
  const timer = setTimeout(work, ms);
  return () => clearTimeout(timer);
};
const FENCE = { nodeId: "n1", fence: 3, sessionId: "s1" };
const ID = "i-1" as InstanceId;

function openTest(argv: readonly string[], more: Partial<CommandProviderOptions> = {}) {
  return openCommandProvider({
    name: "mine",
    argv,
    class: "token",
    settleMs: 0,
    timeoutMs: 20_000,
    canReboot: true,
    fleetId: contractFleetId,
    env: { PATH: process.env["PATH"] ?? "" },
    clock: { after },
    ...more,
  });
}

/** Not ended; one that has ended may wait for its parent to collect it. */
function isRunning(pid: string): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** A shell script as the provider's program. */
function script(body: string): string {
  const path = fresh("program");
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

const prints = (value: unknown) =>
  script(`cat >/dev/null\ncat <<'END'\n${JSON.stringify(value)}\nEND`);

providerContract("openCommandProvider()", async (cls) => {
  let nowMs = 1_000_000;
  const clock = { wallMs: () => nowMs, after: () => undefined };
  const cloud = openMemoryCloud({ clock, random: seeded(1), fleetId: contractFleetId, class: cls });
  const socket = fresh("socket");
  const server = Bun.serve({
    unix: socket,
    fetch: async (request) => Response.json(await answerCommand(cloud, await request.text())),
  });
  const settleMs = cls === "tag-only" ? 1_000 : 0;
  return {
    provider: openTest([process.execPath, CLIENT, socket], { class: cls, settleMs }),
    step: (ms) => void (nowMs += ms),
    setFaults: (faults) => cloud.setFaults(faults),
    reality: () => cloud.reality(),
    close: async () => {
      await server.stop(true);
      await cloud.close();
    },
  };
});

const INSTANCE = {
  id: "i-1",
  name: "f-train-n1-1",
  state: "running",
  tags: { "navarch-fleet": contractFleetId, "navarch-node": "n1" },
  instance_type: "h100x8",
  created_at: "2026-11-23T01:00:00Z",
};
const listOf = (...instances: unknown[]) => ({ version: 1, instances });

describe("openCommandProvider()", () => {
  test("gives the program the request, the fence and the fleet as one line of JSON", async () => {
    const seen = fresh("seen");
    const answer = JSON.stringify({ version: 1, instance: INSTANCE });
    const program = script(`cat >${seen}\necho "$0 $1" >&2\ncat <<'END'\n${answer}\nEND`);
    const provider = openTest([program, "--flag"]);
    expect(await provider.create(contractRequest("n1"), FENCE, null)).toMatchObject({
      kind: "ok",
      instance: { id: "i-1", createdAtMs: Date.parse("2026-11-23T01:00:00Z"), pricePerHour: null },
    });
    const text = await Bun.file(seen).text();
    expect(text.endsWith("}\n")).toBe(true);
    expect(JSON.parse(text)).toEqual({
      version: 1,
      provider: "mine",
      fleet: contractFleetId,
      operation: "create",
      fence: { node: "n1", number: 3, session: "s1" },
      request: {
        token: "token-n1-1",
        name: "f-train-n1-1",
        node: "n1",
        region: "r1",
        zone: null,
        instance_type: "h100x8",
        market: "on-demand",
        reservation: null,
        tags: contractRequest("n1").tags,
        ssh_keys: [],
      },
    });
  });

  const garbage: [string, string, string][] = [
    ["prints nothing", "cat >/dev/null", "expected one JSON object, found nothing"],
    ["prints no JSON", "echo Traceback", 'expected one JSON object, found "Traceback"'],
    ["prints two objects", "echo '{}{}'", "expected one JSON object"],
    ["has another version", `echo '{"version":2,"accepted":true}'`, "version: must be 1"],
    ["exits 1", "echo boom >&2; exit 1", 'exit status 1: "boom"'],
    ["exits 1 after an ok", `echo '{"version":1,"accepted":true}'; exit 1`, "exit status 1"],
    ["kills itself", "kill -9 $$", "killed by SIGKILL"],
    [
      "names an unknown class",
      `echo '{"version":1,"error":{"class":"sold_out","message":"m"}}'`,
      "error.class: ",
    ],
  ];
  test.each(garbage)("what %s proves nothing", async (_what, body, message) => {
    const provider = openTest([script(body)]);
    const made = await provider.create(contractRequest("n1"), FENCE, null);
    expect(made.kind).toBe("ambiguous");
    const ended = await provider.terminate(ID, FENCE);
    expect(ended).toMatchObject({ kind: "ambiguous" });
    expect(ended.kind === "ambiguous" && ended.message).toContain(message);
    expect(await provider.list()).toMatchObject({ kind: "failed", class: "unavailable" });
  });

  test("ends a program that hangs, with its children, and says after how long", async () => {
    const pid = fresh("pid");
    const program = script(`trap '' TERM\nsleep 600 &\necho $! >${pid}\nwait`);
    const provider = openTest([program], { timeoutMs: 300 });
    const answer = await provider.create(contractRequest("n1"), FENCE, null);
    expect(answer).toEqual({
      kind: "ambiguous",
      message: `${program} create: no answer within 0.3 s`,
    });
    const child = (await Bun.file(pid).text()).trim();
    const isGone = () => !isRunning(child);
    for (let i = 0; i < 50 && !isGone(); i++) await Bun.sleep(20);
    expect(isGone()).toBe(true);
  });

  test("does not wait for what the program left in the background", async () => {
    const program = script(`sleep 5 &\necho '{"version":1,"accepted":true}'`);
    const began = performance.now();
    expect(await openTest([program]).terminate(ID, FENCE)).toEqual({ kind: "accepted" });
    expect(performance.now() - began).toBeLessThan(4_000);
  });

  test("a program that is missing did nothing: the purchase is asked for again later", async () => {
    const provider = openTest([join(root, "no-such-program")]);
    const answer = await provider.create(contractRequest("n1"), FENCE, null);
    expect(answer).toMatchObject({ kind: "refused", class: "rate_limit" });
    expect(answer.kind === "refused" && answer.message).toContain("could not be started (ENOENT)");
    expect(await provider.list()).toMatchObject({ kind: "failed", class: "unavailable" });
  });

  test("a path below a file did nothing either", async () => {
    const path = join(fresh("file"), "program");
    writeFileSync(dirname(path), "");
    const answer = await openTest([path]).create(contractRequest("n1"), FENCE, null);
    expect(answer).toMatchObject({ kind: "refused", class: "rate_limit" });
    expect(answer.kind === "refused" && answer.message).toContain("could not be started (ENOTDIR)");
  });

  test("a file that is not executable did nothing either", async () => {
    const path = fresh("plain");
    writeFileSync(path, "#!/bin/sh\n", { mode: 0o644 });
    const answer = await openTest([path]).create(contractRequest("n1"), FENCE, null);
    expect(answer).toMatchObject({ kind: "refused", class: "rate_limit" });
    expect(answer.kind === "refused" && answer.message).toContain("could not be started (EACCES)");
  });

  test("an instance of another purchase is not taken for this one", async () => {
    const other = { ...INSTANCE, tags: { ...INSTANCE.tags, "navarch-node": "n2" } };
    const provider = openTest([prints({ version: 1, instance: other })]);
    expect((await provider.create(contractRequest("n1"), FENCE, null)).kind).toBe("ambiguous");
  });

  const bad: [string, object, string][] = [
    ["a price that is no number", { price_per_hour: "31" }, "instances[1].price_per_hour"],
    ["a negative price", { price_per_hour: -1 }, "instances[1].price_per_hour"],
    ["a time that is none", { created_at: "yesterday" }, "instances[1].created_at"],
    [
      "a time that Date.parse does not read",
      { created_at: "2026-11-23T01:00:00+01" },
      "instances[1].created_at",
    ],
    ["an unknown state", { state: "happy" }, "instances[1].state"],
    ["an empty id", { id: "" }, "instances[1].id"],
  ];
  test.each(bad)("one instance with %s fails the whole list", async (_what, change, path) => {
    const program = prints(listOf(INSTANCE, { ...INSTANCE, id: "i-2", ...change }));
    const answer = await openTest([program]).list();
    expect(answer).toMatchObject({ kind: "failed", class: "unavailable" });
    expect(answer.kind === "failed" && answer.message).toContain(path);
  });

  test("a list that names an instance twice is no list", async () => {
    const answer = await openTest([prints(listOf(INSTANCE, INSTANCE))]).list();
    expect(answer.kind === "failed" && answer.message).toContain("names instance i-1 twice");
  });

  const PLACE = {
    region: "r1",
    zone: null,
    instanceType: "h100x8",
    market: "spot",
    reservation: null,
  } as const;

  test("asks for offers, quota, findings and host keys, with places in the reply's words", async () => {
    const seen = fresh("seen");
    const told = { version: 1, offers: [{ price_per_hour: 12.5, available: true }, {}] };
    const program = script(`cat >${seen}\ncat <<'END'\n${JSON.stringify(told)}\nEND`);
    const other = { ...PLACE, region: "r2" };
    expect(await openTest([program]).offers([PLACE, other])).toEqual({
      kind: "ok",
      offers: [
        { ...PLACE, pricePerHour: 12.5, available: true },
        { ...other, pricePerHour: null, available: null },
      ],
    });
    expect(await Bun.file(seen).json()).toMatchObject({
      operation: "offers",
      places: [{ region: "r1", zone: null, instance_type: "h100x8", market: "spot" }, {}],
    });
    const quotas = [{ name: "gpus", region: "r1", limit: 16, used: 8 }];
    const limits = openTest([prints({ version: 1, quotas })]);
    expect(await limits.quota([PLACE])).toEqual({ kind: "ok", quotas });
    const findings = [{ check: "permission", outcome: "fail" as const, message: "no" }];
    const inspected = openTest([prints({ version: 1, findings })]);
    expect(await inspected.inspect([PLACE])).toEqual(findings);
    const keys = openTest([prints({ version: 1, host_keys: ["ssh-ed25519 AAAA"] })]);
    const expected = { kind: "ok", hostKeys: ["ssh-ed25519 AAAA"] };
    expect(await keys.hostKeys(ID)).toEqual(expected as never);
  });

  const odd: [string, string, string][] = [
    ["has too few offers", `echo '{"version":1,"offers":[]}'`, "has 0 offers for 1 places"],
    ["has a negative price", `echo '{"version":1,"offers":[{"price_per_hour":-1}]}'`, "offers[0]"],
    ["dies", "echo boom >&2; exit 1", 'exit status 1: "boom"'],
  ];
  test.each(odd)("an answer to offers that %s is none", async (_what, body, message) => {
    const answer = await openTest([script(body)]).offers([PLACE]);
    expect(answer).toMatchObject({ kind: "failed", class: "unavailable" });
    expect(answer.kind === "failed" && answer.message).toContain(message);
  });

  test("a program that does not know the new operations is not at fault", async () => {
    const error = { class: "unsupported", message: "inspect is not supported" };
    const provider = openTest([prints({ version: 1, error })]);
    expect(await provider.offers([PLACE])).toEqual({ kind: "unsupported" });
    expect(await provider.quota([PLACE])).toEqual({ kind: "unsupported" });
    expect(await provider.hostKeys(ID)).toEqual({ kind: "unsupported" });
    expect(await provider.inspect([PLACE])).toEqual([]);
    const dead = openTest([script("exit 1")]);
    expect(await dead.inspect([PLACE])).toMatchObject([{ check: "program", outcome: "fail" }]);
  });

  test("takes over why an accepted purchase died, and an announced interruption", async () => {
    const failure = { class: "capacity", message: "none left" };
    const notice = { kind: "preemption", at: "2026-11-23T02:00:00Z", message: "in two minutes" };
    const ended = { ...INSTANCE, state: "terminated", failure };
    const answer = await openTest([
      prints(listOf(ended, { ...INSTANCE, id: "i-2", notice })),
    ]).list();
    expect(answer.kind === "ok" && answer.instances).toMatchObject([
      { failure, notice: null },
      { failure: null, notice: { kind: "preemption", atMs: Date.parse(notice.at) } },
    ]);
  });

  test("takes the wait that the program asks for as seconds", async () => {
    const error = { class: "rate_limit", message: "slow down", retry_after_seconds: 1.5 };
    const provider = openTest([prints({ version: 1, error })]);
    const answer = await provider.create(contractRequest("n1"), FENCE, null);
    expect(answer).toMatchObject({ kind: "refused", class: "rate_limit", retryAfterMs: 1_500 });
  });

  test("a command that cannot reboot is not asked to", async () => {
    const provider = openTest([join(root, "no-such-program")], { canReboot: false });
    expect(await provider.reboot(ID, FENCE)).toEqual({ kind: "unsupported" });
  });

  test("the program does not see our own variables", () => {
    const env = {
      PATH: "/bin",
      NAVARCH_AUTH_TOKEN: "x",
      BUN_X: "y",
      AWS_PROFILE: "p",
      GONE: undefined,
    };
    expect(passedOn(env)).toEqual({ PATH: "/bin", AWS_PROFILE: "p" });
  });

  test("readCommandSettings() splits the words and assumes the least of the cloud", () => {
    expect(readCommandSettings({ command: " /opt/p  --a b " })).toEqual({
      argv: ["/opt/p", "--a", "b"],
      class: "tag-only",
      settleMs: 600_000,
      timeoutMs: 50_000,
      canReboot: false,
    });
  });
});
