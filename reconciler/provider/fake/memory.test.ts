/** The memory cloud keeps the port's contract, is deterministic, and is quick. */
import { describe, expect, test } from "bun:test";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../../test/port/provider.contract.ts";
import type { ProviderClass } from "../../core/provider.ts";
import type { Entry } from "./entry.ts";
import { openMemoryCloud } from "./memory.ts";

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

function steppedClock(startMs = 1_000_000) {
  let nowMs = startMs;
  let timers: { atMs: number; work: () => void }[] = [];
  return {
    wallMs: () => nowMs,
    after: (ms: number, work: () => void) => void timers.push({ atMs: nowMs + ms, work }),
    step(ms: number) {
      nowMs += ms;
      const ripe = timers.filter((timer) => timer.atMs <= nowMs);
      timers = timers.filter((timer) => timer.atMs > nowMs);
      for (const timer of ripe) timer.work();
    },
  };
}

function openTest(cls: ProviderClass = "token", onEntry?: (entry: Entry) => void) {
  const clock = steppedClock();
  const cloud = openMemoryCloud({
    clock,
    random: seeded(1),
    fleetId: contractFleetId,
    class: cls,
    ...(onEntry && { onEntry }),
  });
  return { cloud, clock };
}

providerContract("openMemoryCloud()", async (cls) => {
  const { cloud, clock } = openTest(cls);
  return {
    provider: cloud,
    step: clock.step,
    setFaults: (faults) => cloud.setFaults(faults),
    reality: () => cloud.reality(),
    close: () => cloud.close(),
  };
});

const FENCE = { nodeId: "n1", fence: 1, sessionId: null };

describe("openMemoryCloud()", () => {
  test("create() boots after the boot time, not before", async () => {
    const seen: string[] = [];
    const { cloud, clock } = openTest("token", (entry) => void seen.push(entry.kind));
    await cloud.create(contractRequest("n1"), FENCE, null);
    clock.step(999);
    cloud.advance();
    expect(seen).toEqual(["opened", "create.accepted", "landed"]);
    expect(cloud.nextDueMs()).toBe(1_001_000);
    clock.step(1);
    cloud.advance();
    expect(seen.at(-1)).toBe("running");
    expect([...cloud.world().instances.values()][0]?.instance.internalIp).toBe("127.1.0.1");
  });

  test("create() of a slow cloud makes the instance at once and answers late", async () => {
    const { cloud, clock } = openTest();
    cloud.setFaults({ createDelayMs: 5_000 });
    let answered = false;
    const asked = cloud.create(contractRequest("n1"), FENCE, null).then((answer) => {
      answered = true;
      return answer;
    });
    await Promise.resolve();
    expect(cloud.reality().live).toHaveLength(1);
    expect(answered).toBe(false);
    clock.step(5_000);
    expect((await asked).kind).toBe("ok");
  });

  test("list() forgets the terminated, and create() their token later", async () => {
    const { cloud, clock } = openTest();
    const made = await cloud.create(contractRequest("n1"), FENCE, null);
    if (made.kind !== "ok") throw new Error("not made");
    await cloud.terminate(made.instance.id, FENCE);
    clock.step(3_602_000);
    expect(await cloud.list()).toEqual({ kind: "ok", instances: [] });
    expect((await cloud.create(contractRequest("n1"), FENCE, null)).kind).toBe("refused");
    expect(cloud.reality().terminated).toHaveLength(1);
    clock.step(24 * 3_600_000);
    expect((await cloud.create(contractRequest("n1"), FENCE, null)).kind).toBe("ok");
  });

  test("list() lies as it is told: wrong state, duplicates, part of it, nothing", async () => {
    const { cloud, clock } = openTest();
    for (const node of ["n1", "n2", "n3", "n4"]) {
      await cloud.create(contractRequest(node), { ...FENCE, nodeId: node }, null);
    }
    clock.step(60_000);
    const states = async () => {
      const answer = await cloud.list();
      return answer.kind === "ok" ? answer.instances.map((one) => one.state) : answer;
    };
    cloud.setFaults({ wrongState: "terminated", partial: 0.5 });
    expect(await states()).toEqual(["terminated", "terminated"]);
    cloud.setFaults({ duplicateListing: true });
    expect(await states()).toHaveLength(8);
    cloud.setFaults({ emptyList: true });
    expect(await states()).toEqual([]);
    cloud.setFaults({});
    expect(await states()).toEqual(["running", "running", "running", "running"]);
  });

  test("terminate() lies as it is told: 404 on the living, accepted and ignored", async () => {
    const { cloud, clock } = openTest();
    const made = await cloud.create(contractRequest("n1"), FENCE, null);
    if (made.kind !== "ok") throw new Error("not made");
    cloud.setFaults({ terminateNotFound: 1, terminateIgnored: 1 });
    expect((await cloud.terminate(made.instance.id, FENCE)).kind).toBe("not_found");
    cloud.setFaults({ terminateIgnored: 1 });
    expect((await cloud.terminate(made.instance.id, FENCE)).kind).toBe("accepted");
    cloud.setFaults({ terminateFails: 1 });
    expect((await cloud.terminate(made.instance.id, FENCE)).kind).toBe("ambiguous");
    clock.step(60_000);
    expect(cloud.reality().live).toHaveLength(1);
  });

  test("deleteInstance() ends an instance outside of the product", async () => {
    const { cloud, clock } = openTest();
    const made = await cloud.create(contractRequest("n1"), FENCE, null);
    if (made.kind !== "ok") throw new Error("not made");
    expect(cloud.deleteInstance(made.instance.id)).toBe(true);
    clock.step(60_000);
    expect(cloud.reality().live).toEqual([]);
  });

  test("the same seed and the same calls give the same record", async () => {
    const run = async () => {
      const seen: Entry[] = [];
      const { cloud, clock } = openTest("token", (entry) => void seen.push(entry));
      cloud.setFaults({ loseReply: { create: 0.5 }, loseAsk: { create: 0.2 } });
      for (let i = 0; i < 50; i += 1) {
        const nodeId = `n${i % 20}`;
        await cloud.create(contractRequest(nodeId), { nodeId, fence: i, sessionId: null }, null);
        clock.step(137);
      }
      return seen;
    };
    expect(await run()).toEqual(await run());
  });

  test("10,000 instances boot and end within two seconds", async () => {
    const clock = steppedClock();
    const cloud = openMemoryCloud({
      clock,
      random: seeded(1),
      fleetId: contractFleetId,
      record: false,
    });
    const startedMs = performance.now();
    for (let i = 0; i < 10_000; i += 1) {
      const nodeId = `n${i}`;
      const made = await cloud.create(contractRequest(nodeId), { ...FENCE, nodeId }, null);
      if (made.kind !== "ok") throw new Error("not made");
      if (i % 2 === 0) await cloud.terminate(made.instance.id, { ...FENCE, nodeId });
      clock.step(10);
    }
    clock.step(3_700_000);
    const answer = await cloud.list();
    expect(answer.kind === "ok" && answer.instances.length).toBe(5_000);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });
});
