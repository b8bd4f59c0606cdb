/** When sources are read, and what is kept of them. */
import { describe, expect, test } from "bun:test";
import { configOf } from "../../test/world/world.ts";
import { fleetOf } from "../../test/world/part.ts";
import type { MetricAnswer, MetricPool } from "../core/scaling/metric.ts";
import { MetricWatch } from "./metric-watch.ts";

const yaml = (pools: string[]) => `
providers: { fake: {} }
pools:
${pools
  .map(
    (name) => `  - name: ${name}
    provider: fake
    instance_type: h100-8x
    scaling:
      min_nodes: 2
      max_nodes: 9
      autoscaler: { type: external, source: http, url: "http://a.example/${name}", pointer: /n, interval: 10s }
`,
  )
  .join("")}`;

class Rig {
  mono = 0;
  asked: MetricPool[] = [];
  answers: ((answer: MetricAnswer) => void)[] = [];
  timers: { at: number; work: () => void }[] = [];
  said: string[] = [];
  readonly watch: MetricWatch;

  constructor() {
    const clock = {
      wallMs: () => 1_000_000 + this.mono,
      monoMs: () => this.mono,
      after: (ms: number, work: () => void) => {
        const timer = { at: this.mono + ms, work };
        this.timers.push(timer);
        return () => void (this.timers = this.timers.filter((one) => one !== timer));
      },
    };
    const read = (_source: unknown, pool: MetricPool) => {
      this.asked.push({ ...pool });
      return new Promise<MetricAnswer>((resolve) => this.answers.push(resolve));
    };
    this.watch = new MetricWatch(read, clock, (_level, message) => void this.said.push(message));
  }

  look(pools = ["a"]): void {
    this.watch.look(configOf(yaml(pools)), fleetOf([]));
  }

  async answer(answer: MetricAnswer): Promise<void> {
    this.answers.shift()?.(answer);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const value = (n: number): MetricAnswer => ({ kind: "value", value: n });
const failed = (message: string): MetricAnswer => ({ kind: "failed", message });

describe("MetricWatch", () => {
  test("reads at the interval, one at a time, and dates the reading by its begin", async () => {
    const rig = new Rig();
    rig.look();
    expect(rig.asked).toEqual([{ name: "a", desired: 2, min: 2, max: 9 } as never]);
    expect(rig.watch.sights().get("a#0")).toEqual({ reading: null, problem: null });
    rig.mono = 20_000;
    rig.look();
    expect(rig.asked.length).toBe(1);
    await rig.answer(value(7));
    expect(rig.watch.sights().get("a#0")).toEqual({
      reading: { value: 7, at: 1_000_000 },
      problem: null,
    });
    rig.look();
    expect(rig.asked.length).toBe(2);
  });

  test("a failure keeps the last number and says why, once in the log", async () => {
    const rig = new Rig();
    for (const answer of [value(7), failed("HTTP 500"), failed("HTTP 502"), value(8)]) {
      rig.look();
      await rig.answer(answer);
      rig.mono += 10_000;
    }
    expect(rig.said).toEqual(["metrics source failed"]);
    expect(rig.watch.sights().get("a#0")).toMatchObject({ reading: { value: 8 }, problem: null });
    rig.look();
    await rig.answer(failed("HTTP 500"));
    expect(rig.watch.sights().get("a#0")).toMatchObject({
      reading: { value: 8 },
      problem: "HTTP 500",
    });
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, -1])("%p is no reading", async (n) => {
    const rig = new Rig();
    rig.look();
    await rig.answer(value(n));
    expect(rig.watch.sights().get("a#0")?.reading).toBeNull();
  });

  test("a reading that never ends has failed, and the next begins", async () => {
    const rig = new Rig();
    rig.look();
    rig.mono = 20_000;
    rig.timers[0]?.work();
    await rig.answer(value(1));
    expect(rig.watch.sights().get("a#0")).toEqual({
      reading: null,
      problem: "no answer within 20 s",
    });
    rig.look();
    expect(rig.asked.length).toBe(2);
  });

  test("so many at once, the others in their turn; a removed pool is forgotten", async () => {
    const rig = new Rig();
    const pools = Array.from({ length: 140 }, (_, index) => `p${index}`);
    rig.look(pools);
    expect(rig.asked.length).toBe(128);
    await rig.answer(value(1));
    rig.look(pools);
    expect(rig.asked.length).toBe(129);
    rig.look(["p1"]);
    expect([...rig.watch.sights().keys()]).toEqual(["p1#0"]);
  });
});
