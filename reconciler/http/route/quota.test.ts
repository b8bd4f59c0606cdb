import { expect, test } from "bun:test";
import type { Log } from "../../core/clock.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { Quota } from "./quota.ts";

function open(factor?: number) {
  const clock = { now: 0, monoMs: () => clock.now };
  const told: string[] = [];
  const log: Log = (_, __, fields) => void told.push(String(fields?.["node"]));
  const quota = new Quota(clock, log, factor);
  return { clock, told, quota };
}

const { burst, perSecond } = LIMIT.node.reports;

test("take() gives the burst, then the rate, and says when the next one may come", () => {
  const { clock, quota } = open();
  for (let i = 0; i < burst; i++) expect(quota.take("n", { reports: 1 })).toBe(0);
  const waitMs = quota.take("n", { reports: 1 });
  expect(waitMs).toBe(1_000 / perSecond);
  clock.now += waitMs;
  expect(quota.take("n", { reports: 1 })).toBe(0);
  expect(quota.take("n", { reports: 1 })).toBeGreaterThan(0);
  clock.now += 1_000;
  for (let i = 0; i < perSecond; i++) expect(quota.take("n", { reports: 1 })).toBe(0);
  expect(quota.take("n", { reports: 1 })).toBeGreaterThan(0);
});

test("take() takes all or nothing, and another node's allowance is its own", () => {
  const { quota } = open();
  expect(quota.take("n", { bytes: 2 * LIMIT.node.bytes.burst })).toBe(0);
  for (let i = 0; i < 2 * burst; i++) {
    expect(quota.take("n", { reports: 1, bytes: 1 })).toBeGreaterThan(10_000);
  }
  // What was refused cost nothing.
  for (let i = 0; i < burst; i++) expect(quota.take("n", { reports: 1 })).toBe(0);
  expect(quota.take("m", { reports: 1, bytes: 1 })).toBe(0);
});

test("the log names a node that sends too much, once a minute", () => {
  const { clock, told, quota } = open();
  quota.take("n", { news: LIMIT.node.news.burst });
  for (let i = 0; i < 100; i++) quota.take("n", { news: 1_000_000 });
  expect(told).toEqual(["n"]);
  clock.now += 59_000;
  quota.take("n", { news: 1e9 });
  quota.take("n", { news: 1 });
  expect(told).toEqual(["n"]);
  clock.now += 1_000;
  quota.take("n", { news: 1 });
  expect(told).toEqual(["n", "n"]);
});

test("nodes that are quiet again are forgotten", () => {
  const { clock, quota } = open();
  for (let i = 0; i < 5_000; i++) {
    quota.take(`n-${i}`, { reports: 1 });
    clock.now += 10;
  }
  expect(quota.size).toBeLessThan(2_100);
});
