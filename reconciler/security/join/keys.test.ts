/** Changes of one node's credentials that meet while the store is slow. */
import { expect, test } from "bun:test";
import type { Credential } from "../../../schema/credential.ts";
import type { JoinRequest, JoinToken } from "../../../schema/join.ts";
import { Authority, hashToken, type Principal } from "../auth.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { Joins } from "./joins.ts";
import { Keys } from "./keys.ts";
import type { JoinTable } from "../../core/store-table.ts";

const NODE = "m-1" as never;

/** A store whose writes end one after the other, when they are told to. */
function slowStore() {
  const pending: (() => void)[] = [];
  const kept = new Map<string, Credential>();
  const write = (credential: Credential): Promise<void> =>
    new Promise((resolve) => {
      pending.push(() => {
        kept.set(credential.id, credential);
        resolve();
      });
    });
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 20; quiet++) {
      const end = pending.shift();
      if (end !== undefined) quiet = 0;
      end?.();
      await Promise.resolve();
    }
  };
  return { write, settle, kept };
}

function setUp() {
  const clock = new VirtualClock();
  const store = slowStore();
  const authority = new Authority({
    secret: "s",
    admins: [],
    shared: [],
    credentials: [],
    anonymous: false,
  });
  const log = (): void => undefined;
  const keys = new Keys({ authority, store: { saveCredential: store.write }, clock, log });
  return { clock, store, authority, keys, log };
}

const shown = (rotation: number): Principal => {
  return { role: "node", name: `node:${NODE}`, node: NODE, shared: false, rotation };
};

test("Keys.revoke() holds while the use of a newer credential is being noted", async () => {
  for (const first of ["revoke", "heard"]) {
    const { store, authority, keys } = setUp();
    const rotated = keys.rotate(NODE, "a");
    await store.settle();
    await rotated;
    const revoke = () => keys.revoke(NODE, "a");
    const heard = () => keys.heard(shown(1));
    const both = first === "revoke" ? [revoke(), heard()] : [heard(), revoke()];
    await store.settle();
    await Promise.all(both);
    expect([first, authority.isRevoked(NODE)]).toEqual([first, true]);
    expect(store.kept.get(`node:${NODE}`)?.revokedAt).not.toBeNull();
  }
});

test("Joins.join() does not undo a revocation that came while it was judged", async () => {
  const { clock, store, authority, keys, log } = setUp();
  const token: JoinToken = {
    id: "t",
    hash: hashToken("nvj.x"),
    pool: "p" as never,
    node: NODE,
    label: "",
    usesMax: 1,
    createdAt: clock.wallMs(),
    createdBy: "a",
    expiresAt: clock.wallMs() + 60_000,
    revokedAt: null,
  };
  const table: Pick<JoinTable, "byHash" | "use" | "give"> = {
    byHash: async () => ({ token, uses: 0 }),
    use: async () => null,
    give: ({ credential }) => store.write(credential),
  };
  const joins = new Joins({ table: table as JoinTable, authority, clock, log });
  await clock.pass(1);
  const revoked = keys.revoke(NODE, "a");
  const asked = { token: "nvj.x", node_id: NODE, nonce: "n".repeat(24) };
  const told = { agent_version: null, hostname: null, provider_ids: [] };
  const request: JoinRequest = { ...asked, ...told };
  const sight = {
    node: () => null,
    nodeLike: () => null,
    nodeOfProviderId: () => [],
    nodeOfObject: () => [],
  };
  const joined = joins.join(request, { ...sight, isOwnName: () => false }, "10.0.0.1");
  // Both are under way before the first is written.
  for (let i = 0; i < 20; i++) await Promise.resolve();
  await store.settle();
  await revoked;
  expect(await joined).toMatchObject({ kind: "refused", why: "other" });
  expect(authority.isRevoked(NODE)).toBe(true);
});
