/**
 * The cloud on disk: it keeps the port's contract, survives being killed at any byte, is shared by
 * several control planes, and runs one real process for each instance.
 */
import { afterAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../../test/port/provider.contract.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { openFakeProvider } from "./fake.ts";
import type { FakeCloud, FakeProviderOptions } from "./fake.ts";
import { instanceFolder } from "./process.ts";
import { injectXid } from "../../../test/fixture/cloud/inject.ts";
import { simulatedPci } from "./kernel-log.ts";
import { readEntries, reality } from "./journal.ts";
import { replay } from "./world.ts";
import { isAlive } from "./process.ts";

const root = mkdtempSync(join(tmpdir(), "navarch-cloud-"));
const AGENT = join(import.meta.dir, "../../../test/fixture/cloud/agent.sh");
const OWNER = join(import.meta.dir, "../../../test/fixture/cloud/owner.ts");
const opened = new Set<FakeCloud>();
const owners: Bun.Subprocess[] = [];

afterAll(async () => {
  for (const owner of owners) owner.kill("SIGKILL");
  for (const cloud of opened) await cloud.close({ destroy: true });
  rmSync(root, { recursive: true, force: true });
});

let folders = 0;
const folder = () => join(root, `cloud-${(folders += 1)}`);

function steppedClock() {
  let nowMs = 1_000_000;
  return {
    wallMs: () => nowMs,
    after: () => {},
    step: (ms: number) => void (nowMs += ms),
  };
}

const wall = {
  wallMs: () => Date.now(),
  after: (ms: number, work: () => void) => void setTimeout(work, ms),
};

async function openTest(change: Partial<FakeProviderOptions> = {}): Promise<FakeCloud> {
  const cloud = await openFakeProvider({
    name: "fake",
    stateDir: folder(),
    settings: {},
    clock: steppedClock(),
    random: () => 0.5,
    serverUrl: () => "http://127.0.0.1:1",
    fleetId: contractFleetId,
    agents: "none",
    ...change,
  });
  opened.add(cloud);
  return cloud;
}

/** A control plane that dies: its handles close, its cloud stays. */
async function drop(cloud: FakeCloud): Promise<void> {
  opened.delete(cloud);
  await cloud.close();
}

async function until(what: string, holds: () => boolean, limitMs = 8_000): Promise<void> {
  const endMs = Date.now() + limitMs;
  while (!holds()) {
    if (Date.now() > endMs) throw new Error(`never came true: ${what}`);
    await Bun.sleep(5);
  }
}

const FENCE = { nodeId: "n1", fence: 1, sessionId: null };

async function buy(cloud: FakeCloud, nodeId = "n1"): Promise<InstanceId> {
  const answer = await cloud.create(contractRequest(nodeId), { ...FENCE, nodeId }, "secret");
  if (answer.kind !== "ok") throw new Error(`not bought: ${JSON.stringify(answer)}`);
  return answer.instance.id;
}

providerContract("openFakeProvider()", async (cls) => {
  const clock = steppedClock();
  const provider = await openTest({ clock, class: cls });
  return {
    provider,
    step: clock.step,
    setFaults: (faults) => provider.setFaults(faults),
    reality: () => provider.reality(),
    close: () => drop(provider),
  };
});

describe("openFakeProvider() over its journal", () => {
  test("the world read back is the world that was left", async () => {
    const stateDir = folder();
    const clock = steppedClock();
    const cloud = await openTest({ stateDir, clock });
    cloud.setFaults({ lateLandingMs: 50_000, lateLanding: 0.5 });
    for (const node of ["n1", "n2", "n3"]) {
      await cloud.create(contractRequest(node), { ...FENCE, nodeId: node }, null);
    }
    cloud.setFaults({});
    const id = await buy(cloud, "n4");
    await cloud.terminate(id, { ...FENCE, nodeId: "n4" });
    clock.step(20_000);
    const { due: _one, dueSeq: _two, ...left } = cloud.world();
    const { due: _three, dueSeq: _four, ...read } = replay(readEntries(stateDir));
    expect(read).toEqual(left);
    await drop(cloud);
    const again = await openTest({ stateDir, clock });
    const { due: _five, dueSeq: _six, ...reopened } = again.world();
    expect(reopened).toEqual(left);
  });

  test("a journal cut at any byte is a cloud that makes one instance of the ask", async () => {
    const stateDir = folder();
    const clock = steppedClock();
    const cloud = await openTest({ stateDir, clock });
    const before = statSync(join(stateDir, "journal.jsonl")).size;
    await buy(cloud);
    await drop(cloud);
    const whole = readFileSync(join(stateDir, "journal.jsonl"));
    for (let cut = before; cut <= whole.length; cut += 1) {
      const torn = folder();
      mkdirSync(torn);
      writeFileSync(join(torn, "journal.jsonl"), whole.subarray(0, cut));
      const next = await openTest({ stateDir: torn, clock });
      const id = await buy(next);
      const truth = reality(torn);
      expect({ cut, live: truth.live.map((one) => one.id) }).toEqual({ cut, live: [id] });
      expect(truth.doubles).toEqual([]);
      await drop(next);
      rmSync(torn, { recursive: true });
    }
  });

  test("two control planes over one folder see one cloud", async () => {
    const stateDir = folder();
    const one = await openTest({ stateDir });
    const two = await openTest({ stateDir });
    const id = await buy(one);
    expect(await buy(two)).toBe(id);
    expect(await two.terminate(id, { ...FENCE, fence: 2 })).toEqual({ kind: "accepted" });
    // The first is now a zombie, and the target knows.
    const stale = await one.terminate(id, FENCE);
    expect(stale).toMatchObject({ kind: "refused", class: "stale_fence" });
  });

  test("a damaged journal is refused with its line, not guessed at", async () => {
    const stateDir = folder();
    const cloud = await openTest({ stateDir });
    await drop(cloud);
    appendFileSync(join(stateDir, "journal.jsonl"), "hello\n");
    const error = await openTest({ stateDir }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(String((error as Error).cause)).toContain("journal.jsonl:2: not a journal entry");
  });

  test("a journal that cannot be written makes answers ambiguous, never wrong", async () => {
    const stateDir = folder();
    const cloud = await openTest({ stateDir });
    appendFileSync(join(stateDir, "journal.jsonl"), "hello\n");
    const answer = await cloud.create(contractRequest("n1"), FENCE, null);
    expect(answer.kind).toBe("ambiguous");
    expect((await cloud.list()).kind).toBe("failed");
    const { size } = statSync(join(stateDir, "journal.jsonl"));
    truncateSync(join(stateDir, "journal.jsonl"), size - "hello\n".length);
    await buy(cloud);
    expect(reality(stateDir).live).toHaveLength(1);
  });

  test("faults are read from their file, again when it changes, and never half", async () => {
    const path = join(root, "faults.json");
    const problems: string[] = [];
    const cloud = await openTest({
      settings: { faults: path },
      problem: (message) => void problems.push(message),
    });
    const kind = async (node: string) =>
      (await cloud.create(contractRequest(node), { ...FENCE, nodeId: node }, null)).kind;
    expect(await kind("n1")).toBe("ok");
    writeFileSync(path, JSON.stringify({ stockOut: true }));
    expect(await kind("n2")).toBe("refused");
    writeFileSync(path, JSON.stringify({ stockOut: "yes", comment: 1 }));
    expect(await kind("n2")).toBe("refused");
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("faults.stockOut: expected");
    rmSync(path);
    expect(await kind("n2")).toBe("ok");
  });
});

/** Starts the owner and gives it, with a function that reads what it has said so far. */
function startOwner(stateDir: string, count: number, agent = "none", gapMs = 0) {
  const heard = join(root, `heard-${(folders += 1)}`);
  const words = [process.execPath, OWNER, stateDir, "0", `${count}`, agent, `${gapMs}`];
  const child = Bun.spawn(words, {
    stdout: Bun.file(heard),
    stderr: Bun.file(`${heard}-error`),
    stdin: "ignore",
  });
  owners.push(child);
  const lines = () => {
    return existsSync(heard) ? readFileSync(heard, "utf8").split("\n").slice(0, -1) : [];
  };
  return { child, lines };
}

describe("openFakeProvider() under kill -9", () => {
  test("whatever was answered exists, and each token made exactly one", async () => {
    const stateDir = folder();
    const answered = new Map<string, string>();
    for (let round = 0; round < 12; round += 1) {
      const { child, lines } = startOwner(stateDir, 20_000);
      // Kill it after it has gone a bit further than the one before, in the middle of a create.
      await until("a few were bought", () => lines().length > 3 + round * 7);
      child.kill("SIGKILL");
      await child.exited;
      for (const line of lines()) {
        const [token, id] = line.split(" ");
        if (token === undefined || id === undefined) continue;
        // A replay is answered with the instance of the process that was killed.
        expect([token, answered.get(token) ?? id]).toEqual([token, id]);
        answered.set(token, id);
      }
    }
    const truth = reality(stateDir);
    expect(truth.doubles).toEqual([]);
    expect(truth.overlaps).toEqual([]);
    const live = new Map(truth.live.map((one) => [one.token, one.id]));
    expect(live.size).toBe(truth.live.length);
    for (const [token, id] of answered) {
      expect<string | undefined>(live.get(`token-${token}`)).toBe(id);
    }
    // At most the ask in flight at each kill was made and not answered.
    expect(truth.live.length - answered.size).toBeLessThanOrEqual(1);
    expect(answered.size).toBeGreaterThan(20);
  }, 20_000);

  test("two owners at once, one killed, make one of each token", async () => {
    const stateDir = folder();
    const one = startOwner(stateDir, 20_000, "none", 1);
    const two = startOwner(stateDir, 150, "none", 1);
    await until("both bought", () => one.lines().length > 30 && two.lines().length > 30);
    one.child.kill("SIGKILL");
    expect(await two.child.exited).toBe(0);
    const truth = reality(stateDir);
    expect(truth.doubles).toEqual([]);
    expect(truth.live.length).toBeGreaterThanOrEqual(150);
    expect(two.lines().at(-1)).toBe("done");
  }, 20_000);

  test("agents outlive the owner and are found again, one for each instance", async () => {
    const stateDir = folder();
    const owner = startOwner(stateDir, 3, AGENT);
    await until("all bought", () => owner.lines().at(-1) === "done");
    const agents = () =>
      [...replay(readEntries(stateDir)).instances.values()].flatMap((held) =>
        held.process === null ? [] : [held.process],
      );
    await until("all have agents", () => agents().length === 3);
    owner.child.kill("SIGKILL");
    await owner.child.exited;
    const before = agents();
    expect(before.map(isAlive)).toEqual([true, true, true]);

    const [first, second] = before;
    if (first === undefined || second === undefined) throw new Error("no agents");
    process.kill(first.pid, "SIGKILL");
    await until("one is dead", () => !isAlive(first));
    const cloud = await openTest({
      stateDir,
      clock: wall,
      agents: "process",
      agentCommand: [AGENT],
    });
    const after = agents();
    expect(after).toHaveLength(3);
    expect(after.map(isAlive)).toEqual([true, true, true]);
    expect(after.filter((one) => before.some((old) => old.pid === one.pid))).toHaveLength(2);
    // The same instance after a crash of its agent: no reboot.
    const bootIds = (of: typeof after) => of.map((one) => one.bootId).sort();
    expect(bootIds(after)).toEqual(bootIds(before));

    await cloud.destroyAll();
    expect(after.map(isAlive)).toEqual([false, false, false]);
    expect(reality(stateDir)).toMatchObject({ live: [], doubles: [] });
  }, 20_000);

  test("an agent whose start was not recorded is adopted, not doubled", async () => {
    const stateDir = folder();
    const owner = startOwner(stateDir, 1, AGENT);
    const called = () => readEntries(stateDir).some((entry) => entry.kind === "process.started");
    await until("it has an agent", called);
    owner.child.kill("SIGKILL");
    await owner.child.exited;
    const entries = readEntries(stateDir);
    const started = entries.find((entry) => entry.kind === "process.started");
    if (started?.kind !== "process.started") throw new Error("no agent");
    const file = join(instanceFolder(stateDir, started.id), "called");
    await until("it called", () => existsSync(file));
    // As if the control plane had died between the start and the record of it.
    const unrecorded = entries.filter((entry) => entry.kind !== "process.started");
    const text = unrecorded.map((entry) => `${JSON.stringify(entry)}\n`).join("");
    writeFileSync(join(stateDir, "journal.jsonl"), text);
    const cloud = await openTest({
      stateDir,
      clock: wall,
      agents: "process",
      agentCommand: [AGENT],
    });
    expect(cloud.world().instances.get(started.id)?.process?.pid).toBe(started.pid);
    expect(readFileSync(file, "utf8").trim().split("\n")).toHaveLength(1);
  }, 20_000);
});

describe("openFakeProvider() and its agents", () => {
  const withAgent = (change: Partial<FakeProviderOptions> = {}) =>
    openTest({
      clock: wall,
      agents: "process",
      agentCommand: [AGENT],
      settings: { bootDelayMs: 0, terminateDelayMs: 100, gpuCount: 4 },
      ...change,
    });
  const processOf = (cloud: FakeCloud, id: InstanceId) => {
    const agent = cloud.world().instances.get(id)?.process;
    if (agent === undefined || agent === null) throw new Error("no agent");
    return agent;
  };

  test("an agent gets its arguments and credential, and no secret of the environment", async () => {
    process.env.NAVARCH_AUTH_TOKEN = "hush";
    const stateDir = folder();
    const cloud = await withAgent({ stateDir });
    const id = await buy(cloud);
    delete process.env.NAVARCH_AUTH_TOKEN;
    const at = (name: string) => join(instanceFolder(stateDir, id), name);
    await until("it called", () => existsSync(at("environment")) && existsSync(at("called")));
    const { bootId } = processOf(cloud, id);
    expect(readFileSync(at("called"), "utf8").trim()).toBe(
      [
        "--server http://127.0.0.1:1 --node-id n1 --fake-gpus 4",
        `--kernel-log ${at("kmsg")} --spool ${at("spool")} --auth-token-file ${at("token")}`,
        `--boot-id ${bootId} --sim-faults ${at("gpu-faults.json")}`,
        "--provider fake --pool train --region r1 --instance-type h100x8",
      ].join(" "),
    );
    const read = () => readFileSync(at("environment"), "utf8");
    await until("environment is whole", () => read().includes("PWD"));
    const environment = read();
    expect(environment).toContain(`NAVARCH_INSTANCE_ID=${id}`);
    expect(environment).not.toContain("hush");
    expect(environment).not.toContain("BUN_");
    expect(readFileSync(at("token"), "utf8")).toBe("secret");
    expect(statSync(at("token")).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(stateDir, "journal.jsonl"), "utf8")).not.toContain("secret");
  });

  test("terminate() ends the agent, politely first", async () => {
    const stateDir = folder();
    const settings = { bootDelayMs: 0, terminateDelayMs: 5_000 };
    const cloud = await withAgent({ stateDir, settings });
    const id = await buy(cloud);
    const agent = processOf(cloud, id);
    const called = join(instanceFolder(stateDir, id), "called");
    await until("it called", () => existsSync(called));
    await cloud.terminate(id, FENCE);
    await until("it ended", () => !isAlive(agent));
    expect(readFileSync(called, "utf8")).toContain("ended");
    await until("its end is recorded", () =>
      readEntries(stateDir).some(
        (entry) => entry.kind === "process.ended" && entry.pid === agent.pid,
      ),
    );
  });

  test("an agent that ended stays ended, unless agentRestartMs says otherwise", async () => {
    const stateDir = folder();
    const cloud = await withAgent({ stateDir, settings: { bootDelayMs: 0, agentRestartMs: 1 } });
    const id = await buy(cloud);
    const first = processOf(cloud, id);
    process.kill(first.pid, "SIGKILL");
    await until("it is replaced", () => {
      const now = cloud.world().instances.get(id)?.process ?? null;
      return now !== null && now.pid !== first.pid && isAlive(now);
    });
    await drop(cloud);

    const still = await withAgent({ stateDir });
    const second = processOf(still, id);
    process.kill(second.pid, "SIGKILL");
    await until("it is gone", () => !isAlive(second));
    // Give a restart every chance: what is due is done by each call.
    await still.list();
    await still.list();
    expect(isAlive(second)).toBe(false);
    expect(still.world().instances.get(id)?.instance.state).toBe("running");
    await still.close({ destroy: true });
    opened.delete(still);
  });

  test("nothing is started before the control plane listens", async () => {
    let url = "";
    const cloud = await withAgent({ serverUrl: () => url });
    const id = await buy(cloud);
    expect(cloud.world().instances.get(id)?.process).toBe(null);
    url = "http://127.0.0.1:2";
    await until("it runs", () => (cloud.world().instances.get(id)?.process ?? null) !== null);
  });

  test("an agent that cannot be started leaves a machine that never reports", async () => {
    const stateDir = folder();
    const cloud = await withAgent({ stateDir, agentCommand: ["/no/such/agent"] });
    const id = await buy(cloud);
    await until("its end is recorded", () =>
      readEntries(stateDir).some((entry) => entry.kind === "process.ended" && entry.id === id),
    );
    const log = readFileSync(join(instanceFolder(stateDir, id), "log"), "utf8");
    expect(log).toContain("no/such/agent");
    expect(reality(stateDir).live.map((one) => one.state)).toEqual(["running"]);
  });

  test("a state folder given relative to the current one has agents, too", async () => {
    const stateDir = folder();
    const cloud = await withAgent({ stateDir: relative(process.cwd(), stateDir) });
    const id = await buy(cloud);
    const called = join(instanceFolder(stateDir, id), "called");
    await until("it called", () => existsSync(called));
    expect(readFileSync(called, "utf8")).toContain(`--spool ${dirname(called)}/spool `);
    expect(readEntries(stateDir).filter((entry) => entry.kind === "process.ended")).toEqual([]);
    expect(cloud.trouble()).toBeNull();
  });

  test.each([
    ["its pid file can never be written", AGENT, (at: string) => mkdirSync(join(at, "pid"))],
    ["it ends by itself", "/bin/false", () => undefined],
    ["its program is not there", "/no/such/agent", () => undefined],
  ])(
    "an agent that ends at once is started less and less often: %s",
    async (_, agent, spoil) => {
      const stateDir = folder();
      const said: string[] = [];
      const bare = await openTest({ stateDir, settings: { bootDelayMs: 0 } });
      const id = await buy(bare);
      await drop(bare);
      mkdirSync(instanceFolder(stateDir, id), { recursive: true });
      spoil(instanceFolder(stateDir, id));
      const settings = { bootDelayMs: 0, agentRestartMs: 1 };
      const problem = (message: string) => void said.push(message);
      const cloud = await withAgent({ stateDir, settings, agentCommand: [agent], problem });
      await Bun.sleep(2_500);
      const kinds = readEntries(stateDir).map((entry) => entry.kind);
      // 0, 0.1, 0.3, 0.7, 1.5 s: five attempts, where hundreds a second were made.
      const starts = kinds.filter((kind) => kind === "process.started").length;
      expect(starts).toBeGreaterThanOrEqual(3);
      expect(starts).toBeLessThanOrEqual(6);
      expect(said.filter((one) => one.startsWith(`${id}: its agent ended with exit`))).toHaveLength(
        3,
      );
      expect(said.at(-1)).toEndWith(", 4 times in a row");
      expect(cloud.trouble()).toStartWith(`the agent of ${id} cannot start: exit `);
      await cloud.terminate(id, FENCE);
      const gone = () => cloud.world().instances.get(id)?.instance.state === "terminated";
      await until("it is gone", gone);
      await cloud.list();
      expect(cloud.trouble()).toBeNull();
    },
    20_000,
  );

  test("an agent that failed once and then runs is no trouble any more", async () => {
    let nowMs = Date.now();
    const later = { wallMs: () => nowMs, after: wall.after };
    const settings = { bootDelayMs: 0, agentRestartMs: 1 };
    const cloud = await withAgent({ settings, clock: later });
    const id = await buy(cloud);
    const first = processOf(cloud, id);
    process.kill(first.pid, "SIGKILL");
    await until("it ended", () => !isAlive(first));
    await until("it is reported", () => cloud.trouble() !== null);
    nowMs += 1_000;
    await until("it runs again", () => {
      const now = cloud.world().instances.get(id)?.process ?? null;
      return now !== null && now.pid !== first.pid && isAlive(now);
    });
    expect(cloud.trouble()).toContain("SIGKILL within 5 s");
    nowMs += 5_000;
    expect(cloud.trouble()).toBeNull();
  });

  test("a child that finds another's pid gives way, and the other is not disturbed", async () => {
    const stateDir = folder();
    const cloud = await openTest({ stateDir, settings: { bootDelayMs: 0 } });
    const id = await buy(cloud);
    await drop(cloud);
    mkdirSync(instanceFolder(stateDir, id), { recursive: true });
    // Not readable and yet there: what a child of a control plane that just died is about to write.
    symlinkSync(join(root, "not-written-yet"), join(instanceFolder(stateDir, id), "pid"));
    const next = await withAgent({ stateDir });
    const ends = () => readEntries(stateDir).filter((entry) => entry.kind === "process.ended");
    await until("it gave way", () => ends().length > 0);
    expect(ends()[0]).toMatchObject({ id, reason: "exit 73" });
    expect(existsSync(join(instanceFolder(stateDir, id), "called"))).toBe(false);
    // Once the other is known to be gone, one is started.
    rmSync(join(instanceFolder(stateDir, id), "pid"));
    await until("it runs", () => existsSync(join(instanceFolder(stateDir, id), "called")));
    await next.list();
    expect(isAlive(processOf(next, id))).toBe(true);
  });

  test("injectXid() appends whole records with rising numbers", async () => {
    const stateDir = folder();
    const cloud = await withAgent({ stateDir });
    const id = await buy(cloud);
    injectXid(stateDir, id, { xid: 79, usec: 5_000 });
    injectXid(stateDir, id, { xid: 48, pci: simulatedPci(3), message: "a\nb\\", usec: 4_000 });
    const read = () => readFileSync(join(instanceFolder(stateDir, id), "kmsg"), "utf8");
    expect(read()).toBe(
      [
        "4,1,5000,-;NVRM: Xid (PCI:0000:18:00): 79, GPU has fallen off the bus.\n",
        "4,2,5001,-;NVRM: Xid (PCI:0000:21:00): 48, a\\x0ab\\x5c\n",
      ].join(""),
    );
    injectXid(stateDir, id, { xid: 13 });
    const last = read().split("\n").at(-2);
    const uptimeUsec = Number(/^4,3,(\d+),-;/.exec(last ?? "")?.[1]);
    expect(uptimeUsec).toBeGreaterThan(5_001);
    const nobody = "i-none" as InstanceId;
    expect(() => injectXid(stateDir, nobody, { xid: 79 })).toThrow("no such instance");
  });
});
