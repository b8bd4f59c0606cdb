/** What reports, days and persons do to the credentials of one node. */
import { describe, expect, test } from "bun:test";
import type { Credential } from "../../../schema/credential.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { Authority, nodeToken, type Principal } from "../auth.ts";
import { FIRST_KEY } from "../key.ts";
import { Keys, nodeCredential } from "./keys.ts";

const NODE = "m-1" as never;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function setUp() {
  const clock = new VirtualClock();
  const saved: Credential[] = [];
  const lines: unknown[][] = [];
  const authority = new Authority({
    secret: "s",
    admins: [],
    shared: [],
    credentials: [],
    anonymous: false,
  });
  const store = {
    broken: false,
    async saveCredential(credential: Credential): Promise<void> {
      if (this.broken) throw new Error("disk full");
      saved.push(credential);
    },
  };
  const log = (...line: unknown[]) => void lines.push(line);
  const keys = new Keys({ authority, store, clock, log });
  return { clock, saved, lines, authority, store, keys };
}

const shown = (rotation: number): Principal => {
  return { role: "node", name: `node:${NODE}`, node: NODE, shared: false, rotation };
};
const token = (rotation: number): string => nodeToken("s", NODE, rotation);

test("nodeCredential() is a row that no token matches", () => {
  expect(nodeCredential(NODE, { now: 7, by: "ann", key: FIRST_KEY })).toEqual({
    id: "node:m-1",
    role: "node",
    hash: "node:m-1",
    node: NODE,
    label: "",
    createdAt: 7,
    createdBy: "ann",
    expiresAt: null,
    revokedAt: null,
    key: FIRST_KEY,
  });
});

describe("Keys.heard()", () => {
  test("writes nothing for the first credential, nor for whoever is no node", async () => {
    const { keys, saved } = setUp();
    expect(await keys.heard(shown(0))).toBeNull();
    expect(await keys.heard({ ...shown(0), node: null })).toBeNull();
    expect(await keys.heard({ ...shown(0), rotation: null })).toBeNull();
    expect(saved).toEqual([]);
  });

  test("offers a new one with every reply until it is shown, and notes that once", async () => {
    const { keys, saved, clock } = setUp();
    const now = clock.wallMs();
    await keys.rotate(NODE, "ann");
    const made = { number: 1, floor: 0, at: now, usedAt: null, deadline: now + HOUR_MS };
    expect(saved.map(({ key, createdBy }) => [key, createdBy])).toEqual([[made, "ann"]]);
    expect(await keys.heard(shown(0))).toBe(token(1));
    expect(await keys.heard(shown(0))).toBe(token(1));
    expect(saved).toHaveLength(1);
    await clock.pass(5);
    expect(await keys.heard(shown(1))).toBeNull();
    expect(await keys.heard(shown(1))).toBeNull();
    const noted = { ...made, floor: 1, usedAt: now + 5, deadline: null };
    expect(saved.slice(1).map(({ key }) => key)).toEqual([noted]);
  });

  test("raises the floor by an older one and still offers the newest", async () => {
    const { keys, saved, authority } = setUp();
    for (let i = 0; i < 3; i++) await keys.rotate(NODE, "ann");
    expect(await keys.heard(shown(2))).toBe(token(3));
    expect(saved.at(-1)?.key).toMatchObject({ number: 3, floor: 2 });
    expect(authority.keyOf(NODE)).toMatchObject({ number: 3, floor: 2 });
  });

  test("makes the next one a day after the last at the latest, and only one a day", async () => {
    const { keys, saved, clock } = setUp();
    await clock.pass(DAY_MS);
    const begun = clock.wallMs();
    expect(await keys.heard(shown(0))).toBe(token(1));
    expect(saved.map(({ key }) => key)).toEqual([
      { number: 1, floor: 0, at: begun, usedAt: null, deadline: null },
    ]);
    // Offered and not shown: none is made on top of it, for days.
    await clock.pass(3 * DAY_MS);
    expect(await keys.heard(shown(0))).toBe(token(1));
    expect(await keys.heard(shown(1))).toBeNull();
    let made = 0;
    let held = 1;
    for (let hour = 1; hour <= 48; hour++) {
      await clock.pass(HOUR_MS);
      const given = await keys.heard(shown(held));
      if (given === null) continue;
      made += 1;
      held += 1;
      expect(given).toBe(token(held));
      await keys.heard(shown(held));
    }
    expect(made).toBe(2);
  });

  test("rotates once in a period, and not before it", async () => {
    const { keys, saved, clock } = setUp();
    expect(await keys.heard(shown(0))).toBeNull();
    await clock.pass(DAY_MS);
    expect(await keys.heard(shown(0))).toBe(token(1));
    expect(saved).toHaveLength(1);
  });

  test("says that a store cannot be written, and tries again at the next report", async () => {
    const { keys, saved, lines, store } = setUp();
    await keys.rotate(NODE, "ann");
    store.broken = true;
    expect(await keys.heard(shown(1))).toBeNull();
    const why = { node: NODE, error: "Error: disk full" };
    expect(lines).toEqual([["warn", "cannot record use of a node credential", why]]);
    expect(saved).toHaveLength(1);
    store.broken = false;
    expect(await keys.heard(shown(1))).toBeNull();
    expect(saved.at(-1)?.key?.usedAt).not.toBeNull();
    expect(lines).toHaveLength(1);
  });

  test("gives nothing new while the row of the same node is being written", async () => {
    const { keys, saved } = setUp();
    await keys.rotate(NODE, "ann");
    await keys.rotate(NODE, "ann");
    const both = await Promise.all([keys.heard(shown(1)), keys.heard(shown(1))]);
    expect(both).toEqual([token(2), null]);
    expect(saved).toHaveLength(3);
  });

  test("answers a report without news while somebody else changes the node's row", async () => {
    const { keys, authority } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    const change = authority.change(NODE, () => promise);
    const waited = new Promise((later) => void setTimeout(() => later("waited"), 1_000));
    expect(await Promise.race([keys.heard(shown(0)), waited])).toBeNull();
    resolve();
    await change;
  });

  test("notes no use of credentials that a person takes back meanwhile", async () => {
    const { keys, saved } = setUp();
    await keys.rotate(NODE, "ann");
    await Promise.all([keys.revoke(NODE, "bob"), keys.heard(shown(1))]);
    expect(saved).toHaveLength(2);
    expect(saved.at(-1)).toMatchObject({ key: { number: 1, usedAt: null } });
    expect(saved.at(-1)?.revokedAt).not.toBeNull();
  });
});

test("Keys.revoke() keeps the instant of the first time, and the numbers", async () => {
  const { keys, clock, saved, authority } = setUp();
  await keys.rotate(NODE, "ann");
  await clock.pass(10);
  const first = await keys.revoke(NODE, "bob");
  expect(first).toMatchObject({ revokedAt: clock.wallMs(), createdBy: "ann", key: { number: 1 } });
  await clock.pass(10);
  expect(await keys.revoke(NODE, "bob")).toEqual(first);
  expect(saved.at(-1)).toEqual(first);
  expect(authority.isRevoked(NODE)).toBe(true);
});

test("Keys.revoke() of a node without a row makes one", async () => {
  const { keys, clock, saved } = setUp();
  const now = clock.wallMs();
  const row = { ...nodeCredential(NODE, { now, by: "bob", key: FIRST_KEY }), revokedAt: now };
  expect(await keys.revoke(NODE, "bob")).toEqual(row);
  expect(saved).toEqual([row]);
});

test("Keys.rotate() works on a row from before there were numbers", async () => {
  const { keys, authority, clock, saved } = setUp();
  const { key: _, ...old } = nodeCredential(NODE, { now: 1, by: "ann", key: FIRST_KEY });
  authority.put(old);
  await keys.rotate(NODE, "bob");
  const deadline = clock.wallMs() + HOUR_MS;
  expect(saved).toEqual([
    { ...old, key: { number: 1, floor: 0, at: clock.wallMs(), usedAt: null, deadline } },
  ]);
});
