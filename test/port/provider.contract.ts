/**
 * What every provider adapter must do, whatever is behind it: run by the fake cloud with and
 * without files, and by each real adapter against a stand-in of its vendor. Only the port is used,
 * plus a way to make the cloud misbehave and to ask it what really exists.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { InstanceId } from "../../schema/id.ts";
import type { Faults } from "../../reconciler/provider/fake/fault.ts";
import type { Reality } from "../../reconciler/provider/fake/reality.ts";
import type {
  CreateRequest,
  Fence,
  Instance,
  Place,
  Provider,
  ProviderClass,
} from "../../reconciler/core/provider.ts";

/** One provider under test, with its cloud. */
export type ContractSubject = {
  provider: Provider;
  /** Lets the cloud's time pass. */
  step(ms: number): void | Promise<void>;
  setFaults(faults: Faults): void;
  reality(): Reality | Promise<Reality>;
  close(): Promise<void>;
  /** An ended instance is neither listed nor found. */
  forgets?: boolean;
  /** The cloud cannot compare fences: a late request lands, and its instance is a surplus. */
  ignoresFences?: boolean;
  /** A purchase is accepted at once; the list says later that there is no stock. */
  diesLater?: boolean;
  /** A list shows what was accepted before it. */
  isConsistent?: boolean;
  /** There is no account that could refuse: owned machines. */
  hasNoAccount?: boolean;
  /** Nothing can run out. */
  hasNoStock?: boolean;
  /** An accepted end is done, so that a repeat finds nothing. */
  endsAtOnce?: boolean;
};

export type ContractFactory = (cls: ProviderClass) => Promise<ContractSubject>;

const FLEET = "fleet-1";
export const contractFleetId = FLEET;

/** A create of the contract's fleet, complete and changeable. */
export function contractRequest(node: string, change: Partial<CreateRequest> = {}): CreateRequest {
  return {
    token: `token-${node}-1`,
    name: `f-train-${node}-1`,
    nodeId: node,
    region: "r1",
    zone: null,
    instanceType: "h100x8",
    tags: { "navarch-fleet": FLEET, "navarch-pool": "train", "navarch-node": node },
    market: "on-demand",
    reservation: null,
    sshKeys: [],
    ...change,
  };
}

const fence = (nodeId: string, value = 1): Fence => ({ nodeId, fence: value, sessionId: null });

function okOf(answer: { kind: string; instance?: Instance }): Instance {
  if (answer.kind !== "ok" || answer.instance === undefined) {
    throw new Error(`expected ok, got ${JSON.stringify(answer)}`);
  }
  return answer.instance;
}

async function listed(provider: Provider): Promise<Instance[]> {
  const answer = await provider.list();
  if (answer.kind !== "ok") throw new Error(`expected a list, got ${JSON.stringify(answer)}`);
  return answer.instances;
}

/** Longer than any boot, end or lag of a subject without faults. */
const LONG_MS = 60_000;

function commonContract(cls: ProviderClass, open: () => Promise<ContractSubject>): void {
  test("create() answers what it made and list() shows it with its tags", async () => {
    const { provider, step } = await open();
    const made = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    await step(LONG_MS);
    const all = await listed(provider);
    expect(all.map((one) => one.id)).toEqual([made.id]);
    const expected = { name: "f-train-n1-1", instanceType: "h100x8", state: "running" };
    expect(all[0]).toMatchObject(expected);
    expect(all[0]?.tags["navarch-node"]).toBe("n1");
    expect(all[0]?.token).toBe(cls === "token" ? "token-n1-1" : null);
  });

  test("list() leaves out what belongs to another fleet", async () => {
    const { provider, step } = await open();
    // A stand-in shows other fleets' machines by their pool (`every-instance.ts`).
    const tags = { "navarch-fleet": "someone-else", "navarch-pool": "train", "navarch-node": "n1" };
    okOf(await provider.create(contractRequest("n1", { tags }), fence("n1"), null));
    const own = okOf(await provider.create(contractRequest("n2"), fence("n2"), null));
    await step(LONG_MS);
    expect((await listed(provider)).map(({ id }) => id)).toEqual([own.id]);
  });

  test("strangers() shows what other fleets have in pools of these names", async () => {
    const { provider, step, hasNoAccount = false } = await open();
    const other = { "navarch-fleet": "other", "navarch-pool": "train", "navarch-node": "n1" };
    const request = contractRequest("n1", { tags: other });
    const made = okOf(await provider.create(request, fence("n1"), null));
    const elsewhere = { ...other, "navarch-pool": "batch", "navarch-node": "n2" };
    okOf(await provider.create(contractRequest("n2", { tags: elsewhere }), fence("n2"), null));
    okOf(await provider.create(contractRequest("n3"), fence("n3"), null));
    await step(LONG_MS);
    const answer = await provider.strangers(["train", "none"]);
    if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
    // Owned machines are bought by nobody.
    const expected = hasNoAccount ? [] : [made.id];
    expect(answer.instances.map(({ id }) => id)).toEqual(expected);
    expect(answer.instances.every(({ tags }) => tags["navarch-fleet"] === "other")).toBe(true);
  });

  test("create() refuses a stale fence with proof and makes nothing", async () => {
    const { provider, reality } = await open();
    okOf(await provider.create(contractRequest("n1"), fence("n1", 5), null));
    const late = contractRequest("n1", { token: "token-n1-2", name: "f-train-n1-2" });
    const answer = await provider.create(late, fence("n1", 4), null);
    expect(answer).toMatchObject({ kind: "refused", class: "stale_fence" });
    expect((await reality()).live).toHaveLength(1);
    okOf(await provider.create(contractRequest("n2"), fence("n2", 1), null));
  });

  test("terminate() refuses a stale fence and leaves the instance alone", async () => {
    const { provider, reality, step } = await open();
    const made = okOf(await provider.create(contractRequest("n1"), fence("n1", 5), null));
    const answer = await provider.terminate(made.id, fence("n1", 4));
    expect(answer).toMatchObject({ kind: "refused", class: "stale_fence" });
    await step(LONG_MS);
    expect((await reality()).live.map((one) => one.state)).toEqual(["running"]);
  });

  test("terminate() is idempotent, and the instance ends exactly once", async () => {
    const { provider, reality, step, forgets, endsAtOnce } = await open();
    const made = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    for (let i = 0; i < 3; i += 1) {
      const isGone = i > 0 && endsAtOnce === true;
      const kind = isGone ? "not_found" : "accepted";
      expect(await provider.terminate(made.id, fence("n1"))).toEqual({ kind });
    }
    await step(LONG_MS);
    const kind = forgets === true ? "not_found" : "accepted";
    expect(await provider.terminate(made.id, fence("n1"))).toEqual({ kind });
    expect(await reality()).toMatchObject({ live: [], terminated: [{ id: made.id }] });
    const states = (await listed(provider)).map((one) => one.state);
    expect(states).toEqual(forgets === true ? [] : ["terminated"]);
  });

  test("terminate() says not_found for what never existed", async () => {
    const { provider } = await open();
    const answer = await provider.terminate("no-such-instance" as InstanceId, fence("n1"));
    expect(answer).toEqual({ kind: "not_found" });
  });

  test("terminate() may lose its answer, and the instance still ends", async () => {
    const { provider, setFaults, reality, step } = await open();
    const made = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    setFaults({ loseReply: { terminate: { times: 1 } } });
    expect((await provider.terminate(made.id, fence("n1"))).kind).toBe("ambiguous");
    await step(LONG_MS);
    expect((await reality()).live).toEqual([]);
  });

  test("create() refused for want of stock proves that nothing was made", async () => {
    const { provider, setFaults, reality, diesLater, hasNoStock } = await open();
    if (diesLater === true || hasNoStock === true) return;
    setFaults({ stockOut: true });
    const answer = await provider.create(contractRequest("n1"), fence("n1"), null);
    expect(answer).toMatchObject({ kind: "refused", class: "capacity" });
    expect(await reality()).toMatchObject({ live: [], pending: 0, asks: 1 });
    setFaults({});
    const next = contractRequest("n1", { token: "token-n1-2", name: "f-train-n1-2" });
    okOf(await provider.create(next, fence("n1"), null));
  });

  test("a purchase that dies for want of stock says so in the list, and can be ended", async () => {
    const { provider, setFaults, reality, step, diesLater } = await open();
    if (diesLater !== true) return;
    setFaults({ stockOut: true });
    const made = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    await step(LONG_MS);
    const [seen] = await listed(provider);
    expect(seen).toMatchObject({ id: made.id, failure: { class: "capacity" } });
    expect(seen?.state).not.toBe("running");
    if (seen?.state !== "terminated") {
      expect(await provider.terminate(made.id, fence("n1"))).toEqual({ kind: "accepted" });
    }
    setFaults({});
    await step(LONG_MS);
    expect((await reality()).live).toEqual([]);
    const next = contractRequest("n1", { token: "token-n1-2", name: "f-train-n1-2" });
    okOf(await provider.create(next, fence("n1"), null));
    await step(LONG_MS);
    const left = (await listed(provider)).filter(({ state }) => state !== "terminated");
    expect(left).toMatchObject([{ state: "running", failure: null }]);
  });

  test("create() names the class of each refusal", async () => {
    const { provider, setFaults, reality, ...subject } = await open();
    const { diesLater, hasNoAccount, hasNoStock } = subject;
    for (const cls of ["bad_request", "capacity", "quota", "rate_limit", "auth"] as const) {
      if (cls === "capacity" && (diesLater === true || hasNoStock === true)) continue;
      if (hasNoAccount === true && cls !== "bad_request" && cls !== "capacity") continue;
      setFaults({ refuse: { class: cls, times: 1 } });
      const answer = await provider.create(contractRequest("n1"), fence("n1"), null);
      expect(answer).toMatchObject({ kind: "refused", class: cls });
    }
    expect((await reality()).live).toEqual([]);
  });

  test("list() fails rather than give part of the fleet", async () => {
    const { provider, setFaults, step, hasNoAccount } = await open();
    okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    await step(LONG_MS);
    setFaults({ listFails: 1, listFailsWith: "rate_limit" });
    const cls = hasNoAccount === true ? "unavailable" : "rate_limit";
    expect(await provider.list()).toMatchObject({ kind: "failed", class: cls });
    expect(await listed(provider)).toHaveLength(1);
  });

  test("list() lags behind and then shows everything", async () => {
    const { provider, setFaults, step, isConsistent } = await open();
    if (isConsistent === true) return;
    setFaults({ listLagMs: 10_000 });
    const made = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    expect(await listed(provider)).toEqual([]);
    await step(9_999);
    expect(await listed(provider)).toEqual([]);
    await step(LONG_MS);
    expect(await listed(provider)).toMatchObject([{ id: made.id, state: "running" }]);
    await provider.terminate(made.id, fence("n1"));
    expect((await listed(provider)).map((one) => one.state)).toEqual(["running"]);
  });
}

/** What a cloud cannot do is an answer, and reading buys nothing. */
function readContract(open: () => Promise<ContractSubject>): void {
  const { region, zone, instanceType, market, reservation } = contractRequest("n1");
  const place: Place = { region, zone, instanceType, market, reservation };

  test("offers() answers the places that were asked, in their order", async () => {
    const { provider } = await open();
    const other: Place = { ...place, region: "r2" };
    const answer = await provider.offers([place, other]);
    expect(["ok", "unsupported"]).toContain(answer.kind);
    if (answer.kind !== "ok") return;
    expect(answer.offers).toMatchObject([place, other]);
    for (const { pricePerHour } of answer.offers) {
      expect(pricePerHour ?? 0).toBeGreaterThanOrEqual(0);
      expect(Number.isFinite(pricePerHour ?? 0)).toBe(true);
    }
    expect(await provider.offers([])).toEqual({ kind: "ok", offers: [] });
  });

  test("reading changes nothing", async () => {
    const { provider, reality, step } = await open();
    const made = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    await step(LONG_MS);
    const before = await reality();
    await provider.offers([place]);
    const quota = await provider.quota([place]);
    if (quota.kind === "ok") {
      for (const { limit, used } of quota.quotas) {
        expect(limit).toBeGreaterThanOrEqual(0);
        expect(used ?? 0).toBeGreaterThanOrEqual(0);
      }
    }
    const keys = await provider.hostKeys(made.id);
    if (keys.kind === "ok") {
      for (const key of keys.hostKeys) expect(key).toMatch(/^(ssh|ecdsa)-\S+ [A-Za-z0-9+/=]+/);
    }
    const findings = await provider.inspect([place]);
    expect(findings.filter(({ outcome }) => outcome === "fail")).toEqual([]);
    expect(await reality()).toEqual(before);
  });
}

/** Classes that recognise a repeated ask: no double by repeating, whatever was lost. */
function repeatContract(open: () => Promise<ContractSubject>): void {
  test("create() repeated gives the same instance", async () => {
    const { provider, reality, step } = await open();
    const first = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    const again = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    await step(LONG_MS);
    const later = okOf(await provider.create(contractRequest("n1"), fence("n1", 2), null));
    expect([again.id, later.id]).toEqual([first.id, first.id]);
    expect(later.state).toBe("running");
    expect(await reality()).toMatchObject({ live: [{ id: first.id }], doubles: [], asks: 3 });
  });

  test("create() repeated after a lost reply gives the instance that was made", async () => {
    const { provider, setFaults, reality } = await open();
    setFaults({ loseReply: { create: { times: 2 } } });
    const ask = () => provider.create(contractRequest("n1"), fence("n1"), null);
    expect((await ask()).kind).toBe("ambiguous");
    expect((await ask()).kind).toBe("ambiguous");
    const made = okOf(await ask());
    expect((await reality()).live.map((one) => one.id)).toEqual([made.id]);
    expect((await reality()).doubles).toEqual([]);
  });

  test("create() repeated after a lost ask makes one", async () => {
    const { provider, setFaults, reality } = await open();
    setFaults({ loseAsk: { create: { times: 1 } } });
    const ask = () => provider.create(contractRequest("n1"), fence("n1"), null);
    expect((await ask()).kind).toBe("ambiguous");
    expect((await reality()).live).toEqual([]);
    okOf(await ask());
    expect((await reality()).live).toHaveLength(1);
  });

  test("create() repeated is recognised although nothing is left to buy", async () => {
    const { provider, setFaults } = await open();
    const first = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    setFaults({ stockOut: true });
    const again = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    expect(again.id).toBe(first.id);
  });

  test("create() never leaves two for one ask, however late the first one lands", async () => {
    const { provider, setFaults, reality, step } = await open();
    setFaults({ lateLandingMs: 30_000, lateLanding: { times: 1 } });
    const ask = () => provider.create(contractRequest("n1"), fence("n1"), null);
    expect((await ask()).kind).toBe("ambiguous");
    const made = okOf(await ask());
    await step(LONG_MS);
    expect((await reality()).live.map((one) => one.id)).toEqual([made.id]);
    expect(await reality()).toMatchObject({ doubles: [], overlaps: [], pending: 0 });
  });

  test("create() landing late is refused once a newer fence was seen", async () => {
    const { provider, setFaults, reality, step, ignoresFences } = await open();
    setFaults({ lateLandingMs: 30_000, lateLanding: { times: 1 } });
    await provider.create(contractRequest("n1"), fence("n1", 1), null);
    const next = contractRequest("n1", { token: "token-n1-2", name: "f-train-n1-2" });
    const made = okOf(await provider.create(next, fence("n1", 2), null));
    await step(LONG_MS);
    const live = (await reality()).live.map((one) => one.id);
    if (ignoresFences !== true) return expect(live).toEqual([made.id]);
    // The sweep can end it only if the list shows it as this fleet's.
    const own = (await listed(provider)).filter(({ tags }) => tags["navarch-node"] === "n1");
    expect(own.map((one) => one.id).sort()).toEqual(live.sort());
    expect(live).toHaveLength(2);
  });
}

function tokenContract(open: () => Promise<ContractSubject>): void {
  test("create() refuses a token whose instance is terminated", async () => {
    const { provider, step, reality } = await open();
    const made = okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    await provider.terminate(made.id, fence("n1"));
    await step(LONG_MS);
    const answer = await provider.create(contractRequest("n1"), fence("n1"), null);
    expect(answer).toMatchObject({ kind: "refused", class: "bad_request" });
    expect(answer.kind === "refused" && answer.message).toContain("token spent");
    expect((await reality()).live).toEqual([]);
  });

  test("create() refuses a token with other parameters", async () => {
    const { provider, reality } = await open();
    okOf(await provider.create(contractRequest("n1"), fence("n1"), null));
    const other = contractRequest("n1", { instanceType: "a100x8" });
    const answer = await provider.create(other, fence("n1"), null);
    expect(answer).toMatchObject({ kind: "refused", class: "bad_request" });
    expect(answer.kind === "refused" && answer.message).toContain("token conflict");
    expect((await reality()).live).toHaveLength(1);
  });
}

function nameContract(open: () => Promise<ContractSubject>): void {
  test("create() refuses a name that belongs to somebody else", async () => {
    const { provider, reality } = await open();
    const foreign = contractRequest("x", { name: "f-train-n1-1", tags: { owner: "x" } });
    okOf(await provider.create(foreign, fence("x"), null));
    const answer = await provider.create(contractRequest("n1"), fence("n1"), null);
    expect(answer).toMatchObject({ kind: "refused", class: "bad_request" });
    expect(answer.kind === "refused" && answer.message).toContain("name exists");
    expect((await reality()).live).toHaveLength(1);
  });
}

function tagContract(open: () => Promise<ContractSubject>): void {
  test("create() repeated makes another one, and both are listed", async () => {
    const { provider, setFaults, reality } = await open();
    setFaults({ loseReply: { create: { times: 1 } } });
    const ask = () => provider.create(contractRequest("n1"), fence("n1"), null);
    expect((await ask()).kind).toBe("ambiguous");
    okOf(await ask());
    expect((await reality()).doubles).toHaveLength(1);
    expect(await listed(provider)).toHaveLength(2);
    expect(provider.settleMs).toBeGreaterThan(0);
  });
}

/** Runs the port's contract against one adapter, for each class that it can be. */
export function providerContract(
  label: string,
  factory: ContractFactory,
  classes: readonly ProviderClass[] = ["token", "name", "tag-only"],
): void {
  for (const cls of classes) {
    describe(`${label} as ${cls}`, () => {
      const opened: ContractSubject[] = [];
      const open = async () => {
        const subject = await factory(cls);
        opened.push(subject);
        return subject;
      };
      afterEach(async () => {
        for (const subject of opened.splice(0)) await subject.close();
      });
      commonContract(cls, open);
      readContract(open);
      if (cls !== "tag-only") repeatContract(open);
      if (cls === "token") tokenContract(open);
      if (cls === "name") nameContract(open);
      if (cls === "tag-only") tagContract(open);
    });
  }
}
