/**
 * Owned machines through the port: one claim a machine, whatever is lost, repeated or late, on the
 * real table of the store.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { Claim } from "../../../schema/claim.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../../test/port/provider.contract.ts";
import type { Faults } from "../fake/fault.ts";
import type { InventoryAnswer, InventoryHost } from "../../core/inventory.ts";
import type { ClaimTable } from "../../core/store-table.ts";
import type { Store } from "../../core/store.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { openMemoryClaims } from "./memory-claims.ts";
import { openSsh } from "./ssh.ts";

const hostOf = (name: string, more: Partial<InventoryHost> = {}): InventoryHost => ({
  name,
  address: `${name}.lab`,
  port: null,
  user: null,
  keyPath: null,
  hostKeys: [],
  region: null,
  zone: null,
  rack: null,
  instanceType: null,
  ...more,
});

const fence = (nodeId: string, value = 1) => ({ nodeId, fence: value, sessionId: null });
const ask = (node: string, more = {}) => contractRequest(node, { region: null, ...more });

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function openStore(): Promise<Store> {
  const database = MemoryDatabase.empty();
  const clients = { writer: database.client(), reader: database.client() };
  const store = await openLibsqlStore({ url: "memory:", now: 1, clients });
  closing.push(async () => {
    await store.close();
    database.close();
  });
  return store;
}

function openTest(claims: ClaimTable, hosts: InventoryHost[], name = "dc") {
  let now = 1_000_000;
  let answer: InventoryAnswer = { ok: true, hosts };
  const provider = openSsh({
    name,
    type: "ssh",
    source: "hosts.yaml",
    fleetId: contractFleetId,
    claims,
    clock: { wallMs: () => now },
    inventory: async () => answer,
    reach: async (host) => ({ check: `host ${host.name}`, outcome: "ok", message: "" }),
  });
  return {
    provider,
    step: (ms: number) => void (now += ms),
    list: (next: InventoryAnswer) => void (answer = next),
    names: async () => {
      const listed = await provider.list();
      if (listed.kind !== "ok") throw new Error(listed.message);
      return listed.instances.map(({ host, state }) => `${host?.name} ${state}`);
    },
    make: async (node: string, more = {}) => {
      const made = await provider.create(ask(node, more), fence(node), null);
      if (made.kind !== "ok") throw new Error(JSON.stringify(made));
      return made.instance;
    },
  };
}

/** The number of calls that a fault still meets. */
function countdown(chance: unknown): () => boolean {
  let left =
    typeof chance === "object" && chance !== null && "times" in chance ? Number(chance.times) : 0;
  return () => left-- > 0;
}

providerContract(
  "openSsh()",
  async () => {
    const table = (await openStore()).claimTable();
    const hosts = ["a", "b", "c"].map((name) => hostOf(name, { region: "r1" }));
    const late: (() => Promise<void>)[] = [];
    const [never, lost] = [() => false, "the connection was lost"];
    let faults = { reply: never, ask: never, end: never, late: never, list: never, refuse: "" };
    let [asks, isListing] = [0, false];
    const at = openTest(
      {
        async read() {
          if (isListing && faults.list()) throw new Error(lost);
          return table.read();
        },
        async claim(claim) {
          if (faults.ask()) throw new Error(lost);
          if (faults.late()) {
            late.push(async () => void (await table.claim(claim)));
            throw new Error(lost);
          }
          return table.claim(claim);
        },
        async release(instance, now) {
          await table.release(instance, now);
          if (faults.end()) throw new Error(lost);
        },
      },
      hosts,
    );
    const { provider } = at;
    return {
      provider: {
        ...provider,
        async create(...given) {
          asks += 1;
          const answer = await provider.create(...given);
          return faults.reply() ? { kind: "ambiguous", message: lost } : answer;
        },
        async list() {
          isListing = true;
          return provider.list().finally(() => (isListing = false));
        },
      },
      async step(ms) {
        at.step(ms);
        for (const land of late.splice(0)) await land();
      },
      setFaults({ loseReply, loseAsk, lateLanding, stockOut, refuse, listFails }: Faults) {
        faults = {
          reply: countdown(loseReply?.create),
          ask: countdown(loseAsk?.create),
          end: countdown(loseReply?.terminate),
          late: countdown(lateLanding),
          list: countdown({ times: listFails ?? 0 }),
          refuse: "",
        };
        if (refuse?.class === "bad_request") at.list({ ok: false, problem: "hosts.yaml: no" });
        else at.list({ ok: true, hosts: stockOut === true || refuse ? [] : hosts });
      },
      async reality() {
        const rows = await listAll(table);
        const live = rows.filter(({ open }) => open).map(({ id }) => ({ id, state: "running" }));
        const ended = rows.filter(({ open }) => !open).map(({ id }) => ({ id }));
        const pending = late.length;
        const none = { pending, doubles: [], overlaps: [] };
        return { live, terminated: ended, asks, ...none } as never;
      },
      close: async () => undefined,
      isConsistent: true,
      hasNoAccount: true,
    };
  },
  ["name"],
);

const listAll = async (table: ClaimTable) =>
  (await table.read()).map(({ instance, releasedAt }) => {
    return { id: instance, open: releasedAt === null };
  });

const three = () => ["a", "b", "c"].map((name) => hostOf(name));

describe.each(["store", "memory"])("openSsh() with claims in the %s", (where) => {
  const openClaims = async (): Promise<ClaimTable> =>
    where === "store" ? (await openStore()).claimTable() : openMemoryClaims();

  test("claims each machine once, and refuses for want of capacity after the last", async () => {
    const { provider, make } = openTest(await openClaims(), three());
    const made = await Promise.all(["n1", "n2", "n3"].map((node) => make(node)));
    expect(made.map(({ host }) => host?.name).toSorted()).toEqual(["a", "b", "c"]);
    expect(await provider.create(ask("n4"), fence("n4"), null)).toMatchObject({
      kind: "refused",
      class: "capacity",
      message: "all 3 hosts of hosts.yaml are claimed",
    });
    const [one] = made;
    expect(one).toMatchObject({ state: "running", pricePerHour: 0, externalIp: "a.lab" });
    expect(one?.tags["navarch-node"]).toBe("n1");
  });

  test("a repeated request gets the same machine, also after the last one is claimed", async () => {
    const { provider, make } = openTest(await openClaims(), three().slice(0, 1));
    const first = await make("n1");
    expect((await make("n1")).id).toBe(first.id);
    const foreign = ask("n2", { name: ask("n1").name });
    expect(await provider.create(foreign, fence("n2"), null)).toMatchObject({
      kind: "refused",
      class: "bad_request",
      message: expect.stringContaining("name exists"),
    });
  });

  test("a reply that is lost costs no second machine", async () => {
    const claims = await openClaims();
    let lost = 0;
    const { provider, make, names } = openTest(
      {
        ...claims,
        async claim(claim) {
          const made = await claims.claim(claim);
          if (lost++ < 2) throw new Error("the connection was lost");
          return made;
        },
      },
      three(),
    );
    const answer = await provider.create(ask("n1"), fence("n1"), null);
    expect(answer).toEqual({ kind: "ambiguous", message: "the connection was lost" });
    expect((await make("n1")).host?.name).toBe("a");
    expect(await names()).toEqual(["a running"]);
  });

  test("a release is idempotent, survives a lost reply, and touches nothing else", async () => {
    const claims = await openClaims();
    let lost = 0;
    const { provider, make, names, step } = openTest(
      {
        ...claims,
        async release(instance, at) {
          await claims.release(instance, at);
          if (lost++ === 0) throw new Error("lost");
        },
      },
      three(),
    );
    const { id } = await make("n1");
    await make("n2");
    expect((await provider.terminate(id, fence("n1"))).kind).toBe("ambiguous");
    expect(await provider.terminate(id, fence("n1"))).toEqual({ kind: "accepted" });
    expect(await names()).toEqual(["a terminated", "b running"]);
    expect(await provider.terminate("x" as InstanceId, fence("n1"))).toEqual({ kind: "not_found" });
    // A request that wakes an hour later does not claim again.
    const late = await provider.create(ask("n1"), fence("n1"), null);
    expect(late).toMatchObject({ kind: "refused", class: "bad_request" });
    step(2 * 3_600_000);
    expect(await names()).toEqual(["b running"]);
    // The longest unused machine comes first, and an id is never used again.
    const next = await make("n3");
    const after = await make("n4");
    expect([next.host?.name, after.host?.name]).toEqual(["c", "a"]);
    expect(after.id).not.toBe(id);
  });

  test("an older fence is refused, and nothing is claimed or released", async () => {
    const { provider, make, names } = openTest(await openClaims(), three());
    const { id } = await make("n1");
    await provider.create(ask("n1"), fence("n1", 5), null);
    const late = ask("n1", { name: "late" });
    const stale = { kind: "refused", class: "stale_fence" };
    expect(await provider.create(late, fence("n1", 4), null)).toMatchObject(stale);
    expect(await provider.terminate(id, fence("n1", 4))).toMatchObject(stale);
    expect(await names()).toEqual(["a running"]);
  });

  test("two providers never claim one machine, even if both list it", async () => {
    const claims = await openClaims();
    const one = openTest(claims, [hostOf("a")], "dc");
    const two = openTest(claims, [hostOf("other", { address: "A.LAB", port: 22 })], "dc2");
    await one.make("n1");
    const answer = await two.provider.create(ask("n2"), fence("n2"), null);
    expect(answer).toMatchObject({ kind: "refused", class: "capacity" });
    // Nor at the table itself, past the check.
    const [claim] = await claims.read();
    if (claim === undefined) throw new Error("no claim");
    const other = { ...claim, provider: "dc2", host: "other", name: "x", instance: "x" } as Claim;
    expect(await claims.claim(other)).toBe(false);
  });

  test("the place and type that a pool names select the machine", async () => {
    const hosts = [
      hostOf("a", { instanceType: "a100-8x", region: "eu" }),
      hostOf("b", { instanceType: "h100-8x", region: "us", zone: "r2" }),
    ];
    const { provider, make } = openTest(await openClaims(), hosts);
    const wanted = { instanceType: "h100-8x", region: "us", zone: "r2" };
    expect((await make("n1", wanted)).host?.name).toBe("b");
    const answer = await provider.create(ask("n2", wanted), fence("n2"), null);
    expect(answer).toMatchObject({
      class: "capacity",
      message: "none of the 1 free hosts of hosts.yaml fits the pool (a is of type a100-8x)",
    });
  });

  test("a machine that leaves the inventory stays claimed and is named", async () => {
    const { provider, make, names, list } = openTest(await openClaims(), three());
    await make("n1");
    list({ ok: true, hosts: three().slice(1) });
    expect(await names()).toEqual(["a running"]);
    expect(provider.trouble()).toBe(
      "host a of node n1 is not in hosts.yaml any more: add it again, or release it with " +
        "`navarch terminate n1`",
    );
    list({ ok: true, hosts: three() });
    await names();
    expect(provider.trouble()).toBeNull();
  });

  test("a machine that moves keeps its claim under its new address and keys", async () => {
    const { provider, make, list } = openTest(await openClaims(), three());
    const { id } = await make("n1");
    const hostKeys = ["ssh-ed25519 AAAA"];
    const moved = hostOf("a", { address: "10.0.0.9", port: 2222, rack: "r7", hostKeys });
    list({ ok: true, hosts: [moved] });
    const listed = await provider.list();
    expect(listed.kind === "ok" && listed.instances[0]).toMatchObject({
      id,
      externalIp: "10.0.0.9",
      hostKeys,
      host: { name: "a", rack: "r7", port: 2222 },
    });
    expect(await provider.hostKeys(id)).toEqual({ kind: "ok", hostKeys });
  });

  test("an inventory that cannot be read claims nothing and keeps what is claimed", async () => {
    const { provider, make, names, list } = openTest(await openClaims(), three());
    await make("n1");
    list({ ok: false, problem: "hosts.yaml:3:5: no" });
    expect(await names()).toEqual(["a running"]);
    expect(provider.trouble()).toBe("the inventory is not used: hosts.yaml:3:5: no");
    expect(await provider.create(ask("n2"), fence("n2"), null)).toMatchObject({
      kind: "refused",
      class: "bad_request",
      retryAfterMs: 60_000,
    });
    expect((await make("n1")).host?.name).toBe("a");
  });
});

test("a control plane that no longer leads claims and releases nothing", async () => {
  const store = await openStore();
  const old = openTest(store.claimTable(), three());
  const { id } = await old.make("n1");
  const newer = store.led((store.epoch ?? 0) + 1, () => undefined);
  const table = newer.claimTable();
  const bad = await openTest(table, three()).provider.create(ask("n2"), fence("n2"), null);
  expect(bad).toMatchObject({ kind: "ambiguous", message: expect.stringContaining("epoch") });
  expect((await openTest(table, three()).provider.terminate(id, fence("n1"))).kind).toBe(
    "ambiguous",
  );
  expect(await old.names()).toEqual(["a running"]);
});
