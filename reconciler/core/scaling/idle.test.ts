/**
 * The arithmetic of idle workers in virtual time. T1 to T6 are the traces of velda-io/velda
 * (pkg/broker/autoscaler_test.go), whose numbers ours must be.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { effectiveMaxIdle, type IdleRule, stepIdle, type Worker } from "./idle.ts";

const LONG = 360_000_000;
const RULE: IdleRule = {
  min: 0,
  max: 5,
  minIdle: 0,
  maxIdle: 0,
  slots: 1,
  decayMs: LONG,
  killUnknownMs: 0,
  retryMs: 60_000,
};

/** Workers and claims; every event is followed by steps until nothing is left to do. */
class Yard {
  rule: IdleRule;
  now = 1_000_000;
  workers: Worker[] = [];
  queued = 0;
  refuses = false;
  attempts = 0;
  refusedAt: number | null = null;
  private surplusSince: number | null = null;
  private made = 0;

  constructor(rule: Partial<IdleRule>) {
    this.rule = { ...RULE, ...rule };
  }

  get live(): number {
    return this.workers.length;
  }

  get idle(): number {
    return stepIdle(this.rule, this.pool(), this.now).idle;
  }

  names(): string[] {
    return this.workers.map((one) => one.id);
  }

  add(state: Worker["state"], free = this.rule.slots): string {
    const id = `w${this.made++}`;
    this.workers.push({ id, state, free, since: this.now });
    return id;
  }

  set(id: string, change: Partial<Worker>): void {
    this.workers = this.workers.map((one) =>
      one.id === id ? { ...one, since: this.now, ...change } : one,
    );
  }

  /** The oldest worker on its way arrives, or the named one. */
  join(id = this.workers.find((one) => one.state === "pending")?.id): void {
    if (id === undefined) throw new Error("none is on its way");
    this.set(id, { state: "idle", free: this.rule.slots });
    this.refusedAt = null;
    this.settle();
  }

  /** A claim is queued, then takes the first free slot. */
  claim(): void {
    this.queued += 1;
    this.settle();
    const free = this.workers.find(
      (one) => (one.state === "idle" || one.state === "running") && one.free > 0,
    );
    if (free === undefined) return;
    this.queued -= 1;
    this.set(free.id, { state: "running", free: free.free - 1 });
    this.settle();
  }

  cancel(): void {
    this.queued -= 1;
    this.settle();
  }

  release(id: string, slots = 1): void {
    const worker = this.workers.find((one) => one.id === id);
    const free = (worker?.free ?? 0) + slots;
    this.set(id, { free, state: free === this.rule.slots ? "idle" : "running" });
    this.settle();
  }

  wait(ms: number): void {
    this.now += ms;
    this.settle();
  }

  settle(): void {
    for (let i = 0; i < 100; i++) {
      const step = stepIdle(this.rule, this.pool(), this.now);
      this.surplusSince = step.surplusSince;
      const ended = [...step.remove, ...step.kill];
      this.workers = this.workers.filter((one) => !ended.includes(one.id));
      for (let n = 0; n < step.create && this.refusedAt !== this.now; n++) this.create();
      if (step.create === 0 && ended.length === 0) return;
    }
    throw new Error("it never settles");
  }

  /** The first refusal ends the round. */
  private create(): void {
    this.attempts += 1;
    if (this.refuses) this.refusedAt = this.now;
    else this.add("pending");
  }

  private pool() {
    const { workers, queued, surplusSince, refusedAt } = this;
    return { workers, queued, surplusSince, refusedAt };
  }
}

describe("stepIdle() makes the sizes of the oracle", () => {
  test("T1: minimum, growth by claims, the ceiling, both ways down", () => {
    const yard = new Yard({ min: 2, minIdle: 1, maxIdle: 3, max: 5 });
    yard.settle();
    expect(yard.live).toBe(2);
    yard.join();
    yard.join();
    const sizes = Array.from({ length: 5 }, () => {
      yard.claim();
      const size = yard.live;
      if (yard.workers.some((one) => one.state === "pending")) yard.join();
      return size;
    });
    expect(sizes).toEqual([2, 3, 4, 5, 5]);
    yard.claim();
    expect([yard.live, yard.queued]).toEqual([5, 1]);
    yard.cancel();
    for (const id of yard.names().slice(0, 3)) yard.release(id);
    expect(yard.live).toBe(5);
    yard.release(yard.names()[3] ?? "");
    expect(yard.live).toBe(4);
    yard.rule = { ...yard.rule, decayMs: 0 };
    yard.settle();
    expect(yard.live).toBe(2);
  });

  test("T1, on: a cancelled claim leaves its worker, which the next claim takes", () => {
    const yard = new Yard({ min: 2, minIdle: 1, maxIdle: 3, max: 5 });
    yard.settle();
    yard.join();
    yard.join();
    yard.claim();
    yard.queued += 1;
    yard.settle();
    expect(yard.live).toBe(3);
    yard.cancel();
    expect(yard.live).toBe(3);
    yard.queued += 1;
    yard.settle();
    expect(yard.live).toBe(3);
    yard.queued += 1;
    yard.settle();
    expect(yard.live).toBe(4);
  });

  test("T2: two slots a worker", () => {
    const yard = new Yard({ slots: 2, minIdle: 2, maxIdle: 4 });
    yard.settle();
    expect(yard.live).toBe(1);
    yard.join();
    const sizes = [1, 2, 3].map((claim) => {
      yard.claim();
      if (claim === 2) yard.join();
      return yard.live;
    });
    expect(sizes).toEqual([2, 2, 3]);
    yard.join();
    yard.release("w0", 2);
    yard.release("w1", 1);
    expect([yard.live, yard.idle]).toEqual([2, 4]);
  });

  test("T3: a worker that is partly busy stays, however many slots are free", () => {
    const yard = new Yard({ slots: 2, minIdle: 2, maxIdle: 4 });
    const ids = [0, 0, 0, 1, 1].map((free) => yard.add("running", free));
    yard.settle();
    expect([yard.live, yard.idle]).toEqual([5, 2]);
    for (const id of ids.slice(0, 3)) yard.release(id);
    expect([yard.live, yard.idle]).toEqual([5, 5]);
    yard.release("w0");
    expect(yard.names()).toEqual(["w1", "w2", "w3", "w4"]);
  });

  test("T4: a claim that is cancelled while its worker is on its way", () => {
    const yard = new Yard({ max: 2, decayMs: 0 });
    yard.settle();
    expect(yard.live).toBe(0);
    yard.claim();
    expect(yard.workers.map((one) => one.state)).toEqual(["pending"]);
    yard.cancel();
    expect(yard.live).toBe(0);
  });

  test("T5: what never joined, and what was lost, goes after its time", () => {
    const yard = new Yard({ maxIdle: 3, killUnknownMs: 5_000 });
    yard.add("unknown");
    const lost = yard.add("pending");
    yard.join(lost);
    yard.set(lost, { state: "lost", free: 0 });
    yard.wait(5_000);
    expect(yard.live).toBe(2);
    yard.wait(1);
    expect(yard.live).toBe(0);
  });

  test("T6: after a failure one attempt a minute, whatever is asked for", () => {
    const yard = new Yard({});
    yard.refuses = true;
    for (let i = 0; i < 4; i++) yard.claim();
    expect(yard.attempts).toBe(1);
    yard.wait(59_999);
    expect(yard.attempts).toBe(1);
    yard.wait(1);
    expect(yard.attempts).toBe(2);
    yard.refuses = false;
    yard.wait(60_000);
    expect(yard.attempts).toBe(6);
    expect(yard.live).toBe(4);
    yard.join();
    expect(yard.refusedAt).toBeNull();
  });

  test.each([
    ["cpu-pool", { min: 2, minIdle: 3, maxIdle: 5, max: 10 }, 3],
    ["gpu-pool", { min: 0, minIdle: 1, maxIdle: 1, max: 4 }, 1],
  ])("an empty %s starts with %o: %i", (_, rule, size) => {
    const yard = new Yard(rule);
    yard.settle();
    expect(yard.live).toBe(size);
  });
});

describe("stepIdle()", () => {
  test("does nothing while the state of a worker is unknown", () => {
    const yard = new Yard({ min: 3, minIdle: 3, max: 9 });
    const id = yard.add("unknown");
    yard.settle();
    expect(yard.live).toBe(1);
    yard.join(id);
    expect(yard.live).toBe(3);
  });

  test("removes one worker a decay, and starts over after a busy moment", () => {
    const yard = new Yard({ minIdle: 1, maxIdle: 9, max: 9, decayMs: 60_000 });
    const ids = [1, 2, 3, 4].map(() => yard.add("idle"));
    yard.settle();
    yard.wait(59_999);
    expect(yard.live).toBe(4);
    yard.wait(1);
    expect(yard.live).toBe(3);
    yard.wait(30_000);
    yard.queued = 2;
    yard.wait(1);
    yard.queued = 0;
    yard.wait(59_999);
    expect(yard.live).toBe(3);
    yard.wait(60_001);
    expect(yard.live).toBe(2);
    expect(ids.length).toBe(4);
  });

  test("above a lowered maximum the one worker without work leaves, though no slot is to spare", () => {
    const worker = (id: string, state: "idle" | "running", free: number): Worker => ({
      ...{ id, state, free, since: 0 },
    });
    const workers = [worker("busy", "running", 0), worker("free", "idle", 1)];
    const rule = { ...RULE, max: 1, minIdle: 1, maxIdle: 1 };
    const pool = { workers, queued: 0, surplusSince: null, refusedAt: null, ignoresUnknown: true };
    expect(stepIdle(rule, pool, 1).remove).toEqual(["free"]);
  });

  test("a maximum that could never be kept is raised", () => {
    expect(effectiveMaxIdle({ ...RULE, minIdle: 2, maxIdle: 0, slots: 4 })).toBe(5);
    expect(effectiveMaxIdle({ ...RULE, minIdle: 2, maxIdle: 9, slots: 4 })).toBe(9);
  });

  const state = fc.constantFrom<Worker["state"]>("pending", "idle", "running", "lost", "leaving");
  const anyYard = fc.record({
    min: fc.nat(5),
    more: fc.nat(10),
    minIdle: fc.nat(8),
    maxIdle: fc.nat(12),
    slots: fc.integer({ min: 1, max: 4 }),
    states: fc.array(state, { maxLength: 12 }),
    queued: fc.nat(20),
  });

  test("settles at once, within the bounds, and removes no worker with work", () => {
    fc.assert(
      fc.property(anyYard, ({ min, more, states, queued, ...rest }) => {
        const yard = new Yard({ ...rest, min, max: min + more });
        for (const one of states) yard.add(one, one === "idle" ? rest.slots : 0);
        const counts = (one: Worker) => one.state !== "lost" && one.state !== "leaving";
        const before = yard.workers.filter(counts).length;
        const busy = yard.workers.filter((one) => one.state === "running").map((one) => one.id);
        yard.queued = queued;
        yard.settle();
        const after = yard.workers.filter(counts).length;
        expect(after).toBeLessThanOrEqual(Math.max(before, min + more));
        expect(after).toBeGreaterThanOrEqual(Math.min(before, min));
        for (const id of busy) expect(yard.names()).toContain(id);
        // No flapping: told the same again, nothing changes.
        const names = yard.names();
        yard.settle();
        expect(yard.names()).toEqual(names);
      }),
    );
  });

  test("more waiting jobs never make fewer workers", () => {
    fc.assert(
      fc.property(anyYard, fc.nat(10), ({ min, more, states, queued, ...rest }, extra) => {
        const sizes = [queued, queued + extra].map((waiting) => {
          const yard = new Yard({ ...rest, min, max: min + more });
          for (const one of states) yard.add(one, one === "idle" ? rest.slots : 0);
          yard.queued = waiting;
          yard.settle();
          return yard.live;
        });
        expect(sizes[1]).toBeGreaterThanOrEqual(sizes[0] ?? 0);
      }),
    );
  });
});
