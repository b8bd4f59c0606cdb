/**
 * An upgrade over generated fleets: agents that come back or do not, that are well or not, a
 * control plane that dies in between. What must hold is looked at in the fleet, step by step.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { Fact, factKey } from "../../../schema/safety.ts";
import type { CampaignFact, UpgradingFact } from "../../../schema/upgrade.ts";
import { campaignOf, decideUpgrade, isAway, isSettled, roomOf, rowsOf } from "./decide-upgrade.ts";
import { WATCH_MS } from "./track.ts";
import { runningOf, upgradableOf } from "../../../test/world/part.ts";

const START = 1_700_000_000_000;
const STEP_MS = 5_000;
const DEADLINE_MS = 180_000;

/** What the new version does on a machine. */
type Fate = "well" | "dead" | "sick" | "late sick" | "refuses" | "fails";

type Machine = {
  id: string;
  fate: Fate;
  backMs: number;
  cordoned: boolean;
  able: boolean;
  platform?: string;
};

const nodeOf = ({ id, able, platform = "linux-amd64" }: Machine, version = "1.0.0"): Node =>
  upgradableOf(id, version, START, able ? [platform] : []);

const campaign = (percent: number): CampaignFact =>
  runningOf(START, { percent, deadlineMs: DEADLINE_MS });

/** A fleet that carries out its orders, each machine in its own way. */
class Fleet {
  facts = new Map<string, Fact>();
  readonly nodes = new Map<NodeId, Node>();
  readonly machines: readonly Machine[];
  now = START;
  bornAt = START;
  /** What each machine has carried out: its rows' step and since. */
  readonly doing = new Map<string, { what: string; at: number; done: boolean }>();
  readonly told: string[] = [];
  most = 0;

  constructor(machines: readonly Machine[], percent: number) {
    this.machines = machines;
    this.put(campaign(percent));
    for (const machine of machines) {
      const node = nodeOf(machine);
      const human = { by: "human:ann", why: "hands off", at: START };
      const cordon = { product: null, human: machine.cordoned ? human : null };
      this.nodes.set(node.id, { ...node, cordon });
    }
  }

  put(fact: Fact): void {
    this.facts.set(factKey(fact), fact);
  }
  campaign(): CampaignFact {
    const found = campaignOf(this.facts);
    if (found === null) throw new Error("no campaign");
    return found;
  }
  rows(): UpgradingFact[] {
    return rowsOf(this.facts, this.campaign());
  }

  /** One activation of the control plane; every row survives its way through the store. */
  decide(paused: string | null = null): void {
    const { facts, nodes, now } = this;
    const attentiveMs = now - this.bornAt;
    const { put } = decideUpgrade({ facts, nodes, now, attentiveMs, paused });
    for (const fact of put) {
      this.put(v.parse(Fact, JSON.parse(JSON.stringify(fact))));
      if (fact.kind === "upgrading" && fact.step === "told") this.told.push(fact.node);
    }
    this.most = Math.max(this.most, this.rows().filter(isAway).length);
  }

  /** The machines get on. */
  live(): void {
    for (const machine of this.machines) this.liveOne(machine);
  }

  private liveOne(machine: Machine): void {
    const id = v.parse(NodeId, machine.id);
    const row = this.rows().find((one) => one.node === id);
    const node = this.nodes.get(id);
    if (row === undefined || node === undefined || node.agent === null) return;
    const ordered = row.step === "told" || row.step === "returning" || row.step === "stranded";
    const word = row.step === "told" ? "to" : "back";
    if (ordered && this.doing.get(id)?.what !== word) {
      this.doing.set(id, { what: word, at: this.now, done: false });
    }
    const doing = this.doing.get(id);
    if (doing === undefined) return;
    const age = this.now - doing.at;
    if (machine.fate === "late sick" && doing.done && doing.what === "to" && age < 120_000) {
      const isSick = age - machine.backMs >= WATCH_MS / 2;
      if (isSick) this.nodes.set(id, withVerdict(node, "unhealthy"));
    }
    if (doing.done || age < machine.backMs) return;
    doing.done = true;
    if (doing.what === "back") {
      if (row.answered === null) this.put({ ...row, answered: "succeeded" });
      this.nodes.set(id, heard(withVerdict(node, "healthy"), row.from, this.now));
      return;
    }
    switch (machine.fate) {
      case "well":
      case "late sick":
        this.nodes.set(id, heard(node, "1.1.0", this.now));
        break;
      case "sick":
        this.nodes.set(id, heard(withVerdict(node, "unhealthy"), "1.1.0", this.now));
        break;
      case "refuses":
        this.put({ ...row, answered: "rejected", why: "no" });
        break;
      case "fails":
        this.put({ ...row, answered: "failed", why: "checksum" });
        break;
      case "dead":
        break;
    }
  }
}

function withVerdict(node: Node, verdict: Node["health"]["verdict"]): Node {
  return { ...node, health: { ...node.health, verdict } };
}

function heard(node: Node, version: string, at: number): Node {
  if (node.agent === null) return node;
  const agent = { ...node.agent, version, lastHeartbeatAt: at };
  return { ...node, agent, health: { ...node.health, lastCheckAt: at } };
}

const fates: Fate[] = ["well", "dead", "sick", "late sick", "refuses", "fails"];
const machine = (fate: fc.Arbitrary<Fate>) =>
  fc.record({
    fate,
    backMs: fc.integer({ min: 0, max: 170_000 }),
    cordoned: fc.boolean(),
    able: fc.boolean(),
  });
const fleetOf = (fate: fc.Arbitrary<Fate>, extra: Partial<Machine> = {}) =>
  fc
    .array(machine(fate), { minLength: 1, maxLength: 14 })
    .map((list) => list.map((one, i) => ({ ...one, id: `n${10 + i}`, ...extra })));

/** Until it rests, at most two hours; `kills` are the activations after which the process dies. */
function run(fleet: Fleet, kills: ReadonlySet<number> = new Set()): void {
  for (let i = 0; i < 1_440; i++) {
    fleet.decide();
    if (kills.has(i)) fleet.bornAt = fleet.now;
    const { state } = fleet.campaign();
    if (state === "done" || state === "rolled back") return;
    fleet.live();
    fleet.now += STEP_MS;
  }
}

const RUNS = { numRuns: 60 };

describe("roomOf()", () => {
  test("is the share of those that take part, at least one and at most what can be fed", () => {
    const machine: Machine = { id: "n", fate: "well", backMs: 0, able: true, cordoned: false };
    const nodes = (n: number): Node[] => Array.from({ length: n }, () => nodeOf(machine));
    expect([3, 100, 10_000].map((n) => roomOf(campaign(10), nodes(n)))).toEqual([1, 10, 50]);
  });
});

describe("decideUpgrade()", () => {
  test("never has more than the share on the way, whatever becomes of them", () => {
    fc.assert(
      fc.property(
        fleetOf(fc.constantFrom(...fates)),
        fc.integer({ min: 1, max: 100 }),
        (machines, percent) => {
          const fleet = new Fleet(machines, percent);
          run(fleet);
          expect(fleet.most).toBeLessThanOrEqual(roomOf(campaign(percent), fleet.nodes.values()));
        },
      ),
      RUNS,
    );
  });

  test("ends with the new version everywhere where every machine is well", () => {
    fc.assert(
      fc.property(
        fleetOf(fc.constant("well"), { able: true, cordoned: false }),
        fc.integer({ min: 1, max: 100 }),
        (machines, percent) => {
          const fleet = new Fleet(machines, percent);
          run(fleet);
          expect(fleet.campaign().state).toBe("done");
          expect([...fleet.nodes.values()].every((n) => n.agent?.version === "1.1.0")).toBe(true);
          expect(fleet.told).toHaveLength(machines.length);
        },
      ),
      RUNS,
    );
  });

  test("orders one canary first, and no other node before it was healthy for a while", () => {
    fc.assert(
      fc.property(fleetOf(fc.constantFrom("well", "sick", "dead", "fails")), (machines) => {
        const fleet = new Fleet(machines, 100);
        run(fleet);
        const [canary] = fleet.told;
        const fate = machines.find((one) => one.id === canary)?.fate;
        if (fate !== undefined && fate !== "well") expect(fleet.told).toEqual([canary ?? ""]);
      }),
      RUNS,
    );
  });

  test("orders one canary of each platform, one after the other", () => {
    const platforms = ["linux-amd64", "linux-arm64"];
    fc.assert(
      fc.property(
        fleetOf(fc.constant("well"), { able: true, cordoned: false }),
        fc.array(fc.constantFrom(...platforms), { minLength: 40, maxLength: 40 }),
        fc.constantFrom(...platforms, null),
        (machines, chosen, broken) => {
          const all = machines.map((one, i): Machine => {
            const platform = chosen[i % chosen.length] ?? "linux-amd64";
            return { ...one, platform, fate: platform === broken ? "dead" : "well" };
          });
          const of = (id: string): string => all.find((one) => one.id === id)?.platform ?? "";
          const fleet = new Fleet(all, 100);
          run(fleet);
          // However many there are: the broken binary reaches one machine.
          const isHit = all.some(({ platform }) => platform === broken);
          expect(fleet.told.filter((id) => of(id) === broken)).toHaveLength(isHit ? 1 : 0);
          expect(fleet.campaign().state === "done").toBe(!isHit);
        },
      ),
      RUNS,
    );
  });

  test("orders no cordoned node and no incapable agent, and no node twice", () => {
    fc.assert(
      fc.property(fleetOf(fc.constantFrom(...fates)), (machines) => {
        const fleet = new Fleet(machines, 50);
        run(fleet);
        const barred = machines.filter((one) => one.cordoned || !one.able).map((one) => one.id);
        expect(fleet.told.filter((id) => barred.includes(id))).toEqual([]);
        expect(new Set(fleet.told).size).toBe(fleet.told.length);
      }),
      RUNS,
    );
  });

  test("stops at the first failure, orders no node afterwards, and ends in the old version", () => {
    fc.assert(
      fc.property(fleetOf(fc.constantFrom(...fates)), (machines) => {
        const fleet = new Fleet(machines, 30);
        let toldAtStop = -1;
        for (let i = 0; i < 1_440; i++) {
          fleet.decide();
          const { state } = fleet.campaign();
          if (state === "stopped" && toldAtStop < 0) toldAtStop = fleet.told.length;
          if (state === "done" || state === "rolled back") break;
          fleet.live();
          fleet.now += STEP_MS;
        }
        if (toldAtStop < 0) return;
        expect(fleet.told).toHaveLength(toldAtStop);
        expect(fleet.campaign().state).toBe("rolled back");
        expect([...fleet.nodes.values()].every((n) => n.agent?.version === "1.0.0")).toBe(true);
      }),
      RUNS,
    );
  });

  test("comes to the same end when the control plane dies in the middle", () => {
    fc.assert(
      fc.property(
        fleetOf(fc.constantFrom("well", "well", "well", "sick", "dead", "fails")),
        fc.array(fc.integer({ min: 0, max: 120 }), { maxLength: 6 }),
        (machines, kills) => {
          const one = new Fleet(machines, 25);
          const other = new Fleet(machines, 25);
          run(one);
          run(other, new Set(kills));
          expect(other.campaign().state).toBe(one.campaign().state);
          const versions = (f: Fleet) => [...f.nodes.values()].map((n) => n.agent?.version);
          expect(versions(other)).toEqual(versions(one));
          // Each life waits again for a dead node, so others may have been ordered meanwhile.
          const isDead = machines.some(({ fate }) => fate === "dead");
          if (!isDead) expect(other.told).toEqual(one.told);
        },
      ),
      RUNS,
    );
  });

  test("orders nothing and fails no node while it is paused or blind", () => {
    const fleet = new Fleet(
      [{ id: "n1", fate: "dead", backMs: 0, cordoned: false, able: true }],
      10,
    );
    fleet.decide("frozen");
    expect(fleet.told).toEqual([]);
    fleet.decide();
    fleet.now += 10 * DEADLINE_MS;
    fleet.decide("this process was paused");
    expect(fleet.campaign().state).toBe("running");
    fleet.decide();
    expect(fleet.campaign().state).toBe("stopped");
    expect(fleet.campaign().why).toBe("n1: not back as 1.1.0 in time");
  });

  test("rolls back no further node while a share of the rolled-back ones is silent", () => {
    const ids = Array.from({ length: 10 }, (_, at) => `n${at}`);
    const machines = ids.map((id): Machine => {
      return { id, fate: "well", backMs: 0, cordoned: false, able: true };
    });
    const fleet = new Fleet(machines, 20);
    fleet.put({ ...campaign(20), state: "stopped", rollback: true, endedAt: START });
    for (const machine of machines) {
      fleet.nodes.set(machine.id as NodeId, nodeOf(machine, "1.1.0"));
      const row = {
        kind: "upgrading",
        node: machine.id,
        campaign: "c1",
        step: "upgraded",
      } as const;
      const times = { since: START, dueAt: START, from: "1.0.0", was: "healthy" } as const;
      fleet.put({ ...row, ...times, seen: true, answered: "succeeded", why: null });
    }
    const silent = (): Node[] => {
      return [...fleet.nodes.values()].filter(({ health }) => health.silentSince !== null);
    };
    for (let i = 0; i < 600; i++) {
      fleet.decide();
      // The rollback ends each agent that gets its order.
      for (const { node: id, step } of fleet.rows()) {
        const node = fleet.nodes.get(id as NodeId);
        if (step !== "returning" || node === undefined) continue;
        const health = { ...node.health, silentSince: node.health.silentSince ?? fleet.now };
        fleet.nodes.set(node.id, { ...node, health });
      }
      expect(silent().length).toBeLessThanOrEqual(2);
      fleet.now += STEP_MS;
    }
    expect(fleet.campaign().state).toBe("stopped");
    expect(isSettled(fleet.campaign(), fleet)).toBe(true);
    // One of them is heard again, as what it was: there is room for the next one.
    const [one] = silent();
    if (one === undefined || one.agent === null) throw new Error("no node is silent");
    const agent = { ...one.agent, version: "1.0.0" };
    fleet.nodes.set(one.id, { ...one, agent, health: { ...one.health, silentSince: null } });
    fleet.decide();
    fleet.decide();
    expect(fleet.rows().filter(({ step }) => step === "returning")).toHaveLength(1);
    expect(isSettled(fleet.campaign(), fleet)).toBe(false);
  });

  test("changes nothing when it is asked twice", () => {
    fc.assert(
      fc.property(fleetOf(fc.constantFrom(...fates)), fc.nat(60), (machines, steps) => {
        const fleet = new Fleet(machines, 40);
        for (let i = 0; i < steps; i++) {
          fleet.decide();
          fleet.live();
          fleet.now += STEP_MS;
        }
        // A first look may turn several pages; then it rests.
        for (let i = 0; i < 4; i++) fleet.decide();
        const { facts, nodes, now } = fleet;
        const again = decideUpgrade({ facts, nodes, now, attentiveMs: now - START, paused: null });
        expect(again.put).toEqual([]);
      }),
      RUNS,
    );
  });
});
