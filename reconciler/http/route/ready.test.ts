import { expect, test } from "bun:test";
import type { Forward } from "./forward.ts";
import { openStandbyReadiness } from "./ready.ts";

const forward = { problem: async () => null } as unknown as Forward;

test("a standby that could not take the lead is not ready, and says why", async () => {
  let why: string | null = null;
  const notReady = openStandbyReadiness({ forward, copyAgeMs: () => 0, unfit: () => why });
  expect(await notReady()).toEqual([]);
  why = "the database is read-only";
  expect(await notReady()).toEqual(["standby: cannot take the lead: the database is read-only"]);
});
