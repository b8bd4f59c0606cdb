import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "./api.ts";
import { Limiter, isThrottled, limited } from "./limiter.ts";
import type { Report, WriteLane } from "./limiter.ts";

function open(perSecondMax = 200) {
  const clock = new VirtualClock(undefined, 0);
  const limiter = new Limiter({ clock, perSecondMax });
  const granted: { lane: WriteLane; atMs: number }[] = [];
  const ask = (lane: WriteLane, count = 1, signal?: AbortSignal) => {
    for (let n = 0; n < count; n += 1) {
      void limiter.acquire(lane, signal).then((yes) => {
        if (yes) granted.push({ lane, atMs: clock.monoMs() });
      });
    }
  };
  const of = (lane: WriteLane) => granted.filter((grant) => grant.lane === lane);
  const report = (more: Partial<Report> = {}) =>
    limiter.report({ lane: "evict", latencyMs: 10, throttled: false, retryAfterMs: null, ...more });
  return { clock, limiter, granted, ask, of, report };
}

describe("Limiter", () => {
  test("acquire() cordons 750 nodes in 5 s, whatever the drains want", async () => {
    const { clock, ask, of } = open();
    ask("evict", 5_000);
    ask("status", 5_000);
    ask("cordon", 750);
    await clock.pass(5_000);
    expect(of("cordon")).toHaveLength(750);
  });

  test("acquire() lets 20 evictions a second out at first", async () => {
    const { clock, ask, of } = open();
    ask("evict", 1_000);
    await clock.pass(10_000);
    expect(of("evict").length).toBeWithin(200, 210);
  });

  test("acquire() puts evictions before status without starving status", async () => {
    const { clock, ask, of } = open();
    ask("status", 1_000);
    ask("evict", 1_000);
    await clock.pass(20_000);
    expect(of("status").length).toBeGreaterThan(of("evict").length / 15);
    expect(of("status").length).toBeLessThan(of("evict").length / 5);
  });

  test("report() raises the rate by 5/s for each healthy second, up to the cap", async () => {
    const { clock, limiter, report } = open();
    for (let second = 0; second < 10; second += 1) {
      for (let n = 0; n < 10; n += 1) report();
      await clock.pass(1_000);
    }
    expect(limiter.status().perSecond).toBeWithin(65, 71);
    for (let second = 0; second < 60; second += 1) {
      report();
      await clock.pass(1_000);
    }
    expect(limiter.status().perSecond).toBe(200);
  });

  test("report() halves once for one overload, to 2/s at least, and recovers", async () => {
    const { clock, limiter, report } = open();
    for (let n = 0; n < 50; n += 1) report({ throttled: true });
    expect(limiter.status()).toMatchObject({ perSecond: 10, cordonsPerSecond: 75 });
    for (let second = 0; second < 10; second += 1) {
      await clock.pass(1_000);
      report({ throttled: true });
    }
    expect(limiter.status()).toMatchObject({ perSecond: 2, cordonsPerSecond: 10 });
    for (let second = 0; second < 60; second += 1) {
      await clock.pass(1_000);
      report();
    }
    expect(limiter.status()).toMatchObject({ perSecond: 200, cordonsPerSecond: 150 });
  });

  test("report() stops every lane for as long as the server asks, 30 s at most", async () => {
    const { clock, limiter, report, ask, granted } = open();
    report({ throttled: true, retryAfterMs: 3_000 });
    ask("cordon");
    ask("evict");
    await clock.pass(2_999);
    expect(granted).toEqual([]);
    await clock.pass(2);
    expect(granted).toHaveLength(2);
    report({ throttled: true, retryAfterMs: 3_600_000 });
    expect(limiter.status().pausedMs).toBe(30_000);
  });

  test("report() halves when answers take twice as long as they did, and only then", async () => {
    const { clock, limiter, report } = open();
    const second = async (latencyMs: number) => {
      for (let n = 0; n < 20; n += 1) report({ latencyMs });
      await clock.pass(1_000);
    };
    for (let n = 0; n < 10; n += 1) await second(150);
    const healthy = limiter.status().perSecond;
    for (let n = 0; n < 5; n += 1) await second(190);
    expect(limiter.status().perSecond).toBeGreaterThan(healthy);
    for (let n = 0; n < 5; n += 1) await second(900);
    const slowed = limiter.status().perSecond;
    expect(slowed).toBeLessThan(healthy);
    // Slow is not full: it goes no lower than ten.
    for (let n = 0; n < 20; n += 1) await second(900);
    expect(limiter.status().perSecond).toBe(10);
    for (let n = 0; n < 10; n += 1) await second(150);
    expect(limiter.status().perSecond).toBeGreaterThan(40);
  });

  test("report() calls 40 ms in place of 4 ms no regression", async () => {
    const { clock, limiter, report } = open();
    for (let second = 0; second < 20; second += 1) {
      for (let n = 0; n < 20; n += 1) report({ latencyMs: second < 10 ? 4 : 40 });
      await clock.pass(1_000);
    }
    expect(limiter.status().perSecond).toBeWithin(110, 121);
  });

  test("acquire() says no to the aborted, to the many, and to all after close()", async () => {
    const { clock, limiter } = open(1);
    const stop = new AbortController();
    await limiter.acquire("evict");
    const waiting = limiter.acquire("evict", stop.signal);
    stop.abort();
    expect(await waiting).toBe(false);
    expect(await limiter.acquire("evict", stop.signal)).toBe(false);
    const held = Array.from({ length: 50_000 }, () => limiter.acquire("status"));
    expect(await limiter.acquire("status")).toBe(false);
    expect(limiter.status().waiting).toEqual({ cordon: 0, evict: 0, status: 50_000 });
    limiter.close();
    expect((await Promise.all(held)).some(Boolean)).toBe(false);
    expect(await limiter.acquire("cordon")).toBe(false);
    await clock.pass(10_000);
  });

  test("never exceeds its cap, keeps its ranks, and lets every lane go on", async () => {
    const lane = fc.constantFrom<WriteLane>("cordon", "evict", "status");
    const step = fc.record({
      lane,
      asks: fc.nat(80),
      ms: fc.nat(800),
      latencyMs: fc.constantFrom(5, 5, 5, 400, 3_000),
      throttled: fc.constantFrom(false, false, false, true),
      retryAfterMs: fc.constantFrom(null, 1_000),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 300 }),
        fc.array(step, { maxLength: 30 }),
        async (cap, steps) => {
          const { clock, limiter, granted, ask, of } = open(cap);
          const asked = { cordon: 0, evict: 0, status: 0 };
          for (const { lane: on, asks, ms, ...rest } of steps) {
            ask(on, asks);
            asked[on] += asks;
            await clock.pass(ms);
            limiter.report({ lane: on, ...rest });
          }
          const burst = Math.max(1, cap / 4);
          const times = granted.map(({ atMs }) => atMs);
          for (let from = 0; from < times.length; from += 7) {
            for (const width of [0, 100, 1_000, 5_000]) {
              const start = times[from] ?? 0;
              const within = times.filter((at) => at >= start && at <= start + width).length;
              expect(within).toBeLessThanOrEqual(burst + (cap * width) / 1_000 + 1);
            }
          }
          // With everybody asking, nobody waits for ever.
          const before = { cordon: of("cordon"), evict: of("evict"), status: of("status") };
          for (const each of ["cordon", "evict", "status"] as const) ask(each, 30);
          await clock.pass(45_000);
          for (const each of ["cordon", "evict", "status"] as const) {
            expect(of(each).length).toBeGreaterThan(before[each].length);
          }
          expect(limiter.status().perSecond).toBeLessThanOrEqual(cap);
          limiter.close();
        },
      ),
      { numRuns: 300 },
    );
  }, 20_000);
});

describe("limited()", () => {
  const ok: KubeAnswer = { kind: "ok", status: 200, body: {} };
  const refused = (status: number, cause?: string): KubeAnswer => ({
    kind: "refused",
    status,
    reason: "TooManyRequests",
    message: "",
    causes: cause === undefined ? [] : [{ reason: cause, message: "", field: "" }],
    retryAfterMs: null,
  });
  const write: KubeRequest = {
    verb: "create",
    path: "/api/v1/namespaces/a/pods/b/eviction",
    timeoutMs: 7_000,
    lane: "evict",
  };
  function api(answer: () => KubeAnswer, takesMs = 0) {
    const fixture = open(4);
    const calls: KubeRequest[] = [];
    const inner: KubeApi = {
      async call(request) {
        calls.push(request);
        if (takesMs > 0) await fixture.clock.pass(takesMs);
        return answer();
      },
      watch: async () => ({ kind: "ended" }),
      close: () => {},
    };
    return { ...fixture, calls, api: limited(inner, fixture.limiter, fixture.clock) };
  }

  test("holds writes back and reads not", async () => {
    const { api: held, calls, clock } = api(() => ok);
    for (let n = 0; n < 10; n += 1) void held.call(write);
    for (let n = 0; n < 10; n += 1) void held.call({ ...write, verb: "get", lane: "read" });
    await clock.pass(10);
    expect(calls.filter(({ verb }) => verb === "get")).toHaveLength(10);
    expect(calls.filter(({ verb }) => verb === "create")).toHaveLength(1);
    await clock.pass(3_000);
    expect(calls).toHaveLength(20);
  });

  test("refuses, unsent, what gets no turn in its time", async () => {
    const { api: held, calls, clock } = api(() => ok);
    const answers = Array.from({ length: 40 }, () => held.call(write));
    await clock.pass(8_000);
    const refusals = (await Promise.all(answers)).filter(({ kind }) => kind === "refused");
    expect(refusals.length + calls.length).toBe(40);
    expect(refusals[0]).toMatchObject({ status: 429, reason: "ClientThrottled" });
  });

  test("slows down for a busy server and not for a full budget", async () => {
    for (const [answer, rate] of [
      [refused(429, "DisruptionBudget"), 4],
      [refused(429), 2],
      [refused(503), 2],
      [refused(409), 4],
    ] as const) {
      const { api: held, limiter } = api(() => answer);
      await held.call(write);
      expect(limiter.status().perSecond).toBe(rate);
    }
  });

  test("isThrottled() knows an unrelated cause for what it is", () => {
    expect(isThrottled(refused(429, "Other"))).toBe(true);
    expect(isThrottled({ kind: "lost", message: "" })).toBe(false);
    expect(isThrottled(ok)).toBe(false);
  });

  test("close() ends those who wait", async () => {
    const { api: held } = api(() => ok);
    await held.call(write);
    const waiting = held.call(write);
    held.close();
    expect(await waiting).toMatchObject({ kind: "refused", reason: "ClientThrottled" });
  });
});
